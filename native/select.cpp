// The C entries of the select family: check everything, choose a kernel, explain what went wrong.
#include "select/call.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

bool is_float(int32_t type) { return type == DU_FLOAT32 || type == DU_FLOAT64 || type == DU_BFLOAT16; }

bool check_same_type(const du_view* a, const char* a_name, const du_view* b, const char* b_name) {
  if (!is_float(a->type)) {
    return !set_error(DU_BAD_ARGUMENT, "%s has type %d; use DU_FLOAT32, DU_FLOAT64 or DU_BFLOAT16", a_name, a->type);
  }
  if (a->type != b->type) {
    return !set_error(DU_BAD_ARGUMENT, "%s has type %d but %s has type %d; give both one type", a_name, a->type, b_name, b->type);
  }
  return true;
}

bool check_positions(const du_view* positions, const du_view* samples, const du_window* window) {
  if (positions->type != DU_UINT8 && positions->type != DU_INT64) {
    return !set_error(DU_BAD_ARGUMENT, "positions have type %d; use DU_UINT8 (offsets) or DU_INT64 (flat)", positions->type);
  }
  if (positions->type == DU_UINT8 && window->size[0] * window->size[1] > 256) {
    return !set_error(DU_BAD_ARGUMENT, "a window of %lld x %lld has more than 256 taps, too many for one byte; use flat positions",
                      static_cast<long long>(window->size[0]), static_cast<long long>(window->size[1]));
  }
  for (int i = 0; i < 4; ++i) {
    if (!check_size(positions, "positions", i, samples->sizes[i])) return false;
  }
  return true;
}

Axis axis_of(const du_window& window, int i, int64_t in, int64_t out) {
  return {in, out, window.size[i], window.stride[i], window.pad_before[i], window.dilation[i]};
}

SelectCall call_of(const du_view& plane, const du_view& samples, const du_view* positions, const du_window& window) {
  SelectCall call{};
  call.batch = plane.sizes[0];
  call.channels = plane.sizes[1];
  call.streams = span_of(plane).end >= kStreamedBytes;
  call.rows = axis_of(window, 0, plane.sizes[2], samples.sizes[2]);
  call.columns = axis_of(window, 1, plane.sizes[3], samples.sizes[3]);
  call.plane = plane.data;
  call.samples = samples.data;
  call.positions = positions ? positions->data : nullptr;
  copy_strides(plane, call.plane_strides);
  copy_strides(samples, call.sample_strides);
  if (positions) copy_strides(*positions, call.position_strides);
  return call;
}

const SelectKernels& kernels_for(int32_t type) {
  const SelectKernels* kernels = active_kernels().select;
  return kernels[type == DU_FLOAT64 ? kFloat64 : type == DU_BFLOAT16 ? kBfloat16 : kFloat32];
}

PositionForm form_of(const du_view& positions) { return positions.type == DU_UINT8 ? kOffsets : kFlat; }

// Batches, channels and types agree, and `samples` has one sample for each window over `plane`.
bool check_pooling(const du_view* plane, const char* plane_name, const du_view* samples, const char* samples_name,
                   const du_window* window) {
  if (!check_same_type(plane, plane_name, samples, samples_name)) return false;
  for (int i = 0; i < 2; ++i) {
    if (!check_size(samples, samples_name, i, plane->sizes[i])) return false;
  }
  for (int i = 0; i < 2; ++i) {
    const int64_t out = window_out_size(plane->sizes[2 + i], *window, i);
    if (out < 0 || !check_size(samples, samples_name, 2 + i, out)) return false;
  }
  return true;
}

// The windows of one axis with a tap on the input.
int64_t windows_with_taps(const Axis& axis) {
  int64_t count = 0;
  for (int64_t i = 0; i < axis.out; ++i) {
    const int64_t start = i * axis.stride - axis.before;
    const int64_t first = start >= 0 ? start : start + (-start + axis.dilation - 1) / axis.dilation * axis.dilation;
    count += first < axis.in && first <= start + (axis.size - 1) * axis.dilation;
  }
  return count;
}

int64_t all_windows(const SelectCall& call) { return call.batch * call.channels * call.rows.out * call.columns.out; }

// Those of a pooling that saw only padding have no position.
int64_t all_windows_with_taps(const SelectCall& call) {
  return call.batch * call.channels * windows_with_taps(call.rows) * windows_with_taps(call.columns);
}

int32_t check_found(const SelectCall& call, int64_t found, int64_t expected, const char* where) {
  if (found == expected) return DU_OK;
  return set_error(DU_BAD_POSITION, "%lld of %lld positions lie outside %s of %lld x %lld; use the positions and the size of the pooling they come from",
                   static_cast<long long>(expected - found), static_cast<long long>(expected), where,
                   static_cast<long long>(call.rows.in), static_cast<long long>(call.columns.in));
}

constexpr const char* kOwnWindow = "their windows in the plane";
constexpr const char* kPlane = "the plane";

// The usual positions lie in their own windows, and the kernels for these let each place ask the few windows over it, so that
// threads split the plane. For planes too narrow for that, going from sample to sample is quicker.
bool is_narrow(const SelectCall& call) {
  return call.columns.out < 24 && call.plane_strides[3] == 1 && (call.channels == 1 || call.plane_strides[1] != 1);
}

// Whether no two windows share a place, so that positions inside their windows never collide.
bool are_windows_apart(const du_window& window) {
  for (int i = 0; i < 2; ++i) {
    if (window.stride[i] <= window.dilation[i] * (window.size[i] - 1)) return false;
  }
  return true;
}

