// Whole planes, each to one sample: global pooling. Columns are summed over the rows as they lie in memory; then the columns of
// several planes side by side, a plane to a lane, so that sums in the order of the taps do not wait for each other.
#pragma once

#include "../rearrange/interleave.h"
#include "ways.h"

namespace downup {
namespace DU_ISA {

// The weighted rows of a plane, of pieces of kVectors vectors of columns a few rows at a time: the plane is then read about as it lies
// in memory. The last piece repeats some columns.
template <class T, int64_t kVectors>
DU_INLINE void sum_wide_rows(const T* plane, int64_t down, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t columns,
                             typename Arithmetic<T>::Scalar* line) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>, kPiece = kVectors * kLanes, kTogether = 4;
  const int64_t last = columns - kPiece, pieces = (columns + kPiece - 1) / kPiece;
  for (int64_t k = 0; k < larger(rows.count, 1); k += kTogether) {
    const TapList<Scalar> part = rows.part(k, smaller(kTogether, rows.count - k));
    for (int64_t x = 0; x < columns; x += kPiece) {
      const T* from = plane + smaller(x, last);
      if (k) {
        combine_vectors<T, Scalar, kImage, kAdded, 0, kLanes, kVectors>(from, down, part, line + x);
      } else {
        combine_vectors<T, Scalar, kImage, kExact, 0, kLanes, kVectors>(from, down, part, line + x);
      }
    }
  }
  __builtin_memmove(line + last, line + (pieces - 1) * kPiece, kPiece * sizeof(Scalar));
}

// The same of kPlanes planes of at most kVectors vectors of columns, in lines `pitch` apart; the last vectors repeat some columns.
template <class T, int64_t kPlanes, int64_t kVectors>
DU_INLINE void sum_rows(const Plane<T>* planes, int64_t down, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t columns, int64_t pitch,
                        typename Arithmetic<T>::Scalar* lines) {
  constexpr int64_t kLanes = kManyLanes<T>;
  using E = Element<T, kLanes>;
  int64_t at[kVectors];
  const T* plane[kPlanes];
  for (int64_t v = 0; v < kVectors; ++v) at[v] = smaller(v * kLanes, columns - kLanes);
  for (int64_t i = 0; i < kPlanes; ++i) plane[i] = planes[i].in;
  typename E::Lanes sums[kPlanes][kVectors]{};
  for (int64_t k = 0; k < rows.count; ++k) {
    const int64_t from = rows.index[k] * down;
    const typename E::Lanes weight = typename E::Lanes{} + rows.weight[k];
    for (int64_t i = 0; i < kPlanes; ++i) {
      if constexpr (kVectors >= 8) fetch_ahead<kVectors * kLanes * static_cast<int64_t>(sizeof(T))>(plane[i] + from);
      for (int64_t v = 0; v < kVectors; ++v) {
        const typename E::Lanes product = E::load(plane[i] + from + at[v]) * weight;
        sums[i][v] = k == 0 ? product : sums[i][v] + product;
      }
    }
  }
  for (int64_t i = 0; i < kPlanes; ++i) {
    for (int64_t v = 0; v < kVectors; ++v) store_as(lines + i * pitch + at[v], sums[i][v]);
  }
}

// The same of rows shorter than a vector: each is read with the rows that follow it, or at the end of the plane, from `last` on, with
// those before it. Weights of 1 are left out: they change no bit.
template <class T, int64_t kPlanes, int64_t kLanes, bool kWeighs>
DU_INLINE void sum_short_rows(const Plane<T>* planes, int64_t down, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t last, int64_t pitch,
                              typename Arithmetic<T>::Scalar* lines) {
  using E = Element<T, kLanes>;
  typename E::Mask ramp;
  for (int64_t i = 0; i < kLanes; ++i) ramp[i] = static_cast<typename E::Integer>(i);
  const T* plane[kPlanes];
  for (int64_t i = 0; i < kPlanes; ++i) plane[i] = planes[i].in;
  typename E::Lanes sums[kPlanes]{};
  for (int64_t k = 0; k < rows.count; ++k) {
    const int64_t first = rows.index[k] * down, from = smaller(first, last);
    const typename E::Lanes weight = typename E::Lanes{} + rows.weight[k];
    const typename E::Mask moved = ramp + static_cast<typename E::Integer>(first - from);
    for (int64_t i = 0; i < kPlanes; ++i) {
      typename E::Lanes row = E::load(plane[i] + from);
      if (from < first) row = shuffle(row, moved);
      const typename E::Lanes product = kWeighs ? row * weight : row;
      sums[i] = k == 0 ? product : sums[i] + product;
    }
  }
  for (int64_t i = 0; i < kPlanes; ++i) store_as(lines + i * pitch, sums[i]);
}

// At least that many columns fit a line of each plane.
constexpr int64_t kMostColumns = 512;

template <class T>
bool is_whole(const ResampleCall& call) {
  const int64_t rows = call.rows->in, columns = call.columns->in;
  if (call.rows->out != 1 || call.columns->out != 1 || is_by_channel<T>(call) || line_inner<T>(call) != 1) return false;
  if (columns > kMostColumns || !has_rows(call.in_strides, columns, 1)) return false;
  return columns >= kManyLanes<T> || (has_step(call.in_strides[2], rows, columns) && rows >= kManyLanes<T> / columns + 1);
}

template <class T>
struct WholeTables {
  using Scalar = typename Arithmetic<T>::Scalar;
  WeightedTaps<Scalar> rows, columns;
  bool weighs_rows = false;  // by other numbers than 1
  static int64_t bytes(const ResampleCall& call) { return (call.rows->count + call.columns->count) * static_cast<int64_t>(sizeof(Scalar)) + 64; }
  WholeTables(const ResampleCall& call, Scalar* memory) : rows(*call.rows, memory), columns(*call.columns, memory + call.rows->count) {
    for (int64_t k = 0; k < call.rows->count; ++k) weighs_rows |= memory[k] != 1;
  }
};

// The lines of `count` planes, some at a time: each sum has to wait for its last addition.
template <class T>
DU_INLINE void sum_rows_of_all(const ResampleCall& call, const WholeTables<T>& tables, const Plane<T>* planes, int64_t count, int64_t pitch,
                               typename Arithmetic<T>::Scalar* lines) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>, kHalf = kLanes / 2, kFour = kLanes < 4 ? kLanes : 4, kMost = kVectorBytes < 64 ? 8 : 16;
  const int64_t width = call.columns->in, down = call.in_strides[2], elements = call.rows->in * width;
  TapList<Scalar> rows = tables.rows.of(0);
  rows.divisor = 1;
  const auto each = [&](int64_t together, auto&& sum) DU_STEP {
    for (int64_t i = 0; i < count; i += together) sum(planes + i, lines + i * pitch);
  };
  const auto short_rows = [&](auto lanes, auto weighs) DU_STEP {
    each(kFour, [&](const Plane<T>* at, Scalar* line) DU_STEP {
      sum_short_rows<T, kFour, lanes(), weighs()>(at, width, rows, elements - lanes(), pitch, line);
    });
  };
  const auto whole_rows = [&](auto together, auto vectors) DU_STEP {
    each(together(), [&](const Plane<T>* at, Scalar* line) DU_STEP { sum_rows<T, together(), vectors()>(at, down, rows, width, pitch, line); });
  };
  if (width <= kHalf) return tables.weighs_rows ? short_rows(Known<kHalf>{}, Known<1>{}) : short_rows(Known<kHalf>{}, Known<0>{});
  if (width < kLanes) return tables.weighs_rows ? short_rows(Known<kLanes>{}, Known<1>{}) : short_rows(Known<kLanes>{}, Known<0>{});
  if (width == kLanes) return whole_rows(Known<kFour>{}, Known<1>{});
  if (width <= 2 * kLanes) return whole_rows(Known<kFour>{}, Known<2>{});
  if (width <= 4 * kLanes) return whole_rows(Known<2>{}, Known<4>{});
  if (width <= 8 * kLanes) return whole_rows(Known<1>{}, Known<8>{});
  if (width < kMost * kLanes) return whole_rows(Known<1>{}, Known<kMost>{});
  each(1, [&](const Plane<T>* at, Scalar* line) DU_STEP { sum_wide_rows<T, kMost>(at->in, down, rows, width, line); });
}

