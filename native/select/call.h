// What the select kernels share: a plane, the samples taken from its windows, and where each was taken.
#pragma once

#include <stdint.h>

namespace downup {

// One axis of a sliding window over `in` samples giving `out` windows. The windows of an adaptive axis share the samples:
// window i takes those from floor(i * in / out) up to ceil((i + 1) * in / out); `size` is the largest of them.
struct Axis {
  int64_t in, out, size, stride, before, dilation;
  bool is_adaptive;
};

// The plane is the large side, the samples the small one; strides are those of [batch, channel, row, column].
struct SelectCall {
  int64_t batch, channels;
  bool streams;    // the plane is an output too large for the caches
  bool has_blind;  // some windows see only padding
  bool overlaps;   // some windows share a place
  Axis rows, columns;
  void* plane;
  int64_t plane_strides[4];
  void* samples;
  int64_t sample_strides[4];
  void* positions;
  int64_t position_strides[4];
  // Codes are positions that were read and checked, one byte each: tap_row * tap_columns + tap_column. Nobody else writes to
  // them. The kernels that work by codes find them where the others find positions.
  uint8_t* codes;
  int64_t code_strides[4];
  bool codes_by_channel;  // channels lie side by side
  int64_t tap_columns;
  int64_t gap;  // codes kNone after each row, and before the first of a plane
};

// A code that is that of no tap, where a call says so with a gap.
constexpr uint8_t kNone = 128;

constexpr int64_t kMostMarked = 16384;

enum PositionForm { kNoPositions, kOffsets, kFlat };

// The kernels of one instruction set for one element type; each runs on at most `threads` threads. Those that read positions
// return how many of them were found where the kernel looks: the caller compares that with the number of windows.
struct SelectKernels {
  using ToCodes = int64_t (*)(const SelectCall& call, PositionForm form, int64_t threads);
  using ByCodes = void (*)(const SelectCall& call, int64_t threads);
  using ByPositions = int64_t (*)(const SelectCall& call, int64_t threads);
  void (*max)(const SelectCall& call, PositionForm form, int64_t threads);
  // Reads every position, checks that it is in its own window, and writes its code.
  ToCodes to_codes;
  // Codes with kNone for every sample whose place a later window chose too. Both lie alike.
  void (*keep_last)(const SelectCall& call, uint8_t* kept, int64_t threads);
  // By codes: take the value there; add the sample there, or put it there.
  ByCodes take;
  ByCodes add_back;
  ByCodes put_back;
  // By flat positions, in windows of more taps than a code can tell.
  ByPositions far_take;
  ByPositions far_add_back;
  // By flat positions anywhere in the plane.
  ByPositions scatter;
  // By flat positions anywhere, or by codes: the value there unless a later sample has the place. `seen` holds a bit for
  // every place of every plane, each plane in bytes of its own; its contents are lost. By codes, it may be NULL for planes of
  // at most kMostMarked places; then nothing is counted.
  int64_t (*gather_kept)(const SelectCall& call, PositionForm form, uint8_t* seen, int64_t threads);
};

enum ElementType { kFloat32, kFloat64, kBfloat16, kElementTypes };

}  // namespace downup
