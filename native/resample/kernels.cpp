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

// Whether channels lie side by side on both images, and pixels hold a few vectors of them.
template <class T>
bool is_by_channel(const ResampleCall& call) {
  const bool is_whole = call.channels % kManyLanes<T> == 0 || call.channels >= 8 * kManyLanes<T>;
  return is_whole && call.in_strides[1] == 1 && call.out_strides[1] == 1;
}

// Whether steps along an axis of so many samples are of the expected length; there are none along an axis of one.
bool has_step(int64_t stride, int64_t samples, int64_t expected) { return stride == expected || samples == 1; }

// Whether the pixels of a row of `inner` elements each lie side by side.
bool has_rows(const int64_t* strides, const int64_t columns, int64_t inner) { return has_step(strides[3], columns, inner); }

// Whether pixels of a few channels lie side by side, so that a row is one line.
template <class T>
bool is_packed(const ResampleCall& call) {
  return call.channels > 1 && call.channels < 8 * kManyLanes<T> && call.in_strides[1] == 1 && call.out_strides[1] == 1 &&
         has_rows(call.in_strides, call.columns->in, call.channels) && has_rows(call.out_strides, call.columns->out, call.channels);
}

// How many channels a line holds.
template <class T>
int64_t line_inner(const ResampleCall& call) {
  return is_packed<T>(call) ? call.channels : 1;
}

// Whether the whole plane is better taken as one line: its own rows are short, and it fits.
template <class T>
bool is_small_plane(const ResampleCall& call) {
  const int64_t inner = line_inner<T>(call), in = call.columns->in * inner, out = call.columns->out * inner;
  return smaller(in, out) < 4 * kManyLanes<T> && in < kLine && out < kLine && call.rows->in <= kLine / in && call.rows->out <= kLine / in &&
         call.rows->out <= kLine / out && has_rows(call.in_strides, call.columns->in, inner) && has_rows(call.out_strides, call.columns->out, inner) &&
         has_step(call.in_strides[2], call.rows->in, in) && has_step(call.out_strides[2], call.rows->out, out) && call.rows->count <= kLine && call.columns->count <= kLine / call.rows->out;
}

enum Way { kByChannel, kByPlane, kByRow };

