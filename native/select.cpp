// The C entries of the select family: check everything, choose a kernel, explain what went wrong.
#include "select/call.h"

#include <stdlib.h>

#include <algorithm>

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

Axis axis_of(const du_window& window, int i, int64_t in, int64_t out) {
  if (!window.adaptive) return {in, out, window.size[i], window.stride[i], window.pad_before[i], window.dilation[i], false};
  const int64_t rest = in % out;
  if (rest == 0) return {in, out, in / out, in / out, 0, 1, false};
  // Starts lie at every multiple of gcd(rest, out) over out, so that a window of in / out + rest / out samples reaches into two
  // more samples than in / out, or into one where rest is that divisor itself.
  return {in, out, in / out + (out % rest ? 2 : 1), 1, 0, 1, true};
}

bool check_positions(const du_view* positions, const du_view* samples, const du_view* plane, const du_window* window) {
  if (positions->type != DU_UINT8 && positions->type != DU_INT64) {
    return !set_error(DU_BAD_ARGUMENT, "positions have type %d; use DU_UINT8 (offsets) or DU_INT64 (flat)", positions->type);
  }
  const int64_t rows = axis_of(*window, 0, plane->sizes[2], samples->sizes[2]).size;
  const int64_t columns = axis_of(*window, 1, plane->sizes[3], samples->sizes[3]).size;
  if (positions->type == DU_UINT8 && rows * columns > 256) {
    return !set_error(DU_BAD_ARGUMENT, "a window of %lld x %lld has more than 256 taps, too many for one byte; use flat positions",
                      static_cast<long long>(rows), static_cast<long long>(columns));
  }
  for (int i = 0; i < 4; ++i) {
    if (!check_size(positions, "positions", i, samples->sizes[i])) return false;
  }
  return true;
}

// Whether no two windows share a place, so that positions inside their windows never collide.
bool is_apart(const Axis& axis) { return !axis.is_adaptive && axis.stride > axis.dilation * (axis.size - 1); }

// The windows of one axis with a tap on the input.
int64_t windows_with_taps(const Axis& axis) {
  if (axis.is_adaptive || (axis.before == 0 && (axis.out - 1) * axis.stride < axis.in)) return axis.out;
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

SelectCall call_of(const du_view& plane, const du_view& samples, const du_view* positions, const du_window& window) {
  SelectCall call{};
  call.batch = plane.sizes[0];
  call.channels = plane.sizes[1];
  call.streams = is_streamed(span_of(plane).end - span_of(plane).begin);
  call.rows = axis_of(window, 0, plane.sizes[2], samples.sizes[2]);
  call.columns = axis_of(window, 1, plane.sizes[3], samples.sizes[3]);
  call.tap_columns = call.columns.size;
  call.overlaps = !is_apart(call.rows) || !is_apart(call.columns);
  call.plane = plane.data;
  call.samples = samples.data;
  call.positions = positions ? positions->data : nullptr;
  copy_strides(plane, call.plane_strides);
  copy_strides(samples, call.sample_strides);
  if (positions) copy_strides(*positions, call.position_strides);
  call.has_blind = all_windows_with_taps(call) != all_windows(call);
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
    const int64_t out = window->adaptive ? samples->sizes[2 + i] : window_out_size(plane->sizes[2 + i], *window, i);
    if (out < 0 || !check_size(samples, samples_name, 2 + i, out)) return false;
  }
  return true;
}

int32_t check_found(const SelectCall& call, int64_t found, int64_t expected, const char* where) {
  if (found == expected) return DU_OK;
  return set_error(DU_BAD_POSITION, "%lld of %lld positions lie outside %s of %lld x %lld; use the positions and the size of the pooling they come from",
                   static_cast<long long>(expected - found), static_cast<long long>(expected), where,
                   static_cast<long long>(call.rows.in), static_cast<long long>(call.columns.in));
}

constexpr const char* kOwnWindow = "their windows in the plane";
constexpr const char* kPlane = "the plane";

