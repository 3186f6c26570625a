// From one sample a window back to the plane. Each place of the plane looks at the windows over it, in the order of the
// windows, and takes what was selected there: so threads may split the plane, and no sum depends on them.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// Where several windows chose one place: their sum, or the last of them.
template <bool kAdds, class V, class M>
DU_INLINE V gathered(const V& before, const V& value, const M& chosen) {
  if constexpr (kAdds) {
    return before + choose(chosen, value, V{});
  } else {
    return choose(chosen, value, before);
  }
}

// One place of the plane. Returns how many windows chose it.
template <class T, class P, bool kAdds>
DU_INLINE int64_t one_place(const SelectCall& call, T* place, const T* samples, const P* positions, int64_t y, int64_t x) {
  using E = Element<T, 1>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range over_y = windows_over(rows, y), over_x = windows_over(columns, x);
  typename E::Scalar sum = 0;
  int64_t found = 0;
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
      ++found;
    }
  }
  E::put(place, sum);
  return found;
}

// A window over a place: where its sample and position lie, and the code of the tap that is this place.
template <class T, class P>
struct Over {
  const T* sample;
  const P* position;
  int64_t base, code;
};

// More windows over one place than this are left to one_place.
constexpr int64_t kMostOver = 64;

DU_INLINE int64_t most_windows_over(const Axis& axis) {
  return ceil_div((axis.size - 1) * axis.dilation + 1, axis.stride);
}

// Columns are grouped by stride: group m holds m * stride - before + r for r below the stride. These groups have all their
// columns on the plane and all windows over them in the row.
DU_INLINE Range groups_inside(const Axis& axis) {
  const int64_t begin = larger(ceil_div(axis.before, axis.stride), (axis.size - 1) * axis.dilation / axis.stride);
  return {begin, larger(begin, smaller(floor_div(axis.in + axis.before, axis.stride), axis.out))};
}

// The rows of windows over row y, in order, as windows at column 0 whose tap is in column 0.
template <class T, class P>
DU_INLINE int64_t rows_over(const SelectCall& call, const T* samples, const P* positions, int64_t y, Over<T, P>* over) {
  const PositionRule<P> rule(call);
  const Range range = windows_over(call.rows, y);
  int64_t count = 0;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const int64_t down = y - window_start(call.rows, row);
    if (!divides(call.rows.dilation, down)) continue;
    over[count++] = {samples + row * call.sample_strides[2], positions + row * call.position_strides[2], rule.base(row, 0),
                     rule.code(floor_div(down, call.rows.dilation), 0)};
  }
  return count;
}

// One row of the plane where columns lie side by side. The columns m * stride - before + r of one remainder r see, whatever
// m, the same taps of the windows m + (r - tap * dilation) / stride: so a vector of them reads vectors of samples. For stride
// 2 the two remainders are computed together and interleaved.
template <class T, class P, bool kAdds, int64_t kLanes, int kStride>
int64_t planar_place_row(const SelectCall& call, T* plane_row, const T* samples, const P* positions, int64_t y) {
  using E = Element<T, kLanes>;
  using C = Codes<T, kLanes>;
  const PositionRule<P> rule(call);
  const Axis& columns = call.columns;
  const int64_t step = rule.column_step();
  Over<T, P> rows[kMostOver], terms[kStride][kMostOver];
  int64_t counts[kStride] = {};
  const int64_t row_count = rows_over(call, samples, positions, y, rows);
  for (int64_t i = 0; i < row_count; ++i) {
    for (int64_t tap = columns.size - 1; tap >= 0; --tap) {  // larger taps belong to earlier windows
      const int64_t remainder = tap * columns.dilation % kStride;
      const int64_t ahead = (remainder - tap * columns.dilation) / kStride;
      terms[remainder][counts[remainder]++] = {rows[i].sample + ahead, rows[i].position + ahead, rows[i].base + ahead * step,
                                               rows[i].code + rule.code(0, tap)};
    }
  }
  typename E::Mask matches{};
  const auto lanes_of = [&](int64_t remainder, int64_t group) {
    typename E::Lanes sum{};
    for (int64_t i = 0; i < counts[remainder]; ++i) {
      const Over<T, P>& term = terms[remainder][i];
      const auto chosen = C::equal(C::load(term.position + group, term.base + group * step, step), term.code);
      sum = gathered<kAdds>(sum, E::load(term.sample + group), chosen);
      matches += chosen;
    }
    return sum;
  };

  const auto put = [&](T* place, const typename E::Lanes& lanes) { call.streams ? E::stream(place, lanes) : E::store(place, lanes); };

  // Between these bounds all windows of a vector of groups exist, and all its columns.
  const Range groups = groups_inside(columns);
  int64_t found = 0, x = 0;
  const auto one = [&](int64_t column) { found += one_place<T, P, kAdds>(call, plane_row + column, samples, positions, y, column); };
  if (groups.end - groups.begin >= kLanes) {
    for (const int64_t begin = groups.begin * kStride - columns.before; x < begin; ++x) one(x);
    for (int64_t group = groups.begin; group < groups.end; group += kLanes) {
      const int64_t repeated = larger(0, group + kLanes - groups.end);
      const typename E::Mask before = matches;
      group -= repeated;
      x = group * kStride - columns.before;
      if constexpr (kStride == 1) {
        put(plane_row + x, lanes_of(0, group));
      } else {
        const typename E::Lanes even = lanes_of(0, group), odd = lanes_of(1, group);
        typename E::Mask low, high;
        for (int64_t i = 0; i < kLanes; ++i) {
          const int64_t from = (i & 1 ? kLanes : 0) + i / 2;
          low[i] = static_cast<typename E::Integer>(from);
          high[i] = static_cast<typename E::Integer>(from + kLanes / 2);
        }
        put(plane_row + x, __builtin_shuffle(even, odd, low));
        put(plane_row + x + kLanes, __builtin_shuffle(even, odd, high));
      }
      if (repeated) matches = before + ((matches - before) & lanes_from<T, kLanes>(repeated));
      x += kStride * kLanes;
    }
  }
  for (; x < columns.in; ++x) one(x);
  return found + count_lanes(matches);
}