template <class T>
Way way_of(const ResampleCall& call) {
  return is_by_channel<T>(call) ? kByChannel : is_small_plane<T>(call) ? kByPlane : kByRow;
}

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

  static int64_t bytes(const ResampleCall& call) {
    return (call.rows->count + call.columns->count) * static_cast<int64_t>(sizeof(Scalar)) + call.columns->out * static_cast<int64_t>(2 * sizeof(int32_t)) + 64;
  }
  Tables(const ResampleCall& call, char* memory)
      : rows(*call.rows, reinterpret_cast<Scalar*>(memory)), columns(*call.columns, reinterpret_cast<Scalar*>(memory) + call.rows->count) {
    first = reinterpret_cast<int32_t*>(reinterpret_cast<Scalar*>(memory) + call.rows->count + call.columns->count);
    last = first + call.columns->out;
    for (int64_t x = 0; x < call.columns->out; ++x) {
      const TapList<Scalar> taps = columns.of(x);
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
  int64_t begin = 0, end = 0;  // the pixels in the line
  for (int64_t x = 0; x < call.columns->out; ++x) {
    TapList<Scalar> columns = tables.columns.of(x);
    columns.divisor *= row_divisor;
    T* to = out + x * call.out_strides[3];
    if (is_window_quick(call, rows, columns)) {
      combine_window<T, kStreams>(plane.in, call.in_strides[2], call.in_strides[3], rows, columns, inner, to);
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
    combine<Scalar, T, kStreams>(line - begin * inner, inner, columns, inner, to);
  }
}

// One output row as a line; block by block where the samples of a row do not lie side by side.
template <class T, bool kStreams>
void line_row(const ResampleCall& call, const Tables<T>& tables, const LinePlan<T>& plan, const Plane<T>& plane, int64_t row) {
  const int64_t inner = line_inner<T>(call);
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>;
  alignas(64) Scalar line[kLine + 4 * kLanes];
  TapList<Scalar> rows = tables.rows.of(row);
  const Scalar row_divisor = rows.divisor;
  rows.divisor = 1;
  T* out = plane.out + row * call.out_strides[2];
  const bool is_straight = is_one_sample(rows) && has_rows(call.in_strides, call.columns->in, inner) && call.columns->in * inner >= 2 * kLanes;
  const bool is_side_by_side = has_rows(call.out_strides, call.columns->out, inner);
  int64_t begin = 0, end = 0;  // the elements in the line, whole pixels
  for (int64_t b = 0; b < plan.count(); ++b) {
    const Block<T>& block = plan.block(b);
    T* to = out;
    T apart[kLanes];
    if (!is_side_by_side) to = apart - block.out;
    if (is_straight) {
      run_block<T, T, T, kStreams ? kStreamed : kExact>(block, plane.in + rows.index[0] * call.in_strides[2], row_divisor, to);
    } else if (block.end - block.begin <= kLine - 2 * inner) {
      if (block.begin < begin || block.end > end) {
        const int64_t first = block.begin / inner, last = smaller(first + kLine / inner, call.columns->in);
        begin = first * inner;
        end = last * inner;
        combine_rows<T>(call, plane.in, rows, first, last, inner, line);
      }
      run_block<T, Scalar, T, kStreams ? kStreamed : kExact>(block, line - begin, row_divisor, to);
    } else {
      // Whole pixels, also where the block begins or ends inside one.
      for (int64_t x = block.out / inner; x * inner < block.out + block.lanes; ++x) {
        const TapList<Scalar> columns = tables.columns.of(x);
        add_up_far<T>(call, plane.in, rows, columns, inner, row_divisor * columns.divisor, to + x * inner);
      }
    }
    if (!is_side_by_side) {
      for (int64_t i = 0; i < block.lanes; ++i) out[(block.out + i) * call.out_strides[3]] = apart[i];
    }
  }
}

// A small plane as one line, in two steps: to its output rows, with the columns of the input, then to its output.
template <class T>
struct PlanePlan {
  LinePlan<T> rows, columns;
  du_taps repeated;  // the columns' taps, for every output row

  static LineAxis row_axis(const ResampleCall& call) { return {call.rows, call.columns->in * line_inner<T>(call), false}; }
  static int64_t table_bytes(const ResampleCall& call) {
    const int64_t out = call.rows->out * call.columns->out, count = call.rows->out * call.columns->count;
    return (out + 1) * static_cast<int64_t>(sizeof(int64_t) + sizeof(double)) + count * static_cast<int64_t>(sizeof(double) + sizeof(int32_t)) + 64;
  }
  static int64_t bytes(const ResampleCall& call) {
    // A block of the columns' plan has at most as many steps as the longest sum has taps.
    int64_t most = 0;
    for (int64_t x = 0; x < call.columns->out; ++x) most = larger(most, call.columns->start[x + 1] - call.columns->start[x]);
    const int64_t blocks = (call.rows->out * call.columns->out * line_inner<T>(call) + kManyLanes<T> - 1) / kManyLanes<T>;
    return table_bytes(call) + LinePlan<T>::bytes(row_axis(call)) + blocks * static_cast<int64_t>(sizeof(Block<T>)) +
           (blocks * most + 1) * static_cast<int64_t>(sizeof(Step<T>)) + 64;
  }

  void make(const ResampleCall& call, void* scratch) {
    const du_taps& taps = *call.columns;
    const int64_t out = call.rows->out * taps.out, count = call.rows->out * taps.count;
    char* memory = static_cast<char*>(scratch);
    int64_t* start = reinterpret_cast<int64_t*>(memory);
    double* divisor = reinterpret_cast<double*>(start + out + 1);
    double* weight = divisor + out + 1;
    int32_t* index = reinterpret_cast<int32_t*>(weight + count);
    start[0] = 0;
    for (int64_t y = 0, k = 0; y < call.rows->out; ++y) {
      for (int64_t x = 0; x < taps.out; ++x) {
        for (int64_t m = taps.start[x]; m < taps.start[x + 1]; ++m, ++k) {
          index[k] = static_cast<int32_t>(y * taps.in + taps.index[m]);
          weight[k] = taps.weight[m];
        }
        start[y * taps.out + x + 1] = k;
        divisor[y * taps.out + x] = static_cast<double>(static_cast<typename Arithmetic<T>::Scalar>(taps.divisor[x]) *
                                                        static_cast<typename Arithmetic<T>::Scalar>(call.rows->divisor[y]));
      }
    }
    repeated = {call.rows->out * taps.in, out, count, start, index, weight, divisor};
    memory += table_bytes(call);
    rows.make(row_axis(call), memory);
    columns.make({&repeated, line_inner<T>(call), true}, memory + LinePlan<T>::bytes(row_axis(call)));
  }
};

template <class T, bool kStreams>
void small_plane(const ResampleCall& call, const PlanePlan<T>& plan, const Plane<T>& plane) {
  using Scalar = typename Arithmetic<T>::Scalar;
  constexpr int64_t kLanes = kManyLanes<T>;
  alignas(64) Scalar line[kLine + 4 * kLanes];
  if (call.rows->in * call.columns->in * line_inner<T>(call) >= 2 * kLanes) {
    for (int64_t b = 0; b < plan.rows.count(); ++b) run_block<T, T, Scalar, kRoom>(plan.rows.block(b), plane.in, 1, line);
  } else {
    // Whole vectors would reach beyond the plane: at most two are read.
    T copy[4 * kLanes] = {};
    for (int64_t i = 0; i < call.rows->in * call.columns->in * line_inner<T>(call); ++i) copy[i] = plane.in[i];
    for (int64_t b = 0; b < plan.rows.count(); ++b) run_block<T, T, Scalar, kRoom>(plan.rows.block(b), copy, 1, line);
  }
  for (int64_t b = 0; b < plan.columns.count(); ++b) run_block<T, Scalar, T, kStreams ? kStreamed : kExact>(plan.columns.block(b), line, 1, plane.out);
}

// Whether a row has the taps of the one before it, and so the same samples.
bool is_repeated(const du_taps& rows, int64_t row) {
  const int64_t before = rows.start[row - 1], begin = rows.start[row], count = rows.start[row + 1] - begin;
  if (begin - before != count || rows.divisor[row] != rows.divisor[row - 1]) return false;
  for (int64_t k = 0; k < count; ++k) {
    if (rows.index[begin + k] != rows.index[before + k] || rows.weight[begin + k] != rows.weight[before + k]) return false;
  }
  return true;
}

// The row above once more, where the elements of a row lie side by side.
template <class T>
void copy_row_above(const ResampleCall& call, const Plane<T>& plane, int64_t row, int64_t elements) {
  T* out = plane.out + row * call.out_strides[2];
  __builtin_memcpy(out, out - call.out_strides[2], static_cast<uint64_t>(elements) * sizeof(T));
}

// How many channels a piece of work takes.
template <class T>
int64_t channels_together(const ResampleCall& call, Way way) {
  return way == kByChannel ? smaller(call.channels, kLine / 4) : line_inner<T>(call);
}

template <class T>
int64_t scratch_bytes(const ResampleCall& call) {
  switch (way_of<T>(call)) {
    case kByChannel: return Tables<T>::bytes(call);
    case kByPlane: return PlanePlan<T>::bytes(call);
    default: return Tables<T>::bytes(call) + LinePlan<T>::bytes({call.columns, line_inner<T>(call), true});
  }
}

// Of both passes, for each output row of a group of channels; in floating point, since sizes may be large.
double taps_of_a_row(const ResampleCall& call, int64_t inner) {
  const double first = static_cast<double>(call.columns->in) * static_cast<double>(call.rows->count) / static_cast<double>(call.rows->out);
  return static_cast<double>(inner) * (first + static_cast<double>(call.columns->count)) + 1;
}

constexpr double kTapsOfAPiece = 65536;

template <class T, bool kStreams>
void run_planes(const ResampleCall& call, void* scratch, int64_t threads) {
  const int64_t inner = line_inner<T>(call), groups = call.channels / inner;
  PlanePlan<T> plan;
  plan.make(call, scratch);
  const double work = taps_of_a_row(call, inner) * static_cast<double>(call.rows->out);
  parallel_for(call.batch * groups, larger(1, static_cast<int64_t>(kTapsOfAPiece / work)), threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) small_plane<T, kStreams>(call, plan, plane_of<T>(call, i / groups, i % groups * inner));
    if (kStreams) finish_streaming();
  });
}

