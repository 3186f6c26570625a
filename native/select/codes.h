// Positions come from outside: each is read once, checked against its own window, and written down as a code, so that the
// kernels after this one trust what they read. A code is a byte; a flat position has eight.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// Another thread of the program may write to the positions meanwhile: what was checked must be what is used.
template <class P>
DU_INLINE P read_once(const P* position) {
  return __atomic_load_n(position, __ATOMIC_RELAXED);
}

// What was loaded before is not loaded again.
DU_INLINE void forget_memory() { __asm__ volatile("" ::: "memory"); }

// n / divisor for 0 <= n < bound, by a multiplication where that is exact.
struct Divider {
  uint64_t divisor, factor;
  bool is_quick;
  DU_INLINE Divider(int64_t d, int64_t bound) : divisor(static_cast<uint64_t>(d)), factor((uint64_t{1} << 32) / divisor + 1) {
    is_quick = d > 1 && bound <= INT32_MAX && static_cast<uint64_t>(bound) <= (uint64_t{1} << 32) / divisor;
  }
  DU_INLINE int64_t operator()(int64_t n) const {
    const uint64_t value = static_cast<uint64_t>(n);
    return static_cast<int64_t>(is_quick ? value * factor >> 32 : value / divisor);
  }
};

// The taps of a window that lie on the plane, as what a position may be.
struct Allowed {
  int64_t rows, columns;            // so many taps
  int64_t first_row, first_column;  // of the first of them in the window
  int64_t first_place;              // the same as a flat position
};

DU_INLINE Allowed allowed_of(const SelectCall& call, int64_t row, Range taps_y, int64_t column, Range taps_x) {
  const int64_t y = window_start(call.rows, row) + taps_y.begin * call.rows.dilation;
  const int64_t x = window_start(call.columns, column) + taps_x.begin * call.columns.dilation;
  return {taps_y.end - taps_y.begin, taps_x.end - taps_x.begin, taps_y.begin, taps_x.begin, y * call.columns.in + x};
}

// All windows of a small plane, one after the other: planes too narrow for rows of vectors are done as one row.
constexpr int64_t kMostListed = 1024;

DU_INLINE bool is_listed(const SelectCall& call) {
  return call.batch * call.channels >= 8 && call.rows.out <= kMostListed && call.rows.out * call.columns.out <= kMostListed && !call.has_blind;
}

template <class P>
class Coder;

template <>
class Coder<uint8_t> {
 public:
  explicit DU_INLINE Coder(const SelectCall& call) : columns_(call.columns.size), tap_columns_(call.tap_columns) {
    int64_t row = 0, column = 0;
    for (int64_t i = 0; i < 256; ++i) {
      row_of_[i] = static_cast<uint8_t>(row);
      column_of_[i] = static_cast<uint8_t>(column);
      recoded_[i] = static_cast<uint8_t>(row * tap_columns_ + column);
      if (++column == columns_) {
        column = 0;
        ++row;
      }
    }
  }

  // A run of positions of windows that allow the same. Returns how many are good; of the others, any code is written.
  DU_INLINE int64_t run(const uint8_t* from, uint8_t* codes, int64_t count, const Allowed& allowed, int64_t) const {
    const uint8_t first_row = static_cast<uint8_t>(allowed.first_row), rows = static_cast<uint8_t>(allowed.rows - 1);
    const uint8_t first_column = static_cast<uint8_t>(allowed.first_column), columns = static_cast<uint8_t>(allowed.columns - 1);
    int64_t good = 0;
    if (allowed.columns < columns_ || count < 16) {
      for (int64_t i = 0; i < count; ++i) {
        const uint8_t code = read_once(from + i);
        good += static_cast<uint8_t>(row_of_[code] - first_row) <= rows && static_cast<uint8_t>(column_of_[code] - first_column) <= columns;
        codes[i] = recoded_[code];
      }
      return good;
    }
    const uint8_t low = static_cast<uint8_t>(first_row * columns_), last = static_cast<uint8_t>(allowed.rows * columns_ - 1);
    const bool is_bad = count < kVectorBytes ? copy_run<16>(from, codes, count, low, last) : copy_run<kVectorBytes>(from, codes, count, low, last);
    good = count;
    for (int64_t i = 0; is_bad && i < count; ++i) good -= static_cast<uint8_t>(codes[i] - low) > last;
    for (int64_t i = 0; tap_columns_ != columns_ && i < count; ++i) codes[i] = recoded_[codes[i]];
    return good;
  }

