// Labels of resampled scores, row by row: the resampled scores of a few pixels are compared while they are in registers.
#pragma once

#include "call.h"
// What follows needs to know du_taps.
#include "../resample/line.h"
#include "../threads.h"

namespace downup {
namespace DU_ISA {

DU_INLINE void put_label(const LabelCall& call, int64_t place, int64_t label) {
  if (call.is_wide) {
    static_cast<int64_t*>(call.out)[place] = label;
  } else {
    static_cast<uint8_t*>(call.out)[place] = static_cast<uint8_t>(label);
  }
}

// The best class so far of N pixels. The first of equal scores stays; the first NaN stays whatever follows.
template <int64_t N>
struct BestClass {
  Vector<float, N> score{};
  Vector<int32_t, N> label = Vector<int32_t, N>{} - 1;

  DU_INLINE void meet(const Vector<float, N>& met, int64_t number) {
    const Vector<int32_t, N> wins = (label < 0) | (met > score) | ((met != met) & (score == score));
    score = choose(wins, met, score);
    label = choose(wins, Vector<int32_t, N>{} + static_cast<int32_t>(number), label);
  }
  DU_INLINE void store(const LabelCall& call, int64_t place, int64_t count) const {
    if (!call.is_wide && call.out_strides[3] == 1 && count == N) {
      return store_as(static_cast<uint8_t*>(call.out) + place, convert_lanes<uint8_t, N, uint32_t>(bit_cast<Vector<uint32_t, N>>(label)));
    }
    for (int64_t i = 0; i < count; ++i) put_label(call, place + i * call.out_strides[3], label[i]);
  }
};

// Elements of the lines in the nearest caches.
constexpr int64_t kLabelLines = 8192;
// Blocks of pixels whose best classes are kept while other classes are read.
constexpr int64_t kLabelBlocks = 32;

inline LineAxis label_axis(const LabelCall& call) { return {call.column_taps, 1, true, INT64_MAX}; }

inline int64_t resampled_plan_bytes(const LabelCall& call) {
  return LinePlan<float>::bytes(label_axis(call)) + 64 + (call.row_taps->count + call.column_taps->count) * static_cast<int64_t>(sizeof(float));
}

class ResampledLabels {
  static constexpr int64_t kLanes = kManyLanes<float>;
  using Lanes = Vector<float, kLanes>;

 public:
  ResampledLabels(const LabelCall& call, void* memory)
      : call_(call), rows_(*call.row_taps, static_cast<float*>(memory)), columns_(*call.column_taps, static_cast<float*>(memory) + call.row_taps->count) {
    plan_.make(label_axis(call), static_cast<float*>(memory) + call.row_taps->count + call.column_taps->count);
  }

  void label_row(int64_t n, int64_t y) const {
    const float* in = call_.in + n * call_.in_strides[0];
    const int64_t place = n * call_.out_strides[0] + y * call_.out_strides[2];
    for (int64_t block = 0; block < plan_.count();) {
      int64_t begin = plan_.block(block).begin, end = plan_.block(block).end, next = block + 1;
      // More blocks, while their scores of all classes fit.
      while (next < plan_.count() && next - block < kLabelBlocks) {
        const int64_t low = smaller(begin, plan_.block(next).begin), high = larger(end, plan_.block(next).end);
        if (line_size(high - low) * call_.classes > kLabelLines) break;
        begin = low;
        end = high;
        ++next;
      }
      if (line_size(end - begin) > kLabelLines) {
        label_far(in, y, place, plan_.block(block));
      } else {
        label_blocks(in, y, place, block, next, begin, end);
      }
      block = next;
    }
  }

 private:
  // Whole vectors may be read beyond a short line.
  static int64_t line_size(int64_t elements) { return larger(elements, 4 * kLanes); }

