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
    is_quick = bound <= INT32_MAX && static_cast<uint64_t>(bound) <= (uint64_t{1} << 32) / divisor;
  }
  DU_INLINE int64_t operator()(int64_t n) const {
    const uint64_t value = static_cast<uint64_t>(n);
    return static_cast<int64_t>(is_quick ? value * factor >> 32 : value / divisor);
  }
};

// The taps of a window that lie on the plane, as what a position may be.
struct Allowed {
  int64_t rows, columns;  // so many taps
  int64_t first_code;     // of the first of them
  int64_t first_place;    // the same as a flat position
};

DU_INLINE Allowed allowed_of(const SelectCall& call, int64_t row, Range taps_y, int64_t column, Range taps_x) {
  const int64_t y = window_start(call.rows, row) + taps_y.begin * call.rows.dilation;
  const int64_t x = window_start(call.columns, column) + taps_x.begin * call.columns.dilation;
  return {taps_y.end - taps_y.begin, taps_x.end - taps_x.begin, taps_y.begin * call.tap_columns + taps_x.begin, y * call.columns.in + x};
}

template <class P>
class Coder;

template <>
class Coder<uint8_t> {
 public:
  explicit DU_INLINE Coder(const SelectCall& call) : columns_(call.columns.size), tap_columns_(call.tap_columns) {
    for (int64_t i = 0; i < 256 && tap_columns_ != columns_; ++i) recoded_[i] = static_cast<uint8_t>(i / columns_ * tap_columns_ + i % columns_);
  }

  // A run of positions of windows that allow the same. Returns how many are good; of the others, any code is written.
  DU_INLINE int64_t run(const uint8_t* from, uint8_t* codes, int64_t count, const Allowed& allowed, int64_t) const {
    __builtin_memcpy(codes, from, static_cast<uint64_t>(count));
    forget_memory();
    const bool is_whole_rows = allowed.columns == columns_;
    const int64_t first_row = allowed.first_code / tap_columns_, first_column = allowed.first_code % tap_columns_;
    int64_t good = 0;
    if (is_whole_rows) {
      const uint8_t low = static_cast<uint8_t>(first_row * columns_), last = static_cast<uint8_t>(allowed.rows * columns_ - 1);
      uint8_t is_bad = 0;
      for (int64_t i = 0; i < count; ++i) is_bad |= static_cast<uint8_t>(codes[i] - low) > last;
      good = count;
      if (is_bad) {
        for (int64_t i = 0; i < count; ++i) good -= static_cast<uint8_t>(codes[i] - low) > last;
      }
    } else {
      uint8_t is_good[256] = {};
      for (int64_t y = first_row; y < first_row + allowed.rows; ++y) {
        for (int64_t x = first_column; x < first_column + allowed.columns; ++x) is_good[y * columns_ + x] = 1;
      }
      for (int64_t i = 0; i < count; ++i) good += is_good[codes[i]];
    }
    if (tap_columns_ != columns_) {
      for (int64_t i = 0; i < count; ++i) codes[i] = recoded_[codes[i]];
    }
    return good;
  }

 private:
  int64_t columns_, tap_columns_;
  uint8_t recoded_[256];
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
    if (by_row_.is_quick && right_ == 1) {
      // Lanes of 64 bits; a negative way becomes a huge one.
      const Lanes limit = Lanes{} + static_cast<uint64_t>((allowed.rows - 1) * down_ + allowed.columns);
      const uint64_t columns = static_cast<uint64_t>(allowed.columns), first = static_cast<uint64_t>(allowed.first_code);
      Lanes origin, found{};
      for (int64_t k = 0; k < kLanes; ++k) origin[k] = static_cast<uint64_t>(allowed.first_place + k * step);
      for (; i + kLanes <= count; i += kLanes) {
        const Lanes position = load_as<Lanes>(from + i);
        forget_memory();
        const Lanes way = position - origin;
        const Lanes tap_row = (way * by_row_.factor) >> 32, tap_column = way - tap_row * static_cast<uint64_t>(down_);
        const Lanes is_good = bit_cast<Lanes>((way < limit) & (tap_column < columns));
        const Lanes code = (tap_row * static_cast<uint64_t>(tap_columns_) + tap_column + first) & is_good;
        store_as(codes + i, convert_lanes<uint8_t, kLanes, uint64_t>(code));
        found -= is_good;
        origin += static_cast<uint64_t>(kLanes * step);
      }
      for (int64_t k = 0; k < kLanes; ++k) good += static_cast<int64_t>(found[k]);
    }
    for (; i < count; ++i) {
      const int64_t code = one(read_once(from + i), allowed, i * step);
      good += code >= 0;
      codes[i] = static_cast<uint8_t>(code);
    }
    return good;
  }

 private:
  static constexpr int64_t kLanes = kVectorBytes / 8;
  using Lanes = Vector<uint64_t, kLanes>;

  DU_INLINE int64_t one(int64_t position, const Allowed& allowed, int64_t ahead) const {
    const uint64_t way = static_cast<uint64_t>(position) - static_cast<uint64_t>(allowed.first_place + ahead);
    if (way > static_cast<uint64_t>((allowed.rows - 1) * down_ + (allowed.columns - 1) * right_)) return -1;
    const int64_t tap_row = by_row_(static_cast<int64_t>(way)), rest = static_cast<int64_t>(way) - tap_row * down_;
    const int64_t tap_column = right_ == 1 ? rest : rest / right_;
    if (tap_column * right_ != rest || tap_column >= allowed.columns) return -1;
    return allowed.first_code + tap_row * tap_columns_ + tap_column;
  }

  int64_t down_, right_, tap_columns_;
  Divider by_row_;
};

