// The C entry of the convolve family: check everything, prepare once, run.
#include "convolve/convolution.h"

#include <stdio.h>

#include <algorithm>
#include <new>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

// With these bounds no count of phases, taps or samples overflows.
constexpr int64_t kMostChannels = INT32_MAX, kMostSpread = 1024;

constexpr const char* kAlgorithmNames[kAlgorithms] = {"auto", "direct", "winograd", "winograd_repeated", "depthwise", "grouped", "direct_bfloat16"};

bool check_number(int64_t value, const char* name, int64_t lowest, int64_t highest) {
  if (value >= lowest && value <= highest) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s is %lld; use %lld to %lld", name, static_cast<long long>(value), static_cast<long long>(lowest),
                    static_cast<long long>(highest));
}

bool check_groups(const du_convolution_spec& spec) {
  if (!check_number(spec.in_channels, "in_channels", 1, kMostChannels) || !check_number(spec.out_channels, "out_channels", 1, kMostChannels) ||
      !check_number(spec.groups, "groups", 1, kMostChannels)) {
    return false;
  }
  if (spec.in_channels % spec.groups == 0 && spec.out_channels % spec.groups == 0) return true;
  return !set_error(DU_BAD_ARGUMENT, "groups is %lld, but there are %lld channels in and %lld out; use a divisor of both",
                    static_cast<long long>(spec.groups), static_cast<long long>(spec.in_channels), static_cast<long long>(spec.out_channels));
}

bool check_axes(const du_convolution_spec& spec) {
  const du_window& window = spec.window;
  if (window.adaptive) return !set_error(DU_BAD_ARGUMENT, "window is adaptive; a convolution's window has a size and a stride");
  if (window.ceil_mode) return !set_error(DU_BAD_ARGUMENT, "window has ceil_mode %d; use 0", window.ceil_mode);
  if (!check_window(&window)) return false;
  for (int i = 0; i < 2; ++i) {
    if (!check_number(spec.upsample[i], "upsample", 1, kMostSpread)) return false;
    if (spec.transposed && !check_number(window.stride[i], "the stride of a transposed convolution", 1, kMostSpread)) return false;
    const int64_t highest = spec.transposed ? std::max(window.stride[i], window.dilation[i]) - 1 : 0;
    if (!check_number(spec.output_padding[i], "output_padding", 0, highest)) return false;
  }
  return true;
}

bool check_spec(const du_convolution_spec* spec) {
  if (!spec) return !set_error(DU_BAD_ARGUMENT, "spec is NULL");
  if (!check_groups(*spec) || !check_axes(*spec) || !check_number(spec->precision, "precision", DU_FAST, DU_BFLOAT16_PRODUCTS) ||
      !check_number(spec->algorithm, "algorithm", DU_AUTO, kAlgorithms - 1) ||
      !check_number(spec->activation.kind, "the kind of activation", DU_IDENTITY, DU_ABS)) {
    return false;
  }
  if (spec->activation.kind == DU_PRELU && !spec->activation.slopes) {
    return !set_error(DU_BAD_ARGUMENT, "activation has no slopes; DU_PRELU takes one for each out channel");
  }
  int64_t weights;
  if (__builtin_mul_overflow(spec->window.size[0] * spec->window.size[1], spec->in_channels / spec->groups, &weights) ||
      __builtin_mul_overflow(weights, spec->out_channels, &weights) || weights > INT64_MAX / 64) {
    return !set_error(DU_BAD_ARGUMENT, "the weight would have more elements than fit in memory; use fewer channels or a smaller window");
  }
  return true;
}

bool check_handle(const du_convolution* convolution) {
  return convolution || !set_error(DU_BAD_ARGUMENT, "convolution is NULL; make one with du_convolution_new");
}

// -1 with an error where nothing comes out.
int64_t out_size_of(const du_convolution_spec& spec, int64_t in_size, int axis) {
  const du_window& window = spec.window;
  const int64_t upsampled = in_size * spec.upsample[axis];
  if (!spec.transposed) {
    const int64_t out = window_out_size(upsampled, window, axis);
    return out > INT32_MAX && !check_number(out, "the output size", 1, INT32_MAX) ? -1 : out;
  }
  const int64_t extent = window.dilation[axis] * (window.size[axis] - 1) + 1;
  const int64_t out = (upsampled - 1) * window.stride[axis] + extent - window.pad_before[axis] - window.pad_after[axis] + spec.output_padding[axis];
  if (out >= 1 && out <= INT32_MAX) return out;
  set_error(DU_BAD_ARGUMENT, "the output would have %lld %s; use 1 to %lld: less padding, or a smaller input", static_cast<long long>(out),
            axis == 0 ? "rows" : "columns", static_cast<long long>(INT32_MAX));
  return -1;
}

