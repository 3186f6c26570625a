// Convolutions whose groups are narrower than a vector: a vector of out channels reads the same vector of in channels, so that lanes stay
// where they are (depthwise) or change places within their group. No pixel is copied.
//
// Weights: [tap][in channel of a group][channel], the channels rounded up to whole vectors.
#pragma once

#include "finish.h"
#include "gather.h"
#include "jobs.h"

namespace downup {
namespace DU_ISA {

// A tap whose row lies on the image, as one row of outputs and one vector of channels see it.
struct RowTap {
  int64_t row, column;   // the row of the image; the column from the output's own
  int64_t offset;        // floats from the output's own column of row 0
  const float* weights;  // of the vector's channels
};

// The taps of a row of outputs, and which of them have all their taps on the image: [first, last).
struct RowTaps {
  RowTap* taps;  // [most_taps]
  int64_t count, first, last;
};

// A vector of channels of one image. base is NULL where it crosses parts.
struct ChannelVector {
  int64_t channel;
  const float* base;
  const float* end;       // nothing at or past it may be read
  int64_t step;           // floats from one output's pixel to the next
  int64_t furthest;       // the largest offset of a tap
  bool is_whole;          // every lane is a channel

  // Whether a vector may be read at each tap of the outputs x to x + count - 1.
  bool is_readable(int64_t x, int64_t count) const {
    return base && (is_whole || end - base >= kLanes + furthest + larger(x * step, (x + count - 1) * step));
  }
};

// Lane l of input i of a group takes its number from lane (l / group) * group + i.
template <int64_t kGroup>
DU_INLINE Lanes spread(const Lanes& x, int64_t i) {
  if constexpr (kGroup == 1) return x;
  using Index = Vector<int32_t, kLanes>;
  Index index{};
#pragma GCC unroll 16
  for (int64_t l = 0; l < kLanes; ++l) index[l] = static_cast<int32_t>(l / kGroup * kGroup + i);
  return __builtin_shuffle(x, index);
}

template <int64_t kGroup>
struct DepthwiseJob {
  static constexpr int64_t kRun = kVectorBytes == 16 ? 4 : 8;  // outputs that are summed at a time

  const ConvolveCall& call;
  const ConvolvePlan& plan;
  const Part* parts;
  const Pixels out, residual;
  const int64_t grid_rows;

  DepthwiseJob(const ConvolveCall& c, const Part* p)
      : call(c),
        plan(*c.plan),
        parts(p),
        out(c.out),
        residual(c.residual),
        grid_rows((c.out_size[0] + plan.out_step[0] - 1) / plan.out_step[0]) {}

  ChannelVector find(int64_t n, int64_t channel, const RowTaps& row) const {
    ChannelVector vector{};
    vector.channel = channel;
    const int64_t count = smaller(kLanes, plan.in_channels - channel);
    int64_t first = channel;
    for (int64_t p = 0; p < call.part_count; ++p) {
      const Part& part = parts[p];
      if (first >= part.channels) {
        first -= part.channels;
        continue;
      }
      if (first + count > part.channels) return vector;
      vector.base = part.data + n * part.batch_stride + first;
      vector.end = part.end;
      vector.step = plan.in_step[1] * part.column_stride;
      vector.is_whole = count == kLanes;
      for (int64_t k = 0; k < row.count; ++k) {
        RowTap& tap = row.taps[k];
        tap.offset = tap.row * part.row_stride + tap.column * part.column_stride;
        vector.furthest = k == 0 ? tap.offset : larger(vector.furthest, tap.offset);
      }
      return vector;
    }
    return vector;
  }

  Lanes collect(int64_t n, int64_t y, int64_t x, int64_t channel) const {
    Lanes lanes{};
    float* to = reinterpret_cast<float*>(&lanes);
    int64_t done = 0;
    for (int64_t p = 0; p < call.part_count && done < kLanes; ++p) {
      const Part& part = parts[p];
      const int64_t count = smaller(part.channels - channel, kLanes - done);
      if (count > 0) {
        const float* from = part.data + n * part.batch_stride + y * part.row_stride + x * part.column_stride + channel;
        __builtin_memcpy(to + done, from, static_cast<uint64_t>(count) * sizeof(float));
        done += count;
      }
      channel = larger(0, channel - part.channels);
    }
    return lanes;
  }

  // kCount outputs side by side, `step` floats apart in the input.
  template <int64_t kCount>
  DU_INLINE void sum_run(const float* from, int64_t step, const RowTap* taps, int64_t tap_count, Lanes (&sums)[kCount]) const {
    for (int64_t k = 0; k < tap_count; ++k) {
      const float* at = from + taps[k].offset;
#pragma GCC unroll 8
      for (int64_t i = 0; i < kGroup; ++i) {
        const Lanes w = load_as<Lanes>(taps[k].weights + i * plan.padded_out);
#pragma GCC unroll 8
        for (int64_t r = 0; r < kCount; ++r) sums[r] += spread<kGroup>(load_as<Lanes>(at + r * step), i) * w;
      }
    }
  }

