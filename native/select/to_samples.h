// From the plane to one sample a window: the maximum of its taps, or the value at a remembered position.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// The largest tap and its code. NaN is larger than everything and a later NaN replaces an earlier one.
template <class T, class P, bool kWrites>
struct Largest {
  using E = Element<T>;
  using C = Codes<T>;
  typename E::Scalar best;
  int64_t best_code;
  typename E::Lanes lanes;
  typename E::Mask codes;

  DU_INLINE void open(const P*, int64_t) { best_code = -1; }
  DU_INLINE void visit(typename E::Scalar value, int64_t code) {
    if (best_code < 0 || value > best || value != value) {
      best = value;
      best_code = code;
    }
  }
  DU_INLINE int64_t close(T* sample, P* position, int64_t base) {
    if (best_code < 0) {  // a window of padding only
      E::put(sample, -static_cast<typename E::Scalar>(__builtin_inf()));
      if (kWrites) *position = static_cast<P>(PositionRule<P>::kNowhere);
      return 0;
    }
    E::put(sample, best);
    if (kWrites) *position = static_cast<P>(base + best_code);
    return 1;
  }

  DU_INLINE void open_lanes(const P*, int64_t, int64_t) {}
  DU_INLINE void first_lanes(const typename E::Lanes& value, int64_t code) {
    lanes = value;
    codes = typename E::Mask{} + static_cast<typename E::Integer>(code);
  }
  DU_INLINE void visit_lanes(const typename E::Lanes& value, int64_t code) {
    const typename E::Mask larger_or_nan = (value > lanes) | (value != value);
    lanes = choose(larger_or_nan, value, lanes);
    if (kWrites) codes = larger_or_nan ? typename E::Mask{} + static_cast<typename E::Integer>(code) : codes;
  }
  DU_INLINE typename E::Mask close_lanes(T* sample, P* position, int64_t base, int64_t step) {
    E::store(sample, lanes);
    if (kWrites) C::store(position, codes, base, step);
    return typename E::Mask{};
  }
};

// The value at the remembered position, zero where that is not a tap of the window.
template <class T, class P>
struct Remembered {
  using E = Element<T>;
  using C = Codes<T>;
  using WantedLanes = decltype(C::load(static_cast<const P*>(nullptr), 0, 0));
  int64_t wanted, found;
  typename E::Scalar value_found;
  WantedLanes wanted_lanes;
  typename E::Lanes lanes;
  typename E::Mask matches;

  DU_INLINE void open(const P* position, int64_t base) {
    wanted = static_cast<int64_t>(static_cast<uint64_t>(*position) - static_cast<uint64_t>(base));
    found = 0;
    value_found = 0;
  }
  DU_INLINE void visit(typename E::Scalar value, int64_t code) {
    if (code == wanted) {
      value_found = value;
      found = 1;
    }
  }
  DU_INLINE int64_t close(T* sample, P*, int64_t) {
    E::put(sample, value_found);
    return found;
  }

  DU_INLINE void open_lanes(const P* position, int64_t base, int64_t step) {
    wanted_lanes = C::load(position, base, step);
    lanes = typename E::Lanes{};
    matches = typename E::Mask{};
  }
  DU_INLINE void first_lanes(const typename E::Lanes& value, int64_t code) { visit_lanes(value, code); }
  DU_INLINE void visit_lanes(const typename E::Lanes& value, int64_t code) {
    const typename E::Mask here = C::equal(wanted_lanes, code);
    lanes = choose(here, value, lanes);
    matches += here;
  }
  DU_INLINE typename E::Mask close_lanes(T* sample, P*, int64_t, int64_t) {
    E::store(sample, lanes);
    return matches;
  }
};

