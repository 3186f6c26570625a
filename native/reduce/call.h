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

// An exact sum: digits of 32 bits, the first that of the smallest float32, and what they carry; then how many infinities of
// each sign were added, NaN as one of both.
constexpr int64_t kExactDigits = 10, kExactWords = DU_EXACT_WORDS;
static_assert(kExactWords == kExactDigits + 2);

struct ExactCall {
  int64_t sizes[4];  // of in
  const float* in;
  int64_t in_strides[4];
  int64_t* out;  // [n, c, 1, kExactWords], zeros
  int64_t out_strides[4];
};

struct ReduceKernels {
  void (*reduce)(const ReduceCall& call, int64_t threads);
  void (*sum_exactly)(const ExactCall& call, int64_t threads);
};

}  // namespace downup
