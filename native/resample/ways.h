// Which way a call takes, by its layout and sizes; and what all ways share.
#pragma once

#include "call.h"
#include "line.h"

namespace downup {
namespace DU_ISA {

// Elements of a piece of a line: in the nearest cache, beside the rows that it is made of.
constexpr int64_t kLine = 4096;

// Whether channels lie side by side on both images, and pixels hold a few vectors of them.
template <class T>
bool is_by_channel(const ResampleCall& call) {
  const bool is_whole = call.channels % kManyLanes<T> == 0 || call.channels >= 8 * kManyLanes<T>;
  return is_whole && call.in_strides[1] == 1 && call.out_strides[1] == 1;
}

// Whether steps along an axis of so many samples are of the expected length; there are none along an axis of one.
inline bool has_step(int64_t stride, int64_t samples, int64_t expected) { return stride == expected || samples == 1; }

// Whether the pixels of a row of `inner` elements each lie side by side.
inline bool has_rows(const int64_t* strides, const int64_t columns, int64_t inner) { return has_step(strides[3], columns, inner); }

// Whether pixels of a few channels lie side by side, so that a row is one line.
template <class T>
bool is_packed(const ResampleCall& call) {
  return call.channels > 1 && call.channels < 8 * kManyLanes<T> && call.in_strides[1] == 1 && call.out_strides[1] == 1 &&
         has_rows(call.in_strides, call.columns->in, call.channels) && has_rows(call.out_strides, call.columns->out, call.channels);
}

// How many channels a line holds.
template <class T>
int64_t line_inner(const ResampleCall& call) {
  return is_packed<T>(call) ? call.channels : 1;
}

// The axis of a row taken as a line, of which a piece that holds whole pixels fits the nearest cache.
template <class T>
LineAxis row_axis(const ResampleCall& call) {
  const int64_t inner = line_inner<T>(call);
  return {call.columns, inner, true, kLine - 2 * inner};
}

// Whether the whole plane is better taken as one line: its own rows are short, and it fits.
template <class T>
bool is_small_plane(const ResampleCall& call) {
  const int64_t inner = line_inner<T>(call), in = call.columns->in * inner, out = call.columns->out * inner;
  return smaller(in, out) < 4 * kManyLanes<T> && in < kLine && out < kLine && call.rows->in <= kLine / in && call.rows->out <= kLine / in &&
         call.rows->out <= kLine / out && has_rows(call.in_strides, call.columns->in, inner) && has_rows(call.out_strides, call.columns->out, inner) &&
         has_step(call.in_strides[2], call.rows->in, in) && has_step(call.out_strides[2], call.rows->out, out) && call.rows->count <= kLine && call.columns->count <= kLine / call.rows->out;
}

enum Way { kByChannel, kByPlane, kByRow };

template <class T>
Way way_of(const ResampleCall& call) {
  return is_by_channel<T>(call) ? kByChannel : is_small_plane<T>(call) ? kByPlane : kByRow;
}

// Where a plane begins, or the planes of channels that are taken together.
template <class T>
struct Plane {
  const T* in;
  T* out;
};

template <class T>
Plane<T> plane_of(const ResampleCall& call, int64_t n, int64_t c) {
  return {static_cast<const T*>(call.in) + n * call.in_strides[0] + c * call.in_strides[1],
          static_cast<T*>(call.out) + n * call.out_strides[0] + c * call.out_strides[1]};
}

}  // namespace DU_ISA
}  // namespace downup
