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
  const double* weight;
  Scalar divisor;
};

template <class T>
DU_INLINE TapList<typename Arithmetic<T>::Scalar> taps_of(const du_taps& taps, int64_t i) {
  const int64_t begin = taps.start[i];
  return {taps.start[i + 1] - begin, taps.index + begin, taps.weight + begin, static_cast<typename Arithmetic<T>::Scalar>(taps.divisor[i])};
}

template <class Scalar>
DU_INLINE bool is_one_sample(const TapList<Scalar>& taps) {
  return taps.count == 1 && taps.weight[0] == 1 && taps.divisor == 1;
}

// kVectors vectors of kLanes elements of the sum, taps in order.
template <class S, class D, int64_t kLanes, int64_t kVectors, bool kStreams>
DU_INLINE void combine_vectors(const S* from, int64_t stride, const TapList<typename Arithmetic<S>::Scalar>& taps, D* to) {
  using Source = Element<S, kLanes>;
  using Target = Element<D, kLanes>;
  using Scalar = typename Source::Scalar;
  typename Source::Lanes sum[kVectors]{};
  for (int64_t k = 0; k < taps.count; ++k) {
    const S* at = from + taps.index[k] * stride;
    const typename Source::Lanes weight = typename Source::Lanes{} + static_cast<Scalar>(taps.weight[k]);
    for (int64_t v = 0; v < kVectors; ++v) {
      const typename Source::Lanes product = Source::load(at + v * kLanes) * weight;
      sum[v] = k == 0 ? product : sum[v] + product;
    }
  }
  for (int64_t v = 0; v < kVectors; ++v) {
    if (taps.divisor != 1) sum[v] /= typename Source::Lanes{} + taps.divisor;
    if constexpr (kStreams) {
      Target::stream(to + v * kLanes, sum[v]);
    } else {
      Target::store(to + v * kLanes, sum[v]);
    }
  }
}

// to[i] = sum over taps of weight * from[index * stride + i], divided. `S` and `D` are computed in one type.
template <class S, class D, bool kStreams>
DU_INLINE void combine(const S* from, int64_t stride, const TapList<typename Arithmetic<S>::Scalar>& taps, int64_t count, D* to) {
  constexpr int64_t kMany = kManyLanes<S>, kFew = kFewLanes<S>;
  int64_t i = 0;
  for (; i + 4 * kMany <= count; i += 4 * kMany) combine_vectors<S, D, kMany, 4, kStreams>(from + i, stride, taps, to + i);
  for (; i + kMany <= count; i += kMany) combine_vectors<S, D, kMany, 1, kStreams>(from + i, stride, taps, to + i);
  for (; i + kFew <= count; i += kFew) combine_vectors<S, D, kFew, 1, false>(from + i, stride, taps, to + i);
  for (; i < count; ++i) combine_vectors<S, D, 1, 1, false>(from + i, stride, taps, to + i);
}

}  // namespace DU_ISA
}  // namespace downup
