// The vector type of this build and how each element type is loaded into it. Included once per instruction set, inside
// that set's own namespace, so that the linker never picks a copy built for another processor.
#pragma once

#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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

// Always part of what calls it, but where sanitizers and coverage would watch each of many thousand copies.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define DU_STEP __attribute__((always_inline))
#else
#define DU_STEP
#endif
#define DU_INLINE inline DU_STEP

DU_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
DU_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// A number that is known when a step is compiled; of this instruction set's own, as everything here.
template <int64_t kNumber>
struct Known {
  constexpr int64_t operator()() const { return kNumber; }
};

struct bfloat16 {
  uint16_t bits;
};

template <class E, int64_t N>
struct VectorOf {
  typedef E type __attribute__((vector_size(N * sizeof(E))));
};
template <class E, int64_t N>
using Vector = typename VectorOf<E, N>::type;

// The integer of so many bytes, signed like `Like`.
template <uint64_t kBytes, class Like>
struct IntegerOf {
  static constexpr bool kSigned = static_cast<Like>(-1) < static_cast<Like>(0);
  template <bool kFirst, class A, class B>
  struct Either {
    using type = A;
  };
  template <class A, class B>
  struct Either<false, A, B> {
    using type = B;
  };
  using type = typename Either<kBytes == 2, typename Either<kSigned, int16_t, uint16_t>::type,
               typename Either<kBytes == 4, typename Either<kSigned, int32_t, uint32_t>::type,
               typename Either<kBytes == 8, typename Either<kSigned, int64_t, uint64_t>::type,
                               typename Either<kSigned, int8_t, uint8_t>::type>::type>::type>::type;
};

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

// Integer lanes of another width, a factor of two at a time: the compiler has an instruction for each such step, and takes
// larger ones lane by lane.
template <class To, int64_t N, class From>
DU_INLINE Vector<To, N> convert_lanes(const Vector<From, N>& v) {
  if constexpr (sizeof(To) == sizeof(From)) {
    return bit_cast<Vector<To, N>>(v);
  } else {
    using Step = typename IntegerOf<(sizeof(To) > sizeof(From)) ? 2 * sizeof(From) : sizeof(From) / 2, From>::type;
    return convert_lanes<To, N, Step>(__builtin_convertvector(v, Vector<Step, N>));
  }
}

// The same in one instruction where there is one: the compiler makes nine of the widening of a mask, which takes the gradient
// of a 3x3 pooling from 0.9 to 2.7 ms.
template <class To, int64_t N, class From>
DU_INLINE Vector<To, N> resize_lanes(const Vector<From, N>& v) {
#if defined(__AVX2__)
  constexpr uint64_t kFrom = sizeof(From), kTo = sizeof(To);
  if constexpr (kFrom == 1 && N <= 16 && kTo >= 4 && N * kTo >= 16) {
    __m128i bytes{};
    __builtin_memcpy(&bytes, &v, sizeof v);
#if defined(__AVX512F__)
    if constexpr (N == 16 && kTo == 4) return bit_cast<Vector<To, N>>(_mm512_maskz_cvtepi8_epi32(0xffff, bytes));
    if constexpr (N == 8 && kTo == 8) return bit_cast<Vector<To, N>>(_mm512_maskz_cvtepi8_epi64(0xff, bytes));
#endif
    if constexpr (N == 8 && kTo == 4) return bit_cast<Vector<To, N>>(_mm256_cvtepi8_epi32(bytes));
    if constexpr (N == 4 && kTo == 8) return bit_cast<Vector<To, N>>(_mm256_cvtepi8_epi64(bytes));
    if constexpr (N == 4 && kTo == 4) return bit_cast<Vector<To, N>>(_mm_cvtepi8_epi32(bytes));
    if constexpr (N == 2 && kTo == 8) return bit_cast<Vector<To, N>>(_mm_cvtepi8_epi64(bytes));
  }
#endif
#if defined(__AVX512F__)
  if constexpr (kTo == 1 && N * kFrom == 64) {
    __m128i bytes;
    if constexpr (kFrom == 4) bytes = _mm512_maskz_cvtepi32_epi8(0xffff, bit_cast<__m512i>(v));
    if constexpr (kFrom == 8) bytes = _mm512_maskz_cvtepi64_epi8(0xff, bit_cast<__m512i>(v));
    Vector<To, N> narrow;
    __builtin_memcpy(&narrow, &bytes, sizeof narrow);
    return narrow;
  }
#endif
  return convert_lanes<To, N, From>(v);
}

