// The product under every dense convolution: a tile of pixels times a block of out channels, held in registers.
//
// An output is a sum of sums: chunks of inputs, each a chain of fused multiply-adds in order, are added up within a panel, and panels to
// a total, whatever tile the output lies in; so its bits are its own. One long chain rounds more the longer it is: so summed, networks came
// out with twice to three times the error against float64.
#pragma once

#include "../simd.h"

namespace downup {
namespace DU_ISA {

constexpr int64_t kLanes = kVectorBytes / 4;
using Lanes = Vector<float, kLanes>;

// Pixels of a tile, and vectors of out channels in a block. With 32 registers 14 hold a chunk, 14 the sums of its panel; with 16, 12 and
// 8 hold a chunk, and longer chunks are added to sums in memory.
#if defined(__AVX512F__)
constexpr int64_t kTile = 14, kBlockVectors = 1, kChunk = 16;
#elif defined(__AVX2__)
constexpr int64_t kTile = 6, kBlockVectors = 2, kChunk = 32;
#else
constexpr int64_t kTile = 4, kBlockVectors = 2, kChunk = 32;
#endif
constexpr int64_t kPanel = 128;
static_assert(kChunk % kLanes == 0 && kPanel % kChunk == 0);

// Sums of a tile, or of its first pixels, times a block of out channels.
template <int64_t kVectors, int64_t kPixels = kTile>
using Sums = Lanes[kPixels][kVectors];

template <int64_t kPixels = kTile, class Change>
DU_INLINE void each_pixel(Change&& change) {
#pragma GCC unroll 16
  for (int64_t r = 0; r < kPixels; ++r) change(r);
}

// Floats of a tile of so many inputs, whose layout is [input / kLanes][kTile][kLanes]: the product reads one stream, and each pixel
// lies a constant away from its neighbour.
DU_INLINE int64_t tile_floats(int64_t inputs) { return (inputs + kLanes - 1) / kLanes * kTile * kLanes; }

// Asks for the cache line so many floats from p, to be read or written; it may lie beyond all memory.
template <bool kWrites>
DU_INLINE void fetch(const float* p, int64_t floats) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uint64_t>(p) + static_cast<uint64_t>(floats) * sizeof(float)), kWrites, 3);
}

// Where the product reads the inputs of a tile, as `tile_floats` says.
struct GatheredTile {
  const float* from;

  DU_INLINE float at(int64_t r, int64_t k) const { return from[r * kLanes + k]; }
  DU_INLINE void advance() { from += kTile * kLanes; }
};

// Pixels that lie `stride` floats apart, read where they are. What a tile further on will read is fetched meanwhile.
struct PixelsInPlace {
  // An address reaches three pixels from each of these: so they, and all sums, fit in registers.
  static constexpr int64_t kReach = 3, kFrom = (kTile + kReach - 1) / kReach;
  const float* from[kFrom];
  int64_t stride;

  DU_INLINE PixelsInPlace(const float* first, int64_t s) : stride(s) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kFrom; ++i) from[i] = first + i * kReach * stride;
  }
  DU_INLINE float at(int64_t r, int64_t k) const { return from[r / kReach][r % kReach * stride + k]; }
  DU_INLINE void advance() {
    each_pixel([&](int64_t r) DU_STEP { fetch<false>(from[r / kReach], (kTile + r % kReach) * stride); });
#pragma GCC unroll 8
    for (int64_t i = 0; i < kFrom; ++i) from[i] += kLanes;
  }
};

// The same pixels under a window of several taps: input k lies offsets[k] floats from each of them.
struct TapsInPlace {
  static constexpr int64_t kReach = PixelsInPlace::kReach, kFrom = PixelsInPlace::kFrom;
  const float* from[kFrom];
  const int64_t* offsets;
  int64_t stride;

  DU_INLINE TapsInPlace(const float* first, int64_t s, const int64_t* o) : offsets(o), stride(s) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kFrom; ++i) from[i] = first + i * kReach * stride;
  }
  DU_INLINE float at(int64_t r, int64_t k) const { return (from[r / kReach] + offsets[k])[r % kReach * stride]; }
  DU_INLINE void advance() { offsets += kLanes; }
};

