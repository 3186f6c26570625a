// From one sample a window back to the plane. Each place of the plane looks at the windows over it, in the order of the
// windows, and takes what was selected there: so threads may split the plane, and no sum depends on them.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

template <int64_t kValue>
struct Number {
  static constexpr int64_t value = kValue;
};

// One place of the plane.
template <class T, class P, bool kAdds>
void one_place(const SelectCall& call, T* place, const T* samples, const P* positions, int64_t y, int64_t x) {
  using E = Element<T, 1>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range over_y = windows_over(rows, y), over_x = windows_over(columns, x);
  typename E::Scalar sum = 0;
  for (int64_t row = over_y.begin; row < over_y.end; ++row) {
    const int64_t down = y - window_start(rows, row);
    if (!divides(rows.dilation, down)) continue;
    for (int64_t column = over_x.begin; column < over_x.end; ++column) {
      const int64_t right = x - window_start(columns, column);
      if (!divides(columns.dilation, right)) continue;
      const int64_t code = rule.code(floor_div(down, rows.dilation), floor_div(right, columns.dilation));
      const P* position = positions + row * call.position_strides[2] + column * call.position_strides[3];
      if (static_cast<uint64_t>(*position) != static_cast<uint64_t>(rule.base(row, column)) + static_cast<uint64_t>(code)) continue;
      const typename E::Scalar value = E::get(samples + row * call.sample_strides[2] + column * call.sample_strides[3]);
      sum = kAdds ? sum + value : value;
    }
  }
  E::put(place, sum);
}

// A window over a place: where its sample and code lie, and the code of the tap that is this place. Of group g, or of
// channel c, they lie so much further on.
template <class T>
struct Over {
  const T* sample;
  const uint8_t* code;
  uint8_t wanted;
};

// More windows over one place than this are left to the other kernels.
constexpr int64_t kMostOver = 64;

// Columns are grouped by stride: group m holds m * stride - before + r for r below the stride. These groups have all their
// columns on the plane and all windows over them in the row.
DU_INLINE Range groups_inside(const Axis& axis) {
  if (axis.is_adaptive) return {0, 0};
  const int64_t begin = larger(ceil_div(axis.before, axis.stride), (axis.size - 1) * axis.dilation / axis.stride);
  return {begin, larger(begin, smaller(floor_div(axis.in + axis.before, axis.stride), axis.out))};
}

// The rows of windows over row y, in order, as windows at column 0 whose tap is in column 0.
template <class T>
DU_INLINE int64_t rows_over(const SelectCall& call, const T* samples, const uint8_t* codes, int64_t y, Over<T>* over) {
  const Range range = windows_over(call.rows, y);
  int64_t count = 0;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const int64_t down = y - window_start(call.rows, row);
    if (!divides(call.rows.dilation, down)) continue;
    over[count++] = {samples + row * call.sample_strides[2], codes + row * call.position_strides[2],
                     static_cast<uint8_t>(floor_div(down, call.rows.dilation) * call.tap_columns)};
  }
  return count;
}

// More remainders than this are looked up place by place.
constexpr int64_t kMostRemainders = 4;

// A window over a column, from one that stands at column 0: so far ahead in samples and codes, and with this tap.
struct Term {
  int64_t samples, codes;
  uint8_t tap;
};

// The windows over the columns of each remainder, for group 0; over those of group m they lie m further on. The same in all rows.
struct ColumnTerms {
  Term terms[kMostRemainders][kMostOver];
  int64_t counts[kMostRemainders] = {};
  explicit DU_INLINE ColumnTerms(const SelectCall& call) {
    const Axis& columns = call.columns;
    if (columns.is_adaptive || columns.stride > kMostRemainders || columns.size > kMostOver) return;
    for (int64_t tap = columns.size - 1; tap >= 0; --tap) {  // larger taps belong to earlier windows
      // The remainder that makes the way from the window a multiple of stride.
      const int64_t ahead = -(tap * columns.dilation / columns.stride), r = tap * columns.dilation + ahead * columns.stride;
      terms[r][counts[r]++] = {ahead * call.sample_strides[3], ahead * call.position_strides[3], static_cast<uint8_t>(tap)};
    }
  }
};

