// What the kernels that turn scores into labels share.
#pragma once

#include <stdint.h>

#include "../taps.h"

namespace downup {

// Strides are those of [batch, channel, row, column].
struct LabelCall {
  int64_t batch, classes, rows, columns;  // rows and columns of `out`
  const float* in;
  int64_t in_strides[4];
  void* out;  // float for softmax; else uint8 or int64 by is_wide
  int64_t out_strides[4];
  bool is_wide;
  const du_taps *row_taps, *column_taps;  // where scores are resampled
};

struct LabelKernels {
  void (*softmax)(const LabelCall& call, int64_t threads);
  void (*argmax)(const LabelCall& call, int64_t threads);
  // Resampling is planned in lent memory of so many bytes.
  int64_t (*plan_bytes)(const LabelCall& call);
  void (*resample_argmax)(const LabelCall& call, void* plan, int64_t threads);
};

}  // namespace downup
