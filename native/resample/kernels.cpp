// The resample kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
//
// An output row is made in two passes: its input rows are summed into a line, then the line's samples into the row. A piece of a
// line fits the nearest cache; the second pass reads it there, or straight from the image where a row is copied.
#include <stdint.h>

#include "../threads.h"
#include "call.h"
#include "line.h"

namespace downup {
namespace DU_ISA {
namespace {

constexpr int64_t kLine = 4096;

int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Whether pixels hold a vector of channels or more, side by side on both images.
template <class T>
bool is_by_channel(const ResampleCall& call) {
  return call.channels >= kManyLanes<T> && call.in_strides[1] == 1 && call.out_strides[1] == 1;
}

// Whether pixels of a few channels lie side by side, so that a row is one line.
bool is_packed(const ResampleCall& call) {
  return call.channels > 1 && call.in_strides[1] == 1 && call.out_strides[1] == 1 && call.in_strides[3] == call.channels &&
         call.out_strides[3] == call.channels;
}

LineAxis line_axis(const ResampleCall& call) { return {call.columns, is_packed(call) ? call.channels : 1}; }

// An image's rows, as lines of `inner` elements a pixel.
template <class T>
struct Plane {
  const T* in;
  T* out;
};

template <class T>
Plane<T> plane_of(const ResampleCall& call, int64_t n, int64_t c) {
  return {static_cast<const T*>(call.in) + n * call.in_strides[0] + c * call.in_strides[1],
          static_cast<T*>(call.out) + n * call.out_strides[0] + c * call.out_strides[1]};
}

// The weighted rows of the pixels [begin, end), `inner` elements each, into `line`.
template <class T>
DU_INLINE void combine_rows(const ResampleCall& call, const T* in, const TapList<typename Arithmetic<T>::Scalar>& rows, int64_t begin, int64_t end,
                            int64_t inner, typename Arithmetic<T>::Scalar* line) {
  using Scalar = typename Arithmetic<T>::Scalar;
  const int64_t right = call.in_strides[3];
  if (right == inner) {
    combine<T, Scalar, false>(in + begin * right, call.in_strides[2], rows, (end - begin) * inner, line);
  } else {
    for (int64_t x = begin; x < end; ++x) combine<T, Scalar, false>(in + x * right, call.in_strides[2], rows, inner, line + (x - begin) * inner);
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
      const Scalar weight = static_cast<Scalar>(columns.weight[k]);
      for (int64_t i = 0; i < inner; ++i) sum[i] = k == 0 ? at[i] * weight : sum[i] + at[i] * weight;
    }
  }
  for (int64_t i = 0; i < inner; ++i) Element<T, 1>::put(out + i, divisor == 1 ? sum[i] : sum[i] / divisor);
}

// One output row of the channels [c, c + inner) where channels lie side by side.
template <class T, bool kStreams>
void channel_row(const ResampleCall& call, const Plane<T>& plane, int64_t row, int64_t inner) {
  using Scalar = typename Arithmetic<T>::Scalar;
  alignas(64) Scalar line[kLine];
  TapList<Scalar> rows = taps_of<T>(*call.rows, row);
  const Scalar row_divisor = rows.divisor;
  rows.divisor = 1;
  const T* from = plane.in + (is_one_sample(rows) ? rows.index[0] * call.in_strides[2] : 0);
  T* out = plane.out + row * call.out_strides[2];
  const int64_t held = kLine / inner;
  int64_t begin = 0, end = 0;  // the pixels in the line
  for (int64_t x = 0; x < call.columns->out; ++x) {
    TapList<Scalar> columns = taps_of<T>(*call.columns, x);
    columns.divisor *= row_divisor;
    T* to = out + x * call.out_strides[3];
    if (is_one_sample(rows)) {
      combine<T, T, kStreams>(from, call.in_strides[3], columns, inner, to);
      continue;
    }
    int64_t first = call.columns->in, last = 0;
    for (int64_t k = 0; k < columns.count; ++k) {
      first = smaller(first, columns.index[k]);
      last = larger(last, columns.index[k] + 1);
    }
    if (last - first > held) {
      add_up_far<T>(call, plane.in, rows, columns, inner, columns.divisor, to);
      continue;
    }
    if (columns.count > 0 && (first < begin || last > end)) {
      begin = first;
      end = smaller(first + held, call.columns->in);
      combine_rows<T>(call, plane.in, rows, begin, end, inner, line);
    }
    combine<Scalar, T, kStreams>(line - begin * inner, inner, columns, inner, to);
  }
}

// One output row as a line; block by block where the samples of a row do not lie side by side.
template <class T, bool kStreams>
void line_row(const ResampleCall& call, const LinePlan<T>& plan, const Plane<T>& plane, int64_t row, int64_t inner) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>;
  alignas(64) Scalar line[kLine + 4 * kLanes];
  TapList<Scalar> rows = taps_of<T>(*call.rows, row);
  const Scalar row_divisor = rows.divisor;
  rows.divisor = 1;
  T* out = plane.out + row * call.out_strides[2];
  const bool is_straight = is_one_sample(rows) && call.in_strides[3] == inner && call.columns->in * inner >= 2 * kLanes;
  const bool is_side_by_side = call.out_strides[3] == inner;
  int64_t begin = 0, end = 0;  // the elements in the line, whole pixels
  for (int64_t b = 0; b < plan.count(); ++b) {
    const Block<T>& block = plan.block(b);
    T* to = out;
    T apart[kLanes];
    if (!is_side_by_side) to = apart - block.out;
    if (is_straight) {
      run_block<T, T, kStreams>(block, plane.in + rows.index[0] * call.in_strides[2], row_divisor, to);
    } else if (block.end - block.begin <= kLine - 2 * inner) {
      if (block.begin < begin || block.end > end) {
        const int64_t first = block.begin / inner, last = smaller(first + kLine / inner, call.columns->in);
        begin = first * inner;
        end = last * inner;
        combine_rows<T>(call, plane.in, rows, first, last, inner, line);
      }
      run_block<T, Scalar, kStreams>(block, line - begin, row_divisor, to);
    } else {
      for (int64_t i = block.out; i < block.out + block.lanes; ++i) {
        const TapList<Scalar> columns = taps_of<T>(*call.columns, i / inner);
        add_up_far<T>(call, plane.in + i % inner, rows, columns, 1, row_divisor * columns.divisor, to + i);
      }
    }
    if (!is_side_by_side) {
      for (int64_t i = 0; i < block.lanes; ++i) out[(block.out + i) * call.out_strides[3]] = apart[i];
    }
  }
}

// How many channels a piece of work takes.
template <class T>
int64_t channels_together(const ResampleCall& call) {
  return is_by_channel<T>(call) ? smaller(call.channels, kLine / 4) : is_packed(call) ? call.channels : 1;
}

template <class T>
int64_t scratch_bytes(const ResampleCall& call) {
  return is_by_channel<T>(call) ? 1 : LinePlan<T>::bytes(line_axis(call));
}

template <class T, bool kStreams>
void run_rows(const ResampleCall& call, void* scratch, int64_t threads) {
  const int64_t inner = channels_together<T>(call), groups = (call.channels + inner - 1) / inner, rows = call.rows->out;
  const bool by_channel = is_by_channel<T>(call);
  LinePlan<T> plan;
  if (!by_channel) plan.make(line_axis(call), scratch);
  // Work is counted in taps of both passes.
  const double row_work = static_cast<double>(inner) * (static_cast<double>(call.columns->in) * static_cast<double>(call.rows->count) / static_cast<double>(rows) +
                                                        static_cast<double>(call.columns->count));
  parallel_for(call.batch * groups * rows, larger(1, static_cast<int64_t>(65536 / (row_work + 1))), threads, [&](int64_t begin, int64_t end) {
    int64_t row = begin % rows, group = begin / rows;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = group / groups, c = group % groups * inner;
      const Plane<T> plane = plane_of<T>(call, n, c);
      if (by_channel) {
        channel_row<T, kStreams>(call, plane, row, smaller(inner, call.channels - c));
      } else {
        line_row<T, kStreams>(call, plan, plane, row, inner);
      }
      if (++row == rows) {
        row = 0;
        ++group;
      }
    }
    if (kStreams) finish_streaming();
  });
}

template <class T>
void run(const ResampleCall& call, void* scratch, int64_t threads) {
  (call.streams ? run_rows<T, true> : run_rows<T, false>)(call, scratch, threads);
}

template <class T>
constexpr ResampleKernel kernel_of() {
  return {scratch_bytes<T>, run<T>};
}

}  // namespace

extern const ResampleKernel resample_kernels[kResampledTypes];
const ResampleKernel resample_kernels[kResampledTypes] = {kernel_of<float>(), kernel_of<double>(), kernel_of<bfloat16>(), kernel_of<uint8_t>()};

}  // namespace DU_ISA
}  // namespace downup
