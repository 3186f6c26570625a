// From the plane to one sample a window: the maximum of its taps, or the value at the tap of its code.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// The largest tap and its code. NaN is larger than everything and a later NaN replaces an earlier one. Vectors are quicker
// without NaN: their running sum is NaN if any tap is, or if there are infinities of both signs, and then they are done again.
template <class T, class P, int64_t kLanes, bool kWrites, bool kKnowsNaN = true>
struct Largest {
  static constexpr bool kFindsLargest = true, kWritesPositions = kWrites;
  using Quick = Largest<T, P, kLanes, kWrites, false>;
  using E = Element<T, kLanes>;
  using C = Codes<T, kLanes>;
  typename E::Scalar best;
  int64_t best_code;
  typename E::Lanes lanes, sum;
  typename E::Mask codes;

  DU_INLINE void open(const P*) { best_code = -1; }
  DU_INLINE void visit(typename E::Scalar value, int64_t code) {
    if (best_code < 0 || value > best || value != value) {
      best = value;
      best_code = code;
    }
  }
  DU_INLINE void close(T* sample, P* position, int64_t base) {
    if (best_code < 0) {  // a window of padding only
      E::put(sample, -static_cast<typename E::Scalar>(__builtin_inf()));
      if (kWrites) *position = static_cast<P>(PositionRule<P>::kNowhere);
      return;
    }
    E::put(sample, best);
    if (kWrites) *position = static_cast<P>(base + best_code);
  }

  DU_INLINE void open_lanes(const P*) {}
  DU_INLINE void first_lanes(const typename E::Lanes& value, int64_t code) {
    lanes = sum = value;
    codes = typename E::Mask{} + static_cast<typename E::Integer>(code);
  }
  DU_INLINE void visit_lanes(const typename E::Lanes& value, int64_t code) {
    const typename E::Mask here = typename E::Mask{} + static_cast<typename E::Integer>(code);
    if constexpr (kKnowsNaN) {
      const typename E::Mask larger_or_nan = (value > lanes) | (value != value);
      lanes = choose(larger_or_nan, value, lanes);
      if (kWrites) codes = larger_or_nan ? here : codes;
    } else {
      if (kWrites) codes = value > lanes ? here : codes;
      lanes = value > lanes ? value : lanes;
      sum += value;
    }
  }
  // False where the taps must be visited again by one that knows NaN.
  DU_INLINE bool is_right() const { return kKnowsNaN || !has_nan(sum); }
  DU_INLINE void close_lanes(T* sample, P* position, int64_t base, int64_t step) {
    kKnowsNaN ? E::store(sample, lanes) : E::store_whole(sample, lanes);
    if (kWrites) C::store(position, codes, base, step);
  }
};

// The value at the tap of the code, zero where that is none.
template <class T, int64_t kLanes>
struct Coded {
  static constexpr bool kFindsLargest = false;
  using Quick = Coded;
  using E = Element<T, kLanes>;
  using C = Codes<T, kLanes>;
  uint8_t wanted;
  typename E::Scalar value_found;
  typename E::Lanes lanes;
  Vector<uint8_t, kLanes> wanted_lanes;

  DU_INLINE void open(const uint8_t* code) {
    wanted = *code;
    value_found = 0;
  }
  DU_INLINE void visit(typename E::Scalar value, int64_t code) {
    if (code == wanted) value_found = value;
  }
  DU_INLINE void close(T* sample, uint8_t*, int64_t) { E::put(sample, value_found); }

  DU_INLINE void open_lanes(const uint8_t* codes) {
    wanted_lanes = load_as<Vector<uint8_t, kLanes>>(codes);
    lanes = typename E::Lanes{};
  }
  DU_INLINE void first_lanes(const typename E::Lanes& value, int64_t code) { visit_lanes(value, code); }
  DU_INLINE void visit_lanes(const typename E::Lanes& value, int64_t code) {
    lanes = choose(C::equal(wanted_lanes, code), value, lanes);
  }
  DU_INLINE bool is_right() const { return true; }
  DU_INLINE void close_lanes(T* sample, uint8_t*, int64_t, int64_t) { E::store(sample, lanes); }
};

