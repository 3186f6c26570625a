// The kernels of the instruction set in use.
#pragma once

#include "convolve/plan.h"
#include "elementwise/call.h"
#include "labels/call.h"
#include "matmul/call.h"
#include "rearrange/plan.h"
#include "reduce/call.h"
#include "resample/call.h"
#include "select/call.h"

namespace downup {

struct Kernels {
  const char* isa;
  const SelectKernels* select;     // [kElementTypes]
  const RearrangeKernel* rearrange;  // [kElementSizes]
  const ResampleKernel* resample;  // [kResampledTypes]
  // As references: what they name is not yet known when the table of builds is made.
  const ElementwiseKernel& elementwise;
  const ReduceKernels& reduce;
  const MatmulKernel& matmul;
  const LabelKernels& labels;
  const ConvolveKernels& convolve;
};

const Kernels& active_kernels();

}  // namespace downup
