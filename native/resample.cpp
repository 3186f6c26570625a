// The C entry of the resample family: check everything, choose a kernel, lend it memory.
#include <stdlib.h>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

bool check_type(const du_view* in, const du_view* out) {
  if (in->type == DU_INT64) {
    return !set_error(DU_BAD_ARGUMENT, "in has type %d; use DU_FLOAT32, DU_FLOAT64, DU_BFLOAT16 or DU_UINT8", in->type);
  }
  if (in->type != out->type) {
    return !set_error(DU_BAD_ARGUMENT, "in has type %d but out has type %d; give both one type", in->type, out->type);
  }
  return true;
}

bool check_taps(const du_taps* taps, const char* name, const du_view* in, const du_view* out, int axis) {
  if (!taps) return !set_error(DU_BAD_ARGUMENT, "%s is NULL; give taps", name);
  return check_size(in, "in", axis, taps->in) && check_size(out, "out", axis, taps->out);
}

const ResampleKernel& kernel_for(int32_t type) {
  const ResampleKernel* kernels = active_kernels().resample;
  switch (type) {
    case DU_FLOAT64: return kernels[kResampledFloat64];
    case DU_BFLOAT16: return kernels[kResampledBfloat16];
    case DU_UINT8: return kernels[kResampledUint8];
    default: return kernels[kResampledFloat32];
  }
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_resample2d(const du_view* in, const du_view* out, const du_taps* rows, const du_taps* columns, int64_t threads) {
  if (!check_view(in, "in") || !check_output(out, "out") || !check_type(in, out) || !check_threads(threads) ||
      !check_size(out, "out", 0, in->sizes[0]) || !check_size(out, "out", 1, in->sizes[1]) || !check_taps(rows, "rows", in, out, 2) ||
      !check_taps(columns, "columns", in, out, 3) || !check_apart(out, "out", in, "in")) {
    return DU_BAD_ARGUMENT;
  }
  ResampleCall call{};
  call.batch = in->sizes[0];
  call.channels = in->sizes[1];
  call.rows = rows;
  call.columns = columns;
  call.in = in->data;
  call.out = out->data;
  copy_strides(*in, call.in_strides);
  copy_strides(*out, call.out_strides);
  call.streams = is_streamed(span_of(*out).end - span_of(*out).begin);
  const ResampleKernel& kernel = kernel_for(in->type);
  const int64_t bytes = kernel.scratch_bytes(call);
  void* scratch = malloc(static_cast<size_t>(bytes));
  if (!scratch) return set_error(DU_OUT_OF_MEMORY, "no memory for a plan of %lld bytes", static_cast<long long>(bytes));
  kernel.run(call, scratch, threads);
  free(scratch);
  return DU_OK;
}
