// Output row by output row: its input rows are summed into a line, then the line into the row.
#pragma once

#include "ways.h"

namespace downup {
namespace DU_ISA {

// The weighted rows of a run of elements into `line`. Many rows are added a few at a time: each of them is then read as it lies in
// memory, not a piece of a row here and a piece there.
template <class T>
DU_INLINE void combine_run(const T* from, int64_t stride, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t count,
                           typename Arithmetic<T>::Scalar* line) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kMost = 4;
  combine<T, Scalar, kImage, kExact>(from, stride, rows.part(0, smaller(rows.count, 2 * kMost)), count, line);
  for (int64_t k = 2 * kMost; k < rows.count; k += kMost) {
    combine<T, Scalar, kImage, kAdded>(from, stride, rows.part(k, smaller(rows.count - k, kMost)), count, line);
  }
}

// The weighted rows of the pixels [begin, end), `inner` elements each, into `line`.
template <class T>
DU_INLINE void combine_rows(const ResampleCall& call, const T* in, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t begin, int64_t end,
                            int64_t inner, typename Arithmetic<T>::Scalar* line) {
  const int64_t right = call.in_strides[3];
  if (right == inner) {
    combine_run<T>(in + begin * right, call.in_strides[2], rows, (end - begin) * inner, line);
  } else {
    for (int64_t x = begin; x < end; ++x) combine_run<T>(in + x * right, call.in_strides[2], rows, inner, line + (x - begin) * inner);
  }
}

// Samples whose taps reach further than a line holds: piece by piece, each element's sum kept meanwhile.
template <class T>
void add_up_far(const ResampleCall& call, const T* in, const TapList<typename Arithmetic<T>::Scalar>& rows,
                const TapList<typename Arithmetic<T>::Scalar>& columns, int64_t inner, typename Arithmetic<T>::Scalar divisor, T* out) {
  using Scalar = typename Arithmetic<T>::Scalar;
  Scalar line[kLine], sum[kLine / 4];
  const int64_t most = larger(1, kLine / inner);
  for (int64_t i = 0; i < inner; ++i) sum[i] = 0;
  for (int64_t k = 0; k < columns.count;) {
    // Taps whose samples follow each other share a pass over the rows.
    int64_t next = k + 1;
    while (next < columns.count && next - k < most && columns.index[next] == columns.index[k] + (next - k)) ++next;
    combine_rows<T>(call, in, rows, columns.index[k], columns.index[k] + (next - k), inner, line);
    for (const Scalar* at = line; k < next; ++k, at += inner) {
      const Scalar weight = columns.weight[k];
      for (int64_t i = 0; i < inner; ++i) sum[i] = k == 0 ? at[i] * weight : sum[i] + at[i] * weight;
    }
  }
  for (int64_t i = 0; i < inner; ++i) Element<T, 1>::put(out + i, divisor == 1 ? sum[i] : sum[i] / divisor);
}

// Whether to go through each window by itself: on the way up, and with many taps, it pays to sum each column over its rows once
// for all windows that it is in.
template <class Scalar>
bool is_window_quick(const ResampleCall& call, const TapList<Scalar>& rows, const TapList<Scalar>& columns) {
  return rows.count == 1 || (call.columns->out <= call.columns->in && rows.count * columns.count <= 9);
}

// Both tables with their weights, and the part of a row that each output column reads.
template <class T>
struct Tables {
  using Scalar = typename Arithmetic<T>::Scalar;
  WeightedTaps<Scalar> rows, columns;
  int32_t *first, *last;  // [columns out]
  bool copies_columns = true;  // each as it is