// One place of a row at its ends.
template <class T, bool kAdds>
DU_INLINE void end_place(const SelectCall& call, T* place, const Over<T>* rows, int64_t row_count, int64_t x) {
  using E = Element<T, 1>;
  const Axis& columns = call.columns;
  const Range range = windows_over(columns, x);
  typename E::Scalar sum = 0;
  for (int64_t i = 0; i < row_count; ++i) {
    for (int64_t column = range.begin; column < range.end; ++column) {
      const int64_t right = x - window_start(columns, column);
      if (!divides(columns.dilation, right)) continue;
      if (rows[i].code[column * call.position_strides[3]] != static_cast<uint8_t>(rows[i].wanted + floor_div(right, columns.dilation))) continue;
      const typename E::Scalar value = E::get(rows[i].sample + column * call.sample_strides[3]);
      sum = kAdds ? sum + value : value;
    }
  }
  E::put(place, sum);
}

// kVectors vectors of neighbours, groups or channels, `ahead` elements further on than rows and terms say: side by side, but
// the last begins with neighbour `last`.
template <class T, bool kAdds, int64_t kLanes, int64_t kVectors>
DU_INLINE void gather_terms(const Over<T>* rows, int64_t row_count, const Term* terms, int64_t count, int64_t ahead, int64_t last,
                            typename Element<T, kLanes>::Lanes* sums) {
  using E = Element<T, kLanes>;
  using C = Codes<T, kLanes>;
  typename E::Lanes sum[kVectors] = {};
  for (int64_t i = 0; i < row_count; ++i) {
    for (int64_t term = 0; term < count; ++term) {
      const T* sample = rows[i].sample + ahead + terms[term].samples;
      const uint8_t* code = rows[i].code + ahead + terms[term].codes;
      const uint8_t wanted = static_cast<uint8_t>(rows[i].wanted + terms[term].tap);
      for (int64_t k = 0; k < kVectors; ++k) {
        const int64_t at = k + 1 < kVectors ? k * kLanes : last;
        // Where several windows chose one place: their sum, or the last of them.
        if constexpr (kAdds) {
          sum[k] = add_where<T, kLanes>(sum[k], sample + at, code + at, wanted);
        } else {
          const auto chosen = C::equal(load_as<Vector<uint8_t, kLanes>>(code + at), wanted);
          sum[k] = choose(chosen, E::load(sample + at), sum[k]);
        }
      }
    }
  }
  for (int64_t k = 0; k < kVectors; ++k) sums[k] = sum[k];
}

// One row of the plane where columns lie side by side. The columns m * stride - before + r of one remainder r see, whatever
// m, the same taps of the windows m + (r - tap * dilation) / stride: so a vector of them reads vectors of samples. For stride
// 2 the two remainders are computed together and interleaved.
template <class T, bool kAdds, int64_t kLanes, int kStride>
void planar_place_row(const SelectCall& call, const ColumnTerms& column_terms, T* plane_row, const T* samples, const uint8_t* codes, int64_t y) {
  using E = Element<T, kLanes>;
  const Axis& columns = call.columns;
  Over<T> rows[kMostOver];
  const int64_t row_count = rows_over(call, samples, codes, y, rows);
  const auto put = [&](T* place, const typename E::Lanes& lanes) { call.streams ? E::stream(place, lanes) : E::store(place, lanes); };
  // The columns of kVectors vectors of groups.
  const auto put_groups = [&](auto vectors, int64_t group) {
    constexpr int64_t kVectors = decltype(vectors)::value;
    T* place = plane_row + group * kStride - columns.before;
    typename E::Lanes sums[kStride][kVectors];
    for (int64_t r = 0; r < kStride; ++r) {
      gather_terms<T, kAdds, kLanes, kVectors>(rows, row_count, column_terms.terms[r], column_terms.counts[r], group, (kVectors - 1) * kLanes, sums[r]);
    }
    for (int64_t k = 0; k < kVectors; ++k) {
      if constexpr (kStride == 1) {
        put(place + k * kLanes, sums[0][k]);
      } else {
        typename E::Mask low, high;
        for (int64_t i = 0; i < kLanes; ++i) {
          const int64_t from = (i & 1 ? kLanes : 0) + i / 2;
          low[i] = static_cast<typename E::Integer>(from);
          high[i] = static_cast<typename E::Integer>(from + kLanes / 2);
        }
        put(place + 2 * k * kLanes, shuffle(sums[0][k], sums[1][k], low));
        put(place + (2 * k + 1) * kLanes, shuffle(sums[0][k], sums[1][k], high));
      }
    }
  };
  // Between these bounds all windows of a vector of groups exist, and all its columns.
  const Range groups = groups_inside(columns);
  const int64_t begin = groups.begin * kStride - columns.before, end = groups.end * kStride - columns.before;
  for (int64_t x = 0; x < begin; ++x) end_place<T, kAdds>(call, plane_row + x, rows, row_count, x);
  int64_t group = groups.begin;
  // As many vectors as there are hide how long each sum takes; the last ones repeat some groups.
  for (; group + 4 * kLanes <= groups.end; group += 4 * kLanes) put_groups(Number<4>{}, group);
  if (group < groups.end && groups.end - groups.begin >= 3 * kLanes && groups.end - group > 2 * kLanes) {
    put_groups(Number<3>{}, group = smaller(group, groups.end - 3 * kLanes));
    group += 3 * kLanes;
  }
  if (group < groups.end && groups.end - groups.begin >= 2 * kLanes && groups.end - group > kLanes) {
    put_groups(Number<2>{}, group = smaller(group, groups.end - 2 * kLanes));
    group += 2 * kLanes;
  }
  for (; group < groups.end; group += kLanes) put_groups(Number<1>{}, group = smaller(group, groups.end - kLanes));
  for (int64_t x = end; x < columns.in; ++x) end_place<T, kAdds>(call, plane_row + x, rows, row_count, x);
}

