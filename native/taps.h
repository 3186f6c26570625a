// Taps: which input samples each output sample along one axis reads, and how much each counts.
#pragma once

#include "downup.h"

// Output i is the sum of weight[k] * input[index[k]] for k from start[i] up to start[i + 1], divided by divisor[i]. Sums run in the
// order of the taps. Every index lies in [0, in), no weight is zero, no divisor is zero; all this is settled when it is made.
struct du_taps {
  int64_t in, out, count;
  const int64_t* start;   // [out + 1]
  const int32_t* index;   // [count]
  const double* weight;   // [count]
  const double* divisor;  // [out]
};
