// The kernels that the page needs, in place of native/dispatch.cpp and native/convolve/kernels.cpp: four families in float32, and of the
// convolutions those that "exact" chooses among: all but Winograd's.
#include "../../native/convolve/depthwise.h"
#include "../../native/convolve/direct.h"
#include "../../native/dispatch.h"
#include "../../native/threads.h"

namespace downup {
namespace plain {

extern const SelectKernels select_kernels[kElementTypes];
extern const RearrangeKernel rearrange_kernels[kElementSizes];
extern const ResampleKernel resample_kernels[kResampledTypes];

namespace {

constexpr ElementwiseKernel kNoElementwise{};
constexpr ReduceKernels kNoReduce{};
constexpr MatmulKernel kNoMatmul{};
constexpr LabelKernels kNoLabels{};
const ConvolveKernels convolve_kernels = {
    kLanes,
    kBlockVectors,
    {
        {},
        {direct_scratch_bytes<Float32>, run_direct<Float32>},
        {},
        {},
        {depthwise_scratch_bytes, run_depthwise},
        {depthwise_scratch_bytes, run_depthwise},
        {},
    },
};
const Kernels kernels = {"plain",        select_kernels, rearrange_kernels, resample_kernels, kNoElementwise,
                         kNoReduce, kNoMatmul, kNoLabels, convolve_kernels};

}  // namespace

// The page's convolutions have no activation.
void activate_in_place(const du_activation&, const float*, float*, int64_t) {}

}  // namespace plain

const Kernels& active_kernels() { return plain::kernels; }

// A page's worker has one thread.
void parallel_for(int64_t count, int64_t, int64_t, void (*task)(void*, int64_t, int64_t), void* context) {
  if (count > 0) task(context, 0, count);
}

}  // namespace downup

