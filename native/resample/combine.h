// Weighted sums of runs of elements that lie side by side: rows into a line, pixels with many channels into a pixel.
#pragma once

#include "../simd.h"

namespace downup {
namespace DU_ISA {

// A few taps of a table, and what their sum is divided by.
template <class Scalar>
struct TapList {
  int64_t count;
  const int32_t* index;
  const Scalar* weight;
  Scalar divisor;

  // Some of them.
  DU_INLINE TapList part(int64_t begin, int64_t length) const { return {length, index + begin, weight + begin, divisor}; }
};

// A table with its weights in the type of the sums.
template <class Scalar>
struct WeightedTaps {
  const du_taps* taps;
  const Scalar* weight;

  // `memory` holds taps.count numbers.
  WeightedTaps(const du_taps& table, Scalar* memory) : taps(&table), weight(memory) {
    for (int64_t k = 0; k < table.count; ++k) memory[k] = static_cast<Scalar>(table.weight[k]);
  }
  DU_INLINE TapList<Scalar> of(int64_t i) const {
    const int64_t begin = taps->start[i];
    return {taps->start[i + 1] - begin, taps->index + begin, weight + begin, static_cast<Scalar>(taps->divisor[i])};
  }
};

// 1 / number where that is exact, for then a product gives the bits of a division in a fraction of its time; else 0.
DU_INLINE float exact_inverse(float number) {
  const uint32_t bits = bit_cast<uint32_t>(number), exponent = bits >> 23;
  return (bits & 0x7fffffu) == 0 && exponent > 1 && exponent < 253 ? bit_cast<float>(0x7f000000u - bits) : 0;
}
DU_INLINE double exact_inverse(double number) {
  const uint64_t bits = bit_cast<uint64_t>(number), exponent = bits >> 52;
  return (bits & 0xfffffffffffffu) == 0 && exponent > 1 && exponent < 2045 ? bit_cast<double>(0x7fe0000000000000u - bits) : 0;
}

// Divides kVectors vectors by one number.
template <int64_t kVectors, class Lanes, class Scalar>
DU_INLINE void divide_all(Lanes* sum, Scalar divisor) {
  if (divisor == 1) return;
  const Scalar inverse = exact_inverse(divisor);
  for (int64_t v = 0; v < kVectors; ++v) sum[v] = inverse != 0 ? sum[v] * (Lanes{} + inverse) : sum[v] / (Lanes{} + divisor);
}

// How sums are stored: exactly; exactly, and past the caches; as whole vectors, where there is room for them; or added to the sums of
// earlier taps that are there.
enum Storing { kExact, kStreamed, kRoom, kAdded };

// Where elements come from: an image, whose next ones are asked for in time, or a line in the nearest cache.
enum Source { kImage, kNearby };

template <Storing kStoring, class E, class T>
DU_INLINE void store(T* to, const typename E::Lanes& v) {
  if constexpr (kStoring == kStreamed) {
    E::stream(to, v);
  } else {
    E::store(to, v);
  }
}

template <class Scalar>
DU_INLINE bool is_one_sample(const TapList<Scalar>& taps) {
  return taps.count == 1 && taps.weight[0] == 1 && taps.divisor == 1;
}

// kVectors vectors of kLanes elements of the sum, taps in order; kCount of them, or any number.
template <class S, class D, Source kSource, Storing kStoring, int64_t kCount, int64_t kLanes, int64_t kVectors>
DU_INLINE void combine_vectors(const S* from, int64_t stride, const TapList<typename Arithmetic<S>::Scalar>& taps, D* to) {
  using From = Element<S, kLanes>;
  using To = Element<D, kLanes>;
  using Lanes = typename From::Lanes;
  Lanes sum[kVectors]{};
  const int64_t count = kCount ? kCount : taps.count;
  for (int64_t v = 0; kStoring == kAdded && v < kVectors; ++v) sum[v] = To::load(to + v * kLanes);
  for (int64_t k = 0; k < count; ++k) {
    const S* at = from + taps.index[k] * stride;
    if constexpr (kSource == kImage && kVectors > 1) fetch_ahead<kVectors * kLanes * static_cast<int64_t>(sizeof(S))>(at);
    const Lanes weight = Lanes{} + taps.weight[k];
    for (int64_t v = 0; v < kVectors; ++v) {
      const Lanes product = From::load(at + v * kLanes) * weight;
      sum[v] = kStoring != kAdded && k == 0 ? product : sum[v] + product;
    }
  }
  divide_all<kVectors>(sum, taps.divisor);
  for (int64_t v = 0; v < kVectors; ++v) store<kStoring, To>(to + v * kLanes, sum[v]);
}

template <class S, class D, Source kSource, Storing kStoring, int64_t kCount>
DU_INLINE void combine_count(const S* from, int64_t stride, const TapList<typename Arithmetic<S>::Scalar>& taps, int64_t count, D* to) {
  constexpr int64_t kMany = kManyLanes<S>, kFew = kFewLanes<S>;
  int64_t i = 0;
  // Many sums at a time: each has to wait for its last addition.
  for (; i + 8 * kMany <= count; i += 8 * kMany) combine_vectors<S, D, kSource, kStoring, kCount, kMany, 8>(from + i, stride, taps, to + i);
  for (; i + 4 * kMany <= count; i += 4 * kMany) combine_vectors<S, D, kSource, kStoring, kCount, kMany, 4>(from + i, stride, taps, to + i);
  for (; i + kMany <= count; i += kMany) combine_vectors<S, D, kSource, kStoring, kCount, kMany, 1>(from + i, stride, taps, to + i);
  constexpr Storing kShort = kStoring == kStreamed ? kExact : kStoring;
  for (; i + kFew <= count; i += kFew) combine_vectors<S, D, kSource, kShort, kCount, kFew, 1>(from + i, stride, taps, to + i);
  for (; i < count; ++i) combine_vectors<S, D, kSource, kShort, kCount, 1, 1>(from + i, stride, taps, to + i);
}

// to[i] = sum over taps of weight * from[index * stride + i], divided. `S` and `D` are computed in one type.
template <class S, class D, Source kSource, Storing kStoring>
DU_INLINE void combine(const S* from, int64_t stride, const TapList<typename Arithmetic<S>::Scalar>& taps, int64_t count, D* to) {
  switch (taps.count) {
    case 1: return combine_count<S, D, kSource, kStoring, 1>(from, stride, taps, count, to);
    case 2: return combine_count<S, D, kSource, kStoring, 2>(from, stride, taps, count, to);
    default: return combine_count<S, D, kSource, kStoring, 0>(from, stride, taps, count, to);
  }
}

// The same over rows and columns at once: for each column tap the sum over its rows, in the order of two passes.
template <class T, Storing kStoring, int64_t kLanes, int64_t kVectors>
DU_INLINE void combine_window_vectors(const T* from, int64_t down, int64_t right, const TapList<typename Arithmetic<T>::Scalar>& rows,
                                      const TapList<typename Arithmetic<T>::Scalar>& columns, T* to) {
  using E = Element<T, kLanes>;
  using Lanes = typename E::Lanes;
  Lanes sum[kVectors]{};
  for (int64_t m = 0; m < columns.count; ++m) {
    const T* column = from + columns.index[m] * right;
    const Lanes column_weight = Lanes{} + columns.weight[m];
    Lanes part[kVectors]{};
    for (int64_t k = 0; k < rows.count; ++k) {
      const T* at = column + rows.index[k] * down;
      if constexpr (kVectors > 1) fetch_ahead<kVectors * kLanes * static_cast<int64_t>(sizeof(T))>(at);
      const Lanes weight = Lanes{} + rows.weight[k];
      for (int64_t v = 0; v < kVectors; ++v) {
        const Lanes product = E::load(at + v * kLanes) * weight;
        part[v] = k == 0 ? product : part[v] + product;
      }
    }
    for (int64_t v = 0; v < kVectors; ++v) sum[v] = m == 0 ? part[v] * column_weight : sum[v] + part[v] * column_weight;
  }
  divide_all<kVectors>(sum, columns.divisor);
  for (int64_t v = 0; v < kVectors; ++v) store<kStoring, E>(to + v * kLanes, sum[v]);
}

template <class T, Storing kStoring>
DU_INLINE void combine_window(const T* from, int64_t down, int64_t right, const TapList<typename Arithmetic<T>::Scalar>& rows,
                              const TapList<typename Arithmetic<T>::Scalar>& columns, int64_t count, T* to) {
  constexpr int64_t kMany = kManyLanes<T>, kFew = kFewLanes<T>;
  int64_t i = 0;
  for (; i + 4 * kMany <= count; i += 4 * kMany) combine_window_vectors<T, kStoring, kMany, 4>(from + i, down, right, rows, columns, to + i);
  for (; i + kMany <= count; i += kMany) combine_window_vectors<T, kStoring, kMany, 1>(from + i, down, right, rows, columns, to + i);
  for (; i + kFew <= count; i += kFew) combine_window_vectors<T, kExact, kFew, 1>(from + i, down, right, rows, columns, to + i);
  for (; i < count; ++i) combine_window_vectors<T, kExact, 1, 1>(from + i, down, right, rows, columns, to + i);
}

// A run of elements as they are.
template <class T, Storing kStoring>
DU_INLINE void copy_run(const T* from, int64_t count, T* to) {
  using Bytes = Vector<uint8_t, kVectorBytes>;
  constexpr int64_t kTogether = kVectorBytes / static_cast<int64_t>(sizeof(T));
  int64_t i = 0;
  for (; i + kTogether <= count; i += kTogether) kStoring == kStreamed ? stream_as(to + i, load_as<Bytes>(from + i)) : store_as(to + i, load_as<Bytes>(from + i));
  if (i < count) __builtin_memcpy(to + i, from + i, static_cast<uint64_t>(count - i) * sizeof(T));
}

}  // namespace DU_ISA
}  // namespace downup
