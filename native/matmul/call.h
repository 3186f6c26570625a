// What the matrix product's kernels share.
#pragma once

#include <stdint.h>

namespace downup {

// Strides of [batch, group, row, column]; those of a batch or group that serves all are 0.
struct MatmulCall {
  int64_t batch, groups, rows, inner, columns;
  const float *left, *right;
  float* out;
  int64_t left_strides[4], right_strides[4], out_strides[4];
};

struct MatmulKernel {
  // Bytes that each thread needs; `run` is lent memory for as many panels as there are panels in the call.
  int64_t (*scratch_bytes)(const MatmulCall& call);
  void (*run)(const MatmulCall& call, void* scratch, int64_t threads);
  // Of each round of `multiply_add`, which does nothing else and keeps nothing.
  int64_t round_size;
  void (*multiply_add)(int64_t rounds);
};

}  // namespace downup
