// A prepared convolution, as the C entry and the preparation see it.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../downup.h"
#include "plan.h"

namespace downup {

// Blocks that live as long as this does, each from a multiple of 64 bytes.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    while (last_) {
      Block* before = last_->before;
      free(last_);
      last_ = before;
    }
  }

  // `count` elements of zeros, or NULL where there is no memory for them.
  template <class T>
  T* take(int64_t count) {
    T* block = take_unset<T>(count);
    if (block) memset(block, 0, static_cast<size_t>(count) * sizeof(T));
    return block;
  }

  // The same, to be written by whoever takes them.
  template <class T>
  T* take_unset(int64_t count) {
    int64_t bytes;
    if (__builtin_mul_overflow(count, static_cast<int64_t>(sizeof(T)), &bytes) || bytes < 0) return nullptr;
    return static_cast<T*>(take_bytes(bytes));
  }

 private:
  struct Block {
    Block* before;
  };
  static constexpr int64_t kAlignment = 64;
  void* take_bytes(int64_t bytes);

  Block* last_ = nullptr;
};

}  // namespace downup

struct du_convolution {
  downup::Memory memory;
  du_convolution_spec spec;
  int32_t algorithm;
  const downup::ConvolveKernel* kernel;
  downup::ConvolvePlan plan;
};

namespace downup {

// In phases.cpp. The phases of a checked spec, without weights: false where there is no memory.
bool plan_phases(du_convolution& convolution);

// The place of tap k of the window in phase p along an axis, in input pixels from that of the outputs' own; false: not a tap of it.
bool tap_offset(const du_convolution_spec& spec, int axis, int64_t phase, int64_t k, int64_t* offset);

// In choose.cpp. The algorithm for a checked spec: what it asks for, or the cheapest by a count of operations; -1 with an error where
// what it asks for does not fit. Sizes have no say, so that a sample has the same bits in every picture.
int32_t choose_algorithm(const du_convolution_spec& spec, const ConvolveKernels& kernels);

// In prepare.cpp. Weights and bias as the algorithm wants them; false where there is no memory.
bool pack(du_convolution& convolution, const ConvolveKernels& kernels, const float* weight, const float* bias);

}  // namespace downup