// The product of the lower halves, whole: one instruction, where that of 64-bit lanes takes three or more.
template <int64_t N>
DU_INLINE Vector<uint64_t, N> multiply_halves(const Vector<uint64_t, N>& a, const Vector<uint64_t, N>& b) {
#if defined(__AVX512F__)
  if constexpr (N == 8) return bit_cast<Vector<uint64_t, N>>(_mm512_maskz_mul_epu32(0xff, bit_cast<__m512i>(a), bit_cast<__m512i>(b)));
#endif
#if defined(__AVX2__)
  if constexpr (N == 4) return bit_cast<Vector<uint64_t, N>>(_mm256_mul_epu32(bit_cast<__m256i>(a), bit_cast<__m256i>(b)));
#endif
  return (a & 0xffffffffu) * (b & 0xffffffffu);
}

// Store past the caches, for an output too large to stay in them: a plain store would first read what it overwrites. Measured
// at 64 MB on one thread of an AVX-512 machine: the gradient of a 2x2 pooling takes 6.6 ms, before 16 to 22. Intrinsics, since
// gcc has no such store for its vector types.
template <class V, class E>
DU_INLINE void stream_as(E* p, const V& v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64) {
    if (!(reinterpret_cast<uint64_t>(p) & 63)) return _mm512_stream_ps(reinterpret_cast<float*>(p), bit_cast<__m512>(v));
  }
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32) {
    if (!(reinterpret_cast<uint64_t>(p) & 31)) return _mm256_stream_ps(reinterpret_cast<float*>(p), bit_cast<__m256>(v));
  }
#endif
  store_as(p, v);
}

// Asks for the cache lines of the next kBytes at p, as far ahead as they take to come. Processors do so by themselves, but not across
// the 4 KB pages of most systems: measured on one thread of a Zen 4, reading 64 MB for a 2x2 pooling took 6.9 ms without and 2.7 ms
// with it. Nearer or farther than this it took longer, and so did the nearest cache as their goal.
template <int64_t kBytes>
DU_INLINE void fetch_ahead(const void* p) {
  constexpr int64_t kAhead = 6144, kCacheLine = 64;
  for (int64_t at = 0; at < kBytes; at += kCacheLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uint64_t>(p) + static_cast<uint64_t>(kAhead + at)), 0, 2);
  }
}