// A block that is freed with its scope.
struct Scratch {
  explicit Scratch(int64_t bytes) : data(static_cast<uint8_t*>(malloc(static_cast<size_t>(bytes > 0 ? bytes : 1)))) {}
  ~Scratch() { free(data); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  uint8_t* data;
};

int32_t no_memory(int64_t bytes) {
  return set_error(DU_OUT_OF_MEMORY, "no memory for %lld bytes of marks", static_cast<long long>(bytes));
}

// More taps than a byte tells apart: such windows are worked by flat positions.
bool is_far(const SelectCall& call) { return call.rows.size > 256 || call.columns.size > 256 || call.rows.size * call.columns.size > 256; }

// So many codes are made before they are used, which keeps them in the caches.
constexpr int64_t kSliceBytes = int64_t{1} << 19;
// What a vector may read behind the last code.
constexpr int64_t kSlack = 64;

// Makes codes of the positions, some planes at a time, and calls use(slice, form, found, kept): the slice has the codes for its
// positions where all were found, and the positions as they are elsewhere. Adds up what it returns. With `reach` codes of no
// tap between rows, so that later windows can be compared; `kept` has room for as many codes again.
template <class F>
int64_t with_codes(const SelectCall& call, PositionForm form, int64_t element, int64_t reach, int64_t threads, bool* is_out_of_memory, F use) {
  const SelectKernels::ToCodes to_codes = active_kernels().select[0].to_codes;
  const bool by_channel = call.position_strides[1] == 1 && call.channels > 1;
  SelectCall slice = call;
  const int64_t step = by_channel ? call.channels : 1;
  slice.gap = reach * step;
  slice.codes_by_channel = by_channel;
  const int64_t row = (call.columns.out + reach) * step, plane = slice.gap + call.rows.out * row;
  const int64_t planes = by_channel ? 1 : call.channels;
  const int64_t channels = by_channel ? call.channels : std::clamp<int64_t>(kSliceBytes / plane, 1, call.channels);
  const int64_t batch = channels < planes ? 1 : std::clamp<int64_t>(kSliceBytes / (plane * planes), 1, std::max<int64_t>(call.batch, 1));
  const int64_t bytes = batch * (by_channel ? 1 : channels) * plane + kSlack + slice.gap;
  const Scratch codes(reach ? 2 * bytes : bytes);
  if (!codes.data) {
    no_memory(bytes);
    *is_out_of_memory = true;
    return 0;
  }
  slice.codes = codes.data + slice.gap;
  const int64_t strides[4] = {plane * (by_channel ? 1 : channels), by_channel ? 1 : plane, row, step};
  std::copy(strides, strides + 4, slice.code_strides);
  int64_t total = 0;
  for (int64_t n = 0; n < call.batch; n += batch) {
    for (int64_t c = 0; c < call.channels; c += channels) {
      slice.batch = std::min(batch, call.batch - n);
      slice.channels = std::min(channels, call.channels - c);
      const auto moved = [&](void* data, const int64_t* strides, int64_t size) {
        return static_cast<char*>(data) + (n * strides[0] + c * strides[1]) * size;
      };
      slice.plane = moved(call.plane, call.plane_strides, element);
      slice.samples = moved(call.samples, call.sample_strides, element);
      slice.positions = moved(call.positions, call.position_strides, form == kFlat ? 8 : 1);
      std::copy(call.position_strides, call.position_strides + 4, slice.position_strides);
      const int64_t found = to_codes(slice, form, threads);
      total += use(slice, found, slice.codes + bytes);
    }
  }
  return total;
}

// From here on the kernels read the codes.
void use_codes(SelectCall& slice) {
  slice.positions = slice.codes;
  std::copy(slice.code_strides, slice.code_strides + 4, slice.position_strides);
}

// The gradient of a pooling, or its transpose: every position lies in its own window.
int32_t run_in_windows(const SelectCall& call, PositionForm form, int64_t element, int64_t threads, SelectKernels::ByCodes by_codes,
                       SelectKernels::ByPositions by_positions) {
  const int64_t expected = all_windows_with_taps(call);
  if (is_far(call)) return check_found(call, by_positions(call, threads), expected, kOwnWindow);
  bool is_out_of_memory = false;
  const int64_t found = with_codes(call, form, element, 0, threads, &is_out_of_memory, [&](SelectCall& slice, int64_t found_here, uint8_t*) {
    use_codes(slice);
    if (found_here == all_windows_with_taps(slice)) by_codes(slice, threads);
    return found_here;
  });
  return is_out_of_memory ? DU_OUT_OF_MEMORY : check_found(call, found, expected, kOwnWindow);
}

// How far apart two windows over one place may start, in windows, if later ones can be told by their codes; 0 otherwise. The
// codes then count 2 * size - 1 columns for each row of taps, and none comes near kNone.
int64_t comparable_reach(const SelectCall& call) {
  const Axis &rows = call.rows, &columns = call.columns;
  if (rows.is_adaptive || columns.is_adaptive || is_far(call) || rows.dilation > 16 || columns.dilation > 16) return 0;
  if ((rows.size - 1) * (2 * columns.size - 1) + 2 * columns.size - 2 >= kNone) return 0;
  return (columns.size - 1) * columns.dilation / columns.stride + 1;
}

// What unpool and its gradient demand: `samples` and `positions` of one shape, `plane` of any height and width.
bool check_unpooling(const du_view* plane, const char* plane_name, const du_view* samples, const char* samples_name,
                     const du_view* positions, const du_window* window) {
  if (!check_same_type(plane, plane_name, samples, samples_name)) return false;
  for (int i = 0; i < 2; ++i) {
    if (!check_size(plane, plane_name, i, samples->sizes[i])) return false;
    // So that the place of a window never overflows.
    if (!window->adaptive && samples->sizes[2 + i] > INT32_MAX / window->stride[i]) {
      return !set_error(DU_BAD_ARGUMENT, "%s has sizes that overflow with stride %lld", samples_name, static_cast<long long>(window->stride[i]));
    }
  }
  return check_positions(positions, samples, plane, window);
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
  if (has_positions && (!check_output(positions, "positions") || !check_positions(positions, out, in, window) ||
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
      !check_positions(positions, grad_out, grad_in, window) || !check_apart(grad_in, "grad_in", grad_out, "grad_out") ||
      !check_apart(grad_in, "grad_in", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*grad_in, *grad_out, positions, *window);
  const SelectKernels& kernels = kernels_for(grad_in->type);
  return run_in_windows(call, form_of(*positions), element_bytes(grad_in->type), threads, kernels.add_back, kernels.far_add_back);
}

extern "C" int32_t du_max_pool2d_take(const du_view* values, const du_view* positions, const du_view* taken,
                                      const du_window* window, int64_t threads) {
  if (!check_view(values, "values") || !check_view(positions, "positions") || !check_output(taken, "taken") || !check_window(window) ||
      !check_threads(threads) || !check_pooling(values, "values", taken, "taken", window) ||
      !check_positions(positions, taken, values, window) || !check_apart(taken, "taken", values, "values") ||
      !check_apart(taken, "taken", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  const SelectCall call = call_of(*values, *taken, positions, *window);
  const SelectKernels& kernels = kernels_for(values->type);
  return run_in_windows(call, form_of(*positions), element_bytes(values->type), threads, kernels.take, kernels.far_take);
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
  if (is_far(call)) return check_found(call, kernels.scatter(call, threads), all_windows(call), kPlane);
  bool is_out_of_memory = false;
  const int64_t found = with_codes(call, form, element_bytes(in->type), 0, threads, &is_out_of_memory, [&](SelectCall& slice, int64_t found_here, uint8_t*) {
    if (found_here != all_windows(slice)) return form == kFlat ? kernels.scatter(slice, threads) : found_here;
    use_codes(slice);
    kernels.put_back(slice, threads);
    return found_here;
  });
  return is_out_of_memory ? DU_OUT_OF_MEMORY : check_found(call, found, all_windows(call), kPlane);
}

extern "C" int32_t du_max_unpool2d_backward(const du_view* grad_out, const du_view* positions, const du_view* grad_in,
                                            const du_window* window, int64_t threads) {
  if (!check_view(grad_out, "grad_out") || !check_view(positions, "positions") || !check_output(grad_in, "grad_in") ||
      !check_window(window) || !check_threads(threads) || !check_unpooling(grad_out, "grad_out", grad_in, "grad_in", positions, window) ||
      !check_apart(grad_in, "grad_in", grad_out, "grad_out") || !check_apart(grad_in, "grad_in", positions, "positions")) {
    return DU_BAD_ARGUMENT;
  }
  SelectCall call = call_of(*grad_out, *grad_in, positions, *window);
  const SelectKernels& kernels = kernels_for(grad_in->type);
  const PositionForm form = form_of(*positions);
  const bool by_channel = call.position_strides[1] == 1 && call.plane_strides[1] == 1 && call.channels >= 8;
  const bool is_small = call.rows.in <= kMostMarked && call.columns.in <= kMostMarked / call.rows.in;
  const int64_t reach = call.overlaps && (by_channel || !is_small) ? comparable_reach(call) : 0;
  if (reach) call.tap_columns = 2 * call.columns.size - 1;
  bool is_out_of_memory = false;
  const auto search = [&](const SelectCall& slice, PositionForm slice_form) -> int64_t {
    const int64_t bytes = slice.batch * slice.channels * ((slice.rows.in * slice.columns.in + 7) / 8);
    const Scratch seen(bytes);
    if (seen.data) return kernels.gather_kept(slice, slice_form, seen.data, threads);
    no_memory(bytes);
    is_out_of_memory = true;
    return 0;
  };
  const auto run = [&](SelectCall& slice, int64_t found_here, uint8_t* kept) -> int64_t {
    if (found_here != all_windows(slice)) return form == kFlat ? search(slice, kFlat) : found_here;
    if (call.overlaps && !reach) {
      use_codes(slice);
      if (!is_small) return search(slice, kOffsets);
      kernels.gather_kept(slice, kOffsets, nullptr, threads);
      return found_here;
    }
    if (reach) kernels.keep_last(slice, kept, threads);
    uint8_t* const codes = slice.codes;
    if (reach) slice.codes = kept;
    use_codes(slice);
    kernels.take(slice, threads);
    slice.codes = codes;
    return found_here;
  };
  const int64_t found = is_far(call) ? search(call, kFlat)
                                     : with_codes(call, form, element_bytes(grad_in->type), reach, threads, &is_out_of_memory, run);
  return is_out_of_memory ? DU_OUT_OF_MEMORY : check_found(call, found, all_windows(call), kPlane);
}
