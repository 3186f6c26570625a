// Plane by plane, sample by sample: for flat positions that may point anywhere in their plane, and for planes too narrow for
// vectors. A plane is worked through by one thread, in the order of the samples.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// Another thread of the program may write to the positions meanwhile: what was checked must be what is used.
template <class P>
DU_INLINE P read_once(const P* position) {
  return __atomic_load_n(position, __ATOMIC_RELAXED);
}

constexpr int64_t kOutside = INT64_MIN;

// Where a position points to: row * down + column * right, or kOutside when that is off the plane. With the plane's strides
// this is the way in memory from its first sample. Flat positions may point anywhere, or into their own windows only.
template <class P>
class Places {
 public:
  DU_INLINE Places(const SelectCall& call, int64_t down, int64_t right, bool is_bound_to_windows)
      : is_bound_to_windows_(is_bound_to_windows), call_(call), inside_x_(windows_inside(call.columns)), inside_y_(windows_inside(call.rows)), down_(down), right_(right) {
    if constexpr (sizeof(P) == 1) {
      taps_ = call.rows.size * call.columns.size;
      for (int64_t tap = 0; tap < taps_; ++tap) {
        way_[tap] = wrapping_sum(wrapping_product(tap / call.columns.size * call.rows.dilation, down_),
                                 wrapping_product(tap % call.columns.size * call.columns.dilation, right_));
      }
    } else {
      taps_ = call.rows.in * call.columns.in;
      is_packed_ = down_ == right_ * call.columns.in;
    }
  }

  DU_INLINE int64_t of(P position, int64_t row, int64_t column) const {
    if constexpr (sizeof(P) == 8) {
      if (position < 0 || position >= taps_) return kOutside;
      if (is_bound_to_windows_ && !(has_tap(call_.rows, row, position / call_.columns.in) && has_tap(call_.columns, column, position % call_.columns.in))) {
        return kOutside;
      }
      return is_packed_ ? position * right_ : position / call_.columns.in * down_ + position % call_.columns.in * right_;
    } else {
      if (position >= taps_) return kOutside;
      const int64_t top = window_start(call_.rows, row), left = window_start(call_.columns, column);
      if (row < inside_y_.begin || row >= inside_y_.end || column < inside_x_.begin || column >= inside_x_.end) {
        const int64_t y = top + position / call_.columns.size * call_.rows.dilation;
        const int64_t x = left + position % call_.columns.size * call_.columns.dilation;
        if (y < 0 || y >= call_.rows.in || x < 0 || x >= call_.columns.in) return kOutside;
      }
      return wrapping_sum(wrapping_sum(wrapping_product(top, down_), wrapping_product(left, right_)), way_[position]);
    }
  }

 private:
  static DU_INLINE bool has_tap(const Axis& axis, int64_t window, int64_t at) {
    const int64_t way = at - window_start(axis, window);
    return way >= 0 && divides(axis.dilation, way) && floor_div(way, axis.dilation) < axis.size;
  }

  bool is_bound_to_windows_;
  const SelectCall& call_;
  Range inside_x_, inside_y_;
  int64_t down_, right_, taps_, way_[256];
  bool is_packed_ = false;
};

template <class T>
DU_INLINE T* plane_at(const SelectCall& call, int64_t plane_index) {
  return static_cast<T*>(call.plane) + plane_index / call.channels * call.plane_strides[0] +
         plane_index % call.channels * call.plane_strides[1];
}

// Calls visit(sample, way) for every sample of a plane, forwards or backwards. Returns how many were not outside.
template <class T, class P, bool kForwards, class Visit>
DU_INLINE int64_t for_each_place(const SelectCall& call, const Places<P>& places, int64_t plane_index, Visit visit) {
  const int64_t n = plane_index / call.channels, c = plane_index % call.channels;
  T* samples = static_cast<T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1];
  const P* positions = static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1];
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

template <class T>
DU_INLINE void clear_plane(const SelectCall& call, int64_t plane_index) {
  T* plane = plane_at<T>(call, plane_index);
  for (int64_t y = 0; y < call.rows.in; ++y) {
    T* row = plane + y * call.plane_strides[2];
    if (call.plane_strides[3] == 1) {
      __builtin_memset(row, 0, static_cast<uint64_t>(call.columns.in) * sizeof(T));
      continue;
    }
    for (int64_t x = 0; x < call.columns.in; ++x) row[x * call.plane_strides[3]] = T{};
  }
}

// Runs work(plane index) on every plane and adds up what it returns.
template <class F>
DU_INLINE int64_t sum_over_planes(const SelectCall& call, int64_t threads, F work) {
  int64_t total = 0;
  const int64_t samples = call.rows.out * call.columns.out + 1;
  parallel_for(call.batch * call.channels, larger(1, 16384 / samples), threads, [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) found += work(i);
    __atomic_fetch_add(&total, found, __ATOMIC_RELAXED);
  });
  return total;
}

// The plane is cleared, then each sample is added or put at its position; one that is put replaces an earlier one. To be added,
// it must lie in its own window. bfloat16 is rounded at each addition.
template <class T, class P, bool kAdds>
int64_t scatter(const SelectCall& call, int64_t threads) {
  using E = Element<T, 1>;
  const Places<P> places(call, call.plane_strides[2], call.plane_strides[3], kAdds);
  return sum_over_planes(call, threads, [&](int64_t i) {
    clear_plane<T>(call, i);
    T* plane = plane_at<T>(call, i);
    return for_each_place<T, P, true>(call, places, i, [=](const T* sample, int64_t way) {
      if (way == kOutside) return;
      if constexpr (kAdds) {
        E::put(plane + way, E::get(plane + way) + E::get(sample));
      } else {
        plane[way] = *sample;
      }
    });
  });
}

// Each sample reads its place in its own window, or is zero.
template <class T, class P>
int64_t gather(const SelectCall& call, int64_t threads) {
  const Places<P> places(call, call.plane_strides[2], call.plane_strides[3], true);
  return sum_over_planes(call, threads, [&](int64_t i) {
    const T* plane = plane_at<T>(call, i);
    return for_each_place<T, P, true>(call, places, i, [=](T* sample, int64_t way) { *sample = way == kOutside ? T{} : plane[way]; });
  });
}

// The same for samples that were put: zero where a later one replaced them. `seen` holds a bit for every place.
template <class T, class P>
int64_t gather_kept(const SelectCall& call, uint8_t* seen, int64_t threads) {
  const int64_t columns = call.columns.in, plane_bytes = (call.rows.in * columns + 7) / 8;
  const int64_t down = call.plane_strides[2], right = call.plane_strides[3];
  const Places<P> places(call, columns, 1, false);
  return sum_over_planes(call, threads, [&](int64_t i) {
    uint8_t* bits = seen + i * plane_bytes;
    __builtin_memset(bits, 0, static_cast<uint64_t>(plane_bytes));
    const T* plane = plane_at<T>(call, i);
    return for_each_place<T, P, false>(call, places, i, [=](T* sample, int64_t index) {
      *sample = T{};
      if (index == kOutside) return;
      const uint8_t bit = static_cast<uint8_t>(1u << (index & 7));
      if (!(bits[index >> 3] & bit)) *sample = plane[index / columns * down + index % columns * right];
      bits[index >> 3] = static_cast<uint8_t>(bits[index >> 3] | bit);
    });
  });
}

}  // namespace DU_ISA
}  // namespace downup
