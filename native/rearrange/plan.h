// What the rearrange kernels share: a copy of every element, as nested loops whose indices move by one stride in the input and by
// another in the output.
#pragma once

#include <stdint.h>

namespace downup {

// Strides in elements.
struct Loop {
  int64_t size, from, to;
};

enum RearrangeKind {
  kRuns,          // run lies side by side on both sides
  kInterleave,    // strands, each side by side in the input, are laid element by element in turn: out[l * strands + k] = in[place[k] + l]
  kDeinterleave,  // the inverse: out[place[k] + l] = in[l * strands + k]
  kScattered,     // anything: run has the shortest stride of the input, across that of the output
};

constexpr int kMostLoops = 7;
// More strands than this, or a number for which no vector code was built, are copied element by element.
constexpr int64_t kMostStrands = 25;
constexpr bool is_built_for(int64_t strands) {
  return strands == 2 || strands == 3 || strands == 4 || strands == 5 || strands == 8 || strands == 9 || strands == 16 ||
         strands == 25;
}

struct RearrangePlan {
  const void* in;
  void* out;
  bool streams;  // the output is too large for the caches
  RearrangeKind kind;
  int outer_count;
  Loop outer[kMostLoops];  // the first is the outermost
  Loop run;
  Loop across;  // of one element but for kScattered
  int64_t strands;
  int64_t place[kMostStrands];
};

// The kernel of one instruction set for elements of so many bytes, on at most `threads` threads.
using RearrangeKernel = void (*)(const RearrangePlan& plan, int64_t threads);

// By the logarithm of the number of bytes.
constexpr int kElementSizes = 4;

}  // namespace downup
