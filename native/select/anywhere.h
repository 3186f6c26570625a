// Sample by sample, by flat positions that may point anywhere in their plane.
#pragma once

#include "by_sample.h"
#include "to_plane.h"

namespace downup {
namespace DU_ISA {

constexpr int64_t kOutside = INT64_MIN;

// Where a position points to: row * down + column * right, or kOutside when that is off the plane, or off its own window.
template <class P, bool kOwnWindow>
class Places;

template <bool kOwnWindow>
class Places<int64_t, kOwnWindow> {
 public:
  DU_INLINE Places(const SelectCall& call, int64_t down, int64_t right)
      : call_(call), down_(down), right_(right), places_(call.rows.in * call.columns.in), is_packed_(down == right * call.columns.in) {}

  DU_INLINE int64_t of(int64_t position, int64_t row, int64_t column) const {
    if (position < 0 || position >= places_) return kOutside;
    if (kOwnWindow && !(has_tap(call_.rows, row, position / call_.columns.in) && has_tap(call_.columns, column, position % call_.columns.in))) {
      return kOutside;
    }
    return is_packed_ ? position * right_ : position / call_.columns.in * down_ + position % call_.columns.in * right_;
  }

 private:
  static DU_INLINE bool has_tap(const Axis& axis, int64_t window, int64_t at) {
    if (axis.is_adaptive) return window * axis.in < (at + 1) * axis.out && at * axis.out < (window + 1) * axis.in;
    const int64_t way = at - window_start(axis, window);
    return way >= 0 && divides(axis.dilation, way) && floor_div(way, axis.dilation) < taps_inside(axis, window).end;
  }

  const SelectCall& call_;
  int64_t down_, right_, places_;
  bool is_packed_;
};

// Codes, which were checked; that of a window that sees only padding means nothing.
template <bool kOwnWindow>
class Places<uint8_t, kOwnWindow> {
 public:
  DU_INLINE Places(const SelectCall& call, int64_t down, int64_t right) : call_(call), ways_(call, down, right), down_(down), right_(right) {}

  DU_INLINE int64_t of(uint8_t code, int64_t row, int64_t column) const {
    if (kOwnWindow && call_.has_blind && (is_empty(taps_inside(call_.rows, row)) || is_empty(taps_inside(call_.columns, column)))) return kOutside;
    const int64_t y = window_start(call_.rows, row), x = window_start(call_.columns, column);
    return wrapping_sum(wrapping_sum(wrapping_product(y, down_), wrapping_product(x, right_)), ways_.of[code]);
  }

 private:
  const SelectCall& call_;
  Ways ways_;
  int64_t down_, right_;
};

// Calls visit(sample, way) for every sample of a plane, forwards or backwards. Returns how many were not outside.
template <class T, class P, bool kForwards, class Place, class Visit>
DU_INLINE int64_t for_each_sample(const SelectCall& call, const Place& places, int64_t n, int64_t c, Visit visit) {
  T* samples = samples_at<T>(call, n, c);
  const P* positions = positions_at<P>(call, n, c);
  const int64_t rows = call.rows.out, columns = call.columns.out;
  int64_t found = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t y = kForwards ? i : rows - 1 - i;
    T* sample_row = samples + y * call.sample_strides[2];
    const P* position_row = positions + y * call.position_strides[2];
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t x = kForwards ? j : columns - 1 - j;
      const int64_t way = places.of(read_once(position_row + x * call.position_strides[3]), y, x);
      found += way != kOutside;
      visit(sample_row + x * call.sample_strides[3], way);
    }
  }
  return found;
}

// Clears a line past the caches.
DU_INLINE void clear_streaming(uint8_t* line, int64_t bytes) {
  using Bytes = Vector<uint8_t, kVectorBytes>;
  int64_t at = smaller(bytes, static_cast<int64_t>(-reinterpret_cast<uint64_t>(line) & (kVectorBytes - 1)));
  __builtin_memset(line, 0, static_cast<uint64_t>(at));
  for (; at + kVectorBytes <= bytes; at += kVectorBytes) stream_as(line + at, Bytes{});
  __builtin_memset(line + at, 0, static_cast<uint64_t>(bytes - at));
}