// The largest of a window of many columns that lie side by side, a vector of them at a time. Each lane keeps the largest of its
// own columns; of equal ones the first is the one of the lowest code, of NaN the last the one of the highest.
template <class T, class P, int64_t kLanes, bool kWrites>
void wide_window(const SelectCall& call, const T* corner, T* sample, P* position, Range taps_y, Range taps_x, int64_t base) {
  using E = Element<T, kLanes>;
  const PositionRule<P> rule(call);
  const int64_t columns = taps_x.end - taps_x.begin;
  typename E::Mask ramp, codes, found{};
  for (int64_t i = 0; i < kLanes; ++i) ramp[i] = static_cast<typename E::Integer>(i);
  typename E::Lanes best = E::load(corner);
  codes = ramp + static_cast<typename E::Integer>(rule.code(taps_y.begin, taps_x.begin));
  for (int64_t ky = taps_y.begin; ky < taps_y.end; ++ky, corner += call.rows.dilation * call.plane_strides[2]) {
    const int64_t first = rule.code(ky, taps_x.begin);
    for (int64_t x = 0; x < columns; x += kLanes) {
      const int64_t from = smaller(x, columns - kLanes);  // the last vector repeats some
      const typename E::Lanes value = E::load(corner + from);
      found = (value > best) | (value != value);
      best = choose(found, value, best);
      codes = found ? ramp + static_cast<typename E::Integer>(first + from) : codes;
    }
  }
  int64_t lane = 0;
  for (int64_t i = 1; i < kLanes; ++i) {
    const bool is_nan = best[i] != best[i], was_nan = best[lane] != best[lane];
    if (is_nan ? !was_nan || codes[i] > codes[lane] : !was_nan && (best[i] > best[lane] || (best[i] == best[lane] && codes[i] < codes[lane]))) lane = i;
  }
  Element<T, 1>::put(sample, best[lane]);
  if (kWrites) *position = static_cast<P>(base + codes[lane]);
}

// One window, wherever it lies.
template <class T, class P, class Visitor>
DU_INLINE void one_window(const SelectCall& call, const T* plane, T* sample, P* position, int64_t row, int64_t column) {
  const PositionRule<P> rule(call);
  const Range taps_y = taps_inside(call.rows, row), taps_x = taps_inside(call.columns, column);
  const int64_t top = window_start(call.rows, row), left = window_start(call.columns, column);
  const int64_t base = rule.base(row, column);
  if constexpr (Visitor::kFindsLargest) {
    const int64_t taps = taps_x.end - taps_x.begin;
    if (taps >= kFewLanes<T> && taps_y.begin < taps_y.end && (taps_y.end - taps_y.begin) * taps >= 16 && call.plane_strides[3] == 1 && call.columns.dilation == 1 &&
        call.rows.size <= INT32_MAX / call.columns.size && codes_fit(call, sizeof(P) == 8, sizeof(T) == 8)) {
      const T* corner = plane + (top + taps_y.begin * call.rows.dilation) * call.plane_strides[2] + left + taps_x.begin;
      const auto run = taps >= kManyLanes<T> ? wide_window<T, P, kManyLanes<T>, Visitor::kWritesPositions>
                                             : wide_window<T, P, kFewLanes<T>, Visitor::kWritesPositions>;
      return run(call, corner, sample, position, taps_y, taps_x, base);
    }
  }
  Visitor visitor;
  visitor.open(position);
  for (int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
    const T* line = plane + (top + ky * call.rows.dilation) * call.plane_strides[2];
    for (int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
      visitor.visit(Visitor::E::get(line + (left + kx * call.columns.dilation) * call.plane_strides[3]), rule.code(ky, kx));
    }
  }
  visitor.close(sample, position, base);
}

// The samples at p, p + stride, p + 2 stride, ... For stride 2 twice as many are read, from p or from p - 1, whichever stays
// between the first and the last sample that some tap of these windows needs.
template <class E, int kStride, class T>
DU_INLINE typename E::Lanes load_strided(const T* p, int64_t stride, bool is_first) {
  constexpr int64_t kLanes = sizeof(typename E::Lanes) / sizeof(typename E::Scalar);
  if constexpr (kStride == 1) {
    return E::load(p);
  } else if constexpr (kStride == 2 && sizeof(T) == 2) {
    const auto pairs = load_as<Vector<uint32_t, kLanes>>(is_first ? p : p - 1);
    return bit_cast<typename E::Lanes>(is_first ? pairs << 16 : pairs & 0xffff0000u);
  } else if constexpr (kStride == 2) {
    const T* from = is_first ? p : p - 1;
    const typename E::Lanes a = E::load(from), b = E::load(from + kLanes);
    typename E::Mask even, odd;
    for (int64_t i = 0; i < kLanes; ++i) {
      even[i] = static_cast<typename E::Integer>(2 * i);
      odd[i] = static_cast<typename E::Integer>(2 * i + 1);
    }
    return is_first ? shuffle(a, b, even) : shuffle(a, b, odd);
  } else {
    typename E::Lanes lanes;
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] = E::get(p + i * stride);
    return lanes;
  }
}