template <class T, bool kStreams>
void run_rows(const ResampleCall& call, Way way, void* scratch, int64_t threads) {
  const int64_t inner = channels_together<T>(call, way), groups = (call.channels + inner - 1) / inner, rows = call.rows->out;
  const Tables<T> tables(call, static_cast<char*>(scratch));
  LinePlan<T> plan;
  if (way == kByRow) plan.make({call.columns, inner, true}, static_cast<char*>(scratch) + Tables<T>::bytes(call));
  // Streamed rows are out of reach of the caches.
  const bool can_copy = !kStreams && has_rows(call.out_strides, call.columns->out, inner) && inner == (way == kByChannel ? call.channels : line_inner<T>(call));
  parallel_for(call.batch * groups * rows, larger(1, static_cast<int64_t>(kTapsOfAPiece / taps_of_a_row(call, inner))), threads,
               [&](int64_t begin, int64_t end) {
                 int64_t row = begin % rows, group = begin / rows;
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t n = group / groups, c = group % groups * inner;
                   const Plane<T> plane = plane_of<T>(call, n, c);
                   if (can_copy && row > 0 && i > begin && is_repeated(*call.rows, row)) {
                     copy_row_above<T>(call, plane, row, call.columns->out * inner);
                   } else if (way == kByChannel) {
                     channel_row<T, kStreams>(call, tables, plane, row, smaller(inner, call.channels - c));
                   } else {
                     line_row<T, kStreams>(call, tables, plan, plane, row);
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
  const Way way = way_of<T>(call);
  if (way == kByPlane) return (call.streams ? run_planes<T, true> : run_planes<T, false>)(call, scratch, threads);
  (call.streams ? run_rows<T, true> : run_rows<T, false>)(call, way, scratch, threads);
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
