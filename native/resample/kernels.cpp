// The resample kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
//
// An output row is made in two passes: its input rows are summed into a line, then the line's samples into the row. A piece of a
// line fits the nearest cache; the second pass reads it there, or straight from the image where a row is copied.
#include <stdint.h>

#include "../threads.h"
#include "plane.h"
#include "rows.h"
#include "whole.h"

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

// An earlier row once more, where the elements of a row lie side by side.
template <class T, bool kStreams>
void copy_row(const ResampleCall& call, const Plane<T>& plane, int64_t from, int64_t row, int64_t elements) {
  T* out = plane.out + row * call.out_strides[2];
  const T* in = plane.out + from * call.out_strides[2];
  int64_t i = 0;
  if constexpr (kStreams) {
    using Bytes = Vector<uint8_t, kVectorBytes>;
    constexpr int64_t kTogether = kVectorBytes / static_cast<int64_t>(sizeof(T));
    while (i < elements && reinterpret_cast<uint64_t>(out + i) % kVectorBytes) ++i;
    __builtin_memcpy(out, in, static_cast<uint64_t>(i) * sizeof(T));
    for (; i + kTogether <= elements; i += kTogether) stream_as(out + i, load_as<Bytes>(in + i));
  }
  __builtin_memcpy(out + i, in + i, static_cast<uint64_t>(elements - i) * sizeof(T));
}

// How many channels a piece of work takes.
template <class T>
int64_t channels_together(const ResampleCall& call, Way way) {
  return way == kByChannel ? smaller(call.channels, kLine / 4) : line_inner<T>(call);
}

template <class T>
int64_t scratch_bytes(const ResampleCall& call) {
  if (is_whole<T>(call)) return WholeTables<T>::bytes(call);
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

template <class T>
void run_whole(const ResampleCall& call, void* scratch, int64_t threads) {
  constexpr int64_t kLanes = kManyLanes<T>;
  const WholeTables<T> tables(call, static_cast<typename WholeTables<T>::Scalar*>(scratch));
  // As many planes as a vector has lanes, unless that leaves threads without any.
  const int64_t planes = call.batch * call.channels, together = threads < planes ? smaller(kLanes, (planes + threads - 1) / threads) : 1;
  const double work = taps_of_a_row(call, 1) * static_cast<double>(together);
  parallel_for((planes + together - 1) / together, larger(1, static_cast<int64_t>(kTapsOfAPiece / work)), threads, [&](int64_t begin, int64_t end) {
    int64_t n = begin * together / call.channels, c = begin * together % call.channels;
    for (int64_t i = begin; i < end; ++i) {
      Plane<T> group[kLanes];
      const int64_t count = smaller(together, planes - i * together);
      for (int64_t k = 0; k < count; ++k) {
        group[k] = plane_of<T>(call, n, c);
        if (++c == call.channels) {
          c = 0;
          ++n;
        }
      }
      for (int64_t k = count; k < kLanes; ++k) group[k] = group[0];
      whole_planes<T>(call, tables, group, count);
    }
  });
}

template <class T>
void make_row(const ResampleCall& call, Way way, bool streams, const Tables<T>& tables, const LinePlan<T>& plan, const Plane<T>& plane, int64_t row,
              int64_t channels) {
  if (way == kByChannel) return (streams ? channel_row<T, true> : channel_row<T, false>)(call, tables, plane, row, channels);
  (streams ? line_row<T, true> : line_row<T, false>)(call, tables, plan, plane, row);
}

template <class T, bool kStreams>
void run_rows(const ResampleCall& call, Way way, void* scratch, int64_t threads) {
  const int64_t inner = channels_together<T>(call, way), groups = (call.channels + inner - 1) / inner, rows = call.rows->out;
  const Tables<T> tables(call, static_cast<char*>(scratch));
  LinePlan<T> plan;
  if (way == kByRow) plan.make(row_axis<T>(call), static_cast<char*>(scratch) + Tables<T>::bytes(call));
  const bool is_side_by_side = has_rows(call.out_strides, call.columns->out, inner) && inner == (way == kByChannel ? call.channels : line_inner<T>(call));
  // Streamed rows are out of reach of the caches. Where one input row makes them all, the first of them stays there.
  const bool is_spread = kStreams && is_side_by_side && call.rows->in == 1, can_copy = is_spread || (!kStreams && is_side_by_side);
  parallel_for(call.batch * groups * rows, larger(1, static_cast<int64_t>(kTapsOfAPiece / taps_of_a_row(call, inner))), threads,
               [&](int64_t begin, int64_t end) {
                 int64_t row = begin % rows, group = begin / rows, made = row;  // made: the last row that was not copied
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t n = group / groups, c = group % groups * inner;
                   const Plane<T> plane = plane_of<T>(call, n, c);
                   if (can_copy && row > 0 && i > begin && is_repeated(*call.rows, row)) {
                     copy_row<T, kStreams>(call, plane, made, row, call.columns->out * inner);
                   } else {
                     made = row;
                     make_row<T>(call, way, kStreams && !is_spread, tables, plan, plane, row, smaller(inner, call.channels - c));
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
  if (is_whole<T>(call)) return run_whole<T>(call, scratch, threads);
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
#if defined(DU_FLOAT32_ALONE)
const ResampleKernel resample_kernels[kResampledTypes] = {kernel_of<float>()};
#else
const ResampleKernel resample_kernels[kResampledTypes] = {kernel_of<float>(), kernel_of<double>(), kernel_of<bfloat16>(), kernel_of<uint8_t>()};
#endif

}  // namespace DU_ISA
}  // namespace downup
