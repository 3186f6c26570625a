// One build of the kernels per instruction set; the best one that this processor runs is chosen when the library loads.
#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "check.h"
#include "threads.h"

namespace downup {

#define DU_KERNELS_OF(isa)                                       \
  namespace isa {                                                \
  extern const SelectKernels select_kernels[kElementTypes];      \
  extern const RearrangeKernel rearrange_kernels[kElementSizes]; \
  extern const ResampleKernel resample_kernels[kResampledTypes]; \
  extern const ElementwiseKernel elementwise_kernel;             \
  extern const ReduceKernels reduce_kernels;                     \
  extern const MatmulKernel matmul_kernel;                       \
  extern const LabelKernels label_kernels;                       \
  extern const ConvolveKernels convolve_kernels;                 \
  }
#ifdef DU_HAS_X86
DU_KERNELS_OF(avx512)
DU_KERNELS_OF(avx2)
namespace avx512bf16 {
extern const ConvolveKernels convolve_kernels;
}
#endif
DU_KERNELS_OF(plain)

namespace {

bool runs_always() { return true; }
#ifdef DU_HAS_X86
bool runs_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}
bool runs_avx512bf16() { return runs_avx512() && __builtin_cpu_supports("avx512bf16"); }
bool runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"); }
#endif

struct Build {
  Kernels kernels;
  bool (*runs)();
};

#define DU_BUILD_WITH(isa, convolve)                                                                                     \
  {#isa,                    isa::select_kernels, isa::rearrange_kernels, isa::resample_kernels, isa::elementwise_kernel, \
   isa::reduce_kernels, isa::matmul_kernel,  isa::label_kernels,    convolve::convolve_kernels}
#define DU_BUILD(isa) DU_BUILD_WITH(isa, isa)

// Best first; of one name, the first that runs. All of avx512 but its convolutions is the same with products in bfloat16 and without.
constexpr Build kBuilds[] = {
#ifdef DU_HAS_X86
    {DU_BUILD_WITH(avx512, avx512bf16), runs_avx512bf16},
    {DU_BUILD(avx512), runs_avx512},
    {DU_BUILD(avx2), runs_avx2},
#endif
    {DU_BUILD(plain), runs_always},
};

const Kernels* find(const char* name) {
  for (const Build& build : kBuilds) {
    if (build.runs() && (!name || !strcmp(name, build.kernels.isa))) return &build.kernels;
  }
  return nullptr;
}

std::atomic<const Kernels*> active{find(nullptr)};

}  // namespace

const Kernels& active_kernels() { return *active.load(std::memory_order_relaxed); }

}  // namespace downup

using namespace downup;

extern "C" int32_t du_interface_version(void) { return 7; }

extern "C" const char* du_isa_name(int32_t index) {
  if (index < 0) return nullptr;
  for (const Build& build : kBuilds) {
    if (find(build.kernels.isa) == &build.kernels && index-- == 0) return build.kernels.isa;
  }
  return nullptr;
}

extern "C" int32_t du_isa_select(const char* name) {
  const Kernels* kernels = name ? find(name) : nullptr;
  if (!kernels) return set_error(DU_BAD_ARGUMENT, "instruction set %s is not built or does not run here", name ? name : "NULL");
  active.store(kernels);
  return DU_OK;
}

extern "C" const char* du_isa_active(void) { return active_kernels().isa; }

extern "C" void du_threads_borrow(HostParallel parallel) { borrow_threads(parallel); }

extern "C" int64_t du_window_out_size(int64_t in_size, const du_window* window, int32_t axis) {
  if (!check_window(window)) return -1;
  if (in_size < 1 || in_size > INT64_MAX / 4) {
    set_error(DU_BAD_ARGUMENT, "in_size is %lld; use at least 1", static_cast<long long>(in_size));
    return -1;
  }
  if (axis != 0 && axis != 1) {
    set_error(DU_BAD_ARGUMENT, "axis is %d; use 0 (row) or 1 (column)", axis);
    return -1;
  }
  if (window->adaptive) {
    set_error(DU_BAD_ARGUMENT, "an adaptive window gives any number of samples; choose one");
    return -1;
  }
  return window_out_size(in_size, *window, axis);
}
