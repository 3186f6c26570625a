// What the convolve kernels share: what was prepared once of a convolution, and one call of it.
//
// Every convolution is a few *phases*. The outputs of one phase lie `out_step` apart and read their inputs alike: output
// first + i * out_step reads the pixels i * in_step + tap, for each tap. A sliding window has one phase, a transposed one of stride s
// has s along each axis, and so has nearest upsampling by s before a window; there, taps that fall on one pixel are summed beforehand.
// No phase multiplies by inserted zeros or repeated pixels.
#pragma once

#include <stdint.h>

#include "../downup.h"

namespace downup {

struct Tap {
  int64_t row, column;
};

struct Phase {
  int64_t first[2];
  int64_t tap_count;
  const Tap* taps;       // [tap_count]
  const float* weights;  // as the algorithm packs them; or pairs of bfloat16, each in the place of a float
  bool is_shared;        // taps are those of the phase before
};

struct ConvolvePlan {
  int64_t in_channels, out_channels, groups;
  int64_t group_in, group_out;  // channels of one group
  int64_t cross;                // channels of a group, where all groups are computed as one (depthwise, grouped); else 0
  int64_t padded_out;           // group_out rounded up to whole vectors
  int64_t out_step[2], in_step[2];
  int64_t pad_before[2], dilation[2];  // of the window
  int64_t phase_count;
  const Phase* phases;
  int64_t most_taps;  // of any phase
  const float* bias;  // [group][padded_out]
  const float* slopes;  // [group][padded_out]; of DU_PRELU
  du_activation activation;
};

constexpr int64_t kMostParts = 64;

// Strides are those of [batch, channel, row, column], and that of the channels is 1.
struct ConvolveCall {
  const ConvolvePlan* plan;
  int64_t batch, in_size[2], out_size[2];
  int64_t part_count;
  const du_view* parts;
  const du_view* residual;  // or NULL
  const du_view* out;
  int64_t threads;
};

// One algorithm of one instruction set. It is lent as many bytes as `scratch_bytes` asks for, from a multiple of 64.
struct ConvolveKernel {
  int64_t (*scratch_bytes)(const ConvolveCall& call);
  void (*run)(const ConvolveCall& call, char* scratch);
};

// In the order of the DU_ names: DU_AUTO is none.
enum { kAlgorithms = DU_DIRECT_BFLOAT16 + 1 };

// Out channels come in blocks of one or two vectors, the last of a group in one vector where that holds them.
struct ConvolveKernels {
  int64_t lanes;          // floats of a vector
  int64_t block_vectors;  // vectors of a block
  ConvolveKernel algorithms[kAlgorithms];  // of NULL: one that this processor has no instructions for
};

}  // namespace downup