  static int64_t bytes(const ResampleCall& call) {
    return (call.rows->count + call.columns->count) * static_cast<int64_t>(sizeof(Scalar)) + call.columns->out * static_cast<int64_t>(2 * sizeof(int32_t)) + 64;
  }
  Tables(const ResampleCall& call, char* memory)
      : rows(*call.rows, reinterpret_cast<Scalar*>(memory)), columns(*call.columns, reinterpret_cast<Scalar*>(memory) + call.rows->count) {
    first = reinterpret_cast<int32_t*>(reinterpret_cast<Scalar*>(memory) + call.rows->count + call.columns->count);
    last = first + call.columns->out;
    for (int64_t x = 0; x < call.columns->out; ++x) {
      const TapList<Scalar> taps = columns.of(x);
      copies_columns &= is_one_sample(taps);
      first[x] = taps.count ? taps.index[0] : 0;
      last[x] = first[x] - (taps.count == 0);
      for (int64_t k = 1; k < taps.count; ++k) {
        first[x] = taps.index[k] < first[x] ? taps.index[k] : first[x];
        last[x] = taps.index[k] > last[x] ? taps.index[k] : last[x];
      }
    }
  }
};

// One output row of `inner` channels, where channels lie side by side.
template <class T, bool kStreams>
void channel_row(const ResampleCall& call, const Tables<T>& tables, const Plane<T>& plane, int64_t row, int64_t inner) {
  using Scalar = typename Arithmetic<T>::Scalar;
  alignas(64) Scalar line[kLine];
  TapList<Scalar> rows = tables.rows.of(row);
  const Scalar row_divisor = rows.divisor;
  rows.divisor = 1;
  T* out = plane.out + row * call.out_strides[2];
  const int64_t held = kLine / inner;
  constexpr Storing kStoring = kStreams ? kStreamed : kExact;
  // Copied as they are: to look at each pixel's taps takes twice as long, and short elements would have to be widened first.
  if (is_one_sample(rows) && row_divisor == 1 && tables.copies_columns) {
    const T* from = plane.in + rows.index[0] * call.in_strides[2];
    for (int64_t x = 0; x < call.columns->out; ++x) copy_run<T, kStoring>(from + call.columns->index[x] * call.in_strides[3], inner, out + x * call.out_strides[3]);
    return;
  }
  int64_t begin = 0, end = 0;  // the pixels in the line
  for (int64_t x = 0; x < call.columns->out; ++x) {
    TapList<Scalar> columns = tables.columns.of(x);
    columns.divisor *= row_divisor;
    T* to = out + x * call.out_strides[3];
    if (is_window_quick(call, rows, columns)) {
      combine_window<T, kStoring>(plane.in, call.in_strides[2], call.in_strides[3], rows, columns, inner, to);
      continue;
    }
    const int64_t first = tables.first[x], last = tables.last[x] + 1;
    if (last - first > held) {
      add_up_far<T>(call, plane.in, rows, columns, inner, columns.divisor, to);
      continue;
    }
    if (first < begin || last > end) {
      begin = first;
      end = smaller(first + held, call.columns->in);
      combine_rows<T>(call, plane.in, rows, begin, end, inner, line);
    }
    combine<Scalar, T, kNearby, kStoring>(line - begin * inner, inner, columns, inner, to);
  }
}

// How many blocks of a run lie in the line up to `end`, the first of them among them.
template <class T>
int64_t blocks_until(const Block<T>& block, int64_t end) {
  return block.run == 1 || block.advance == 0 ? block.run : smaller(block.run, 1 + (end - block.end) / block.advance);
}

// One output row as a line; block by block where the samples of a row do not lie side by side.
template <class T, bool kStreams>
void line_row(const ResampleCall& call, const Tables<T>& tables, const LinePlan<T>& plan, const Plane<T>& plane, int64_t row) {
  const int64_t inner = line_inner<T>(call);
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>;
  constexpr Storing kStoring = kStreams ? kStreamed : kExact;
  alignas(64) Scalar line[kLine + 4 * kLanes];
  TapList<Scalar> rows = tables.rows.of(row);
  const Scalar row_divisor = rows.divisor;
  rows.divisor = 1;
  T* out = plane.out + row * call.out_strides[2];
  const bool is_straight = is_one_sample(rows) && has_rows(call.in_strides, call.columns->in, inner) && call.columns->in * inner >= 2 * kLanes;
  const T* straight = plane.in + (is_straight ? rows.index[0] * call.in_strides[2] : 0);
  if (is_straight) {
    constexpr int64_t kTogether = 4 * kLanes;
    for (int64_t i = 0; i < call.columns->in * inner; i += kTogether) fetch_ahead<kTogether * static_cast<int64_t>(sizeof(T))>(straight + i);
  }
  const bool is_side_by_side = has_rows(call.out_strides, call.columns->out, inner);
  int64_t begin = 0, end = 0;  // the elements in the line, whole pixels
  for (int64_t b = 0, count; b < plan.count(); b += count) {
    const Block<T>& block = plan.block(b);
    count = is_side_by_side ? block.run : 1;
    T* to = out;
    T apart[kLanes];
    if (!is_side_by_side) to = apart - block.out;
    if (block.is_far) {
      // Whole pixels, also where the block begins or ends inside one.
      for (int64_t x = block.out / inner; x * inner < block.out + block.lanes; ++x) {
        const TapList<Scalar> columns = tables.columns.of(x);
        add_up_far<T>(call, plane.in, rows, columns, inner, row_divisor * columns.divisor, to + x * inner);
      }
    } else if (is_straight) {
      run_blocks<T, T, T, kStoring>(&block, count, straight, row_divisor, to);
    } else {
      if (block.begin < begin || block.end > end) {
        const int64_t first = block.begin / inner, last = smaller(first + kLine / inner, call.columns->in);
        begin = first * inner;
        end = last * inner;
        combine_rows<T>(call, plane.in, rows, first, last, inner, line);
      }
      count = smaller(count, blocks_until(block, end));
      run_blocks<T, Scalar, T, kStoring>(&block, count, line - begin, row_divisor, to);
    }
    if (!is_side_by_side) {
      for (int64_t i = 0; i < block.lanes; ++i) out[(block.out + i) * call.out_strides[3]] = apart[i];
    }
  }
}

}  // namespace DU_ISA
}  // namespace downup
