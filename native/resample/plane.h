// Small planes, each as one line.
#pragma once

#include "ways.h"

namespace downup {
namespace DU_ISA {

// A small plane as one line, in two steps: to its output rows, with the columns of the input, then to its output.
template <class T>
struct PlanePlan {
  LinePlan<T> rows, columns;
  du_taps repeated;  // the columns' taps, for every output row

  static LineAxis row_axis(const ResampleCall& call) { return {call.rows, call.columns->in * line_inner<T>(call), false, 2 * kLine + 64}; }
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
    columns.make({&repeated, line_inner<T>(call), true, 2 * kLine + 64}, memory + LinePlan<T>::bytes(row_axis(call)));
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

}  // namespace DU_ISA
}  // namespace downup
