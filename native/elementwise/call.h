// What the elementwise kernels share: loops over the elements of an output, and where each input has the element that belongs to it.
#pragma once

#include <stdint.h>

#include "../downup.h"

namespace downup {

// kSlopes: of a PReLU.
enum Stream { kOut, kFirst, kSecond, kThird, kSlopes, kStreams };

// After the operations of du_combine.
enum { kOperationNone = DU_MAXIMUM + 1, kOperationAffine };

struct ElementwiseCall {
  int32_t operation;
  du_activation activation;
  float* data[kStreams];  // NULL where a stream is not used
  // Outermost loop first; those that one can stand for are one.
  int loops;
  int64_t sizes[4];
  int64_t strides[4][kStreams];
};

using ElementwiseKernel = void (*)(const ElementwiseCall& call, int64_t threads);

}  // namespace downup
