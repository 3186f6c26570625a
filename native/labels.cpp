// The C entries of softmax and labels: check everything, then hand over.
#include <stdlib.h>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

bool check_scores(const du_view* in) {
  if (!check_view(in, "in")) return false;
  return in->type == DU_FLOAT32 || !set_error(DU_BAD_ARGUMENT, "in has type %d; use DU_FLOAT32", in->type);
}

bool check_labels(const du_view* in, const du_view* out) {
  if (!check_output(out, "out")) return false;
  if (out->type != DU_UINT8 && out->type != DU_INT64) {
    return !set_error(DU_BAD_ARGUMENT, "out has type %d; use DU_UINT8 or DU_INT64", out->type);
  }
  if (out->type == DU_UINT8 && in->sizes[1] > 256) {
    return !set_error(DU_BAD_ARGUMENT, "in has %lld classes but a label of DU_UINT8 tells 256 apart; use DU_INT64",
                      static_cast<long long>(in->sizes[1]));
  }
  return check_size(out, "out", 0, in->sizes[0]) && check_size(out, "out", 1, 1) && check_apart(out, "out", in, "in");
}

LabelCall call_of(const du_view& in, const du_view& out) {
  LabelCall call{};
  call.batch = in.sizes[0];
  call.classes = in.sizes[1];
  call.rows = out.sizes[2];
  call.columns = out.sizes[3];
  call.in = static_cast<const float*>(in.data);
  call.out = out.data;
  call.is_wide = out.type == DU_INT64;
  copy_strides(in, call.in_strides);
  copy_strides(out, call.out_strides);
  return call;
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_softmax(const du_view* in, const du_view* out, int64_t threads) {
  if (!check_scores(in) || !check_output(out, "out") || !check_threads(threads) || !check_apart(out, "out", in, "in")) return DU_BAD_ARGUMENT;
  if (out->type != DU_FLOAT32) return set_error(DU_BAD_ARGUMENT, "out has type %d; use DU_FLOAT32", out->type);
  for (int i = 0; i < 4; ++i) {
    if (!check_size(out, "out", i, in->sizes[i])) return DU_BAD_ARGUMENT;
  }
  active_kernels().labels.softmax(call_of(*in, *out), threads);
  return DU_OK;
}

extern "C" int32_t du_argmax(const du_view* in, const du_view* out, int64_t threads) {
  if (!check_scores(in) || !check_labels(in, out) || !check_threads(threads) || !check_size(out, "out", 2, in->sizes[2]) ||
      !check_size(out, "out", 3, in->sizes[3])) {
    return DU_BAD_ARGUMENT;
  }
  active_kernels().labels.argmax(call_of(*in, *out), threads);
  return DU_OK;
}

extern "C" int32_t du_resample_argmax(const du_view* in, const du_view* out, const du_taps* rows, const du_taps* columns, int64_t threads) {
  if (!check_scores(in) || !check_labels(in, out) || !check_threads(threads)) return DU_BAD_ARGUMENT;
  if (!rows || !columns) return set_error(DU_BAD_ARGUMENT, "%s is NULL; give taps", rows ? "columns" : "rows");
  if (!check_size(in, "in", 2, rows->in) || !check_size(in, "in", 3, columns->in) || !check_size(out, "out", 2, rows->out) ||
      !check_size(out, "out", 3, columns->out)) {
    return DU_BAD_ARGUMENT;
  }
  LabelCall call = call_of(*in, *out);
  call.row_taps = rows;
  call.column_taps = columns;
  const LabelKernels& kernels = active_kernels().labels;
  const int64_t bytes = kernels.plan_bytes(call);
  void* plan = malloc(static_cast<size_t>(bytes));
  if (!plan) return set_error(DU_OUT_OF_MEMORY, "no memory for a plan of %lld bytes", static_cast<long long>(bytes));
  kernels.resample_argmax(call, plan, threads);
  free(plan);
  return DU_OK;
}
