// All checks of arguments, once. Each returns false after set_error() when its argument is out of range.
#pragma once

#include "downup.h"

namespace downup {

// Keeps the sentence for du_last_error(); returns the code, so that an entry can `return set_error(...)`.
int32_t set_error(int32_t code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Sizes of 1 to 2^31 - 1, the batch also 0; extents that no index overflows; data present unless empty.
bool check_view(const du_view* view, const char* name);

// The same for a view that is written to: no two of its elements may share memory.
bool check_output(const du_view* view, const char* name);

// Window sizes, strides and dilations of 1 to 2^31 - 1, paddings of 0 to 2^30; an adaptive window has none of them.
bool check_window(const du_window* window);

// floor((in + paddings - dilation * (size - 1) - 1) / stride) + 1; with ceil_mode rounded up, but only windows that start on the
// input or the padding before it. -1 with an error where no window fits.
int64_t window_out_size(int64_t in_size, const du_window& window, int axis);

// Where all of a view's elements lie, in bytes from its data: [begin, end).
struct Span {
  int64_t begin, end;
};
Span span_of(const du_view& view);

int64_t element_bytes(int32_t type);

// One size of a view (0 batch, 1 channel, 2 row, 3 column) is the expected one.
bool check_size(const du_view* view, const char* name, int axis, int64_t expected);

// An output that shares memory with an input would be overwritten while it is read.
bool check_apart(const du_view* out, const char* out_name, const du_view* in, const char* in_name);

bool check_threads(int64_t threads);

// The stride of an axis of one element says nothing; 1 fits every fast path and overflows nowhere.
void copy_strides(const du_view& view, int64_t* strides);

// Whether to write an output of so many bytes past the caches; in memory.cpp.
bool is_streamed(int64_t bytes);

}  // namespace downup
