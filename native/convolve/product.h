// The product under every dense convolution: a tile of pixels times a block of out channels, held in registers.
//
// An output is a chain of fused multiply-adds over its inputs in order, whatever tile it lies in: so its bits are its own.
#pragma once

#include "../simd.h"

namespace downup {
namespace DU_ISA {

constexpr int64_t kLanes = kVectorBytes / 4;
using Lanes = Vector<float, kLanes>;

// Pixels of a tile: 28 of 32 registers hold sums; 12, and 8, of 16.
#if defined(__AVX512F__)
constexpr int64_t kTile = 14;
#elif defined(__AVX2__)
constexpr int64_t kTile = 6;
#else
constexpr int64_t kTile = 4;
#endif

// Floats of a tile of so many inputs, whose layout is [input / kLanes][kTile][kLanes]: the product reads one stream, and each pixel
// lies a constant away from its neighbour.
DU_INLINE int64_t tile_floats(int64_t inputs) { return (inputs + kLanes - 1) / kLanes * kTile * kLanes; }

// Asks for the cache line so many floats from p, to be read or written; it may lie beyond all memory.
template <bool kWrites>
DU_INLINE void fetch(const float* p, int64_t floats) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uint64_t>(p) + static_cast<uint64_t>(floats) * sizeof(float)), kWrites, 3);
}

template <int64_t kVectors>
DU_INLINE void multiply_step(const float* in, const float* weights, Lanes (&sums)[kTile][kVectors]) {
  Lanes w[kVectors];
#pragma GCC unroll 2
  for (int64_t v = 0; v < kVectors; ++v) w[v] = load_as<Lanes>(weights + v * kLanes);
#pragma GCC unroll 16
  for (int64_t r = 0; r < kTile; ++r) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) sums[r][v] += in[r * kLanes] * w[v];
  }
}

// tile: as above; weights [inputs][kVectors * kLanes]; sums go on from what they hold.
template <int64_t kVectors>
DU_INLINE void multiply(const float* tile, const float* weights, int64_t inputs, Lanes (&sums)[kTile][kVectors]) {
  constexpr int64_t kWidth = kVectors * kLanes;
  int64_t left = inputs;
  for (; left >= kLanes; left -= kLanes) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < kLanes; ++k) multiply_step<kVectors>(tile + k, weights + k * kWidth, sums);
    tile += kTile * kLanes;
    weights += kLanes * kWidth;
  }
  for (int64_t k = 0; k < left; ++k) multiply_step<kVectors>(tile + k, weights + k * kWidth, sums);
}

// The same of pixels that lie `stride` floats apart, read where they are. What a tile further on will read is fetched meanwhile.
template <int64_t kVectors>
DU_INLINE void multiply_in_place(const float* in, int64_t stride, const float* weights, int64_t inputs, Lanes (&sums)[kTile][kVectors]) {
  constexpr int64_t kWidth = kVectors * kLanes;
  // An address reaches three pixels from each of these: so they, and all sums, fit in registers.
  constexpr int64_t kReach = 3, kFrom = (kTile + kReach - 1) / kReach;
  const float* from[kFrom];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kFrom; ++i) from[i] = in + i * kReach * stride;
  const auto step = [&](int64_t k) DU_STEP {
    Lanes w[kVectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) w[v] = load_as<Lanes>(weights + k * kWidth + v * kLanes);
#pragma GCC unroll 16
    for (int64_t r = 0; r < kTile; ++r) {
      const float x = from[r / kReach][r % kReach * stride + k];
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] += x * w[v];
    }
  };
  int64_t left = inputs;
  for (; left >= kLanes; left -= kLanes) {
#pragma GCC unroll 16
    for (int64_t r = 0; r < kTile; ++r) fetch<false>(from[r / kReach], (kTile + r % kReach) * stride);
#pragma GCC unroll 4
    for (int64_t k = 0; k < kLanes; ++k) step(k);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kFrom; ++i) from[i] += kLanes;
    weights += kLanes * kWidth;
  }
  for (int64_t k = 0; k < left; ++k) step(k);
}

}  // namespace DU_ISA
}  // namespace downup