// The channels c, c + kLanes, ... of one place where channels lie side by side. Returns the first channel not done.
template <class T, class P, bool kAdds, int64_t kLanes>
DU_INLINE int64_t place_channels(T* place, const Over<T, P>* over, int64_t count, int64_t c, int64_t channels, bool streams, int64_t& found) {
  using E = Element<T, kLanes>;
  using C = Codes<T, kLanes>;
  typename E::Mask matches{};
  for (; c + kLanes <= channels; c += kLanes) {
    typename E::Lanes sum{};
    for (int64_t i = 0; i < count; ++i) {
      const auto chosen = C::equal(C::load(over[i].position + c, over[i].base, 0), over[i].code);
      sum = gathered<kAdds>(sum, E::load(over[i].sample + c), chosen);
      matches += chosen;
    }
    streams ? E::stream(place + c, sum) : E::store(place + c, sum);
  }
  found += count_lanes(matches);
  return c;
}

// One row of the plane where channels lie side by side.
template <class T, class P, bool kAdds>
int64_t channel_place_row(const SelectCall& call, T* plane_row, const T* samples, const P* positions, int64_t y) {
  const PositionRule<P> rule(call);
  const Axis& columns = call.columns;
  const int64_t step = rule.column_step();
  Over<T, P> rows[kMostOver], over[kMostOver];
  const int64_t row_count = rows_over(call, samples, positions, y, rows);
  int64_t found = 0;
  for (int64_t x = 0; x < columns.in; ++x) {
    T* place = plane_row + x * call.plane_strides[3];
    const Range range = windows_over(columns, x);
    int64_t count = 0;
    for (int64_t i = 0; i < row_count; ++i) {
      for (int64_t column = range.begin; column < range.end; ++column) {
        const int64_t right = x - window_start(columns, column);
        if (!divides(columns.dilation, right)) continue;
        over[count++] = {rows[i].sample + column * call.sample_strides[3], rows[i].position + column * call.position_strides[3],
                         rows[i].base + column * step, rows[i].code + rule.code(0, floor_div(right, columns.dilation))};
      }
    }
    int64_t c = place_channels<T, P, kAdds, kManyLanes<T>>(place, over, count, 0, call.channels, call.streams, found);
    c = place_channels<T, P, kAdds, kFewLanes<T>>(place, over, count, c, call.channels, call.streams, found);
    place_channels<T, P, kAdds, 1>(place, over, count, c, call.channels, call.streams, found);
  }
  return found;
}

template <class T, class P, bool kAdds>
int64_t to_plane(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  constexpr int64_t kMany = kManyLanes<T>, kFew = kFewLanes<T>;
  // Each factor first: the product of two huge numbers would overflow.
  const bool few_over = rows.size <= kMostOver && columns.size <= kMostOver && most_windows_over(rows) * columns.size <= kMostOver;
  const bool vectors = few_over && codes_fit(call, sizeof(P) == 8, sizeof(T) == 8);
  const bool planar = vectors && call.plane_strides[3] == 1 && call.sample_strides[3] == 1 && call.position_strides[3] == 1;
  const bool by_channel = vectors && !(planar && call.channels == 1) && call.plane_strides[1] == 1 && call.sample_strides[1] == 1 &&
                          call.position_strides[1] == 1;
  const Range groups = groups_inside(columns);
  const bool in_groups = planar && columns.stride <= 2 && groups.end - groups.begin >= kFew;
  const bool is_wide = groups.end - groups.begin >= kMany;
  const auto run_row = columns.stride == 1
                           ? (is_wide ? planar_place_row<T, P, kAdds, kMany, 1> : planar_place_row<T, P, kAdds, kFew, 1>)
                           : (is_wide ? planar_place_row<T, P, kAdds, kMany, 2> : planar_place_row<T, P, kAdds, kFew, 2>);
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels;
  const int64_t row_work = columns.in * (by_channel ? call.channels : 1) + 1;
  int64_t total = 0;
  parallel_for(planes * rows.in, larger(1, 32768 / row_work), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    RowCursor at(begin, rows.in);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t y = at.row, n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      T* plane_row = static_cast<T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1] + y * call.plane_strides[2];
      const T* samples = static_cast<const T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1];
      const P* positions = static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1];
      if (by_channel) {
        found += channel_place_row<T, P, kAdds>(call, plane_row, samples, positions, y);
      } else if (in_groups) {
        found += run_row(call, plane_row, samples, positions, y);
      } else {
        for (int64_t x = 0; x < columns.in; ++x) {
          found += one_place<T, P, kAdds>(call, plane_row + x * call.plane_strides[3], samples, positions, y, x);
        }
      }
    }
    finish_streaming();
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