// Clears all planes before any sample is put, and returns whether it did: where the channels of a pixel lie side by side, as
// one plane's places would each lie in a cache line of their own; and where samples are so few that most of a plane would pass
// through the caches for nothing.
template <class T>
bool clear_together(const SelectCall& call, int64_t threads) {
  const int64_t* strides = call.plane_strides;
  const int64_t rows = call.rows.in, columns = call.columns.in;
  const bool by_channel = call.channels > 1 && strides[1] == 1 && strides[3] == call.channels;
  const bool is_sparse = call.streams && call.rows.out * call.columns.out <= rows * columns / 64;
  if (!by_channel && !(is_sparse && strides[3] == 1 && strides[2] == columns)) return false;
  // Rows of all channels, or planes.
  const int64_t lines = by_channel ? rows : call.channels, way = by_channel ? strides[2] : strides[1];
  const int64_t bytes = columns * (by_channel ? call.channels : rows) * static_cast<int64_t>(sizeof(T));
  parallel_for(call.batch * lines, larger(1, 65536 / bytes), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, lines);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      uint8_t* line = reinterpret_cast<uint8_t*>(plane_at<T>(call, at.plane, 0) + at.row * way);
      is_sparse ? clear_streaming(line, bytes) : static_cast<void>(__builtin_memset(line, 0, static_cast<uint64_t>(bytes)));
    }
    finish_streaming();
  });
  return true;
}

// The plane is cleared, then each sample is added at its position in its own window, or put: at a flat one anywhere.
template <class T, class P, bool kAdds>
int64_t scatter(const SelectCall& call, int64_t threads) {
  const Places<P, kAdds> places(call, call.plane_strides[2], call.plane_strides[3]);
  const bool is_cleared = clear_together<T>(call, threads);
  int64_t total = 0;
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    T* plane = plane_at<T>(call, n, c);
    if (!is_cleared) clear_rows(call, plane, 0, call.rows.in);
    const int64_t found = for_each_sample<T, P, true>(call, places, n, c, [=](const T* sample, int64_t way) {
      if (way != kOutside) put_sample<T, kAdds>(plane + way, sample);
    });
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// The plane is cleared, then each sample is added at its position in its own window, all samples of a place in float32 and
// rounded once. Few places have several: they are marked in the plane itself by two signalling NaNs, which no sum is.
template <class P>
int64_t scatter_sums_in_place(const SelectCall& call, int64_t threads) {
  constexpr uint16_t kOnce = 0x7f81, kOften = 0x7f82;
  const int64_t columns = call.columns.in, down = call.plane_strides[2], right = call.plane_strides[3];
  const Places<P, true> places(call, columns, 1);
  const bool is_cleared = clear_together<bfloat16>(call, threads);
  int64_t total = 0;
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    bfloat16* plane = plane_at<bfloat16>(call, n, c);
    const bfloat16* samples = samples_at<bfloat16>(call, n, c);
    const P* positions = positions_at<P>(call, n, c);
    if (!is_cleared) clear_rows(call, plane, 0, call.rows.in);
    const int64_t found = for_each_sample<bfloat16, P, true>(call, places, n, c, [=](const bfloat16*, int64_t index) {
      if (index == kOutside) return;
      bfloat16* place = plane + index / columns * down + index % columns * right;
      place->bits = place->bits ? kOften : kOnce;
    });
    for_each_sample<bfloat16, P, true>(call, places, n, c, [&](const bfloat16* sample, int64_t index) {
      if (index == kOutside) return;
      const int64_t y = index / columns, x = index % columns;
      bfloat16* place = plane + y * down + x * right;
      if (place->bits == kOften) return one_place<bfloat16, P, true>(call, place, samples, positions, y, x);
      if (place->bits != kOnce) return;
      *place = bfloat16{};
      put_sample<bfloat16, true>(place, sample);
    });
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// Each sample reads its place in its own window, or is zero.
template <class T>
int64_t far_take(const SelectCall& call, int64_t threads) {
  const Places<int64_t, true> places(call, call.plane_strides[2], call.plane_strides[3]);
  int64_t total = 0;
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    const T* plane = plane_at<T>(call, n, c);
    const int64_t found = for_each_sample<T, int64_t, true>(
        call, places, n, c, [=](T* sample, int64_t way) { *sample = way == kOutside ? T{} : plane[way]; });
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// Each sample reads its place unless a later one has it. `seen` holds a bit for every place.
template <class T, class P>
int64_t gather_kept(const SelectCall& call, uint8_t* seen, int64_t threads) {
  const int64_t columns = call.columns.in, plane_bytes = (call.rows.in * columns + 7) / 8;
  const int64_t down = call.plane_strides[2], right = call.plane_strides[3];
  const Places<P, false> places(call, columns, 1);
  int64_t total = 0;
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    uint8_t* bits = seen + (n * call.channels + c) * plane_bytes;
    __builtin_memset(bits, 0, static_cast<uint64_t>(plane_bytes));
    const T* plane = plane_at<T>(call, n, c);
    const int64_t found = for_each_sample<T, P, false>(call, places, n, c, [=](T* sample, int64_t index) {
      *sample = T{};
      if (index == kOutside) return;
      const uint8_t bit = static_cast<uint8_t>(1u << (index & 7));
      if (!(bits[index >> 3] & bit)) *sample = plane[index / columns * down + index % columns * right];
      bits[index >> 3] = static_cast<uint8_t>(bits[index >> 3] | bit);
    });
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