bool find_out_size(const du_convolution_spec& spec, const int64_t* in_size, int64_t* out_size) {
  for (int i = 0; i < 2; ++i) {
    if (!check_number(in_size[i], i == 0 ? "in_size (rows)" : "in_size (columns)", 1, INT32_MAX)) return false;
    out_size[i] = out_size_of(spec, in_size[i], i);
    if (out_size[i] < 0) return false;
  }
  return true;
}

bool check_channels_last(const du_view* view, const char* name) {
  if (view->type != DU_FLOAT32) return !set_error(DU_BAD_ARGUMENT, "%s has type %d; use DU_FLOAT32", name, view->type);
  if (view->sizes[0] == 0 || view->sizes[1] == 1 || view->strides[1] == 1) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s has its channels %lld elements apart; lay them side by side (stride 1)", name,
                    static_cast<long long>(view->strides[1]));
}

bool check_parts(const ConvolveCall& call, int64_t in_channels) {
  int64_t channels = 0;
  for (int64_t p = 0; p < call.part_count; ++p) {
    const du_view* part = &call.parts[p];
    char name[32];
    snprintf(name, sizeof name, "parts[%lld]", static_cast<long long>(p));
    if (!check_view(part, name) || !check_channels_last(part, name) || !check_apart(call.out, "out", part, name)) return false;
    for (int axis : {0, 2, 3}) {
      if (!check_size(part, name, axis, call.parts[0].sizes[axis])) return false;
    }
    channels += part->sizes[1];
  }
  return channels == in_channels || !set_error(DU_BAD_ARGUMENT, "parts have %lld channels together; the convolution takes %lld",
                                               static_cast<long long>(channels), static_cast<long long>(in_channels));
}

bool is_same_view(const du_view& a, const du_view& b) {
  for (int i = 0; i < 4; ++i) {
    if (a.sizes[i] != b.sizes[i] || a.strides[i] != b.strides[i]) return false;
  }
  return a.data == b.data;
}

bool check_outputs(const ConvolveCall& call, int64_t out_channels) {
  const int64_t sizes[4] = {call.batch, out_channels, call.out_size[0], call.out_size[1]};
  for (int axis = 0; axis < 4; ++axis) {
    if (!check_size(call.out, "out", axis, sizes[axis])) return false;
  }
  if (!call.residual) return true;
  if (!check_view(call.residual, "residual") || !check_channels_last(call.residual, "residual")) return false;
  for (int axis = 0; axis < 4; ++axis) {
    if (!check_size(call.residual, "residual", axis, sizes[axis])) return false;
  }
  return is_same_view(*call.residual, *call.out) || check_apart(call.out, "out", call.residual, "residual");
}

// The kernels want it from a multiple of 64 bytes.
constexpr int64_t kScratchAlignment = 64;

int64_t needed_scratch(const du_convolution& convolution, const ConvolveCall& call) {
  return call.batch == 0 ? 0 : convolution.kernel->scratch_bytes(call) + kScratchAlignment;
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" du_convolution* du_convolution_new(const du_convolution_spec* spec, const float* weight, const float* bias) {
  if (!check_spec(spec)) return nullptr;
  if (!weight) {
    set_error(DU_BAD_ARGUMENT, "weight is NULL");
    return nullptr;
  }
  const ConvolveKernels& kernels = active_kernels().convolve;
  const int32_t algorithm = choose_algorithm(*spec, kernels);
  if (algorithm < 0) return nullptr;
  du_convolution* convolution = new (std::nothrow) du_convolution{};
  if (convolution) {
    convolution->spec = *spec;
    convolution->algorithm = algorithm;
    convolution->kernel = &kernels.algorithms[algorithm];
    ConvolvePlan& plan = convolution->plan;
    plan.in_channels = spec->in_channels, plan.out_channels = spec->out_channels, plan.groups = spec->groups;
    plan.group_in = spec->in_channels / spec->groups, plan.group_out = spec->out_channels / spec->groups;
    for (int i = 0; i < 2; ++i) plan.pad_before[i] = spec->window.pad_before[i], plan.dilation[i] = spec->window.dilation[i];
    if (algorithm == DU_DEPTHWISE || algorithm == DU_GROUPED) {
      plan.cross = plan.group_in;
      plan.groups = 1, plan.group_in = spec->in_channels, plan.group_out = spec->out_channels;
    }
    plan.activation = spec->activation;
    plan.activation.slopes = nullptr;  // copied by pack()
    if (plan_phases(*convolution) && pack(*convolution, kernels, weight, bias)) return convolution;
  }
  delete convolution;
  set_error(DU_OUT_OF_MEMORY, "no memory for the weights of a convolution from %lld to %lld channels", static_cast<long long>(spec->in_channels),
            static_cast<long long>(spec->out_channels));
  return nullptr;
}