// kLanes windows side by side, with all their columns on the plane, from `line`: the first row of the first of them. kTaps
// columns, or any number for 0. Returns whether the visitor is right; nothing is written where it is not.
template <class T, class P, int64_t kLanes, class Visitor, int kStride, int kTaps>
DU_INLINE bool planar_windows(const SelectCall& call, const T* line, T* samples, P* positions, Range taps_y, int64_t base, int64_t step) {
  using E = Element<T, kLanes>;
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const int64_t taps = kTaps ? kTaps : columns.size;
  Visitor visitor;
  visitor.open_lanes(positions);
  for (int64_t ky = taps_y.begin; ky < taps_y.end; ++ky, line += rows.dilation * call.plane_strides[2]) {
    const int64_t code = rule.code(ky, 0);
    // Rows that the windows above did not read.
    if (kLanes == kManyLanes<T> && kStride && ky >= rows.size - rows.stride) fetch_ahead<kStride * kLanes * static_cast<int64_t>(sizeof(T))>(line);
    const auto first = load_strided<E, kStride>(line, columns.stride, true);
    ky == taps_y.begin ? visitor.first_lanes(first, code) : visitor.visit_lanes(first, code);
#pragma GCC unroll 3
    for (int64_t kx = 1; kx < taps; ++kx) {
      visitor.visit_lanes(load_strided<E, kStride>(line + kx * columns.dilation, columns.stride, false), code + rule.code(0, kx));
    }
  }
  if (!visitor.is_right()) return false;
  visitor.close_lanes(samples, positions, base, step);
  return true;
}

// One row of windows where columns lie side by side (channels-first); needs kLanes windows inside the plane for vectors.
template <class T, class P, int64_t kLanes, class Visitor, int kStride, int kTaps>
void planar_row(const SelectCall& call, const T* plane, T* samples, P* positions, int64_t row) {
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range taps_y = taps_inside(rows, row), inside = windows_inside(columns);
  int64_t x = 0;
  const auto one = [&](int64_t column) {
    one_window<T, P, Visitor>(call, plane, samples + column, positions ? positions + column : nullptr, row, column);
  };
  if (taps_y.begin < taps_y.end && inside.end - inside.begin >= kLanes) {
    for (; x < inside.begin; ++x) one(x);
    const int64_t step = rule.column_step(), row_base = rule.base(row, 0);
    const T* top = plane + (window_start(rows, row) + taps_y.begin * rows.dilation) * call.plane_strides[2];
    for (; x < inside.end; x += kLanes) {
      x = smaller(x, inside.end - kLanes);  // the last vector repeats some
      const T* line = top + window_start(columns, x);
      const int64_t base = row_base + x * step;
      P* position = positions ? positions + x : nullptr;
      if (planar_windows<T, P, kLanes, typename Visitor::Quick, kStride, kTaps>(call, line, samples + x, position, taps_y, base, step)) continue;
      planar_windows<T, P, kLanes, Visitor, kStride, 0>(call, line, samples + x, position, taps_y, base, step);
    }
  }
  for (; x < columns.out; ++x) one(x);
}

// All channels of one window where they lie side by side, at least kLanes of them.
template <class T, class P, int64_t kLanes, class Visitor>
DU_INLINE void window_channels(const SelectCall& call, const T* corner, T* sample, P* position, Range taps_y, Range taps_x, int64_t base) {
  using E = Element<T, kLanes>;
  const PositionRule<P> rule(call);
  const int64_t down = wrapping_product(call.rows.dilation, call.plane_strides[2]);
  const int64_t right = wrapping_product(call.columns.dilation, call.plane_strides[3]);
  for (int64_t c = 0; c < call.channels; c += kLanes) {
    c = smaller(c, call.channels - kLanes);  // the last vector repeats some
    P* at = position ? position + c : nullptr;
    const T* line = corner + c;
    Visitor visitor;
    visitor.open_lanes(at);
    visitor.first_lanes(E::load(line), rule.code(taps_y.begin, taps_x.begin));
    for (int64_t kx = taps_x.begin + 1; kx < taps_x.end; ++kx) {
      visitor.visit_lanes(E::load(line + (kx - taps_x.begin) * right), rule.code(taps_y.begin, kx));
    }
    for (int64_t ky = taps_y.begin + 1; ky < taps_y.end; ++ky) {
      line += down;
      for (int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
        visitor.visit_lanes(E::load(line + (kx - taps_x.begin) * right), rule.code(ky, kx));
      }
    }
    visitor.close_lanes(sample + c, at, base, 0);
  }
}