  // An output near the edge, or one whose channels lie in several parts. near [most_taps] is lent.
  void sum_one(int64_t n, int64_t x, const RowTaps& row, const ChannelVector& vector, RowTap* near, Lanes (&sum)[1]) const {
    int64_t count = 0;
    for (int64_t k = 0; k < row.count; ++k) {
      const int64_t column = x * plan.in_step[1] + row.taps[k].column;
      if (column >= 0 && column < call.in_size[1]) near[count++] = row.taps[k];
    }
    if (vector.is_readable(x, 1)) return sum_run<1>(vector.base + x * vector.step, 0, near, count, sum);
    for (int64_t k = 0; k < count; ++k) {
      const Lanes lanes = collect(n, near[k].row, x * plan.in_step[1] + near[k].column, vector.channel);
      near[k].offset = 0;
      sum_run<1>(reinterpret_cast<const float*>(&lanes), 0, near + k, 1, sum);
    }
  }

  RowTaps find_taps(const Phase& phase, int64_t row, int64_t columns, RowTap* memory) const {
    RowTaps taps{memory, 0, 0, 0};
    int64_t lowest = 0, highest = 0;
    for (int64_t k = 0; k < phase.tap_count; ++k) {
      const int64_t in_row = row * plan.in_step[0] + phase.taps[k].row, column = phase.taps[k].column;
      if (in_row < 0 || in_row >= call.in_size[0]) continue;
      lowest = taps.count == 0 ? column : smaller(lowest, column);
      highest = taps.count == 0 ? column : larger(highest, column);
      memory[taps.count++] = {in_row, column, 0, phase.weights + k * kGroup * plan.padded_out};
    }
    const int64_t step = plan.in_step[1], room = call.in_size[1] - 1 - highest;
    taps.first = smaller(columns, lowest < 0 ? (-lowest + step - 1) / step : 0);
    taps.last = larger(taps.first, room < 0 ? 0 : smaller(columns, room / step + 1));
    return taps;
  }

  // One row of the outputs of a phase. taps and near [most_taps] are lent.
  void run_row(int64_t n, const Phase& phase, int64_t row, RowTap* memory, RowTap* near) const {
    const int64_t y = phase.first[0] + row * plan.out_step[0];
    if (y >= call.out_size[0] || phase.first[1] >= call.out_size[1]) return;
    const int64_t columns = (call.out_size[1] - phase.first[1] + plan.out_step[1] - 1) / plan.out_step[1];
    const RowTaps taps = find_taps(phase, row, columns, memory);
    for (int64_t channel = 0; channel < plan.out_channels; channel += kLanes) {
      const Finisher<1> finisher(plan, 0, channel);
      const ChannelVector vector = find(n, channel, taps);
      const Lanes bias = finisher.bias(0);
      const auto put = [&](const Lanes& sum, int64_t x) {
        const int64_t place = phase.first[1] + x * plan.out_step[1];
        Lanes one[1][1] = {{sum}};
        float* const to[1] = {out.at(n, y, place)};
        const float* const rest[1] = {residual.data ? residual.at(n, y, place) : nullptr};
        finisher.put(one, to, residual.data ? rest : nullptr);
      };
      for (int64_t x = 0; x < columns;) {
        if (x >= taps.first && x + kRun <= taps.last && vector.is_readable(x, kRun)) {
          Lanes sums[kRun];
#pragma GCC unroll 8
          for (int64_t r = 0; r < kRun; ++r) sums[r] = bias;
          sum_run<kRun>(vector.base + x * vector.step, vector.step, taps.taps, taps.count, sums);
#pragma GCC unroll 8
          for (int64_t r = 0; r < kRun; ++r) put(sums[r], x + r);
          x += kRun;
        } else {
          Lanes sum[1] = {bias};
          sum_one(n, x, taps, vector, near, sum);
          put(sum[0], x++);
        }
      }
      for (int64_t k = 0; k < taps.count; ++k) taps.taps[k].weights += kLanes;
    }
  }
};

inline int64_t depthwise_worker_taps(const ConvolveCall& call) { return 2 * call.plan->most_taps + 2; }

inline int64_t depthwise_scratch_bytes(const ConvolveCall& call) {
  return smaller(call.threads, kMostWorkers) * depthwise_worker_taps(call) * static_cast<int64_t>(sizeof(RowTap));
}

template <int64_t kGroup>
void run_groups(const ConvolveCall& call, char* scratch) {
  const Parts parts(call);
  const DepthwiseJob<kGroup> job(call, parts.items);
  const ConvolvePlan& plan = *call.plan;
  RowTap* memory = reinterpret_cast<RowTap*>(scratch);
  run_jobs(call.batch * job.grid_rows * plan.phase_count, smaller(call.threads, kMostWorkers), [&](int64_t worker, int64_t i) {
    RowTap* taps = memory + worker * depthwise_worker_taps(call);
    const int64_t row = i / plan.phase_count;
    job.run_row(row / job.grid_rows, plan.phases[i % plan.phase_count], row % job.grid_rows, taps, taps + plan.most_taps);
  });
}

inline void run_depthwise(const ConvolveCall& call, char* scratch) {
  switch (call.plan->cross) {
    case 1: return run_groups<1>(call, scratch);
    case 2: return run_groups<2>(call, scratch);
    case 4: return run_groups<4>(call, scratch);
    default: return run_groups<8>(call, scratch);
  }
}

}  // namespace DU_ISA
}  // namespace downup
