// What the reducing kernels share: the loops over the outputs, and over what each of them is made of.
#pragma once

#include <stdint.h>

#include "../downup.h"

namespace downup {

struct ReduceLoop {
  int64_t size, in, out;  // strides of the input, and of the output
};

struct ReduceCall {
  int32_t operation;
  const float* in;
  float* out;
  int64_t count;  // elements of a sum
  int kept_count, reduced_count;
  // In the order of the axes. The last kept loop is the one whose inputs lie closest.
  ReduceLoop kept[4], reduced[4];
};

using ReduceKernel = void (*)(const ReduceCall& call, int64_t threads);

}  // namespace downup