// Makes streamed stores visible before the work counts as done.
DU_INLINE void finish_streaming() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// Round to the nearest bfloat16, ties to even; NaN stays a NaN.
DU_INLINE uint16_t round_to_bfloat16(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// The type that elements of type T are computed in, and the integer of its size. bfloat16 and uint8 are computed in float, and
// rounded once, when they are stored.
template <class T>
struct Arithmetic {
  using Scalar = float;
  using Integer = int32_t;
};
template <>
struct Arithmetic<double> {
  using Scalar = double;
  using Integer = int64_t;
};

// Lanes of a whole vector, and of the shortest one, for rows that are too short for it.
template <class T>
constexpr int64_t kManyLanes = kVectorBytes / static_cast<int64_t>(sizeof(typename Arithmetic<T>::Scalar));
template <class T>
constexpr int64_t kFewLanes = 16 / static_cast<int64_t>(sizeof(typename Arithmetic<T>::Scalar));

// Elements of type T one by one, and N of them in a vector; Mask is an integer vector of that shape, all ones where true.
template <class T, int64_t N>
struct Element {
  using Scalar = typename Arithmetic<T>::Scalar;
  using Integer = typename Arithmetic<T>::Integer;
  using Lanes = Vector<Scalar, N>;
  using Mask = Vector<Integer, N>;
  // Added and taken away again, it leaves a whole number, ties to even.
  static constexpr float kRounder = 12582912.0f;

  static DU_INLINE Scalar get(const T* p) {
    if constexpr (sizeof(T) == 1) {
      return static_cast<float>(*p);
    } else if constexpr (sizeof(T) == 2) {
      return bit_cast<float>(static_cast<uint32_t>(p->bits) << 16);
    } else {
      return *p;
    }
  }
  static DU_INLINE void put(T* p, Scalar v) {
    if constexpr (sizeof(T) == 1) {
      *p = static_cast<uint8_t>(static_cast<int32_t>(((v > 0 ? v < 255 ? v : 255 : 0) + kRounder) - kRounder));
    } else if constexpr (sizeof(T) == 2) {
      p->bits = round_to_bfloat16(v);
    } else {
      *p = v;
    }
  }
  static DU_INLINE Lanes load(const T* p) {
    if constexpr (sizeof(T) == 1) {
      return __builtin_convertvector(bit_cast<Mask>(convert_lanes<uint32_t, N, uint8_t>(load_as<Vector<uint8_t, N>>(p))), Lanes);
    } else if constexpr (sizeof(T) == 2) {
      return bit_cast<Lanes>(__builtin_convertvector(load_as<Vector<uint16_t, N>>(p), Vector<uint32_t, N>) << 16);
    } else {
      return load_as<Lanes>(p);
    }
  }
  // The lanes as elements: uint8 and bfloat16 rounded to the nearest, ties to even.
  static DU_INLINE auto packed(const Lanes& v) {
    if constexpr (sizeof(T) == 1) {
      const Lanes zero{}, below = v < zero + 255.0f ? v : zero + 255.0f, bounded = v > zero ? below : zero;
      const Mask whole = __builtin_convertvector((bounded + kRounder) - kRounder, Mask);
      return convert_lanes<uint8_t, N, uint32_t>(bit_cast<Vector<uint32_t, N>>(whole));
    } else if constexpr (sizeof(T) == 2) {
      const Vector<uint32_t, N> bits = bit_cast<Vector<uint32_t, N>>(v);
      const Vector<uint32_t, N> rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
      const Vector<uint32_t, N> quiet = (bits >> 16) | 0x40u;
      return __builtin_convertvector(v != v ? quiet : rounded, Vector<uint16_t, N>);
    } else {
      return v;
    }
  }
  static DU_INLINE void stream(T* p, const Lanes& v) { stream_as(p, packed(v)); }
  static DU_INLINE void store(T* p, const Lanes& v) { store_as(p, packed(v)); }
  // Lanes that were loaded from elements of this type, none of them NaN, need no rounding.
  static DU_INLINE void store_whole(T* p, const Lanes& v) {
    if constexpr (sizeof(T) == 2) {
      store_as(p, __builtin_convertvector(bit_cast<Vector<uint32_t, N>>(v) >> 16, Vector<uint16_t, N>));
    } else {
      store(p, v);
    }
  }
};

// a where mask is true, else b; bits are copied, so NaN and -0 pass unchanged.
template <class Lanes, class Mask>
DU_INLINE Lanes choose(const Mask& mask, const Lanes& a, const Lanes& b) {
  return bit_cast<Lanes>((bit_cast<Mask>(a) & mask) | (bit_cast<Mask>(b) & ~mask));
}

// Whether an instruction picks lanes by indices that are known only when it runs. Plain x86-64 has none.
#if defined(__wasm_simd128__)
constexpr bool kPicksLanes = true;
#else
constexpr bool kPicksLanes = kVectorBytes >= 32;
#endif

// Lane i of the result is lane index[i] of v, counted on from 0 past the last one.
template <class Lanes, class Mask>
DU_INLINE Lanes shuffle(const Lanes& v, const Mask& index) {
#if defined(__wasm_simd128__)
  // By itself the compiler takes them through memory, lane by lane.
  if constexpr (sizeof(Lanes) == 16 && sizeof(v[0]) == 4) {
    using Bytes = Vector<int8_t, 16>;
    return bit_cast<Lanes>(__builtin_wasm_swizzle_i8x16(bit_cast<Bytes>(v), bit_cast<Bytes>((index & 3) * 0x04040404 + 0x03020100)));
  }
#endif
#if defined(__clang__)
  constexpr int64_t kLast = sizeof(Lanes) / sizeof(v[0]) - 1;
  return __builtin_shufflevector(v, index & kLast);
#else
  return __builtin_shuffle(v, index);
#endif
}

// The same of a and b, one after the other.
template <class Lanes, class Mask>
DU_INLINE Lanes shuffle(const Lanes& a, const Lanes& b, const Mask& index) {
#if defined(__clang__)
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(a[0]);
  return choose((index & kLanes) != 0, shuffle(b, index), shuffle(a, index));
#else
  return __builtin_shuffle(a, b, index);
#endif
}

// Whether any lane is NaN.
template <class Lanes>
DU_INLINE bool has_nan(const Lanes& v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Lanes) == 64 && sizeof(v[0]) == 4) return _mm512_cmp_ps_mask(bit_cast<__m512>(v), bit_cast<__m512>(v), _CMP_UNORD_Q);
  if constexpr (sizeof(Lanes) == 64 && sizeof(v[0]) == 8) return _mm512_cmp_pd_mask(bit_cast<__m512d>(v), bit_cast<__m512d>(v), _CMP_UNORD_Q);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(Lanes) == 32) return _mm256_movemask_epi8(bit_cast<__m256i>(v != v));
  if constexpr (sizeof(Lanes) == 16) return _mm_movemask_epi8(bit_cast<__m128i>(v != v));
