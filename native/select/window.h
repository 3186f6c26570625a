// Which taps of a window lie on the plane, and how a tap is written down as a position.
#pragma once

#include "../simd.h"
#include "call.h"

namespace downup {
namespace DU_ISA {


// Division rounding down and up, for b > 0. Most strides and dilations are 1 or 2, and a division costs 20 cycles.
DU_INLINE int64_t floor_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  if (b == 2) return a >> 1;
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}
DU_INLINE int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// For a way in memory that is only used where it stays inside a view: elsewhere it may be any number.
DU_INLINE int64_t wrapping_product(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
DU_INLINE int64_t wrapping_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

struct Range {
  int64_t begin, end;
};

DU_INLINE bool divides(int64_t b, int64_t a) { return b == 1 || a % b == 0; }

DU_INLINE int64_t window_start(const Axis& axis, int64_t window) {
  return axis.is_adaptive ? window * axis.in / axis.out : window * axis.stride - axis.before;
}

// The starts of one window after the other, without a division for each.
struct StartCursor {
  int64_t start, step, remainder = 0, more, out;
  explicit DU_INLINE StartCursor(const Axis& axis)
      : start(window_start(axis, 0)), step(axis.is_adaptive ? axis.in / axis.out : axis.stride), more(axis.is_adaptive ? axis.in % axis.out : 0), out(axis.out) {}
  DU_INLINE void next() {
    start += step;
    remainder += more;
    if (remainder >= out) {
      remainder -= out;
      ++start;
    }
  }
};

// The taps of a window that fall on the plane; empty where the window sees padding only.
DU_INLINE Range taps_inside(const Axis& axis, int64_t window) {
  const int64_t start = window_start(axis, window);
  if (axis.is_adaptive) return {0, ((window + 1) * axis.in + axis.out - 1) / axis.out - start};
  const int64_t begin = start >= 0 ? 0 : ceil_div(-start, axis.dilation);
  if (start + (axis.size - 1) * axis.dilation < axis.in) return {begin, larger(begin, axis.size)};
  return {begin, larger(begin, floor_div(axis.in - 1 - start, axis.dilation) + 1)};
}

// The windows that lie on the plane with all taps of the largest; none is promised to be of an adaptive axis.
DU_INLINE Range windows_inside(const Axis& axis) {
  if (axis.is_adaptive) return {0, 0};
  const int64_t begin = smaller(axis.out, ceil_div(axis.before, axis.stride));
  const int64_t last = floor_div(axis.in - 1 - (axis.size - 1) * axis.dilation + axis.before, axis.stride);
  return {begin, larger(begin, smaller(axis.out, last + 1))};
}

// The windows that may have a tap on sample `at`: those of them for which (at - window_start) is a multiple of dilation.
DU_INLINE Range windows_over(const Axis& axis, int64_t at) {
  if (axis.is_adaptive) return {at * axis.out / axis.in, ((at + 1) * axis.out - 1) / axis.in + 1};
  const int64_t begin = larger(0, ceil_div(at + axis.before - (axis.size - 1) * axis.dilation, axis.stride));
  const int64_t end = smaller(axis.out, floor_div(at + axis.before, axis.stride) + 1);
  return {begin, larger(begin, end)};
}

// At least the number of windows over any one sample.
DU_INLINE int64_t most_windows_over(const Axis& axis) {
  return axis.is_adaptive ? axis.out / axis.in + 2 : ceil_div((axis.size - 1) * axis.dilation + 1, axis.stride);
}

// A position is base(window) + code(tap): for offsets base is 0 and the code counts taps, for flat positions base is the
// place of tap (0, 0) in the plane and the code the way from there.
template <class P>
struct PositionRule;

template <>
struct PositionRule<uint8_t> {
  explicit DU_INLINE PositionRule(const SelectCall& call) : tap_columns(call.tap_columns) {}
  DU_INLINE int64_t base(int64_t, int64_t) const { return 0; }
  DU_INLINE int64_t code(int64_t tap_row, int64_t tap_column) const { return tap_row * tap_columns + tap_column; }
  static constexpr int64_t kNowhere = 0;
  DU_INLINE int64_t column_step() const { return 0; }
  int64_t tap_columns;
};

template <>
struct PositionRule<int64_t> {
  explicit DU_INLINE PositionRule(const SelectCall& call) : rows(call.rows), columns(call.columns) {}
  DU_INLINE int64_t base(int64_t window_row, int64_t window_column) const {
    return window_start(rows, window_row) * columns.in + window_start(columns, window_column);
  }
  DU_INLINE int64_t code(int64_t tap_row, int64_t tap_column) const {
    return tap_row * rows.dilation * columns.in + tap_column * columns.dilation;
  }
  static constexpr int64_t kNowhere = -1;
  DU_INLINE int64_t column_step() const { return columns.stride; }
  const Axis& rows;
  const Axis& columns;
};

// Codes as lanes that compare with a code, and written as a vector of positions: base + step * lane + code.
template <class T, int64_t kLanes>
struct Codes {
  using Integer = typename Arithmetic<T>::Integer;
  using Mask = typename Element<T, kLanes>::Mask;
  using Unsigned = typename IntegerOf<sizeof(Integer), uint8_t>::type;
  // 64-bit positions are handled in pieces of one native vector: the compiler takes larger ones apart lane by lane.
  static constexpr int64_t kPiece = kLanes < kVectorBytes / 8 ? kLanes : kVectorBytes / 8;
  using Piece = Vector<int64_t, kPiece>;

  static DU_INLINE Piece ramp() {
    Piece lanes;
    for (int64_t i = 0; i < kPiece; ++i) lanes[i] = i;
    return lanes;
  }
  static DU_INLINE void store(uint8_t* p, const Mask& code, int64_t, int64_t) {
    store_as(p, resize_lanes<uint8_t, kLanes, Unsigned>(bit_cast<Vector<Unsigned, kLanes>>(code)));
  }
  static DU_INLINE void store(int64_t* p, const Mask& code, int64_t base, int64_t step) {
    Integer codes[kLanes];
    store_as(codes, code);
    for (int64_t i = 0; i < kLanes; i += kPiece) {
      const Piece wide = convert_lanes<int64_t, kPiece, Integer>(load_as<Vector<Integer, kPiece>>(codes + i));
      store_as(p + i, wide + (base + i * step) + ramp() * step);
    }
  }
  // Compared as bytes: the result is widened, not the codes.
  static DU_INLINE Mask equal(const Vector<uint8_t, kLanes>& codes, int64_t code) {
    return resize_lanes<Integer, kLanes, int8_t>(bit_cast<Vector<int8_t, kLanes>>(codes == static_cast<uint8_t>(code)));
  }
};

// Rows (plane by plane) that one piece of work goes through: the divisions are made once, not for every row.
struct RowCursor {
  int64_t plane, row, rows;
  DU_INLINE RowCursor(int64_t index, int64_t rows_of_a_plane) : plane(index / rows_of_a_plane), row(index % rows_of_a_plane), rows(rows_of_a_plane) {}
  DU_INLINE void next() {
    if (++row == rows) {
      row = 0;
      ++plane;
    }
  }
};

// Lanes of 32 bits hold the code of a flat position only on planes of fewer than 2^31 samples.
DU_INLINE bool codes_fit(const SelectCall& call, bool is_flat, bool is_wide) {
  return !is_flat || is_wide || call.rows.in <= INT32_MAX / call.columns.in;
}

}  // namespace DU_ISA
}  // namespace downup
