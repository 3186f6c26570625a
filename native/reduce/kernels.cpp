// Sums, means and maxima along axes, of one instruction set. Each output takes its inputs in their order, in double: the bits are
// those of any other layout, number of threads and instruction set.
#include "../simd.h"
#include "../threads.h"
#include "call.h"
#include "exact.h"

namespace downup {
namespace DU_ISA {
namespace {

// Calls use(offset) for each input of an output, in order.
template <class F>
DU_INLINE void for_each_input(const ReduceCall& call, F&& use) {
  int64_t sizes[4] = {1, 1, 1, 1}, strides[4] = {0, 0, 0, 0};
  for (int i = 0; i < call.reduced_count; ++i) {
    sizes[4 - call.reduced_count + i] = call.reduced[i].size;
    strides[4 - call.reduced_count + i] = call.reduced[i].in;
  }
  for (int64_t a = 0; a < sizes[0]; ++a) {
    for (int64_t b = 0; b < sizes[1]; ++b) {
      for (int64_t c = 0; c < sizes[2]; ++c) {
        const int64_t at = a * strides[0] + b * strides[1] + c * strides[2];
        for (int64_t d = 0; d < sizes[3]; ++d) use(at + d * strides[3]);
      }
    }
  }
}

DU_INLINE float result_of(const ReduceCall& call, double sum) {
  return static_cast<float>(call.operation == DU_MEAN ? sum / static_cast<double>(call.count) : sum);
}

// kCount outputs whose inputs lie side by side.
template <int64_t kCount>
void reduce_together(const ReduceCall& call, const float* in, float* out, int64_t out_stride) {
  if (call.operation == DU_LARGEST) {
    using Lanes = Vector<float, kCount>;
    Lanes best{};
    bool is_first = true;
    for_each_input(call, [&](int64_t at) {
      const Lanes value = load_as<Lanes>(in + at);
      best = is_first ? value : (value > best) | (value != value) ? value : best;
      is_first = false;
    });
    // Of zeros the positive one, so that the largest of parts is that of the whole.
    for (int64_t i = 0; i < kCount; ++i) out[i * out_stride] = best[i] + 0.0f;
    return;
  }
  using Sums = Vector<double, kCount>;
  Sums sum{};
  for_each_input(call, [&](int64_t at) { sum += __builtin_convertvector(load_as<Vector<float, kCount>>(in + at), Sums); });
  for (int64_t i = 0; i < kCount; ++i) out[i * out_stride] = result_of(call, sum[i]);
}

// `count` outputs along the last kept loop.
void reduce_run(const ReduceCall& call, const ReduceLoop& loop, const float* in, float* out, int64_t count) {
  int64_t i = 0;
  if (loop.in == 1) {
    for (; i + kTogether <= count; i += kTogether) reduce_together<kTogether>(call, in + i, out + i * loop.out, loop.out);
  }
  for (; i < count; ++i) reduce_together<1>(call, in + i * loop.in, out + i * loop.out, loop.out);
}

void reduce(const ReduceCall& call, int64_t threads) {
  const ReduceLoop& last = call.kept[call.kept_count - 1];
  const int64_t segments = (last.size + kTogether - 1) / kTogether;
  int64_t pieces = segments;
  for (int i = 0; i + 1 < call.kept_count; ++i) pieces *= call.kept[i].size;
  const int64_t work = smaller(call.count, 32768) * smaller(last.size, kTogether);
  parallel_for(pieces, 1 + 16384 / work, threads, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece % segments * kTogether;
      int64_t rest = piece / segments, in = first * last.in, out = first * last.out;
      for (int i = call.kept_count - 2; i >= 0; --i) {
        in += rest % call.kept[i].size * call.kept[i].in;
        out += rest % call.kept[i].size * call.kept[i].out;
        rest /= call.kept[i].size;
      }
      reduce_run(call, last, call.in + in, call.out + out, smaller(last.size - first, kTogether));
    }
  });
}

}  // namespace

extern const ReduceKernels reduce_kernels;
const ReduceKernels reduce_kernels = {reduce, sum_exactly};

}  // namespace DU_ISA
}  // namespace downup
