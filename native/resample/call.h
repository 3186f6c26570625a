// What the resample kernels share: two tables of taps, and the images they lead from and to.
#pragma once

#include <stdint.h>

#include "../taps.h"

namespace downup {

// Strides are those of [batch, channel, row, column].
struct ResampleCall {
  int64_t batch, channels;
  const du_taps *rows, *columns;
  const void* in;
  int64_t in_strides[4];
  void* out;
  int64_t out_strides[4];
  bool streams;  // the output is too large for the caches
};

// The kernel of one instruction set for one element type. It is given as many bytes as `scratch_bytes` asks for.
struct ResampleKernel {
  int64_t (*scratch_bytes)(const ResampleCall& call);
  void (*run)(const ResampleCall& call, void* scratch, int64_t threads);
};

enum ResampledType { kResampledFloat32, kResampledFloat64, kResampledBfloat16, kResampledUint8, kResampledTypes };

}  // namespace downup
