// The product in bfloat16: inputs and weights in pairs, which one instruction multiplies and adds to a sum in float32. Intrinsics, since
// gcc has neither the type nor an operator for it.
//
// The instruction takes denormals for zero. One chain of sums to each output is enough: its rounding is ten thousand times finer than that
// of what is multiplied.
#pragma once

#if defined(__AVX512BF16__)
#include "product.h"

namespace downup {
namespace DU_ISA {

// What the direct convolution asks of the numbers that it multiplies; see Float32.
struct BFloat16 {
  static constexpr int64_t kInputs = 2;
  static constexpr bool kReadsInPlace = false;

  // A line of a pixel holds two vectors of inputs.
  static DU_INLINE void put(float* tile, int64_t r, int64_t input, const Lanes& values) {
    constexpr int64_t kLine = kInputs * kLanes;
    float* to = tile + input / kLine * kTile * kLanes + r * kLanes + input % kLine / kInputs;
    const __m256bh rounded = _mm512_cvtneps_pbh(bit_cast<__m512>(values));
    __builtin_memcpy(to, &rounded, sizeof rounded);
  }

  template <int64_t kVectors>
  static DU_INLINE void multiply_pair(const float* tile, const float* weights, Sums<kVectors>& sums) {
    __m512bh w[kVectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) w[v] = load_as<__m512bh>(weights + v * kLanes);
    each_pixel([&](int64_t r) DU_STEP {
      const __m512bh x = bit_cast<__m512bh>(_mm512_set1_epi32(bit_cast<int32_t>(tile[r * kLanes])));
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = bit_cast<Lanes>(_mm512_dpbf16_ps(bit_cast<__m512>(sums[r][v]), x, w[v]));
    });
  }

  // Adds the products of a gathered tile and weights of [slots][kVectors * kLanes] pairs.
  template <int64_t kVectors>
  static DU_INLINE void multiply(const float* tile, const float* weights, int64_t slots, Sums<kVectors>& sums) {
    constexpr int64_t kWidth = kVectors * kLanes;
    for (; slots >= kLanes; slots -= kLanes, tile += kTile * kLanes, weights += kLanes * kWidth) {
#pragma GCC unroll 4
      for (int64_t k = 0; k < kLanes; ++k) multiply_pair<kVectors>(tile + k, weights + k * kWidth, sums);
    }
    for (int64_t k = 0; k < slots; ++k) multiply_pair<kVectors>(tile + k, weights + k * kWidth, sums);
  }
};

}  // namespace DU_ISA
}  // namespace downup
#endif
