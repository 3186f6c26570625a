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

// Outputs of a row that are computed for one vector of channels after the other: what they read lies side by side, and in the nearest
// cache when the next vector comes.
constexpr int64_t kStretch = 32;
// Rows of a job.
constexpr int64_t kMostRows = 8;

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
  return shuffle(x, index);
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

  // The same for windows of kWidth columns side by side: each pixel is loaded once for all outputs that it counts for.
  template <int64_t kCount, int64_t kWidth, int64_t kStep>
  DU_INLINE void sum_windows(const float* from, int64_t column, const RowTap* taps, int64_t tap_count, Lanes (&sums)[kCount]) const {
    for (int64_t k = 0; k < tap_count; k += kWidth) {
      const float* at = from + taps[k].offset;
      Lanes w[kWidth];
#pragma GCC unroll 8
      for (int64_t i = 0; i < kWidth; ++i) w[i] = load_as<Lanes>(taps[k + i].weights);
#pragma GCC unroll 32
      for (int64_t j = 0; j < (kCount - 1) * kStep + kWidth; ++j) {
        const Lanes pixel = load_as<Lanes>(at + j * column);
#pragma GCC unroll 8
        for (int64_t r = 0; r < kCount; ++r) {
          if (j >= r * kStep && j < r * kStep + kWidth) sums[r] += pixel * w[j - r * kStep];
        }
      }
    }
  }

  // An output near the edge, or one whose channels lie in several parts.
  void sum_one(int64_t n, int64_t x, const RowTaps& row, const ChannelVector& vector, Lanes (&sum)[1]) const {
    const bool is_readable = vector.is_readable(x, 1);
    for (int64_t k = 0; k < row.count; ++k) {
      RowTap tap = row.taps[k];
      const int64_t column = x * plan.in_step[1] + tap.column;
      if (column < 0 || column >= call.in_size[1]) continue;
      if (is_readable) {
        sum_run<1>(vector.base + x * vector.step, 0, &tap, 1, sum);
      } else {
        const Lanes lanes = collect(n, tap.row, column, vector.channel);
        tap.offset = 0;
        sum_run<1>(reinterpret_cast<const float*>(&lanes), 0, &tap, 1, sum);
      }
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

  // Where a row of outputs of a phase goes.
  struct RowOutputs {
    int64_t n, y, first, step;
  };

  // Outputs x to x + kCount - 1 of a vector of channels, which may be read there. kWidth 0: any window.
  template <int64_t kCount, int64_t kWidth, int64_t kStep>
  DU_INLINE void run_some(const Finisher<1>& finisher, const RowOutputs& row, const ChannelVector& vector, const RowTaps& taps, int64_t x) const {
    Lanes sums[kCount];
#pragma GCC unroll 8
    for (int64_t r = 0; r < kCount; ++r) sums[r] = finisher.bias(0);
    // The rows above were read for the outputs above.
    const int64_t ahead = kStretch * vector.step + vector.furthest;
#pragma GCC unroll 8
    for (int64_t r = 0; r < kCount; ++r) fetch<false>(vector.base, (x + r) * vector.step + ahead);
    if constexpr (kWidth > 0) {
      sum_windows<kCount, kWidth, kStep>(vector.base + x * vector.step, vector.step / kStep, taps.taps, taps.count, sums);
    } else {
      sum_run<kCount>(vector.base + x * vector.step, vector.step, taps.taps, taps.count, sums);
    }
    put(finisher, row, x, sums);
  }

  template <int64_t kCount>
  DU_INLINE void put(const Finisher<1>& finisher, const RowOutputs& row, int64_t x, const Lanes (&sums)[kCount]) const {
    Lanes values[kCount][1];
    float* to[kCount];
    const float* rest[kCount];
#pragma GCC unroll 8
    for (int64_t r = 0; r < kCount; ++r) {
      const int64_t place = row.first + (x + r) * row.step;
      values[r][0] = sums[r];
      to[r] = out.at(row.n, row.y, place);
      fetch<true>(to[r], finisher.first + kStretch * row.step * out.column_stride);
      rest[r] = residual.data ? residual.at(row.n, row.y, place) : nullptr;
    }
    finisher.put(values, to, residual.data ? rest : nullptr);
  }

  // Outputs [x, end) of a vector of channels.
  template <int64_t kWidth, int64_t kStep>
  void run_stretch(const RowOutputs& row, const ChannelVector& vector, const RowTaps& taps, int64_t x, int64_t end) const {
    const Finisher<1> finisher(plan, 0, vector.channel);
    while (x < end) {
      const int64_t inside = x < taps.first ? 0 : smaller(end, taps.last) - x;
      if (inside >= kRun && vector.is_readable(x, kRun)) {
        run_some<kRun, kWidth, kStep>(finisher, row, vector, taps, x);
        x += kRun;
      } else if (inside >= 2 && vector.is_readable(x, 2)) {
        run_some<2, kWidth, kStep>(finisher, row, vector, taps, x);
        x += 2;
      } else {
        Lanes sum[1] = {finisher.bias(0)};
        sum_one(row.n, x, taps, vector, sum);
        put<1>(finisher, row, x++, sum);
      }
    }
  }

  // Whether the taps are windows of so many columns side by side, moved by kStep columns.
  template <int64_t kWidth, int64_t kStep>
  bool are_windows(const RowTaps& taps) const {
    if (kGroup > 1 || plan.in_step[1] != kStep || taps.count % kWidth) return false;
    for (int64_t k = 0; k < taps.count; ++k) {
      if (k % kWidth && (taps.taps[k].row != taps.taps[k - 1].row || taps.taps[k].column != taps.taps[k - 1].column + 1)) return false;
    }
    return true;
  }

  // One row of the outputs of a phase. memory [most_taps] is lent.
  void run_row(int64_t n, const Phase& phase, int64_t row, RowTap* memory) const {
    const RowOutputs outputs{n, phase.first[0] + row * plan.out_step[0], phase.first[1], plan.out_step[1]};
    if (outputs.y >= call.out_size[0] || outputs.first >= call.out_size[1]) return;
    const int64_t columns = (call.out_size[1] - outputs.first + outputs.step - 1) / outputs.step;
    const RowTaps taps = find_taps(phase, row, columns, memory);
    if (are_windows<3, 1>(taps)) return run_vectors<3, 1>(outputs, taps, columns);
    if (are_windows<3, 2>(taps)) return run_vectors<3, 2>(outputs, taps, columns);
    if (are_windows<5, 1>(taps)) return run_vectors<5, 1>(outputs, taps, columns);
    if (are_windows<5, 2>(taps)) return run_vectors<5, 2>(outputs, taps, columns);
    return run_vectors<0, 1>(outputs, taps, columns);
  }

  template <int64_t kWidth, int64_t kStep>
  void run_vectors(const RowOutputs& row, const RowTaps& taps, int64_t columns) const {
    for (int64_t x = 0; x < columns; x += kStretch) {
      for (int64_t channel = 0; channel < plan.out_channels; channel += kLanes) {
        run_stretch<kWidth, kStep>(row, find(row.n, channel, taps), taps, x, smaller(columns, x + kStretch));
        for (int64_t k = 0; k < taps.count; ++k) taps.taps[k].weights += kLanes;
      }
      for (int64_t k = 0; k < taps.count; ++k) taps.taps[k].weights -= plan.padded_out;
    }
  }
};

inline int64_t depthwise_worker_taps(const ConvolveCall& call) { return call.plan->most_taps + 1; }

inline int64_t depthwise_scratch_bytes(const ConvolveCall& call) {
  return smaller(call.threads, kMostWorkers) * depthwise_worker_taps(call) * static_cast<int64_t>(sizeof(RowTap));
}

template <int64_t kGroup>
void run_groups(const ConvolveCall& call, char* scratch) {
  const Parts parts(call);
  const DepthwiseJob<kGroup> job(call, parts.items);
  const ConvolvePlan& plan = *call.plan;
  RowTap* memory = reinterpret_cast<RowTap*>(scratch);
  const int64_t workers = smaller(call.threads, kMostWorkers), rows = call.batch * job.grid_rows;
  // Rows one after the other read much the same pixels, which so stay in the second-level cache of a core.
  const int64_t rows_of_job = larger(1, smaller(kMostRows, rows / (4 * workers)));
  run_jobs((rows + rows_of_job - 1) / rows_of_job, workers, [&](int64_t worker, int64_t i) {
    for (int64_t row = i * rows_of_job; row < smaller(rows, (i + 1) * rows_of_job); ++row) {
      for (int64_t p = 0; p < plan.phase_count; ++p) {
        job.run_row(row / job.grid_rows, plan.phases[p], row % job.grid_rows, memory + worker * depthwise_worker_taps(call));
      }
    }
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
