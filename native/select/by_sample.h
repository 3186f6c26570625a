// Sample by sample, by codes: for windows that overlap, planes too narrow for vectors, and few channels. A plane is worked
// through by one thread, in the order of the samples.
#pragma once

#include "codes.h"

namespace downup {
namespace DU_ISA {

// The way in memory from the first tap of a window to that of each code; 0 for a code of no tap.
struct Ways {
  int64_t of[256] = {};
  DU_INLINE Ways(const SelectCall& call, int64_t down, int64_t right) {
    const Axis &rows = call.rows, &columns = call.columns;
    for (int64_t y = 0; y < rows.size; ++y) {
      for (int64_t x = 0; x < columns.size; ++x) {
        of[y * call.tap_columns + x] = wrapping_sum(wrapping_product(y * rows.dilation, down), wrapping_product(x * columns.dilation, right));
      }
    }
  }
};

DU_INLINE bool is_empty(Range range) { return range.begin >= range.end; }

// Calls visit(window's column, way of its sample in memory) for a row of windows that is on the plane; no window was blind, or
// each is asked.
template <class F>
DU_INLINE void for_each_code(const SelectCall& call, const Ways& ways, const uint8_t* codes, int64_t right, F visit) {
  const int64_t code_step = call.position_strides[3];
  if (!call.has_blind && !call.columns.is_adaptive) {
    const int64_t step = wrapping_product(call.columns.stride, right);
    int64_t way = -wrapping_product(call.columns.before, right);
    for (int64_t x = 0; x < call.columns.out; ++x, way = wrapping_sum(way, step), codes += code_step) visit(x, wrapping_sum(way, ways.of[*codes]), *codes);
    return;
  }
  StartCursor left(call.columns);
  for (int64_t x = 0; x < call.columns.out; ++x, left.next()) {
    if (call.has_blind && is_empty(taps_inside(call.columns, x))) continue;
    const uint8_t code = codes[x * code_step];
    visit(x, wrapping_sum(wrapping_product(left.start, right), ways.of[code]), code);
  }
}

// Runs work(n, c) on every plane.
template <class F>
DU_INLINE void for_each_plane(const SelectCall& call, int64_t threads, F work) {
  const int64_t samples = call.rows.out * call.columns.out + 1;
  parallel_for(call.batch * call.channels, larger(1, 4096 / samples), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, call.channels);  // planes are the rows of an image
    for (int64_t i = begin; i < end; ++i, at.next()) work(at.plane, at.row);
  });
}

template <class T>
DU_INLINE T* plane_at(const SelectCall& call, int64_t n, int64_t c) {
  return static_cast<T*>(call.plane) + n * call.plane_strides[0] + c * call.plane_strides[1];
}
template <class T>
DU_INLINE T* samples_at(const SelectCall& call, int64_t n, int64_t c) {
  return static_cast<T*>(call.samples) + n * call.sample_strides[0] + c * call.sample_strides[1];
}
template <class P>
DU_INLINE const P* positions_at(const SelectCall& call, int64_t n, int64_t c) {
  return static_cast<const P*>(call.positions) + n * call.position_strides[0] + c * call.position_strides[1];
}

template <class T>
DU_INLINE void clear_rows(const SelectCall& call, T* plane, int64_t begin, int64_t end) {
  if (call.plane_strides[3] == 1 && call.plane_strides[2] == call.columns.in) {
    if (begin < end) __builtin_memset(plane + begin * call.columns.in, 0, static_cast<uint64_t>((end - begin) * call.columns.in) * sizeof(T));
    return;
  }
  for (int64_t y = begin; y < end; ++y) {
    T* row = plane + y * call.plane_strides[2];
    if (call.plane_strides[3] == 1) {
      __builtin_memset(row, 0, static_cast<uint64_t>(call.columns.in) * sizeof(T));
      continue;
    }
    for (int64_t x = 0; x < call.columns.in; ++x) row[x * call.plane_strides[3]] = T{};
  }
}

