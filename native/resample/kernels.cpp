// The resample kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
//
// An output row is made in two passes: its input rows are summed into a line, then the line's samples into the row. A piece of a
// line fits the nearest cache; the second pass reads it there, or straight from the image where a row is copied.
#include <stdint.h>

#include "../threads.h"
#include "plane.h"
#include "rows.h"

namespace downup {
namespace DU_ISA {
namespace {

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
    default: return Tables<T>::bytes(call) + LinePlan<T>::bytes(row_axis<T>(call));
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
  if (way == kByRow) plan.make(row_axis<T>(call), static_cast<char*>(scratch) + Tables<T>::bytes(call));
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
