#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#include <algorithm>

namespace downup {
namespace {

thread_local char last_error[512] = "";
thread_local int32_t last_code = DU_OK;

// With these bounds no place computed from a window overflows.
constexpr int64_t kLargestArgument = INT32_MAX;
constexpr int64_t kLargestPadding = int64_t{1} << 30;
// The lowest number has no opposite.
int64_t stride_length(int64_t stride) { return stride == INT64_MIN ? INT64_MAX : stride < 0 ? -stride : stride; }

constexpr const char* kAxisNames[4] = {"batch", "channel", "row", "column"};

}  // namespace

int32_t set_error(int32_t code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  last_code = code;
  return code;
}

int64_t element_bytes(int32_t type) {
  switch (type) {
    case DU_FLOAT32: return 4;
    case DU_FLOAT64: return 8;
    case DU_BFLOAT16: return 2;
    case DU_UINT8: return 1;
    case DU_INT64: return 8;
    default: return 0;
  }
}

bool check_view(const du_view* view, const char* name) {
  if (!view) return !set_error(DU_BAD_ARGUMENT, "%s is NULL; give a view", name);
  if (!element_bytes(view->type)) return !set_error(DU_BAD_ARGUMENT, "%s has type %d; use one of the DU_ types", name, view->type);
  for (int i = 0; i < 4; ++i) {
    if (view->sizes[i] < (i == 0 ? 0 : 1) || view->sizes[i] > kLargestArgument) {
      return !set_error(DU_BAD_ARGUMENT, "%s has %lld in its %s size; use %d to %lld", name,
                        static_cast<long long>(view->sizes[i]), kAxisNames[i], i == 0 ? 0 : 1, static_cast<long long>(kLargestArgument));
    }
  }
  // The bytes between the first and the last element must be countable, and so must the elements.
  int64_t elements = 1, reach = 0;
  for (int i = 0; i < 4; ++i) {
    int64_t step;
    if (__builtin_mul_overflow(elements, std::max<int64_t>(view->sizes[i], 1), &elements) ||
        __builtin_mul_overflow(stride_length(view->strides[i]), std::max<int64_t>(view->sizes[i], 1) - 1, &step) || __builtin_add_overflow(reach, step, &reach) ||
        reach > INT64_MAX / 16 || elements > INT64_MAX / 16) {
      return !set_error(DU_BAD_ARGUMENT, "%s has sizes [%lld, %lld, %lld, %lld] that overflow; use sizes that fit in memory", name,
                        static_cast<long long>(view->sizes[0]), static_cast<long long>(view->sizes[1]),
                        static_cast<long long>(view->sizes[2]), static_cast<long long>(view->sizes[3]));
    }
  }
  if (!view->data && view->sizes[0] > 0) return !set_error(DU_BAD_ARGUMENT, "%s has no data", name);
  return true;
}

bool check_output(const du_view* view, const char* name) {
  if (!check_view(view, name)) return false;
  // Ordered by stride, each step must pass over everything before it.
  int order[4] = {0, 1, 2, 3};
  const auto length = [&](int i) { return stride_length(view->strides[i]); };
  std::sort(order, order + 4, [&](int a, int b) { return length(a) < length(b); });
  int64_t covered = 0;
  for (int i : order) {
    if (view->sizes[i] < 2) continue;
    if (length(i) <= covered) {
      return !set_error(DU_BAD_ARGUMENT, "%s overlaps itself along its %s axis (stride %lld); write to memory of its own", name,
                        kAxisNames[i], static_cast<long long>(view->strides[i]));
    }
    covered += length(i) * (view->sizes[i] - 1);
  }
  return true;
}

bool check_window(const du_window* window) {
  if (!window) return !set_error(DU_BAD_ARGUMENT, "window is NULL");
  if (window->adaptive) return true;
  for (int i = 0; i < 2; ++i) {
    const char* axis = kAxisNames[2 + i];
    const struct {
      const char* name;
      int64_t value, lowest, highest;
    } fields[] = {{"size", window->size[i], 1, kLargestArgument},
                  {"stride", window->stride[i], 1, kLargestArgument},
                  {"dilation", window->dilation[i], 1, kLargestArgument},
                  {"padding before", window->pad_before[i], 0, kLargestPadding},
                  {"padding after", window->pad_after[i], 0, kLargestPadding}};
    for (const auto& field : fields) {
      if (field.value < field.lowest || field.value > field.highest) {
        return !set_error(DU_BAD_ARGUMENT, "window %s is %lld along the %s axis; use %lld to %lld", field.name,
                          static_cast<long long>(field.value), axis, static_cast<long long>(field.lowest),
                          static_cast<long long>(field.highest));
      }
    }
  }
  return true;
}

int64_t window_out_size(int64_t in_size, const du_window& window, int axis) {
  const int64_t before = window.pad_before[axis], after = window.pad_after[axis], stride = window.stride[axis];
  const int64_t extent = window.dilation[axis] * (window.size[axis] - 1) + 1;
  const int64_t room = in_size + before + after - extent;
  int64_t out = room >= 0 ? room / stride + 1 : 0;
  if (window.ceil_mode) {
    // room may be negative by less than a stride: the first window then hangs over the end.
    out = room > -stride ? (room + stride - 1) / stride + 1 : 0;
    out = std::min(out, (in_size + before - 1) / stride + 1);
  }
  if (out >= 1) return out;
  set_error(DU_BAD_ARGUMENT,
            "the window spans %lld %ss but the padded input has only %lld; use a smaller window or dilation, or more padding",
            static_cast<long long>(extent), kAxisNames[2 + axis], static_cast<long long>(in_size + before + after));
  return -1;
}

Span span_of(const du_view& view) {
  if (view.sizes[0] == 0) return {0, 0};
  const int64_t bytes = element_bytes(view.type);
  Span span{0, bytes};
  for (int i = 0; i < 4; ++i) {
    if (view.sizes[i] < 2) continue;
    const int64_t way = view.strides[i] * (view.sizes[i] - 1) * bytes;
    (way < 0 ? span.begin : span.end) += way;
  }
  return span;
}

bool check_size(const du_view* view, const char* name, int axis, int64_t expected) {
  if (view->sizes[axis] == expected) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s has %lld in its %s size; %lld fits the other views", name,
                    static_cast<long long>(view->sizes[axis]), kAxisNames[axis], static_cast<long long>(expected));
}

