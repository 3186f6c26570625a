// Sums become outputs: residual, activation, store.
#pragma once

#include "../check.h"
#include "plan.h"
#include "product.h"

namespace downup {
namespace DU_ISA {

// In elementwise/kernels.cpp: built without fused multiply-adds, an activation has the bits it has anywhere else.
void activate_in_place(const du_activation& activation, const float* slopes, float* at, int64_t count);

// The first `count` lanes, no more of them than there are.
DU_INLINE Lanes load_some(const float* from, int64_t count) {
  if (count >= kLanes) return load_as<Lanes>(from);
#if defined(__AVX512F__)
  return bit_cast<Lanes>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from));
#endif
  Lanes lanes{};
  __builtin_memcpy(&lanes, from, static_cast<uint64_t>(count) * sizeof(float));
  return lanes;
}
DU_INLINE void store_some(float* to, const Lanes& lanes, int64_t count) {
  if (count >= kLanes) return store_as(to, lanes);
#if defined(__AVX512F__)
  return _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), bit_cast<__m512>(lanes));
#endif
  __builtin_memcpy(to, &lanes, static_cast<uint64_t>(count) * sizeof(float));
}

// Where the channels of a pixel lie in a view, side by side.
struct Pixels {
  float* data;
  int64_t batch_stride, row_stride, column_stride;

  explicit Pixels(const du_view* view) : data(nullptr), batch_stride(0), row_stride(0), column_stride(0) {
    if (!view) return;
    int64_t strides[4];
    copy_strides(*view, strides);
    data = static_cast<float*>(view->data);
    batch_stride = strides[0], row_stride = strides[2], column_stride = strides[3];
  }
  float* at(int64_t n, int64_t y, int64_t x) const { return data + n * batch_stride + y * row_stride + x * column_stride; }
};

// Out channels [channel, channel + kVectors * kLanes) of a group.
template <int64_t kVectors>
struct Finisher {
  const ConvolvePlan& plan;
  int64_t packed;  // the place of the first channel in bias and slopes
  int64_t first;   // and in a pixel
  int64_t left;    // channels of the group from there on, at least one
  // A slope below zero, and bounds, where the activation has them; others run over what is stored. NaN stays NaN.
  Lanes slopes[kVectors], low, high;
  bool has_slope, has_low, has_high, is_done;

  DU_INLINE Finisher(const ConvolvePlan& p, int64_t group, int64_t channel)
      : plan(p), packed(group * p.padded_out + channel), first(group * p.group_out + channel), left(p.group_out - channel) {
    const du_activation& activation = p.activation;
    const Lanes zero{};
    for (int64_t v = 0; v < kVectors; ++v) {
      slopes[v] = zero + activation.alpha;
      if (activation.kind == DU_PRELU) slopes[v] = load_as<Lanes>(p.slopes + packed + v * kLanes);
    }
    low = zero + (activation.kind == DU_RELU ? 0.0f : activation.alpha);
    high = zero + activation.beta;
    has_slope = activation.kind == DU_LEAKY_RELU || activation.kind == DU_PRELU;
    has_low = activation.kind == DU_RELU || activation.kind == DU_CLIP;
    has_high = activation.kind == DU_CLIP;
    is_done = activation.kind <= DU_CLIP;
  }

  DU_INLINE Lanes bias(int64_t v) const { return load_as<Lanes>(plan.bias + packed + v * kLanes); }

  // Asks for the memory that put() will write, which else would wait for it. Measured on one thread of a Zen 4: 1x1 from 64 to 64
  // channels of 256x256 pixels takes 6.1 ms, before 7.2.
  template <int64_t kCount>
  DU_INLINE void fetch_outputs(float* const (&to)[kCount]) const {
#pragma GCC unroll 16
    for (int64_t r = 0; r < kCount; ++r) {
      for (int64_t v = 0; v < kVectors; ++v) fetch<true>(to[r], first + v * kLanes);
    }
  }

  // Sums of several pixels; to, residual: the first channels of each, `to` NULL where the sum is no output, `residual` without any.
  // Step by step over all of them, so that they stay in registers.
  template <int64_t kCount>
  DU_INLINE void put(Lanes (&sums)[kCount][kVectors], float* const (&to)[kCount], const float* const* residual) const {
    const auto each = [&](auto&& change) DU_STEP {
#pragma GCC unroll 16
      for (int64_t r = 0; r < kCount; ++r) {
#pragma GCC unroll 2
        for (int64_t v = 0; v < kVectors; ++v) change(sums[r][v], r, v);
      }
    };
    if (residual) {
      each([&](Lanes& sum, int64_t r, int64_t v) DU_STEP {
        if (residual[r]) sum += load_some(residual[r] + first + v * kLanes, left - v * kLanes);
      });
    }
    if (has_slope) each([&](Lanes& sum, int64_t, int64_t v) DU_STEP { sum = sum < 0.0f ? sum * slopes[v] : sum; });
    if (has_low) each([&](Lanes& sum, int64_t, int64_t) DU_STEP { sum = sum < low ? low : sum; });
    if (has_high) each([&](Lanes& sum, int64_t, int64_t) DU_STEP { sum = sum > high ? high : sum; });
    if (left >= kVectors * kLanes) {
      each([&](Lanes& sum, int64_t r, int64_t v) DU_STEP {
        if (to[r]) store_as(to[r] + first + v * kLanes, sum);
      });
    } else {
      each([&](Lanes& sum, int64_t r, int64_t v) DU_STEP {
        if (to[r]) store_some(to[r] + first + v * kLanes, sum, left - v * kLanes);
      });
    }
    if (is_done) return;
    for (int64_t r = 0; r < kCount; ++r) {
      if (to[r]) activate_in_place(plan.activation, nullptr, to[r] + first, smaller(left, kVectors * kLanes));
    }
  }
};

}  // namespace DU_ISA
}  // namespace downup