  // `lines` [classes of a group][size]: the rows' sums of the columns [begin, end).
  void fill_lines(const float* in, const TapList<float>& rows, int64_t first_class, int64_t classes, int64_t begin, int64_t end, int64_t size,
                  float* lines) const {
    const int64_t right = call_.in_strides[3], apart = call_.in_strides[1];
    if (apart != 1 && right == 1) {
      for (int64_t c = 0; c < classes; ++c) {
        combine<float, float, kImage, kExact>(in + (first_class + c) * apart + begin, call_.in_strides[2], rows, end - begin, lines + c * size);
      }
      return;
    }
    float pixel[kManyLanes<float> * 8];
    constexpr int64_t kMost = kManyLanes<float> * 8;
    for (int64_t x = begin; x < end; ++x) {
      for (int64_t c = 0; c < classes; c += kMost) {
        const int64_t here = smaller(kMost, classes - c);
        const float* from = in + x * right + (first_class + c) * apart;
        if (apart == 1) {
          combine<float, float, kImage, kExact>(from, call_.in_strides[2], rows, here, pixel);
        } else {
          for (int64_t i = 0; i < here; ++i) combine<float, float, kImage, kExact>(from + i * apart, call_.in_strides[2], rows, 1, pixel + i);
        }
        for (int64_t i = 0; i < here; ++i) lines[(c + i) * size + x - begin] = pixel[i];
      }
    }
  }

  void label_blocks(const float* in, int64_t y, int64_t place, int64_t first, int64_t last, int64_t begin, int64_t end) const {
    alignas(64) float lines[kLabelLines];
    BestClass<kLanes> best[kLabelBlocks];
    TapList<float> rows = rows_.of(y);
    const float row_divisor = rows.divisor;
    rows.divisor = 1;
    const int64_t size = line_size(end - begin), group = smaller(call_.classes, kLabelLines / size);
    for (int64_t c = 0; c < call_.classes; c += group) {
      const int64_t classes = smaller(group, call_.classes - c);
      fill_lines(in, rows, c, classes, begin, end, size, lines);
      for (int64_t b = first; b < last; ++b) {
        const Block<float>& block = plan_.block(b);
        BestClass<kLanes>& winner = best[b - first];
        for (int64_t i = 0; i < classes; ++i) {
          alignas(64) float scores[kLanes];
          run_block<float, float, float, kRoom>(block, lines + i * size - begin, row_divisor, scores - block.out);
          winner.meet(load_as<Lanes>(scores), c + i);
        }
      }
    }
    for (int64_t b = first; b < last; ++b) {
      const Block<float>& block = plan_.block(b);
      best[b - first].store(call_, place + block.out * call_.out_strides[3], block.lanes);
    }
  }

  // Pixels whose taps reach further than a line holds: pixel by pixel, tap by tap.
  void label_far(const float* in, int64_t y, int64_t place, const Block<float>& block) const {
    TapList<float> rows = rows_.of(y);
    const float row_divisor = rows.divisor;
    rows.divisor = 1;
    for (int64_t x = block.out; x < block.out + block.lanes; ++x) {
      const TapList<float> columns = columns_.of(x);
      BestClass<1> best;
      for (int64_t c = 0; c < call_.classes; ++c) {
        float sum = 0, part;
        for (int64_t k = 0; k < columns.count; ++k) {
          combine<float, float, kImage, kExact>(in + c * call_.in_strides[1] + columns.index[k] * call_.in_strides[3], call_.in_strides[2], rows, 1, &part);
          sum = k == 0 ? part * columns.weight[k] : sum + part * columns.weight[k];
        }
        Vector<float, 1> score{sum};
        divide_all<1>(&score, row_divisor * columns.divisor);
        best.meet(score, c);
      }
      best.store(call_, place + x * call_.out_strides[3], 1);
    }
  }

  const LabelCall& call_;
  WeightedTaps<float> rows_, columns_;
  LinePlan<float> plan_;
};

inline void resample_argmax(const LabelCall& call, void* memory, int64_t threads) {
  const ResampledLabels labels(call, memory);
  const int64_t row = smaller(call.columns, 32768) * smaller(call.classes, 32768);
  parallel_for(call.batch * call.rows, 1 + 16384 / row, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) labels.label_row(i / call.rows, i % call.rows);
  });
}

}  // namespace DU_ISA
}  // namespace downup