extern "C" void du_convolution_free(du_convolution* convolution) { delete convolution; }

extern "C" int32_t du_convolution_out_size(const du_convolution* convolution, const int64_t* in_size, int64_t* out_size) {
  if (!check_handle(convolution)) return DU_BAD_ARGUMENT;
  if (!in_size || !out_size) return set_error(DU_BAD_ARGUMENT, "%s is NULL", in_size ? "out_size" : "in_size");
  int64_t found[2];
  if (!find_out_size(convolution->spec, in_size, found)) return DU_BAD_ARGUMENT;
  out_size[0] = found[0], out_size[1] = found[1];
  return DU_OK;
}

extern "C" int64_t du_convolution_scratch_bytes(const du_convolution* convolution, int64_t batch, int64_t in_rows, int64_t in_columns,
                                                int64_t threads) {
  if (!check_handle(convolution) || !check_number(batch, "batch", 0, INT32_MAX) || !check_threads(threads)) return -1;
  ConvolveCall call{};
  call.plan = &convolution->plan, call.batch = batch, call.threads = threads;
  call.in_size[0] = in_rows, call.in_size[1] = in_columns;
  if (!find_out_size(convolution->spec, call.in_size, call.out_size)) return -1;
  int64_t samples;
  if (__builtin_mul_overflow(batch * call.out_size[0], call.out_size[1], &samples) || samples > INT64_MAX / 64) {
    set_error(DU_BAD_ARGUMENT, "batch is %lld; so many outputs of %lld x %lld do not fit in memory", static_cast<long long>(batch),
              static_cast<long long>(call.out_size[0]), static_cast<long long>(call.out_size[1]));
    return -1;
  }
  return needed_scratch(*convolution, call);
}

extern "C" const char* du_convolution_algorithm(const du_convolution* convolution) {
  return check_handle(convolution) ? kAlgorithmNames[convolution->algorithm] : nullptr;
}

extern "C" int32_t du_convolution_steps(const du_convolution* convolution, int64_t* in_step, int64_t* out_step) {
  if (!check_handle(convolution)) return DU_BAD_ARGUMENT;
  if (!in_step || !out_step) return set_error(DU_BAD_ARGUMENT, "%s is NULL", in_step ? "out_step" : "in_step");
  const ConvolvePlan& plan = convolution->plan;
  for (int i = 0; i < 2; ++i) {
    in_step[i] = plan.in_step[i], out_step[i] = plan.out_step[i];
    if (convolution->algorithm == DU_WINOGRAD) in_step[i] = out_step[i] = 4 * plan.dilation[i];
    if (convolution->algorithm == DU_WINOGRAD_REPEATED) in_step[i] = 2, out_step[i] = 4;
  }
  return DU_OK;
}

extern "C" int32_t du_convolution_run(const du_convolution* convolution, int64_t part_count, const du_view* parts, const du_view* residual,
                                      const du_view* out, void* scratch, int64_t scratch_bytes, int64_t threads) {
  if (!check_handle(convolution) || !check_number(part_count, "part_count", 1, kMostParts)) return DU_BAD_ARGUMENT;
  if (!parts) return set_error(DU_BAD_ARGUMENT, "parts is NULL");
  if (!check_view(&parts[0], "parts[0]") || !check_view(out, "out") || (out->sizes[0] > 0 && !check_output(out, "out")) || !check_channels_last(out, "out") || !check_threads(threads)) {
    return DU_BAD_ARGUMENT;
  }
  ConvolveCall call{&convolution->plan, parts[0].sizes[0], {parts[0].sizes[2], parts[0].sizes[3]}, {0, 0}, part_count, parts, residual, out, threads};
  if (!find_out_size(convolution->spec, call.in_size, call.out_size) || !check_parts(call, convolution->spec.in_channels) ||
      !check_outputs(call, convolution->spec.out_channels)) {
    return DU_BAD_ARGUMENT;
  }
  if (call.batch == 0) return DU_OK;
  const int64_t needed = needed_scratch(*convolution, call);
  if (!scratch || scratch_bytes < needed) {
    return set_error(DU_BAD_ARGUMENT, "scratch has %lld bytes; this size takes %lld (du_convolution_scratch_bytes)",
                     static_cast<long long>(scratch ? scratch_bytes : 0), static_cast<long long>(needed));
  }
  const uint64_t shift = (kScratchAlignment - reinterpret_cast<uint64_t>(scratch) % kScratchAlignment) % kScratchAlignment;
  convolution->kernel->run(call, static_cast<char*>(scratch) + shift);
  return DU_OK;
}