// One row of windows where channels lie side by side (channels-last).
template <class T, class P, template <int64_t> class Visitor>
void channel_row(const SelectCall& call, const T* plane, T* samples, P* positions, int64_t row) {
  const PositionRule<P> rule(call);
  const Axis &rows = call.rows, &columns = call.columns;
  const Range taps_y = taps_inside(rows, row);
  for (int64_t x = 0; x < columns.out; ++x) {
    const Range taps_x = taps_inside(columns, x);
    T* sample = samples + x * call.sample_strides[3];
    P* position = positions ? positions + x * call.position_strides[3] : nullptr;
    if (call.channels >= kFewLanes<T> && taps_y.begin < taps_y.end && taps_x.begin < taps_x.end) {
      const int64_t base = rule.base(row, x);
      const T* corner = plane + (window_start(rows, row) + taps_y.begin * rows.dilation) * call.plane_strides[2] +
                        (window_start(columns, x) + taps_x.begin * columns.dilation) * call.plane_strides[3];
      if (call.channels >= kManyLanes<T>) {
        window_channels<T, P, kManyLanes<T>, Visitor<kManyLanes<T>>>(call, corner, sample, position, taps_y, taps_x, base);
      } else {
        window_channels<T, P, kFewLanes<T>, Visitor<kFewLanes<T>>>(call, corner, sample, position, taps_y, taps_x, base);
      }
      continue;
    }
    for (int64_t c = 0; c < call.channels; ++c) {
      one_window<T, P, Visitor<1>>(call, plane + c, sample + c, position ? position + c : nullptr, row, x);
    }
  }
}

template <class T, class P, int64_t kLanes, class Visitor>
auto choose_planar_row_of(const SelectCall& call) {
  const int64_t stride = call.columns.stride, taps = call.columns.size;
  if (stride == 1) return taps == 3 ? planar_row<T, P, kLanes, Visitor, 1, 3> : planar_row<T, P, kLanes, Visitor, 1, 0>;
  // A window of one column would not need the last sample that a vector of stride 2 reads.
  if (stride == 2 && taps == 2) return planar_row<T, P, kLanes, Visitor, 2, 2>;
  if (stride == 2 && taps > 1) return taps == 3 ? planar_row<T, P, kLanes, Visitor, 2, 3> : planar_row<T, P, kLanes, Visitor, 2, 0>;
  return planar_row<T, P, kLanes, Visitor, 0, 0>;
}

template <class T, class P, template <int64_t> class Visitor>
auto choose_planar_row(const SelectCall& call) {
  constexpr int64_t kMany = kManyLanes<T>, kFew = kFewLanes<T>;
  const Range inside = windows_inside(call.columns);
  const bool is_wide = inside.end - inside.begin >= kMany && call.columns.stride <= 2;
  return is_wide ? choose_planar_row_of<T, P, kMany, Visitor<kMany>>(call) : choose_planar_row_of<T, P, kFew, Visitor<kFew>>(call);
}

template <class T, class P, template <int64_t> class Visitor>
void to_samples(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  const bool vectors = codes_fit(call, sizeof(P) == 8, sizeof(T) == 8);
  const bool planar = vectors && call.plane_strides[3] == 1 && call.sample_strides[3] == 1 &&
                      (!call.positions || call.position_strides[3] == 1);
  const bool by_channel = vectors && !(planar && call.channels == 1) && call.plane_strides[1] == 1 && call.sample_strides[1] == 1 &&
                          (!call.positions || call.position_strides[1] == 1);
  const auto run_row = choose_planar_row<T, P, Visitor>(call);
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels;
  // In floating point: the product of legal sizes may exceed 64 bits.
  const double row_taps = static_cast<double>(columns.out) * static_cast<double>(smaller(rows.size, rows.in)) *
                          static_cast<double>(smaller(columns.size, columns.in)) * static_cast<double>(by_channel ? call.channels : 1);
  parallel_for(planes * rows.out, larger(1, static_cast<int64_t>(32768 / (row_taps + 1))), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, rows.out);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t row = at.row, n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      const T* plane = static_cast<const T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
      T* samples = static_cast<T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1] +
                   row * call.sample_strides[2];
      P* positions = call.positions ? static_cast<P*>(call.positions) + n * call.position_strides[0] +
                                          c * call.position_strides[1] + row * call.position_strides[2]
                                    : nullptr;
      if (by_channel) {
        channel_row<T, P, Visitor>(call, plane, samples, positions, row);
      } else if (planar) {
        run_row(call, plane, samples, positions, row);
      } else {
        for (int64_t x = 0; x < columns.out; ++x) {
          one_window<T, P, Visitor<1>>(call, plane, samples + x * call.sample_strides[3],
                                       positions ? positions + x * call.position_strides[3] : nullptr, row, x);
        }
      }
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