// gcc does not see that the first panel sets the total. Zeros would keep 14 registers from sums: 1x1 took a tenth longer.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// Sums on their way: those of the panel at hand are the caller's.
template <int64_t kVectors, int64_t kPixels = kTile>
struct Panels {
  Sums<kVectors, kPixels> total;  // of the panels before
  int64_t done = 0;               // inputs

  DU_INLINE void begin_panel(Sums<kVectors, kPixels>& sums) {
    each_pixel<kPixels>([&](int64_t r) DU_STEP {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) {
        total[r][v] = done == kPanel ? sums[r][v] : total[r][v] + sums[r][v];
        sums[r][v] = Lanes{};
      }
    });
  }
  DU_INLINE void finish(Sums<kVectors, kPixels>& sums) const {
    if (done <= kPanel) return;
    each_pixel<kPixels>([&](int64_t r) DU_STEP {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] += total[r][v];
    });
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

template <int64_t kVectors, int64_t kPixels, class Source>
DU_INLINE void multiply_input(const Source& source, int64_t k, const float* weights, Sums<kVectors, kPixels>& sums) {
  Lanes w[kVectors];
#pragma GCC unroll 2
  for (int64_t v = 0; v < kVectors; ++v) w[v] = load_as<Lanes>(weights + v * kLanes);
  each_pixel<kPixels>([&](int64_t r) DU_STEP {
    const float x = source.at(r, k);
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) sums[r][v] += x * w[v];
  });
}

// At most a chunk of inputs.
template <int64_t kVectors, int64_t kPixels, class Source>
DU_INLINE void multiply_chunk(Source& source, const float* weights, int64_t inputs, Sums<kVectors, kPixels>& sums) {
  constexpr int64_t kWidth = kVectors * kLanes;
  Sums<kVectors, kPixels> chunk{};
  for (; inputs >= kLanes; inputs -= kLanes) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < kLanes; ++k) multiply_input<kVectors>(source, k, weights + k * kWidth, chunk);
    source.advance();
    weights += kLanes * kWidth;
  }
  for (int64_t k = 0; k < inputs; ++k) multiply_input<kVectors>(source, k, weights + k * kWidth, chunk);
  each_pixel<kPixels>([&](int64_t r) DU_STEP {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) sums[r][v] += chunk[r][v];
  });
}

// Goes on with the next inputs, whose weights are [inputs][kVectors * kLanes]: whole chunks, but for the last of all.
template <int64_t kVectors, int64_t kPixels, class Source>
DU_INLINE void multiply(Source source, const float* weights, int64_t inputs, Panels<kVectors, kPixels>& panels, Sums<kVectors, kPixels>& sums) {
  while (inputs > 0) {
    if (panels.done > 0 && panels.done % kPanel == 0) panels.begin_panel(sums);
    const int64_t count = smaller(inputs, kPanel - panels.done % kPanel);
    int64_t k = 0;
    for (; k + kChunk <= count; k += kChunk) {
      multiply_chunk<kVectors>(source, weights, kChunk, sums);
      weights += kChunk * kVectors * kLanes;
    }
    if (k < count) multiply_chunk<kVectors>(source, weights, count - k, sums);
    weights += (count - k) * kVectors * kLanes;
    panels.done += count, inputs -= count;
  }
}

// What the direct convolution asks of the numbers that it multiplies: here floats, as they are.
struct Float32 {
  static constexpr int64_t kInputs = 1;  // in the four bytes of a float
  static constexpr bool kReadsInPlace = true;

  // A vector of inputs of pixel r, from the given one on, into a gathered tile.
  static DU_INLINE void put(float* tile, int64_t r, int64_t input, const Lanes& values) { store_as(tile + input * kTile + r * kLanes, values); }

  template <int64_t kVectors>
  static DU_INLINE void multiply(const float* tile, const float* weights, int64_t inputs, Sums<kVectors>& sums) {
    Panels<kVectors> panels;
    downup::DU_ISA::multiply<kVectors>(GatheredTile{tile}, weights, inputs, panels, sums);
    panels.finish(sums);
  }
};

}  // namespace DU_ISA
}  // namespace downup
