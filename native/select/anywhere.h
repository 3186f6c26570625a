// Flat positions that may point anywhere in their plane, and windows that overlap: rare, so written plainly. A plane is
// worked through by one thread, in the order of the samples.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// Another thread of the program may write to the positions meanwhile: what was checked must be what is used.
template <class P>
DU_INLINE P read_once(const P* position) {
  return __atomic_load_n(position, __ATOMIC_RELAXED);
}

// The place in its plane that a position points to, or -1 where it points outside.
template <class P>
DU_INLINE int64_t place_of(const SelectCall& call, P position, int64_t row, int64_t column) {
  const PositionRule<P> rule(call);
  const int64_t pixels = call.rows.in * call.columns.in;
  if constexpr (sizeof(P) == 8) {
    return position >= 0 && position < pixels ? position : -1;
  } else {
    const int64_t tap_row = position / call.columns.size, tap_column = position % call.columns.size;
    const Range taps_y = taps_inside(call.rows, row), taps_x = taps_inside(call.columns, column);
    if (tap_row < taps_y.begin || tap_row >= taps_y.end || tap_column < taps_x.begin || tap_column >= taps_x.end) return -1;
    return (window_start(call.rows, row) + tap_row * call.rows.dilation) * call.columns.in +
           window_start(call.columns, column) + tap_column * call.columns.dilation;
  }
}

DU_INLINE int64_t place_offset(const SelectCall& call, int64_t place) {
  return place / call.columns.in * call.plane_strides[2] + place % call.columns.in * call.plane_strides[3];
}

// plane is zeroed, then each sample is put at its position; a later one replaces an earlier one. Returns how many positions
// lay in the plane.
template <class T, class P>
int64_t put_anywhere(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  int64_t total = 0;
  parallel_for(call.batch * call.channels, 1, threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / call.channels, c = i % call.channels;
      T* plane = static_cast<T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
      const T* samples = static_cast<const T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1];
      const P* positions = static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1];
      for (int64_t y = 0; y < rows.in; ++y) {
        for (int64_t x = 0; x < columns.in; ++x) plane[y * call.plane_strides[2] + x * call.plane_strides[3]] = T{};
      }
      for (int64_t y = 0; y < rows.out; ++y) {
        for (int64_t x = 0; x < columns.out; ++x) {
          const int64_t place = place_of<P>(call, read_once(positions + y * call.position_strides[2] + x * call.position_strides[3]), y, x);
          if (place < 0) continue;
          plane[place_offset(call, place)] = samples[y * call.sample_strides[2] + x * call.sample_strides[3]];
          ++found;
        }
      }
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// The transpose of put_anywhere: samples read their place, zero where a later sample replaced them. `seen` holds a byte-aligned
// bit field for each plane. Returns how many positions lay in the plane.
template <class T, class P>
int64_t take_kept(const SelectCall& call, uint8_t* seen, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  const int64_t plane_bytes = (rows.in * columns.in + 7) / 8;
  int64_t total = 0;
  parallel_for(call.batch * call.channels, 1, threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / call.channels, c = i % call.channels;
      uint8_t* bits = seen + i * plane_bytes;
      __builtin_memset(bits, 0, static_cast<uint64_t>(plane_bytes));
      const T* plane = static_cast<const T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
      T* samples = static_cast<T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1];
      const P* positions = static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1];
      for (int64_t y = rows.out - 1; y >= 0; --y) {
        for (int64_t x = columns.out - 1; x >= 0; --x) {
          T* sample = samples + y * call.sample_strides[2] + x * call.sample_strides[3];
          *sample = T{};
          const int64_t place = place_of<P>(call, read_once(positions + y * call.position_strides[2] + x * call.position_strides[3]), y, x);
          if (place < 0) continue;
          ++found;
          const uint8_t bit = static_cast<uint8_t>(1u << (place & 7));
          if (bits[place >> 3] & bit) continue;
          bits[place >> 3] = static_cast<uint8_t>(bits[place >> 3] | bit);
          *sample = plane[place_offset(call, place)];
        }
      }
    }
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

}  // namespace DU_ISA
}  // namespace downup