namespace {

// Whether two views hold other channels of the same pixels: what a concatenation is written in, and read from, part by part.
bool are_channels_apart(const du_view& a, const du_view& b) {
  if (a.type != b.type || (a.sizes[1] > 1 && a.strides[1] != 1) || (b.sizes[1] > 1 && b.strides[1] != 1)) return false;
  // All steps but those along channels are multiples of the step from pixel to pixel.
  int64_t pixel = INT64_MAX;
  for (const du_view* view : {&a, &b}) {
    for (int axis : {0, 2, 3}) {
      if (view->sizes[axis] > 1) pixel = std::min(pixel, stride_length(view->strides[axis]));
    }
  }
  if (pixel == INT64_MAX || pixel < a.sizes[1] + b.sizes[1]) return false;
  for (const du_view* view : {&a, &b}) {
    for (int axis : {0, 2, 3}) {
      if (view->sizes[axis] > 1 && view->strides[axis] % pixel != 0) return false;
    }
  }
  const int64_t bytes = static_cast<int64_t>(reinterpret_cast<uint64_t>(b.data) - reinterpret_cast<uint64_t>(a.data));
  const int64_t size = element_bytes(a.type);
  if (bytes % size != 0) return false;
  const int64_t rest = bytes / size % pixel, apart = rest < 0 ? rest + pixel : rest;
  return apart >= a.sizes[1] && apart + b.sizes[1] <= pixel;
}

}  // namespace

bool check_apart(const du_view* out, const char* out_name, const du_view* in, const char* in_name) {
  const Span a = span_of(*out), b = span_of(*in);
  // As numbers: an address beside a view may be no valid pointer.
  const uint64_t a_data = reinterpret_cast<uint64_t>(out->data), b_data = reinterpret_cast<uint64_t>(in->data);
  const auto place = [](uint64_t data, int64_t way) { return data + static_cast<uint64_t>(way); };
  if (place(a_data, a.begin) >= place(b_data, b.end) || place(b_data, b.begin) >= place(a_data, a.end)) return true;
  if (are_channels_apart(*out, *in)) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s and %s share memory; write to memory of its own", out_name, in_name);
}

bool check_threads(int64_t threads) {
  return threads >= 1 || !set_error(DU_BAD_ARGUMENT, "threads is %lld; use at least 1", static_cast<long long>(threads));
}

void copy_strides(const du_view& view, int64_t* strides) {
  for (int i = 0; i < 4; ++i) strides[i] = view.sizes[i] == 1 ? 1 : view.strides[i];
}

}  // namespace downup

extern "C" const char* du_last_error(void) { return downup::last_error; }
extern "C" int32_t du_last_code(void) { return downup::last_code; }
