// From one sample a window back to the plane, where windows lie side by side and are two columns wide: each place is in one window at
// most, and in the same column of it as every second place.
#pragma once

#include "../rearrange/interleave.h"
#include "window.h"

namespace downup {
namespace DU_ISA {

DU_INLINE bool is_tiled(const Axis& axis) {
  return !axis.is_adaptive && axis.size == axis.stride && axis.before == 0 && (axis.dilation == 1 || axis.size == 1) && axis.out <= axis.in / axis.size;
}

// The rows of one row of windows, at least a vector of them, and what is right of it.
template <class T, bool kAdds>
void tile_row(const SelectCall& call, T* plane, const T* samples, const uint8_t* codes) {
  constexpr int64_t kLanes = kManyLanes<T>;
  using E = Element<T, kLanes>;
  const int64_t windows = call.columns.out, down = call.plane_strides[2];
  // Rows that begin inside a line of the caches share it with the row before.
  const bool streams = call.streams && down * static_cast<int64_t>(sizeof(T)) % 64 == 0;
  const auto put = [&](T* place, const typename E::Lanes& lanes) DU_STEP { streams ? E::stream(place, lanes) : E::store(place, lanes); };
  // Row by row: the plane is then written as it lies in memory.
  for (int64_t y = 0; y < call.rows.size; ++y, plane += down) {
    for (int64_t x = 0; x < windows; x += kLanes) {
      x = smaller(x, windows - kLanes);  // the last vector repeats some
      const typename E::Lanes sample = E::load(samples + x);
      const auto code = load_as<Vector<uint8_t, kLanes>>(codes + x);
      typename E::Lanes pair[2];
      for (int64_t i = 0; i < 2; ++i) {
        pair[i] = choose(Codes<T, kLanes>::equal(code, y * call.tap_columns + i), sample, typename E::Lanes{});
        if (kAdds) pair[i] += typename E::Lanes{};  // as sums do: -0 becomes 0
      }
      interleave<kLanes, 2>(pair);
      put(plane + 2 * x, pair[0]);
      put(plane + 2 * x + kLanes, pair[1]);
    }
    for (int64_t x = 2 * windows; x < call.columns.in; ++x) plane[x] = T{};
  }
}

// False where windows lie otherwise, and nothing was done.
template <class T, bool kAdds>
bool to_tiles(const SelectCall& call, int64_t threads) {
  const Axis &rows = call.rows, &columns = call.columns;
  if (!is_tiled(rows) || !is_tiled(columns) || columns.size != 2 || columns.out < 16) return false;
  if (call.plane_strides[3] != 1 || call.sample_strides[3] != 1 || call.position_strides[3] != 1) return false;
  const int64_t row_work = columns.out * 2 * rows.size + 1;
  parallel_for(call.batch * call.channels * rows.out, larger(1, 32768 / row_work), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, rows.out);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = at.plane / call.channels, c = at.plane % call.channels, down = call.plane_strides[2];
      T* plane = static_cast<T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
      tile_row<T, kAdds>(call, plane + at.row * rows.size * down, static_cast<const T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1] + at.row * call.sample_strides[2],
          static_cast<const uint8_t*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1] + at.row * call.position_strides[2]);
      if (at.row + 1 < rows.out) continue;
      for (int64_t y = rows.out * rows.size; y < rows.in; ++y) __builtin_memset(plane + y * down, 0, static_cast<uint64_t>(columns.in) * sizeof(T));
    }
    finish_streaming();
  });
  return true;
}

}  // namespace DU_ISA
}  // namespace downup