// kVectors vectors of the channels of one place, from channel c on; the last begins `last` further on.
template <class T, bool kAdds, int64_t kLanes, int64_t kVectors>
DU_INLINE void place_channels(const SelectCall& call, T* place, const Over<T>* rows, int64_t row_count, const Term* terms, int64_t count,
                              int64_t ahead, int64_t c, int64_t last) {
  using E = Element<T, kLanes>;
  // Vectors that overlap would write to lines that were sent past the caches.
  const bool streams = call.streams && call.channels % kLanes == 0;
  typename E::Lanes sums[kVectors];
  gather_terms<T, kAdds, kLanes, kVectors>(rows, row_count, terms, count, ahead + c, last, sums);
  for (int64_t k = 0; k < kVectors; ++k) {
    T* to = place + c + (k + 1 < kVectors ? k * kLanes : last);
    streams ? E::stream(to, sums[k]) : E::store(to, sums[k]);
  }
}

// All channels of one place, at least kLanes of them: the last vector ends with the last channel, and repeats some.
template <class T, bool kAdds, int64_t kLanes>
DU_INLINE void place_all_channels(const SelectCall& call, T* place, const Over<T>* rows, int64_t row_count, const Term* terms, int64_t count,
                                  int64_t ahead) {
  int64_t c = 0;
  const auto put = [&](auto vectors, int64_t last) DU_STEP {
    place_channels<T, kAdds, kLanes, decltype(vectors)::value>(call, place, rows, row_count, terms, count, ahead, c, last);
  };
  for (; c + 4 * kLanes < call.channels; c += 4 * kLanes) put(Number<4>{}, 3 * kLanes);
  const int64_t rest = call.channels - c;
  if (rest <= kLanes) return put(Number<1>{}, rest - kLanes);
  if (rest <= 2 * kLanes) return put(Number<2>{}, rest - kLanes);
  if (rest <= 3 * kLanes) return put(Number<3>{}, rest - kLanes);
  put(Number<4>{}, rest - kLanes);
}

