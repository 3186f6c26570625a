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
  using E = Element<T>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range over_y = windows_over(rows, y), over_x = windows_over(columns, x);
  typename E::Scalar sum = 0;
  int64_t found = 0;
  for (int64_t row = over_y.begin; row < over_y.end; ++row) {
    const int64_t down = y - window_start(rows, row);
    if (down % rows.dilation) continue;
    for (int64_t column = over_x.begin; column < over_x.end; ++column) {
      const int64_t right = x - window_start(columns, column);
      if (right % columns.dilation) continue;
      const int64_t code = rule.code(down / rows.dilation, right / columns.dilation);
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

// One row of the plane where columns lie side by side. Columns with one remainder r = (x + before) % stride see the windows
// x / stride + (r - tap * dilation) / stride of the same taps, so a vector of them reads vectors of samples; for stride 2
// the two remainders are computed together and interleaved. A constant kTaps > 0 is the window's side.
template <class T, class P, bool kAdds, int kStride, int kTaps>
int64_t planar_place_row(const SelectCall& call, T* plane_row, const T* samples, const P* positions, int64_t y) {
  using E = Element<T>;
  using C = Codes<T>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range over = windows_over(rows, y);
  const int64_t taps = kTaps ? kTaps : columns.size, dilation = kTaps ? 1 : columns.dilation;
  const int64_t step = rule.column_step();
  typename E::Mask matches{};
  int64_t found = 0, x = 0;

  // Group m holds the columns m * stride - before + r. All windows of a vector of groups exist between these bounds.
  const int64_t reach = (taps - 1) * dilation;
  const int64_t first = larger(ceil_div(columns.before, kStride), reach / kStride);
  const int64_t end = smaller(floor_div(columns.in + columns.before, kStride), columns.out);
  const auto one = [&](int64_t column) { found += one_place<T, P, kAdds>(call, plane_row + column, samples, positions, y, column); };

  const auto lanes_of = [&](int64_t group, int64_t remainder) {
    typename E::Lanes sum{};
    for (int64_t row = over.begin; row < over.end; ++row) {
      const int64_t down = y - window_start(rows, row);
      if (down % rows.dilation) continue;
      const int64_t tap_row = down / rows.dilation;
      const T* sample_row = samples + row * call.sample_strides[2];
      const P* position_row = positions + row * call.position_strides[2];
      // Larger taps belong to earlier windows.
      for (int64_t tap = taps - 1; tap >= 0; --tap) {
        const int64_t ahead = remainder - tap * dilation;
        if (kStride == 2 && (ahead & 1)) continue;
        const int64_t window = group + ahead / kStride;
        const auto chosen = C::equal(C::load(position_row + window, rule.base(row, window), step), rule.code(tap_row, tap));
        sum = gathered<kAdds>(sum, E::load(sample_row + window), chosen);
        matches += chosen;
      }
    }
    return sum;
  };

  if (end - first >= E::kLanes) {
    for (const int64_t begin = first * kStride - columns.before; x < begin; ++x) one(x);
    for (int64_t group = first; group + E::kLanes <= end; group += E::kLanes, x += kStride * E::kLanes) {
      if constexpr (kStride == 1) {
        E::store(plane_row + x, lanes_of(group, 0));
      } else {
        const typename E::Lanes even = lanes_of(group, 0), odd = lanes_of(group, 1);
        typename E::Mask low, high;
        for (int64_t i = 0; i < E::kLanes; ++i) {
          const int64_t from = (i & 1 ? E::kLanes : 0) + i / 2;
          low[i] = static_cast<typename E::Integer>(from);
          high[i] = static_cast<typename E::Integer>(from + E::kLanes / 2);
        }
        E::store(plane_row + x, __builtin_shuffle(even, odd, low));
        E::store(plane_row + x + E::kLanes, __builtin_shuffle(even, odd, high));
      }
    }
  }
  for (; x < columns.in; ++x) one(x);
  return found + count_lanes(matches);
}

// One row of the plane where channels lie side by side.
template <class T, class P, bool kAdds>
int64_t channel_place_row(const SelectCall& call, T* plane_row, const T* samples, const P* positions, int64_t y) {
  using E = Element<T>;
  using C = Codes<T>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range over_y = windows_over(rows, y);
  typename E::Mask matches{};
  int64_t found = 0;
  for (int64_t x = 0; x < columns.in; ++x) {
    T* place = plane_row + x * call.plane_strides[3];
    const Range over_x = windows_over(columns, x);
    int64_t c = 0;
    for (; c + E::kLanes <= call.channels; c += E::kLanes) {
      typename E::Lanes sum{};
      for (int64_t row = over_y.begin; row < over_y.end; ++row) {
        const int64_t down = y - window_start(rows, row);
        if (rows.dilation > 1 && down % rows.dilation) continue;
        const int64_t tap_row = rows.dilation > 1 ? down / rows.dilation : down;
        for (int64_t column = over_x.begin; column < over_x.end; ++column) {
          const int64_t right = x - window_start(columns, column);
          if (columns.dilation > 1 && right % columns.dilation) continue;
          const int64_t tap_column = columns.dilation > 1 ? right / columns.dilation : right;
          const P* position = positions + row * call.position_strides[2] + column * call.position_strides[3] + c;
          const T* sample = samples + row * call.sample_strides[2] + column * call.sample_strides[3] + c;
          const auto chosen = C::equal(C::load(position, rule.base(row, column), 0), rule.code(tap_row, tap_column));
          sum = gathered<kAdds>(sum, E::load(sample), chosen);
          matches += chosen;
        }
      }
      E::store(place + c, sum);
    }
    for (; c < call.channels; ++c) found += one_place<T, P, kAdds>(call, place + c, samples + c, positions + c, y, x);
  }
  return found + count_lanes(matches);
}

template <class T, class P, bool kAdds>
int64_t to_plane(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  const bool vectors = codes_fit(call, sizeof(P) == 8, sizeof(T) == 8);
  const bool planar = vectors && call.plane_strides[3] == 1 && call.sample_strides[3] == 1 && call.position_strides[3] == 1;
  const bool by_channel = vectors && !(planar && call.channels < Element<T>::kLanes) && call.plane_strides[1] == 1 &&
                          call.sample_strides[1] == 1 && call.position_strides[1] == 1;
  // Windows that reach beyond the plane on both sides leave no room for vectors, and huge ones would only cost tests.
  const bool in_groups = planar && columns.stride <= 2 && (columns.size - 1) * columns.dilation < columns.in;
  const bool two_by_two = columns.size == 2 && columns.dilation == 1;
  const auto run_row = columns.stride == 1 ? planar_place_row<T, P, kAdds, 1, 0>
                       : two_by_two        ? planar_place_row<T, P, kAdds, 2, 2>
                                           : planar_place_row<T, P, kAdds, 2, 0>;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels;
  const int64_t row_work = columns.in * (by_channel ? call.channels : 1) + 1;
  int64_t total = 0;
  parallel_for(planes * rows.in, larger(1, 32768 / row_work), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i / rows.in, y = i % rows.in;
      const int64_t n = by_channel ? p : p / call.channels, c = by_channel ? 0 : p % call.channels;
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
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