// One window, wherever it lies. Returns the visitor's count.
template <class T, class P, class Visitor>
DU_INLINE int64_t one_window(const SelectCall& call, const T* plane, T* sample, P* position, int64_t row, int64_t column) {
  const PositionRule<P> rule(call);
  const Range taps_y = taps_inside(call.rows, row), taps_x = taps_inside(call.columns, column);
  const int64_t top = window_start(call.rows, row), left = window_start(call.columns, column);
  Visitor visitor;
  visitor.open(position, rule.base(row, column));
  for (int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
    const T* line = plane + (top + ky * call.rows.dilation) * call.plane_strides[2];
    for (int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
      visitor.visit(Element<T>::get(line + (left + kx * call.columns.dilation) * call.plane_strides[3]), rule.code(ky, kx));
    }
  }
  return visitor.close(sample, position, rule.base(row, column));
}

// The samples at p, p + stride, p + 2 stride, ... For stride 2 two whole vectors are read, from p or from p - 1, whichever
// stays between the first and the last sample that some tap of these windows needs.
template <class T, int kStride>
DU_INLINE typename Element<T>::Lanes load_strided(const T* p, int64_t stride, bool is_first) {
  using E = Element<T>;
  if constexpr (kStride == 1) {
    return E::load(p);
  } else if constexpr (kStride == 2) {
    const T* from = is_first ? p : p - 1;
    const typename E::Lanes a = E::load(from), b = E::load(from + E::kLanes);
    typename E::Mask even, odd;
    for (int64_t i = 0; i < E::kLanes; ++i) {
      even[i] = static_cast<typename E::Integer>(2 * i);
      odd[i] = static_cast<typename E::Integer>(2 * i + 1);
    }
    return is_first ? __builtin_shuffle(a, b, even) : __builtin_shuffle(a, b, odd);
  } else {
    typename E::Lanes lanes;
    for (int64_t i = 0; i < E::kLanes; ++i) lanes[i] = E::get(p + i * stride);
    return lanes;
  }
}

// One row of windows where columns lie side by side (channels-first). A constant kTaps > 0 is the window's side.
template <class T, class P, class Visitor, int kStride, int kTaps>
int64_t planar_row(const SelectCall& call, const T* plane, T* samples, P* positions, int64_t row) {
  using E = Element<T>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range taps_y = taps_inside(rows, row);
  const Range inside = windows_inside(columns);
  const int64_t taps_x = kTaps ? kTaps : columns.size;
  const int64_t dilation = kTaps ? 1 : columns.dilation;
  typename E::Mask matches{};
  int64_t found = 0, x = 0;
  const auto one = [&](int64_t column) {
    found += one_window<T, P, Visitor>(call, plane, samples + column, positions ? positions + column : nullptr, row, column);
  };
  if (taps_y.begin < taps_y.end) {
    for (; x < inside.begin; ++x) one(x);
    for (; x + E::kLanes <= inside.end; x += E::kLanes) {
      const int64_t base = rule.base(row, x), step = rule.column_step();
      Visitor visitor;
      P* position = positions ? positions + x : nullptr;
      visitor.open_lanes(position, base, step);
      const T* corner = plane + (window_start(rows, row) + taps_y.begin * rows.dilation) * call.plane_strides[2] +
                        window_start(columns, x);
      visitor.first_lanes(load_strided<T, kStride>(corner, columns.stride, true), rule.code(taps_y.begin, 0));
      for (int64_t kx = 1; kx < taps_x; ++kx) {
        visitor.visit_lanes(load_strided<T, kStride>(corner + kx * dilation, columns.stride, false), rule.code(taps_y.begin, kx));
      }
      for (int64_t ky = taps_y.begin + 1; ky < taps_y.end; ++ky) {
        const T* line = corner + (ky - taps_y.begin) * rows.dilation * call.plane_strides[2];
        for (int64_t kx = 0; kx < taps_x; ++kx) {
          visitor.visit_lanes(load_strided<T, kStride>(line + kx * dilation, columns.stride, kx == 0), rule.code(ky, kx));
        }
      }
      matches += visitor.close_lanes(samples + x, position, base, step);
    }
  }
  for (; x < columns.out; ++x) one(x);
  return found + count_lanes(matches);
}