// One row of windows; `stride` and `repeats` are 1 and the channels where these lie side by side. Windows with the same taps on
// the plane are done together.
template <class P>
int64_t code_row(const SelectCall& call, const Coder<P>& coder, const P* positions, uint8_t* codes, int64_t row, bool by_channel) {
  const Axis& columns = call.columns;
  const Range taps_y = taps_inside(call.rows, row), inside = windows_inside(columns);
  const int64_t position_step = call.position_strides[3], code_step = call.code_strides[3];
  const bool in_runs = by_channel ? position_step == code_step : position_step == 1;
  const int64_t channels = by_channel ? call.channels : 1;
  int64_t found = 0;
  for (int64_t x = 0; x < columns.out;) {
    const Range taps_x = taps_inside(columns, x);
    // Flat positions of one channel differ from window to window, so that a run of them is of one row or of one window.
    int64_t windows = 1;
    if (in_runs && x == inside.begin && (sizeof(P) == 1 || !by_channel)) windows = larger(1, inside.end - inside.begin);
    uint8_t* to = codes + x * code_step;
    if (taps_y.begin < taps_y.end && taps_x.begin < taps_x.end) {
      const Allowed allowed = allowed_of(call, row, taps_y, x, taps_x);
      found += coder.run(positions + x * position_step, to, windows * channels, allowed, by_channel ? 0 : columns.stride);
    } else {
      __builtin_memset(to, 0, static_cast<uint64_t>(channels));
      windows = 1;
    }
    x += windows;
  }
  if (call.gap) __builtin_memset(codes + columns.out * code_step, kNone, static_cast<uint64_t>(call.gap));
  return found;
}

template <class P>
int64_t to_codes(const SelectCall& call, int64_t threads) {
  const bool by_channel = call.codes_by_channel;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels, rows = call.rows.out;
  const Coder<P> coder(call);
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
      found += code_row(call, coder, positions, codes, at.row, by_channel);
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// A window over the same place as window (0, 0), if its code is that of this one less `code`: `ahead` codes further on.
struct Later {
  int64_t rows, ahead;
  uint8_t code;
};
constexpr int64_t kMostLater = 512;

// The caller gives tap_columns so large that no two taps of neighbouring windows have one code by chance, and a gap that keeps
// rows apart.
DU_INLINE int64_t find_later(const SelectCall& call, Later* later) {
  const Axis &rows = call.rows, &columns = call.columns;
  const int64_t reach_y = (rows.size - 1) * rows.dilation, reach_x = (columns.size - 1) * columns.dilation;
  int64_t count = 0;
  for (int64_t down = 0; down * rows.stride <= reach_y; ++down) {
    if (!divides(rows.dilation, down * rows.stride)) continue;
    for (int64_t right = down ? -(reach_x / columns.stride) : 1; right * columns.stride <= reach_x; ++right) {
      if (!divides(columns.dilation, right * columns.stride)) continue;
      const int64_t code = down * rows.stride / rows.dilation * call.tap_columns + right * columns.stride / columns.dilation;
      later[count++] = {down, down * call.code_strides[2] + right * call.code_strides[3], static_cast<uint8_t>(code)};
    }
  }
  return count;
}

inline void keep_last(const SelectCall& call, uint8_t* kept, int64_t threads) {
  using Bytes = Vector<uint8_t, kVectorBytes>;
  const bool by_channel = call.codes_by_channel;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels, rows = call.rows.out, pitch = call.code_strides[2];
  Later later[kMostLater];
  const int64_t count = find_later(call, later);
  parallel_for(planes * rows, larger(1, 32768 / (pitch + 8)), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, rows);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      const int64_t place = n * call.code_strides[0] + c * call.code_strides[1] + at.row * pitch;
      const uint8_t* codes = call.codes + place;
      for (int64_t x = 0; x < pitch; x += kVectorBytes) {
        const Bytes code = load_as<Bytes>(codes + x);
        Bytes result = code;
        for (int64_t k = 0; k < count; ++k) {
          if (at.row + later[k].rows >= rows) break;
          const auto is_same = load_as<Bytes>(codes + x + later[k].ahead) == code - later[k].code;
          result = is_same ? Bytes{} + kNone : result;
        }
        const int64_t rest = pitch - x;
        __builtin_memcpy(kept + place + x, &result, static_cast<uint64_t>(rest < kVectorBytes ? rest : kVectorBytes));
      }
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
