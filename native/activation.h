// What stands behind a sum: ReLU and its kin, on vectors. Additions and multiplications alone, in one order, so that every
// instruction set gives the same bits.
#pragma once

#include "downup.h"
#include "simd.h"

namespace downup {
namespace DU_ISA {

template <int64_t N>
using Floats = Vector<float, N>;

// e^x: 2^n e^r with r no further than half a logarithm of two from 0. Error below 1.3 units in the last place; 0 and infinity
// beyond float's range, NaN stays.
template <int64_t N>
DU_INLINE Floats<N> exponential(const Floats<N>& given) {
  using Whole = Vector<int32_t, N>;
  using Bits = Vector<uint32_t, N>;
  const Floats<N> zero{}, low = zero - 104.0f, high = zero + 89.0f;
  Floats<N> x = given < low ? low : given;
  x = x > high ? high : x;
  // Adding this number leaves a whole one in the last bits.
  constexpr float kRounder = 12582912.0f;
  const Floats<N> shifted = x * 1.44269504f + kRounder;
  const Whole n = bit_cast<Whole>(bit_cast<Bits>(shifted) - 0x4b400000u);
  const Floats<N> whole = shifted - kRounder;
  // The logarithm of two in two parts, the first of 14 bits: its product is exact.
  const Floats<N> r = (x - whole * 0.693115234f) - whole * 3.19461833e-05f;
  const Floats<N> tail = (((r * 0.00139517174f + 0.00836959854f) * r + 0.0416661873f) * r + 0.166665122f) * r + 0.5f;
  const Floats<N> fraction = (r * r) * tail + r + 1.0f;
  // 2^n in two factors, for neither end of the range has a float for it.
  const Whole half = n >> 1;
  const Floats<N> first = bit_cast<Floats<N>>(bit_cast<Bits>(half + 127) << 23);
  const Floats<N> second = bit_cast<Floats<N>>(bit_cast<Bits>(n - half + 127) << 23);
  return fraction * first * second;
}

template <int64_t N>
DU_INLINE Floats<N> sigmoid(const Floats<N>& x) {
  return 1.0f / (1.0f + exponential<N>(-x));
}

// The sign of `from` on a number that has none.
template <int64_t N>
DU_INLINE Floats<N> with_sign(const Floats<N>& number, const Floats<N>& from) {
  using Bits = Vector<uint32_t, N>;
  return bit_cast<Floats<N>>(bit_cast<Bits>(number) | (bit_cast<Bits>(from) & 0x80000000u));
}

template <int64_t N>
DU_INLINE Floats<N> magnitude(const Floats<N>& x) {
  return bit_cast<Floats<N>>(bit_cast<Vector<uint32_t, N>>(x) & 0x7fffffffu);
}

// A polynomial up to 0.625, beyond it by e^2x. Error below 3 units in the last place.
template <int64_t N>
DU_INLINE Floats<N> hyperbolic_tangent(const Floats<N>& x) {
  const Floats<N> t = magnitude<N>(x), s = t * t;
  const Floats<N> near = (((s * -0.00571703678f + 0.0206505787f) * s - 0.0537434965f) * s + 0.133314908f) * s - 0.333332837f;
  const Floats<N> inside = near * s * t + t, outside = 1.0f - 2.0f / (exponential<N>(t + t) + 1.0f);
  return with_sign<N>(t < 0.625f ? inside : outside, x);
}

// A polynomial up to 1, beyond it 1 - e^-p(x). Error below 1.4e-7.
template <int64_t N>
DU_INLINE Floats<N> error_function(const Floats<N>& x) {
  const Floats<N> t = magnitude<N>(x), s = t * t;
  const Floats<N> near =
      (((((s * 7.85385782e-05f - 0.000801019254f) * s + 0.00518832775f) * s - 0.026853811f) * s + 0.112835854f) * s - 0.37612626f) * s + 1.12837911f;
  const Floats<N> zero{}, bounded = t > 4.0f ? zero + 4.0f : t;  // where the float nearest to the answer is 1
  const Floats<N> far = (((((bounded * -0.0001855749f + 0.00293961563f) * bounded - 0.0218053516f) * bounded + 0.103037432f) * bounded + 0.638225615f) * bounded + 1.12704003f) * bounded + 0.000353708921f;
  return with_sign<N>(t < 1.0f ? near * t : 1.0f - exponential<N>(-far), x);
}

// One activation of one kind; `slope` counts for DU_PRELU alone. NaN stays NaN.
template <int32_t kKind, int64_t N>
DU_INLINE Floats<N> activate(const Floats<N>& x, float alpha, float beta, const Floats<N>& slope) {
  const Floats<N> zero{}, one = zero + 1.0f;
  const auto bounded = [&](const Floats<N>& v, const Floats<N>& low, const Floats<N>& high) {
    const Floats<N> above = v < low ? low : v;
    return above > high ? high : above;
  };
  switch (kKind) {
    case DU_RELU: return x < zero ? zero : x;
    case DU_LEAKY_RELU: return x < zero ? x * alpha : x;
    case DU_PRELU: return x < zero ? x * slope : x;
    case DU_CLIP: return bounded(x, zero + alpha, zero + beta);
    case DU_SIGMOID: return sigmoid<N>(x);
    case DU_SILU: return x / (1.0f + exponential<N>(-x));
    case DU_HARD_SIGMOID: return bounded(x * alpha + beta, zero, one);
    case DU_HARD_SWISH: return x * bounded(x * 0.166666667f + 0.5f, zero, one);
    case DU_GELU: return x * 0.5f * (1.0f + error_function<N>(x * 0.707106781f));
    case DU_GELU_TANH: return x * 0.5f * (1.0f + hyperbolic_tangent<N>((x * x * x * 0.044715f + x) * 0.797884561f));
    case DU_ELU: return x < zero ? (exponential<N>(x) - 1.0f) * alpha : x;
    case DU_TANH: return hyperbolic_tangent<N>(x);
    case DU_EXP: return exponential<N>(x);
    case DU_ERF: return error_function<N>(x);
    case DU_ABS: return magnitude<N>(x);
    default: return x;
  }
}

template <int32_t kKind>
inline void activate_run_of(const du_activation& activation, const float* slopes, float* at, int64_t count) {
  constexpr int64_t kMany = kManyLanes<float>;
  const float alpha = activation.alpha, beta = activation.beta;
  int64_t i = 0;
  for (; i + kMany <= count; i += kMany) {
    const Floats<kMany> slope = kKind == DU_PRELU ? load_as<Floats<kMany>>(slopes + i) : Floats<kMany>{};
    store_as(at + i, activate<kKind, kMany>(load_as<Floats<kMany>>(at + i), alpha, beta, slope));
  }
  for (; i < count; ++i) {
    const Floats<1> slope = kKind == DU_PRELU ? load_as<Floats<1>>(slopes + i) : Floats<1>{};
    store_as(at + i, activate<kKind, 1>(load_as<Floats<1>>(at + i), alpha, beta, slope));
  }
}

// `count` numbers that lie side by side, in place; `slopes` [count] counts for DU_PRELU alone.
inline void activate_run(const du_activation& activation, const float* slopes, float* at, int64_t count) {
  switch (activation.kind) {
    case DU_RELU: return activate_run_of<DU_RELU>(activation, slopes, at, count);
    case DU_LEAKY_RELU: return activate_run_of<DU_LEAKY_RELU>(activation, slopes, at, count);
    case DU_PRELU: return activate_run_of<DU_PRELU>(activation, slopes, at, count);
    case DU_CLIP: return activate_run_of<DU_CLIP>(activation, slopes, at, count);
    case DU_SIGMOID: return activate_run_of<DU_SIGMOID>(activation, slopes, at, count);
    case DU_SILU: return activate_run_of<DU_SILU>(activation, slopes, at, count);
    case DU_HARD_SIGMOID: return activate_run_of<DU_HARD_SIGMOID>(activation, slopes, at, count);
    case DU_HARD_SWISH: return activate_run_of<DU_HARD_SWISH>(activation, slopes, at, count);
    case DU_GELU: return activate_run_of<DU_GELU>(activation, slopes, at, count);
    case DU_GELU_TANH: return activate_run_of<DU_GELU_TANH>(activation, slopes, at, count);
    case DU_ELU: return activate_run_of<DU_ELU>(activation, slopes, at, count);
    case DU_TANH: return activate_run_of<DU_TANH>(activation, slopes, at, count);
    case DU_EXP: return activate_run_of<DU_EXP>(activation, slopes, at, count);
    case DU_ERF: return activate_run_of<DU_ERF>(activation, slopes, at, count);
    case DU_ABS: return activate_run_of<DU_ABS>(activation, slopes, at, count);
    case DU_SQRT:
      for (int64_t i = 0; i < count; ++i) at[i] = __builtin_sqrtf(at[i]);
      return;
    default: return;
  }
}

}  // namespace DU_ISA
}  // namespace downup