// One row of windows where channels lie side by side (channels-last).
template <class T, class P, class Visitor>
int64_t channel_row(const SelectCall& call, const T* plane, T* samples, P* positions, int64_t row) {
  using E = Element<T>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range taps_y = taps_inside(rows, row);
  typename E::Mask matches{};
  int64_t found = 0;
  for (int64_t x = 0; x < columns.out; ++x) {
    const Range taps_x = taps_inside(columns, x);
    const int64_t base = rule.base(row, x);
    T* sample = samples + x * call.sample_strides[3];
    P* position = positions ? positions + x * call.position_strides[3] : nullptr;
    int64_t c = 0;
    if (taps_y.begin < taps_y.end && taps_x.begin < taps_x.end) {
      const T* corner = plane + (window_start(rows, row) + taps_y.begin * rows.dilation) * call.plane_strides[2] +
                        (window_start(columns, x) + taps_x.begin * columns.dilation) * call.plane_strides[3];
      for (; c + E::kLanes <= call.channels; c += E::kLanes) {
        Visitor visitor;
        P* at = position ? position + c : nullptr;
        visitor.open_lanes(at, base, 0);
        visitor.first_lanes(E::load(corner + c), rule.code(taps_y.begin, taps_x.begin));
        for (int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
          const T* line = corner + (ky - taps_y.begin) * rows.dilation * call.plane_strides[2] + c;
          for (int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
            if (ky == taps_y.begin && kx == taps_x.begin) continue;
            visitor.visit_lanes(E::load(line + (kx - taps_x.begin) * columns.dilation * call.plane_strides[3]), rule.code(ky, kx));
          }
        }
        matches += visitor.close_lanes(sample + c, at, base, 0);
      }
    }
    for (; c < call.channels; ++c) {
      found += one_window<T, P, Visitor>(call, plane + c, sample + c, position ? position + c : nullptr, row, x);
    }
  }
  return found + count_lanes(matches);
}

template <class T, class P, class Visitor>
int64_t to_samples(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  const bool vectors = codes_fit(call, sizeof(P) == 8, sizeof(T) == 8);
  const bool planar = vectors && call.plane_strides[3] == 1 && call.sample_strides[3] == 1 &&
                      (!call.positions || call.position_strides[3] == 1);
  const bool by_channel = vectors && !(planar && call.channels < Element<T>::kLanes) && call.plane_strides[1] == 1 &&
                          call.sample_strides[1] == 1 && (!call.positions || call.position_strides[1] == 1);
  const int side = columns.size == rows.size && rows.dilation == 1 && columns.dilation == 1 && rows.size <= 3
                       ? static_cast<int>(rows.size) : 0;
  const auto run_row = columns.stride == 1   ? planar_row<T, P, Visitor, 1, 0>
                       : columns.stride != 2 || columns.size == 1 ? planar_row<T, P, Visitor, 0, 0>
                       : side == 2           ? planar_row<T, P, Visitor, 2, 2>
                       : side == 3           ? planar_row<T, P, Visitor, 2, 3>
                                             : planar_row<T, P, Visitor, 2, 0>;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels;
  const int64_t row_work = columns.out * smaller(rows.size, rows.in) * smaller(columns.size, columns.in) * (by_channel ? call.channels : 1) + 1;
  int64_t total = 0;
  parallel_for(planes * rows.out, larger(1, 32768 / row_work), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i / rows.out, row = i % rows.out;
      const int64_t n = by_channel ? p : p / call.channels, c = by_channel ? 0 : p % call.channels;
      const T* plane = static_cast<const T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
      T* samples = static_cast<T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1] +
                   row * call.sample_strides[2];
      P* positions = call.positions ? static_cast<P*>(call.positions) + n * call.position_strides[0] +
                                          c * call.position_strides[1] + row * call.position_strides[2]
                                    : nullptr;
      if (by_channel) {
        found += channel_row<T, P, Visitor>(call, plane, samples, positions, row);
      } else if (planar) {
        found += run_row(call, plane, samples, positions, row);
      } else {
        for (int64_t x = 0; x < columns.out; ++x) {
          found += one_window<T, P, Visitor>(call, plane, samples + x * call.sample_strides[3],
                                             positions ? positions + x * call.position_strides[3] : nullptr, row, x);
        }
      }
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
