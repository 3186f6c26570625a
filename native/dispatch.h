// The kernels of the instruction set in use.
#pragma once

#include "rearrange/plan.h"
#include "resample/call.h"
#include "select/call.h"

namespace downup {

struct Kernels {
  const char* isa;
  const SelectKernels* select;     // [kElementTypes]
  const RearrangeKernel* rearrange;  // [kElementSizes]
  const ResampleKernel* resample;  // [kResampledTypes]
};

const Kernels& active_kernels();

}  // namespace downup
