// What the select kernels share: a plane, the samples taken from its windows, and where each was taken.
#pragma once

#include <stdint.h>

namespace downup {

// One axis of a sliding window over `in` samples giving `out` windows.
struct Axis {
  int64_t in, out, size, stride, before, dilation;
};

// The plane is the large side, the samples the small one; strides are those of [batch, channel, row, column].
struct SelectCall {
  int64_t batch, channels;
  bool streams;  // the plane is an output too large for the caches
  Axis rows, columns;
  void* plane;
  int64_t plane_strides[4];
  void* samples;
  int64_t sample_strides[4];
  void* positions;
  int64_t position_strides[4];
};

enum PositionForm { kNoPositions, kOffsets, kFlat };

// The kernels of one instruction set for one element type; each runs on at most `threads` threads. Those that read positions
// return how many of them were found where the kernel looks: the caller compares that with the number of windows.
struct SelectKernels {
  int64_t (*max)(const SelectCall& call, PositionForm form, int64_t threads);
  // Looking in each position's own window: take the value there; add the sample there, or put it there.
  int64_t (*take)(const SelectCall& call, PositionForm form, int64_t threads);
  int64_t (*add_back)(const SelectCall& call, PositionForm form, int64_t threads);
  int64_t (*put_back)(const SelectCall& call, PositionForm form, int64_t threads);
  // The same for narrow planes, sample by sample.
  int64_t (*gather)(const SelectCall& call, PositionForm form, int64_t threads);
  int64_t (*scatter_add)(const SelectCall& call, PositionForm form, int64_t threads);
  // Looking in the whole plane.
  int64_t (*scatter)(const SelectCall& call, PositionForm form, int64_t threads);
  // `seen` holds a bit for every place of every plane, each plane in bytes of its own; its contents are lost.
  int64_t (*gather_kept)(const SelectCall& call, PositionForm form, uint8_t* seen, int64_t threads);
};

enum ElementType { kFloat32, kFloat64, kBfloat16, kElementTypes };

}  // namespace downup
