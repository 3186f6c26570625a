// The elementwise kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
//
// A run is the innermost loop. It is worked in chunks that stay in the nearest cache: an input whose elements do not lie side by side
// is copied there first, so that there is one loop over vectors for each operation, and the activation is a second one.
#include "../activation.h"
#include "../threads.h"
#include "call.h"

namespace downup {
namespace DU_ISA {

void activate_in_place(const du_activation& activation, const float* slopes, float* at, int64_t count);

namespace {

constexpr int64_t kChunk = 512;
// A longer run is cut, so that threads share it.
constexpr int64_t kSegment = 8192;

template <int32_t kOperation, int64_t N>
DU_INLINE Floats<N> operate(const float* a, const float* b, const float* c) {
  const Floats<N> x = load_as<Floats<N>>(a), y = load_as<Floats<N>>(b);
  switch (kOperation) {
    case DU_ADD: return x + y;
    case DU_SUBTRACT: return x - y;
    case DU_MULTIPLY: return x * y;
    case DU_DIVIDE: return x / y;
    // A NaN of either side stays.
    case DU_MINIMUM: return (x < y) | (x != x) ? x : y;
    case DU_MAXIMUM: return (x > y) | (x != x) ? x : y;
    default: return x * y + load_as<Floats<N>>(c);
  }
}

template <int32_t kOperation>
DU_INLINE void operate_run(const float* a, const float* b, const float* c, float* out, int64_t count) {
  constexpr int64_t kMany = kManyLanes<float>;
  int64_t i = 0;
  for (; i + kMany <= count; i += kMany) store_as(out + i, operate<kOperation, kMany>(a + i, b + i, c + i));
  for (; i < count; ++i) store_as(out + i, operate<kOperation, 1>(a + i, b + i, c + i));
}

void operate_chunk(int32_t operation, const float* a, const float* b, const float* c, float* out, int64_t count) {
  switch (operation) {
    case DU_ADD: return operate_run<DU_ADD>(a, b, a, out, count);
    case DU_SUBTRACT: return operate_run<DU_SUBTRACT>(a, b, a, out, count);
    case DU_MULTIPLY: return operate_run<DU_MULTIPLY>(a, b, a, out, count);
    case DU_DIVIDE: return operate_run<DU_DIVIDE>(a, b, a, out, count);
    case DU_MINIMUM: return operate_run<DU_MINIMUM>(a, b, a, out, count);
    case DU_MAXIMUM: return operate_run<DU_MAXIMUM>(a, b, a, out, count);
    case kOperationAffine: return operate_run<kOperationAffine>(a, b, c, out, count);
    default:
      if (a != out) __builtin_memcpy(out, a, static_cast<uint64_t>(count) * sizeof(float));
  }
}

// One input of a run, chunk by chunk, side by side.
class Input {
 public:
  DU_INLINE void begin(const float* data, int64_t stride, int64_t count) {
    data_ = data;
    stride_ = stride;
    if (!data || stride != 0) return;
    for (int64_t i = 0; i < smaller(count, kChunk); ++i) chunk_[i] = *data;
  }
  DU_INLINE const float* at(int64_t first, int64_t count) {
    if (stride_ == 1) return data_ + first;
    if (data_ && stride_ != 0) {
      for (int64_t i = 0; i < count; ++i) chunk_[i] = data_[(first + i) * stride_];
    }
    return chunk_;
  }

 private:
  const float* data_;
  int64_t stride_;
  alignas(64) float chunk_[kChunk];
};

// The elements [first, first + count) of the innermost loop, whose streams begin at `data`.
void run_elements(const ElementwiseCall& call, float* const* data, int64_t first, int64_t count) {
  Input a, b, c, slopes;
  const int64_t* strides = call.strides[call.loops - 1];
  const auto begin = [&](Input& input, Stream stream) {
    const float* from = data[stream];
    input.begin(from ? from + first * strides[stream] : nullptr, strides[stream], count);
  };
  begin(a, kFirst);
  begin(b, kSecond);
  begin(c, kThird);
  begin(slopes, kSlopes);
  const int64_t stride = strides[kOut];
  float* out = data[kOut] + first * stride;
  alignas(64) float apart[kChunk];
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t here = smaller(count - i, kChunk);
    float* to = stride == 1 ? out + i : apart;
    operate_chunk(call.operation, a.at(i, here), b.at(i, here), c.at(i, here), to, here);
    activate_run(call.activation, slopes.at(i, here), to, here);
    if (stride == 1) continue;
    for (int64_t k = 0; k < here; ++k) out[(i + k) * stride] = apart[k];
  }
}

void elementwise(const ElementwiseCall& call, int64_t threads) {
  const int inner = call.loops - 1;
  const int64_t length = call.sizes[inner], segments = (length + kSegment - 1) / kSegment;
  int64_t pieces = segments;
  for (int i = 0; i < inner; ++i) pieces *= call.sizes[i];
  parallel_for(pieces, 1 + 32768 / smaller(length, kSegment), threads, [&](int64_t begin, int64_t end) {
    int64_t index[4], rest = begin / segments, segment = begin % segments;
    float* data[kStreams];
    for (int s = 0; s < kStreams; ++s) data[s] = call.data[s];
    const auto move = [&](int loop, int64_t steps) {
      for (int s = 0; s < kStreams; ++s) {
        if (data[s]) data[s] += steps * call.strides[loop][s];
      }
    };
    for (int i = inner - 1; i >= 0; --i) {
      index[i] = rest % call.sizes[i];
      rest /= call.sizes[i];
      move(i, index[i]);
    }
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = segment * kSegment;
      run_elements(call, data, first, smaller(length - first, kSegment));
      if (++segment < segments) continue;
      segment = 0;
      for (int i = inner - 1; i >= 0; --i) {
        move(i, 1);
        if (++index[i] < call.sizes[i]) break;
        move(i, -call.sizes[i]);
        index[i] = 0;
      }
    }
  });
}

}  // namespace

// For kernels that are built with other options, under which the functions above would have other bits.
void activate_in_place(const du_activation& activation, const float* slopes, float* at, int64_t count) {
  activate_run(activation, slopes, at, count);
}

extern const ElementwiseKernel elementwise_kernel;
const ElementwiseKernel elementwise_kernel = elementwise;

}  // namespace DU_ISA
}  // namespace downup
