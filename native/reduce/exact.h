// Sums of float32 without any rounding: in whatever order and parts numbers are added, the sum is the same.
#pragma once

#include "../simd.h"
#include "../threads.h"
#include "call.h"

namespace downup {
namespace DU_ISA {
namespace {

// Outputs that are made together: enough sums that none waits for its last addition.
constexpr int64_t kTogether = 4 * kVectorBytes / static_cast<int64_t>(sizeof(double));

// Samples that are added in double before their sum goes to the digits; what was rounded on the way is added one by one.
constexpr int64_t kChunk = 32;

// `x` is a multiple of the smallest float32, and smaller than 2^133.
DU_INLINE void add_exactly(int64_t* words, double x) {
  const uint64_t bits = bit_cast<uint64_t>(x);
  const int64_t exponent = static_cast<int64_t>(bits >> 52 & 0x7ff);
  if (exponent == 0) return;
  const bool is_negative = bits >> 63;
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent == 0x7ff) {
    words[kExactDigits] += mantissa != 0 || !is_negative;
    words[kExactDigits + 1] += mantissa != 0 || is_negative;
    return;
  }
  mantissa |= uint64_t{1} << 52;
  // Where its last bit lies above that of the smallest float32; bits below that are zeros.
  int64_t place = exponent - 1075 + 149;
  if (place < 0) {
    mantissa >>= -place;
    place = 0;
  }
  const int64_t digit = place / 32, shift = place % 32, sign = is_negative ? -1 : 1;
  const uint64_t above = mantissa >> (32 - shift), mask = 0xffffffff;
  words[digit] += sign * static_cast<int64_t>(mantissa << shift & mask);
  words[digit + 1] += sign * static_cast<int64_t>(above & mask);
  words[digit + 2] += sign * static_cast<int64_t>(above >> 32);
}

// kCount channels side by side of `count` samples, the first `skipped` of them not added.
template <int64_t kCount>
void add_samples(const float* in, int64_t count, int64_t step, int64_t skipped, int64_t (*words)[kExactWords]) {
  using Sums = Vector<double, kCount>;
  using Bits = Vector<int64_t, kCount>;
  for (int64_t first = 0; first < count; first += kChunk) {
    const int64_t n = smaller(kChunk, count - first);
    Sums sum{};
    Bits lost{};
    for (int64_t i = 0; i < n; ++i) {
      const Sums value = __builtin_convertvector(load_as<Vector<float, kCount>>(in + (first + i) * step), Sums);
      const Sums next = sum + value, taken = next - sum;
      // Knuth's error of an addition: not 0 where it was rounded, or met an infinity or NaN.
      const Sums error = (sum - (next - taken)) + (value - taken);
      lost |= bit_cast<Bits>(error);
      sum = next;
    }
    for (int64_t lane = skipped; lane < kCount; ++lane) {
      if (lost[lane] == 0) {
        add_exactly(words[lane - skipped], sum[lane]);
      } else {
        for (int64_t i = 0; i < n; ++i) add_exactly(words[lane - skipped], in[(first + i) * step + lane]);
      }
    }
  }
}

void add_channels(const ExactCall& call, const float* in, int64_t count, int64_t channels, int64_t before, int64_t (*words)[kExactWords]) {
  const int64_t step = call.in_strides[3];
  int64_t c = 0;
  if (call.in_strides[1] == 1) {
    for (; c + kTogether <= channels; c += kTogether) add_samples<kTogether>(in + c, count, step, 0, words + c);
    for (; c + 8 <= channels; c += 8) add_samples<8>(in + c, count, step, 0, words + c);
    const int64_t rest = channels - c;
    // The last channels together with some that were added already, where there are any.
    if (rest > 1 && before + c >= 8 - rest) {
      add_samples<8>(in + channels - 8, count, step, 8 - rest, words + c);
      return;
    }
  }
  for (; c < channels; ++c) add_samples<1>(in + c * call.in_strides[1], count, step, 0, words + c);
}

// Threads split channels, and bands of rows, whose sums are added as integers.
void sum_exactly(const ExactCall& call, int64_t threads) {
  int64_t rows = call.sizes[2], columns = call.sizes[3];
  const bool is_one_row = call.in_strides[2] == columns * call.in_strides[3];
  if (is_one_row) {
    columns *= rows;
    rows = 1;
  }
  const int64_t groups = (call.sizes[1] + kTogether - 1) / kTogether;
  const int64_t per_sample = smaller(call.sizes[1], kTogether);
  // About 128 thousand numbers at a time.
  const int64_t wide = smaller(columns, larger(kChunk, (131072 / per_sample + kChunk - 1) / kChunk * kChunk));
  const int64_t high = larger(1, 131072 / (wide * per_sample));
  const int64_t bands = (rows + high - 1) / high, parts = (columns + wide - 1) / wide;
  parallel_for(call.sizes[0] * groups * bands * parts, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t part = piece % parts, band = piece / parts % bands;
      const int64_t group = piece / (parts * bands) % groups, n = piece / (parts * bands * groups);
      const int64_t before = group * kTogether, channels = smaller(kTogether, call.sizes[1] - before);
      int64_t words[kTogether][kExactWords] = {};
      const int64_t first = part * wide, count = smaller(wide, columns - first);
      for (int64_t y = band * high; y < smaller(rows, (band + 1) * high); ++y) {
        const float* in = call.in + n * call.in_strides[0] + before * call.in_strides[1] + y * call.in_strides[2] + first * call.in_strides[3];
        add_channels(call, in, count, channels, before, words);
      }
      for (int64_t c = 0; c < channels; ++c) {
        int64_t* out = call.out + n * call.out_strides[0] + (before + c) * call.out_strides[1];
        for (int i = 0; i + 1 < kExactDigits; ++i) {
          const int64_t carried = words[c][i] >> 32;
          words[c][i] -= carried * (int64_t{1} << 32);
          words[c][i + 1] += carried;
        }
        for (int i = 0; i < kExactWords; ++i) __atomic_fetch_add(out + i * call.out_strides[3], words[c][i], __ATOMIC_RELAXED);
      }
    }
  });
}

}  // namespace
}  // namespace DU_ISA
}  // namespace downup