// The samples of `count` planes, at most one for each lane; the list goes on with others.
template <class T>
void whole_planes(const ResampleCall& call, const WholeTables<T>& tables, const Plane<T>* planes, int64_t count) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>, kMost = kVectorBytes < 64 ? 8 : 16;
  using Lanes = Vector<Scalar, kLanes>;
  alignas(64) Scalar lines[kLanes * kMostColumns + kMost * kLanes];
  const TapList<Scalar> columns = tables.columns.of(0);
  const Scalar divisor = columns.divisor * tables.rows.of(0).divisor;
  const int64_t pitch = (call.columns->in + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = count * pitch; i < kLanes * pitch; ++i) lines[i] = 0;
  sum_rows_of_all<T>(call, tables, planes, count, pitch, lines);
  // Squares are turned, so that a column is a vector with a lane for each plane.
  for (int64_t x = 0; x < pitch; x += kLanes) {
    Lanes square[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) square[i] = load_as<Lanes>(lines + i * pitch + x);
    interleave<kLanes, kLanes>(square);
    for (int64_t i = 0; i < kLanes; ++i) store_as(lines + i * pitch + x, square[i]);
  }
  Lanes sum{};
  for (int64_t m = 0; m < columns.count; ++m) {
    const int64_t x = columns.index[m];
    const Lanes product = load_as<Lanes>(lines + x % kLanes * pitch + x / kLanes * kLanes) * (Lanes{} + columns.weight[m]);
    sum = m == 0 ? product : sum + product;
  }
  divide_all<1>(&sum, divisor);
  for (int64_t i = 0; i < count; ++i) Element<T, 1>::put(planes[i].out, sum[i]);
}

}  // namespace DU_ISA
}  // namespace downup