// What unpool and its gradient demand: `samples` and `positions` of one shape, `plane` of any height and width.
bool check_unpooling(const du_view* plane, const char* plane_name, const du_view* samples, const char* samples_name,
                     const du_view* positions, const du_window* window) {
  if (!check_same_type(plane, plane_name, samples, samples_name)) return false;
  for (int i = 0; i < 2; ++i) {
    if (!check_size(plane, plane_name, i, samples->sizes[i])) return false;
    // So that the place of a window never overflows.
    if (samples->sizes[2 + i] > INT32_MAX / window->stride[i]) {
      return !set_error(DU_BAD_ARGUMENT, "%s has sizes that overflow with stride %lld", samples_name, static_cast<long long>(window->stride[i]));
    }
  }
  return check_positions(positions, samples, window);
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_max_pool2d(const du_view* in, const du_view* out, const du_view* positions, const du_window* window,
                                 int64_t threads) {
  const bool has_positions = positions && positions->data;
  if (!check_view(in, "in") || !check_output(out, "out") || !check_window(window) || !check_threads(threads) ||
      !check_pooling(in, "in", out, "out", window) || !check_apart(out, "out", in, "in")) {
    return DU_BAD_ARGUMENT;
  }
  if (has_positions && (!check_output(positions, "positions") || !check_positions(positions, out, window) ||
                        !check_apart(positions, "positions", in, "in") || !check_apart(positions, "positions", out, "out"))) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*in, *out, has_positions ? positions : nullptr, *window);
  kernels_for(in->type).max(call, has_positions ? form_of(*positions) : kNoPositions, threads);
  return DU_OK;
}

extern "C" int32_t du_max_pool2d_backward(const du_view* grad_out, const du_view* positions, const du_view* grad_in,
                                          const du_window* window, int64_t threads) {
  if (!check_view(grad_out, "grad_out") || !check_view(positions, "positions") || !check_output(grad_in, "grad_in") ||
      !check_window(window) || !check_threads(threads) || !check_pooling(grad_in, "grad_in", grad_out, "grad_out", window) ||
      !check_positions(positions, grad_out, window) || !check_apart(grad_in, "grad_in", grad_out, "grad_out") ||
      !check_apart(grad_in, "grad_in", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*grad_in, *grad_out, positions, *window);
  const SelectKernels& kernels = kernels_for(grad_in->type);
  const PositionForm form = form_of(*positions);
  const int64_t expected = all_windows_with_taps(call);
  const bool sums_are_exact = grad_in->type != DU_BFLOAT16 || are_windows_apart(*window);
  const auto run = is_narrow(call) && sums_are_exact ? kernels.scatter_add : kernels.add_back;
  return check_found(call, run(call, form, threads), expected, kOwnWindow);
}

extern "C" int32_t du_max_pool2d_take(const du_view* values, const du_view* positions, const du_view* taken,
                                      const du_window* window, int64_t threads) {
  if (!check_view(values, "values") || !check_view(positions, "positions") || !check_output(taken, "taken") || !check_window(window) ||
      !check_threads(threads) || !check_pooling(values, "values", taken, "taken", window) ||
      !check_positions(positions, taken, window) || !check_apart(taken, "taken", values, "values") ||
      !check_apart(taken, "taken", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*values, *taken, positions, *window);
  const SelectKernels& kernels = kernels_for(values->type);
  const PositionForm form = form_of(*positions);
  const int64_t expected = all_windows_with_taps(call);
  const auto run = is_narrow(call) ? kernels.gather : kernels.take;
  return check_found(call, run(call, form, threads), expected, kOwnWindow);
}

extern "C" int32_t du_max_unpool2d(const du_view* in, const du_view* positions, const du_view* out, const du_window* window,
                                   int64_t threads) {
  if (!check_view(in, "in") || !check_view(positions, "positions") || !check_output(out, "out") || !check_window(window) ||
      !check_threads(threads) || !check_unpooling(out, "out", in, "in", positions, window) || !check_apart(out, "out", in, "in") ||
      !check_apart(out, "out", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*out, *in, positions, *window);
  const SelectKernels& kernels = kernels_for(in->type);
  const PositionForm form = form_of(*positions);
  if (!is_narrow(call) && kernels.put_back(call, form, threads) == all_windows(call)) return DU_OK;
  return check_found(call, kernels.scatter(call, form, threads), all_windows(call), kPlane);
}

extern "C" int32_t du_max_unpool2d_backward(const du_view* grad_out, const du_view* positions, const du_view* grad_in,
                                            const du_window* window, int64_t threads) {
  if (!check_view(grad_out, "grad_out") || !check_view(positions, "positions") || !check_output(grad_in, "grad_in") ||
      !check_window(window) || !check_threads(threads) || !check_unpooling(grad_out, "grad_out", grad_in, "grad_in", positions, window) ||
      !check_apart(grad_in, "grad_in", grad_out, "grad_out") || !check_apart(grad_in, "grad_in", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*grad_out, *grad_in, positions, *window);
  const SelectKernels& kernels = kernels_for(grad_in->type);
  const PositionForm form = form_of(*positions);
  // In windows of their own, no two samples share a place and all are kept.
  if (are_windows_apart(*window) && kernels.take(call, form, threads) == all_windows(call)) return DU_OK;
  const int64_t bytes = call.batch * call.channels * ((call.rows.in * call.columns.in + 7) / 8);
  uint8_t* seen = static_cast<uint8_t*>(malloc(static_cast<size_t>(bytes > 0 ? bytes : 1)));
  if (!seen) return set_error(DU_OUT_OF_MEMORY, "no memory for %lld bytes of marks", static_cast<long long>(bytes));
  const int64_t found = kernels.gather_kept(call, form, seen, threads);
  free(seen);
  return check_found(call, found, all_windows(call), kPlane);
}