#endif
  const auto is_nan = bit_cast<Vector<uint64_t, sizeof(Lanes) / 8>>(v != v);
  uint64_t any = 0;
  for (uint64_t i = 0; i < sizeof(Lanes) / 8; ++i) any |= is_nan[i];
  return any;
}

// before + value where the code is the wanted one; before elsewhere.
template <class T, int64_t N>
DU_INLINE typename Element<T, N>::Lanes add_where(const typename Element<T, N>::Lanes& before, const T* value, const uint8_t* codes, uint8_t wanted) {
  using E = Element<T, N>;
  using Bytes = Vector<uint8_t, N>;
#if defined(__AVX512F__)
  // Masks of their own halve the work: a comparison and an addition.
  if constexpr (sizeof(typename E::Lanes) == 64) {
    __m128i bytes{};
    __builtin_memcpy(&bytes, codes, N);
    const __mmask16 chosen = _mm_cmpeq_epi8_mask(bytes, _mm_set1_epi8(static_cast<char>(wanted)));
    const auto values = E::load(value);
    if constexpr (sizeof(typename E::Scalar) == 4) {
      const __m512 sum = bit_cast<__m512>(before);
      return bit_cast<typename E::Lanes>(_mm512_mask_add_ps(sum, chosen, sum, bit_cast<__m512>(values)));
    } else {
      const __m512d sum = bit_cast<__m512d>(before);
      return bit_cast<typename E::Lanes>(_mm512_mask_add_pd(sum, static_cast<__mmask8>(chosen), sum, bit_cast<__m512d>(values)));
    }
  }
#endif
  const auto chosen = bit_cast<Vector<int8_t, N>>(load_as<Bytes>(codes) == wanted);
  const auto mask = resize_lanes<typename E::Integer, N, int8_t>(chosen);
  return before + choose(mask, E::load(value), typename E::Lanes{});
}

}  // namespace DU_ISA
}  // namespace downup
