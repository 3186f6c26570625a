// Softmax and argmax over channels, of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same
// bits.
#include "../activation.h"
#include "../threads.h"
#include "resampled.h"

namespace downup {
namespace DU_ISA {
namespace {

// Of every build: a sum over channels is that of the sums over every sixteenth, in any layout.
constexpr int64_t kStrands = 16;
using Strands = Floats<kStrands>;

// Rows of pixels that a piece of work takes.
int64_t grain_of(const LabelCall& call) {
  const int64_t row = smaller(call.columns, 32768) * smaller(call.classes, 32768);
  return 1 + 32768 / row;
}

// Calls f(in, out offset) for each row of the pieces [begin, end).
template <class F>
DU_INLINE void for_each_row(const LabelCall& call, int64_t begin, int64_t end, F&& f) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / call.rows, y = i % call.rows;
    f(call.in + n * call.in_strides[0] + y * call.in_strides[2], n * call.out_strides[0] + y * call.out_strides[2]);
  }
}

DU_INLINE float sum_of(const Strands& sum) {
  float part[8];
  for (int64_t i = 0; i < 8; ++i) part[i] = sum[i] + sum[i + 8];
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

// One pixel whose channels are `from` and `to` elements apart.
void softmax_pixel(const float* in, int64_t from, float* out, int64_t to, int64_t classes) {
  float largest = in[0];
  for (int64_t c = 1; c < classes; ++c) largest = in[c * from] > largest ? in[c * from] : largest;
  Strands sum{};
  int64_t c = 0;
  if (from == 1 && to == 1) {
    for (; c + kStrands <= classes; c += kStrands) {
      const Strands power = exponential<kStrands>(load_as<Strands>(in + c) - largest);
      store_as(out + c, power);
      sum += power;
    }
  }
  for (; c < classes; ++c) {
    const float power = exponential<1>(Floats<1>{in[c * from] - largest})[0];
    out[c * to] = power;
    sum[c % kStrands] += power;
  }
  const float total = sum_of(sum);
  for (c = 0; c < classes; ++c) out[c * to] /= total;
}

void softmax(const LabelCall& call, int64_t threads) {
  parallel_for(call.batch * call.rows, grain_of(call), threads, [&](int64_t begin, int64_t end) {
    for_each_row(call, begin, end, [&](const float* in, int64_t place) {
      float* out = static_cast<float*>(call.out) + place;
      for (int64_t x = 0; x < call.columns; ++x) {
        softmax_pixel(in + x * call.in_strides[3], call.in_strides[1], out + x * call.out_strides[3], call.out_strides[1], call.classes);
      }
    });
  });
}

// The labels of kManyLanes pixels that lie side by side.
void argmax_lanes(const LabelCall& call, const float* in, int64_t place) {
  BestClass<kManyLanes<float>> best;
  for (int64_t c = 0; c < call.classes; ++c) best.meet(load_as<Floats<kManyLanes<float>>>(in + c * call.in_strides[1]), c);
  best.store(call, place, kManyLanes<float>);
}

// The label of one pixel whose channels lie side by side: the best of every kManyLanes-th class, then the best of those.
int64_t argmax_channels(const float* in, int64_t classes) {
  constexpr int64_t kLanes = kManyLanes<float>;
  BestClass<kLanes> best;
  int64_t c = 0;
  for (; c + kLanes <= classes; c += kLanes) best.meet(load_as<Floats<kLanes>>(in + c), c);
  BestClass<1> winner;
  if (c > 0) {
    for (int64_t i = 0; i < kLanes; ++i) {
      const Floats<1> score{best.score[i]};
      const int64_t label = best.label[i] + i;
      // Of equal scores the one of the first class.
      const bool is_equal = score[0] == winner.score[0] || (score[0] != score[0] && winner.score[0] != winner.score[0]);
      if (i > 0 && is_equal && label >= winner.label[0]) continue;
      if (i > 0 && is_equal) {
        winner.label[0] = static_cast<int32_t>(label);
      } else {
        winner.meet(score, label);
      }
    }
  }
  for (; c < classes; ++c) winner.meet(Floats<1>{in[c]}, c);
  return winner.label[0];
}

void argmax(const LabelCall& call, int64_t threads) {
  constexpr int64_t kLanes = kManyLanes<float>;
  parallel_for(call.batch * call.rows, grain_of(call), threads, [&](int64_t begin, int64_t end) {
    for_each_row(call, begin, end, [&](const float* in, int64_t place) {
      int64_t x = 0;
      if (call.in_strides[3] == 1) {
        for (; x + kLanes <= call.columns; x += kLanes) argmax_lanes(call, in + x, place + x * call.out_strides[3]);
      }
      for (; x < call.columns; ++x) {
        const float* pixel = in + x * call.in_strides[3];
        if (call.in_strides[1] == 1 && call.classes >= kLanes) {
          put_label(call, place + x * call.out_strides[3], argmax_channels(pixel, call.classes));
          continue;
        }
        BestClass<1> best;
        for (int64_t c = 0; c < call.classes; ++c) best.meet(Floats<1>{pixel[c * call.in_strides[1]]}, c);
        best.store(call, place + x * call.out_strides[3], 1);
      }
    });
  });
}

}  // namespace

extern const LabelKernels label_kernels;
const LabelKernels label_kernels = {softmax, argmax, resampled_plan_bytes, resample_argmax};

}  // namespace DU_ISA
}  // namespace downup
