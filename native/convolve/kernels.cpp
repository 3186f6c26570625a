// The convolve kernels of one instruction set. Built with -ffp-contract=fast: they promise their bits per instruction set.
#include "depthwise.h"
#include "direct.h"
#include "product_bfloat16.h"
#include "winograd.h"

namespace downup {
namespace DU_ISA {

extern const ConvolveKernels convolve_kernels;
const ConvolveKernels convolve_kernels = {
    kLanes,
    kBlockVectors,
    {
        {nullptr, nullptr},
        {direct_scratch_bytes<Float32>, run_direct<Float32>},
        {winograd_scratch_bytes<PlainTiles>, run_winograd<PlainTiles>},
        {winograd_scratch_bytes<RepeatedTiles>, run_winograd<RepeatedTiles>},
        {depthwise_scratch_bytes, run_depthwise},
        {depthwise_scratch_bytes, run_depthwise},
#if defined(__AVX512BF16__)
        {direct_scratch_bytes<BFloat16>, run_direct<BFloat16>},
#else
        {nullptr, nullptr},
#endif
    },
};

}  // namespace DU_ISA
}  // namespace downup
