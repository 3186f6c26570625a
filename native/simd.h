// The vector type of this build and how each element type is loaded into it. Included once per instruction set, inside
// that set's own namespace, so that the linker never picks a copy built for another processor.
#pragma once

#include <stdint.h>

#ifndef DU_ISA
#error "compile with -DDU_ISA=<name of the instruction set>"
#endif

namespace downup {
namespace DU_ISA {

#if defined(__AVX512F__)
constexpr int64_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int64_t kVectorBytes = 32;
#else
constexpr int64_t kVectorBytes = 16;
#endif

#define DU_INLINE inline __attribute__((always_inline))

struct bfloat16 {
  uint16_t bits;
};

template <class E, int64_t N>
struct VectorOf {
  typedef E type __attribute__((vector_size(N * sizeof(E))));
};
template <class E, int64_t N>
using Vector = typename VectorOf<E, N>::type;

template <class V, class E>
DU_INLINE V load_as(const E* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class V, class E>
DU_INLINE void store_as(E* p, const V& v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class To, class From>
DU_INLINE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast between types of one size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

// Round to the nearest bfloat16, ties to even; NaN stays a NaN.
DU_INLINE uint16_t round_to_bfloat16(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// How elements of type T are computed with: `Scalar` one by one, `Lanes` of them in a vector, `Mask` an integer vector of
// the same shape (all ones where true).
template <class T>
struct Element;

template <>
struct Element<float> {
  using Scalar = float;
  using Integer = int32_t;
  static constexpr int64_t kLanes = kVectorBytes / 4;
  using Lanes = Vector<float, kLanes>;
  using Mask = Vector<int32_t, kLanes>;
  static DU_INLINE float get(const float* p) { return *p; }
  static DU_INLINE void put(float* p, float v) { *p = v; }
  static DU_INLINE Lanes load(const float* p) { return load_as<Lanes>(p); }
  static DU_INLINE void store(float* p, const Lanes& v) { store_as(p, v); }
};

template <>
struct Element<double> {
  using Scalar = double;
  using Integer = int64_t;
  static constexpr int64_t kLanes = kVectorBytes / 8;
  using Lanes = Vector<double, kLanes>;
  using Mask = Vector<int64_t, kLanes>;
  static DU_INLINE double get(const double* p) { return *p; }
  static DU_INLINE void put(double* p, double v) { *p = v; }
  static DU_INLINE Lanes load(const double* p) { return load_as<Lanes>(p); }
  static DU_INLINE void store(double* p, const Lanes& v) { store_as(p, v); }
};

// Computed with in float; sums are rounded once, at the end.
template <>
struct Element<bfloat16> {
  using Scalar = float;
  using Integer = int32_t;
  static constexpr int64_t kLanes = kVectorBytes / 4;
  using Lanes = Vector<float, kLanes>;
  using Mask = Vector<int32_t, kLanes>;
  using Bits = Vector<uint32_t, kLanes>;
  using Stored = Vector<uint16_t, kLanes>;
  static DU_INLINE float get(const bfloat16* p) { return bit_cast<float>(static_cast<uint32_t>(p->bits) << 16); }
  static DU_INLINE void put(bfloat16* p, float v) { p->bits = round_to_bfloat16(v); }
  static DU_INLINE Lanes load(const bfloat16* p) {
    return bit_cast<Lanes>(__builtin_convertvector(load_as<Stored>(p), Bits) << 16);
  }
  static DU_INLINE void store(bfloat16* p, const Lanes& v) {
    const Bits bits = bit_cast<Bits>(v);
    const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Bits quiet = (bits >> 16) | 0x40u;
    const Mask is_nan = v != v;
    store_as(p, __builtin_convertvector(bit_cast<Bits>((bit_cast<Mask>(quiet) & is_nan) | (bit_cast<Mask>(rounded) & ~is_nan)), Stored));
  }
};

// a where mask is true, else b; bits are copied, so NaN and -0 pass unchanged.
template <class Lanes, class Mask>
DU_INLINE Lanes choose(const Mask& mask, const Lanes& a, const Lanes& b) {
  return bit_cast<Lanes>((bit_cast<Mask>(a) & mask) | (bit_cast<Mask>(b) & ~mask));
}

}  // namespace DU_ISA
}  // namespace downup
