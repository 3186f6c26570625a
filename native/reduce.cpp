// The C entry of the reductions: check everything, then part the axes into those that are kept and those that are summed.
#include <algorithm>

#include "check.h"
#include "dispatch.h"

using namespace downup;

extern "C" int32_t du_reduce(const du_view* in, const du_view* out, int32_t operation, int64_t threads) {
  if (!check_view(in, "in") || !check_output(out, "out") || !check_threads(threads)) return DU_BAD_ARGUMENT;
  if (in->type != DU_FLOAT32 || out->type != DU_FLOAT32) {
    return set_error(DU_BAD_ARGUMENT, "in has type %d and out has type %d; use DU_FLOAT32", in->type, out->type);
  }
  if (operation < DU_SUM || operation > DU_LARGEST) {
    return set_error(DU_BAD_ARGUMENT, "operation is %d; use %d to %d", operation, DU_SUM, DU_LARGEST);
  }
  ReduceCall call{};
  call.operation = operation;
  call.in = static_cast<const float*>(in->data);
  call.out = static_cast<float*>(out->data);
  call.count = 1;
  for (int i = 0; i < 4; ++i) {
    const int64_t size = in->sizes[i];
    if (out->sizes[i] == 1 && size > 1) {
      call.count *= size;
      call.reduced[call.reduced_count++] = {size, in->strides[i], 0};
    } else if (!check_size(out, "out", i, size)) {
      return DU_BAD_ARGUMENT;
    } else if (size > 1) {
      call.kept[call.kept_count++] = {size, in->strides[i], out->strides[i]};
    }
  }
  if (!check_apart(out, "out", in, "in")) return DU_BAD_ARGUMENT;
  if (in->sizes[0] == 0) {
    if (out->sizes[0] != 0) return set_error(DU_BAD_ARGUMENT, "in has no element to reduce; use a batch of at least 1");
    return DU_OK;
  }
  if (call.kept_count == 0) call.kept[call.kept_count++] = {1, 1, 1};
  const auto is_closer = [](const ReduceLoop& a, const ReduceLoop& b) { return std::abs(a.in) < std::abs(b.in); };
  std::swap(*std::min_element(call.kept, call.kept + call.kept_count, is_closer), call.kept[call.kept_count - 1]);
  active_kernels().reduce(call, threads);
  return DU_OK;
}
