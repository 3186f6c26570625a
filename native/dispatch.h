// The kernels of the instruction set in use.
#pragma once

#include "resample/call.h"
#include "select/call.h"

namespace downup {

struct Kernels {
  const char* isa;
  const SelectKernels* select;     // [kElementTypes]
  const ResampleKernel* resample;  // [kResampledTypes]
};

const Kernels& active_kernels();

}  // namespace downup