  // At least one vector of codes as they are; the last one repeats some. Whether any is not from `low` up to `low + last`.
  template <int64_t kBytes>
  static DU_INLINE bool copy_run(const uint8_t* from, uint8_t* codes, int64_t count, uint8_t low, uint8_t last) {
    using Bytes = Vector<uint8_t, kBytes>;
    auto is_bad = Bytes{} > Bytes{};
    for (int64_t i = 0; i < count; i += kBytes) {
      const int64_t at = smaller(i, count - kBytes);
      const Bytes code = load_as<Bytes>(from + at);
      forget_memory();
      is_bad |= (code - low) > last;
      store_as(codes + at, code);
    }
    const auto halves = bit_cast<Vector<uint64_t, kBytes / 8>>(is_bad);
    uint64_t any = 0;
    for (int64_t i = 0; i < kBytes / 8; ++i) any |= halves[i];
    return any;
  }

  // What each window of a plane allows: a bit for every code. Only for windows of at most 64 taps.
  struct List {
    uint64_t allowed[kMostListed];
  };
  DU_INLINE bool can_list() const { return true; }
  DU_INLINE void list(List& into, int64_t index, const Allowed& allowed) const {
    uint64_t bits = 0;
    for (int64_t y = 0; y < allowed.rows; ++y) bits |= ((uint64_t{1} << allowed.columns) - 1) << (y * columns_);
    into.allowed[index] = bits << (allowed.first_row * columns_ + allowed.first_column);
  }
  DU_INLINE int64_t plane(const uint8_t* from, uint8_t* codes, int64_t count, const List& list) const {
    __builtin_memcpy(codes, from, static_cast<uint64_t>(count));
    forget_memory();
    int64_t good = 0;
    for (int64_t i = 0; i < count; ++i) good += codes[i] < 64 ? static_cast<int64_t>(list.allowed[i] >> (codes[i] & 63) & 1) : 0;
    return good;
  }

 private:
  int64_t columns_, tap_columns_;
  uint8_t row_of_[256], column_of_[256], recoded_[256];
};

template <>
class Coder<int64_t> {
 public:
  explicit DU_INLINE Coder(const SelectCall& call)
      : down_(call.rows.dilation * call.columns.in), right_(call.columns.dilation), tap_columns_(call.tap_columns),
        by_row_(down_, smaller(call.rows.in, (call.rows.size - 1) * call.rows.dilation + 1) * call.columns.in) {}

  // The same; the windows are `step` places apart.
  DU_INLINE int64_t run(const int64_t* from, uint8_t* codes, int64_t count, const Allowed& allowed, int64_t step) const {
    int64_t good = 0, i = 0;
    if (by_row_.is_quick && right_ == 1 && count >= kLanes) {
      Lanes lane, found{};
      for (int64_t k = 0; k < kLanes; ++k) lane[k] = static_cast<uint64_t>(k);
      Lanes origin = lane * static_cast<uint64_t>(step) + static_cast<uint64_t>(allowed.first_place);
      const Lanes rows = Lanes{} + static_cast<uint64_t>(allowed.rows), columns = Lanes{} + static_cast<uint64_t>(allowed.columns);
      const Lanes first = Lanes{} + static_cast<uint64_t>(first_code(allowed));
      // The last vector comes first: what others share with it is read again, and only what was read last is counted and kept.
      if (const int64_t rest = count % kLanes; rest) {
        const int64_t last = count - kLanes;
        const Lanes good_lanes = several(from + last, codes + last, origin + static_cast<uint64_t>(last * step), rows, columns, first);
        found = good_lanes & bit_cast<Lanes>(lane >= static_cast<uint64_t>(kLanes - rest));
      }
      for (; i + kLanes <= count; i += kLanes) {
        found += several(from + i, codes + i, origin, rows, columns, first);
        origin += static_cast<uint64_t>(kLanes * step);
      }
      return sum(found);
    }
    for (; i < count; ++i) good += one(from + i, codes + i, allowed, first_code(allowed), i * step);
    return good;
  }

  struct List {
    int64_t place[kMostListed], rows[kMostListed], columns[kMostListed], code[kMostListed];
  };
  DU_INLINE void list(List& into, int64_t index, const Allowed& allowed) const {
    into.place[index] = allowed.first_place;
    into.rows[index] = allowed.rows;
    into.columns[index] = allowed.columns;
    into.code[index] = first_code(allowed);
  }
  DU_INLINE int64_t plane(const int64_t* from, uint8_t* codes, int64_t count, const List& list) const {
    int64_t i = 0;
    Lanes found{};
    for (; i + kLanes <= count; i += kLanes) {
      found += several(from + i, codes + i, load_as<Lanes>(list.place + i), load_as<Lanes>(list.rows + i), load_as<Lanes>(list.columns + i),
                       load_as<Lanes>(list.code + i));
    }
    int64_t good = sum(found);
    for (; i < count; ++i) good += one(from + i, codes + i, {list.rows[i], list.columns[i], 0, 0, list.place[i]}, list.code[i], 0);
    return good;
  }
  DU_INLINE bool can_list() const { return by_row_.is_quick && right_ == 1; }