// One row of the plane where channels lie side by side.
template <class T, bool kAdds, int64_t kLanes>
void channel_place_row(const SelectCall& call, const ColumnTerms& column_terms, T* plane_row, const T* samples, const uint8_t* codes, int64_t y) {
  const Axis& columns = call.columns;
  Over<T> rows[kMostOver], over[kMostOver];
  const int64_t row_count = rows_over(call, samples, codes, y, rows);
  const int64_t sample_step = call.sample_strides[3], code_step = call.position_strides[3];
  // A group goes as far in samples as in codes.
  const bool in_groups = columns.stride <= kMostRemainders && !columns.is_adaptive && sample_step == code_step;
  const Range groups = in_groups ? groups_inside(columns) : Range{0, 0};
  const Term own{0, 0, 0};
  const int64_t begin = groups.begin * columns.stride - columns.before, end = groups.end * columns.stride - columns.before;
  for (int64_t x = 0; x < columns.in; ++x) {
    T* place = plane_row + x * call.plane_strides[3];
    if (groups.begin < groups.end && x == begin) {
      for (int64_t m = groups.begin; m < groups.end; ++m) {
        for (int64_t r = 0; r < columns.stride; ++r, ++x, place += call.plane_strides[3]) {
          place_all_channels<T, kAdds, kLanes>(call, place, rows, row_count, column_terms.terms[r], column_terms.counts[r], m * sample_step);
        }
      }
      x = end - 1;
      continue;
    }
    const Range range = windows_over(columns, x);
    int64_t count = 0;
    for (int64_t i = 0; i < row_count; ++i) {
      for (int64_t column = range.begin; column < range.end; ++column) {
        const int64_t right = x - window_start(columns, column);
        if (!divides(columns.dilation, right)) continue;
        over[count++] = {rows[i].sample + column * sample_step, rows[i].code + column * code_step,
                         static_cast<uint8_t>(rows[i].wanted + floor_div(right, columns.dilation))};
      }
    }
    place_all_channels<T, kAdds, kLanes>(call, place, over, count, &own, 1, 0);
  }
}

// Runs row(plane row, samples and positions of the plane, y) on every row of the plane.
template <class T, class P, class F>
DU_INLINE void for_each_place_row(const SelectCall& call, bool by_channel, int64_t threads, F row) {
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels, rows = call.rows.in;
  const int64_t row_work = call.columns.in * (by_channel ? call.channels : 1) + 1;
  parallel_for(planes * rows, larger(1, 32768 / row_work), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, rows);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      row(static_cast<T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1] + at.row * call.plane_strides[2],
          static_cast<const T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1],
          static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1], at.row);
    }
    finish_streaming();
  });
}

// Vectors of columns or of channels; false where this call has neither, and nothing was done.
template <class T, bool kAdds>
bool to_plane_in_vectors(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  constexpr int64_t kMany = kManyLanes<T>, kFew = kFewLanes<T>;
  const bool planar = call.plane_strides[3] == 1 && call.sample_strides[3] == 1 && call.position_strides[3] == 1;
  const bool by_channel = !(planar && call.channels == 1) && call.plane_strides[1] == 1 && call.sample_strides[1] == 1 && call.position_strides[1] == 1;
  const int64_t over_y = most_windows_over(rows);
  const ColumnTerms column_terms(call);
  // Each factor first: the product of two huge numbers would overflow.
  if (over_y > kMostOver) return false;
  if (by_channel) {
    const int64_t over_x = columns.is_adaptive ? most_windows_over(columns) : columns.size;
    if (call.channels < kFew || over_x > kMostOver || over_x * over_y > kMostOver) return false;
    const auto run = call.channels >= kMany ? channel_place_row<T, kAdds, kMany> : channel_place_row<T, kAdds, kFew>;
    for_each_place_row<T, uint8_t>(call, true, threads,
                                   [&](T* row, const T* samples, const uint8_t* codes, int64_t y) { run(call, column_terms, row, samples, codes, y); });
    return true;
  }
  const Range groups = groups_inside(columns);
  if (!planar || columns.stride > 2 || groups.end - groups.begin < kFew) return false;
  if (columns.size > kMostOver || columns.size * over_y > kMostOver) return false;
  // Where windows overlap, a place asks several of them, and going from sample to sample is quicker; sums of bfloat16 are not
  // made that way.
  const bool must = kAdds && sizeof(T) == 2 && call.overlaps;
  if (!must && (groups.end - groups.begin < 16 || call.overlaps)) return false;
  const bool is_wide = groups.end - groups.begin >= kMany;
  const auto run = columns.stride == 1 ? (is_wide ? planar_place_row<T, kAdds, kMany, 1> : planar_place_row<T, kAdds, kFew, 1>)
                                       : (is_wide ? planar_place_row<T, kAdds, kMany, 2> : planar_place_row<T, kAdds, kFew, 2>);
  for_each_place_row<T, uint8_t>(call, false, threads,
                                 [&](T* row, const T* samples, const uint8_t* codes, int64_t y) { run(call, column_terms, row, samples, codes, y); });
  return true;
}

}  // namespace DU_ISA
}  // namespace downup