template <class T, bool kAdds>
DU_INLINE void put_sample(T* place, const T* sample) {
  using E = Element<T, 1>;
  if constexpr (kAdds) {
    E::put(place, E::get(place) + E::get(sample));
  } else {
    *place = *sample;
  }
}

// Where the first tap of each window of a small plane lies in memory, so that its samples are one row.
struct Listed {
  int64_t origin[kMostListed], count = 0;
  DU_INLINE Listed(const SelectCall& call, int64_t down, int64_t right) {
    const bool is_packed = call.sample_strides[3] == 1 && call.position_strides[3] == 1 &&
                           (call.rows.out == 1 || (call.sample_strides[2] == call.columns.out && call.position_strides[2] == call.columns.out));
    if (!is_packed || !is_listed(call)) return;
    for (int64_t row = 0; row < call.rows.out; ++row) {
      StartCursor left(call.columns);
      for (int64_t x = 0; x < call.columns.out; ++x, left.next()) {
        origin[count++] = wrapping_sum(wrapping_product(window_start(call.rows, row), down), wrapping_product(left.start, right));
      }
    }
  }
};

// By codes: each sample is added or put; one that is put replaces an earlier one. Rows are cleared just before they are needed.
template <class T, bool kAdds>
void scatter_codes(const SelectCall& call, int64_t threads) {
  const int64_t down = call.plane_strides[2], right = call.plane_strides[3];
  const Ways ways(call, down, right);
  const Listed listed(call, down, right);
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    T* plane = plane_at<T>(call, n, c);
    if (listed.count) {
      clear_rows(call, plane, 0, call.rows.in);
      const T* samples = samples_at<T>(call, n, c);
      const uint8_t* codes = positions_at<uint8_t>(call, n, c);
      for (int64_t i = 0; i < listed.count; ++i) put_sample<T, kAdds>(plane + wrapping_sum(listed.origin[i], ways.of[codes[i]]), samples + i);
      return;
    }
    int64_t cleared = 0;
    for (int64_t row = 0; row < call.rows.out; ++row) {
      const Range taps_y = taps_inside(call.rows, row);
      if (is_empty(taps_y)) continue;
      const int64_t top = window_start(call.rows, row), below = top + (taps_y.end - 1) * call.rows.dilation + 1;
      clear_rows(call, plane, cleared, below);
      cleared = larger(cleared, below);
      const T* samples = samples_at<T>(call, n, c) + row * call.sample_strides[2];
      const int64_t origin = wrapping_product(top, down);
      for_each_code(call, ways, positions_at<uint8_t>(call, n, c) + row * call.position_strides[2], right, [&](int64_t x, int64_t way, uint8_t) {
        put_sample<T, kAdds>(plane + wrapping_sum(origin, way), samples + x * call.sample_strides[3]);
      });
    }
    clear_rows(call, plane, cleared, call.rows.in);
  });
}

// By codes: each sample reads its place, and is zero where its code is that of no tap.
template <class T>
void gather_codes(const SelectCall& call, int64_t threads) {
  const int64_t down = call.plane_strides[2], right = call.plane_strides[3];
  const Ways ways(call, down, right);
  const Listed listed(call, down, right);
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    const T* plane = plane_at<T>(call, n, c);
    if (listed.count) {
      T* samples = samples_at<T>(call, n, c);
      const uint8_t* codes = positions_at<uint8_t>(call, n, c);
      for (int64_t i = 0; i < listed.count; ++i) samples[i] = plane[wrapping_sum(listed.origin[i], ways.of[codes[i]])];
      return;
    }
    for (int64_t row = 0; row < call.rows.out; ++row) {
      T* samples = samples_at<T>(call, n, c) + row * call.sample_strides[2];
      if (call.has_blind) {
        for (int64_t x = 0; x < call.columns.out; ++x) samples[x * call.sample_strides[3]] = T{};
        if (is_empty(taps_inside(call.rows, row))) continue;
      }
      const int64_t origin = wrapping_product(window_start(call.rows, row), down);
      const T zero{};
      for_each_code(call, ways, positions_at<uint8_t>(call, n, c) + row * call.position_strides[2], right, [&](int64_t x, int64_t way, uint8_t code) {
        const T* place = plane + wrapping_sum(origin, way);
        // Whatever the code, so that no branch has to be guessed.
        const T* const found[2] = {place, &zero};
        samples[x * call.sample_strides[3]] = *found[(call.gap != 0) & (code == kNone)];
      });
    }
  });
}