 private:
  static constexpr int64_t kLanes = kVectorBytes / 8;
  using Lanes = Vector<uint64_t, kLanes>;

  DU_INLINE int64_t first_code(const Allowed& allowed) const { return allowed.first_row * tap_columns_ + allowed.first_column; }

  static DU_INLINE int64_t sum(const Lanes& found) {
    int64_t total = 0;
    for (int64_t k = 0; k < kLanes; ++k) total += static_cast<int64_t>(found[k]);
    return total;
  }

  // A negative way is a huge one. Of a bad position any code is written.
  DU_INLINE Lanes several(const int64_t* from, uint8_t* codes, const Lanes& origin, const Lanes& rows, const Lanes& columns, const Lanes& first) const {
    const Lanes position = load_as<Lanes>(from);
    forget_memory();
    const Lanes way = position - origin;
    // By halves, as all are far below 2^32 where the way is good.
    const Lanes down = Lanes{} + static_cast<uint64_t>(down_);
    const Lanes tap_row = multiply_halves<kLanes>(way, Lanes{} + by_row_.factor) >> 32, tap_column = way - multiply_halves<kLanes>(tap_row, down);
    const Lanes limit = multiply_halves<kLanes>(rows, down);
    const Lanes is_good = bit_cast<Lanes>((way < limit) & (tap_column < columns));
    const Lanes code = multiply_halves<kLanes>(tap_row, Lanes{} + static_cast<uint64_t>(tap_columns_)) + tap_column + first;
    store_as(codes, resize_lanes<uint8_t, kLanes, uint64_t>(code));
    return bit_cast<Lanes>(-bit_cast<Vector<int64_t, kLanes>>(is_good));
  }

  DU_INLINE int64_t one(const int64_t* from, uint8_t* code, const Allowed& allowed, int64_t first, int64_t ahead) const {
    const int64_t position = read_once(from);
    const uint64_t way = static_cast<uint64_t>(position) - static_cast<uint64_t>(allowed.first_place + ahead);
    *code = 0;
    if (way > static_cast<uint64_t>((allowed.rows - 1) * down_ + (allowed.columns - 1) * right_)) return 0;
    const int64_t tap_row = by_row_(static_cast<int64_t>(way)), rest = static_cast<int64_t>(way) - tap_row * down_;
    const int64_t tap_column = right_ == 1 ? rest : rest / right_;
    if (tap_column * right_ != rest || tap_column >= allowed.columns) return 0;
    *code = static_cast<uint8_t>(first + tap_row * tap_columns_ + tap_column);
    return 1;
  }

  int64_t down_, right_, tap_columns_;
  Divider by_row_;
};

// Windows of a row with the same taps on the plane.
struct Segment {
  int64_t begin, count;
  Range taps;
};

// The segment that begins with this window.
DU_INLINE Segment segment_at(const Axis& columns, int64_t x) {
  const Range inside = windows_inside(columns);
  return {x, x == inside.begin ? larger(1, inside.end - inside.begin) : 1, taps_inside(columns, x)};
}
constexpr int64_t kMostSegments = 16;

// One row of windows.
template <class P>
DU_INLINE int64_t code_row(const SelectCall& call, const Coder<P>& coder, const P* positions, uint8_t* codes, int64_t row, const Segment* segments) {
  const Axis& columns = call.columns;
  const Range taps_y = taps_inside(call.rows, row);
  const bool by_channel = call.codes_by_channel;
  const int64_t position_step = call.position_strides[3], code_step = call.code_strides[3];
  // Whether the windows of a segment are one run of positions; else each window is a run of its channels.
  const bool in_runs = by_channel ? position_step == code_step && sizeof(P) == 1 : position_step == 1;
  const int64_t channels = by_channel ? call.channels : 1;
  int64_t found = 0;
  for (int64_t x = 0, i = 0; x < columns.out; ++i) {
    const Segment segment = i < kMostSegments ? segments[i] : segment_at(columns, x);
    uint8_t* to = codes + x * code_step;
    if (taps_y.begin < taps_y.end && segment.taps.begin < segment.taps.end) {
      const Allowed allowed = allowed_of(call, row, taps_y, x, segment.taps);
      const int64_t step = by_channel ? 0 : columns.stride, together = in_runs ? segment.count : 1, count = together * channels;
      for (int64_t k = 0; k < segment.count; k += together) {
        Allowed here = allowed;
        here.first_place += k * columns.stride;
        found += coder.run(positions + (x + k) * position_step, to + k * code_step, count, here, step);
      }
    } else {
      for (int64_t k = 0; k < segment.count; ++k) __builtin_memset(to + k * code_step, 0, static_cast<uint64_t>(channels));
    }
    x += segment.count;
  }
  if (call.gap) __builtin_memset(codes + columns.out * code_step, kNone, static_cast<uint64_t>(call.gap));
  return found;
}

// Small planes, each as one row.
template <class P>
int64_t to_codes_by_list(const SelectCall& call, const Coder<P>& coder, int64_t threads) {
  typename Coder<P>::List list;
  for (int64_t row = 0; row < call.rows.out; ++row) {
    const Range taps_y = taps_inside(call.rows, row);
    for (int64_t x = 0; x < call.columns.out; ++x) {
      coder.list(list, row * call.columns.out + x, allowed_of(call, row, taps_y, x, taps_inside(call.columns, x)));
    }
  }
  const int64_t count = call.rows.out * call.columns.out;
  int64_t total = 0;
  parallel_for(call.batch * call.channels, larger(1, 65536 / (count + 8)), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    RowCursor at(begin, call.channels);  // planes are the rows of an image
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = at.plane, c = at.row;
      found += coder.plane(static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1],
                           call.codes + n * call.code_strides[0] + c * call.code_strides[1], count, list);
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// Whether all windows allow all offsets, and these lie as the codes will: then there is but one run.
template <class P>
DU_INLINE bool is_uniform(const SelectCall& call) {
  if (sizeof(P) > 1 || call.gap || call.rows.is_adaptive || call.columns.is_adaptive || call.tap_columns != call.columns.size) return false;
  const int64_t sizes[4] = {call.batch, call.channels, call.rows.out, call.columns.out};
  int64_t codes = 1;
  for (int i = 0; i < 4; ++i) {
    if (sizes[i] > 1 && call.position_strides[i] != call.code_strides[i]) return false;
    codes *= i ? sizes[i] : 1;
  }
  const Range inside_y = windows_inside(call.rows), inside_x = windows_inside(call.columns);
  return codes == call.code_strides[0] && inside_y.end - inside_y.begin == call.rows.out && inside_x.end - inside_x.begin == call.columns.out;
}

template <class P>
int64_t to_codes(const SelectCall& call, int64_t threads) {
  const bool by_channel = call.codes_by_channel;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels, rows = call.rows.out;
  const Coder<P> coder(call);
  if (is_uniform<P>(call)) {
    const Range all_y{0, call.rows.size}, all_x{0, call.columns.size};
    const Allowed allowed = allowed_of(call, 0, all_y, 0, all_x);
    int64_t found = 0;
    parallel_for(call.batch * call.code_strides[0], 65536, threads, [&](int64_t begin, int64_t end) {
      const int64_t good = coder.run(reinterpret_cast<const P*>(static_cast<const uint8_t*>(call.positions) + begin), call.codes + begin, end - begin, allowed, 0);
      __atomic_fetch_add(&found, good, __ATOMIC_RELAXED);
    });
    return found;
  }
  const bool is_packed = call.position_strides[3] == 1 && (rows == 1 || call.position_strides[2] == call.columns.out);
  const bool few_taps = sizeof(P) == 8 || call.rows.size * call.columns.size <= 63;
  if (!by_channel && is_packed && !call.gap && few_taps && call.tap_columns == call.columns.size && is_listed(call) && coder.can_list()) {
    return to_codes_by_list(call, coder, threads);
  }
  Segment segments[kMostSegments];
  for (int64_t x = 0, i = 0; i < kMostSegments; ++i) {
    segments[i] = x < call.columns.out ? segment_at(call.columns, x) : Segment{};
    x += segments[i].count;
  }
  int64_t total = 0;
  const int64_t row_work = call.columns.out * (by_channel ? call.channels : 1) + 8;
  parallel_for(planes * rows, larger(1, 65536 / row_work), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    RowCursor at(begin, rows);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      const P* positions = static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1] +
                           at.row * call.position_strides[2];
      uint8_t* codes = call.codes + n * call.code_strides[0] + c * call.code_strides[1] + at.row * call.code_strides[2];
      if (at.row == 0 && call.gap) __builtin_memset(codes - call.gap, kNone, static_cast<uint64_t>(call.gap));
      found += code_row(call, coder, positions, codes, at.row, segments);
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