// Sums of bfloat16 are made in float32, in a plane of their own that fits the caches.
constexpr int64_t kMostSums = 4096;

template <class T>
void scatter_sums(const SelectCall& call, int64_t threads) {
  using E = Element<T, 1>;
  const Ways ways(call, call.columns.in, 1);
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    typename E::Scalar sums[kMostSums] = {};
    T* plane = plane_at<T>(call, n, c);
    for (int64_t row = 0; row < call.rows.out; ++row) {
      if (call.has_blind && is_empty(taps_inside(call.rows, row))) continue;
      const T* samples = samples_at<T>(call, n, c) + row * call.sample_strides[2];
      const int64_t origin = window_start(call.rows, row) * call.columns.in;
      for_each_code(call, ways, positions_at<uint8_t>(call, n, c) + row * call.position_strides[2], 1,
                    [&](int64_t x, int64_t way, uint8_t) { sums[origin + way] += E::get(samples + x * call.sample_strides[3]); });
    }
    for (int64_t y = 0; y < call.rows.in; ++y) {
      for (int64_t x = 0; x < call.columns.in; ++x) {
        E::put(plane + y * call.plane_strides[2] + x * call.plane_strides[3], sums[y * call.columns.in + x]);
      }
    }
  });
}

// Each sample reads its place unless a later one has it, on planes whose places are marked on the stack: no branch depends on
// the codes.
template <class T>
void gather_kept_codes(const SelectCall& call, int64_t threads) {
  using Bits = typename IntegerOf<sizeof(T), uint8_t>::type;
  const int64_t columns = call.columns.in, down = call.plane_strides[2], right = call.plane_strides[3];
  const int64_t sample_step = call.sample_strides[3], code_step = call.position_strides[3];
  const bool is_packed = right == 1 && down == columns;
  const Ways ways(call, columns, 1), to_place(call, down, right);
  for_each_plane(call, threads, [&](int64_t n, int64_t c) {
    uint8_t marks[kMostMarked];
    __builtin_memset(marks, 0, static_cast<uint64_t>(call.rows.in * columns));
    const T* plane = plane_at<T>(call, n, c);
    const auto take = [](T* sample, const T* place, uint8_t* mark) {
      const Bits is_first = static_cast<Bits>(static_cast<Bits>(*mark) - 1);  // all ones where no later sample was
      *mark = 1;
      *sample = bit_cast<T>(static_cast<Bits>(bit_cast<Bits>(*place) & is_first));
    };
    for (int64_t row = call.rows.out - 1; row >= 0; --row) {
      const int64_t top = window_start(call.rows, row), last = call.columns.out - 1;
      T* sample = samples_at<T>(call, n, c) + row * call.sample_strides[2] + last * sample_step;
      const uint8_t* code = positions_at<uint8_t>(call, n, c) + row * call.position_strides[2] + last * code_step;
      if (is_packed && !call.columns.is_adaptive) {
        int64_t origin = top * columns + window_start(call.columns, last);
        for (int64_t x = last; x >= 0; --x, sample -= sample_step, code -= code_step, origin -= call.columns.stride) {
          const int64_t index = origin + ways.of[*code];
          take(sample, plane + index, marks + index);
        }
        continue;
      }
      for (int64_t x = last; x >= 0; --x, sample -= sample_step, code -= code_step) {
        const int64_t left = window_start(call.columns, x);
        const int64_t way = wrapping_sum(wrapping_sum(wrapping_product(top, down), wrapping_product(left, right)), to_place.of[*code]);
        take(sample, plane + way, marks + top * columns + left + ways.of[*code]);
      }
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
