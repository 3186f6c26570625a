// The C entry of the matrix product: check everything, and lend the kernel memory.
#include <stdlib.h>

#include "check.h"
#include "dispatch.h"
#include "threads.h"

namespace downup {
namespace {

bool check_matrices(const du_view* view, const char* name, const du_view* out) {
  if (!check_view(view, name)) return false;
  if (view->type != DU_FLOAT32) return !set_error(DU_BAD_ARGUMENT, "%s has type %d; use DU_FLOAT32", name, view->type);
  for (int i = 0; i < 2; ++i) {
    if (view->sizes[i] != 1 && !check_size(view, name, i, out->sizes[i])) return false;
  }
  return check_apart(out, "out", view, name);
}

void copy_matrix_strides(const du_view& view, int64_t* strides) {
  for (int i = 0; i < 4; ++i) strides[i] = view.sizes[i] == 1 ? 0 : view.strides[i];
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_matmul(const du_view* left, const du_view* right, const du_view* out, int64_t threads) {
  if (!check_output(out, "out") || !check_threads(threads) || !check_matrices(left, "left", out) || !check_matrices(right, "right", out) ||
      !check_size(out, "out", 2, left->sizes[2]) || !check_size(out, "out", 3, right->sizes[3]) ||
      !check_size(right, "right", 2, left->sizes[3])) {
    return DU_BAD_ARGUMENT;
  }
  if (out->type != DU_FLOAT32) return set_error(DU_BAD_ARGUMENT, "out has type %d; use DU_FLOAT32", out->type);
  if (out->sizes[0] == 0) return DU_OK;
  MatmulCall call{};
  call.batch = out->sizes[0];
  call.groups = out->sizes[1];
  call.rows = out->sizes[2];
  call.inner = left->sizes[3];
  call.columns = out->sizes[3];
  call.left = static_cast<const float*>(left->data);
  call.right = static_cast<const float*>(right->data);
  call.out = static_cast<float*>(out->data);
  copy_matrix_strides(*left, call.left_strides);
  copy_matrix_strides(*right, call.right_strides);
  copy_matrix_strides(*out, call.out_strides);
  // A row of one column lies side by side as well as any.
  if (out->sizes[3] == 1) call.out_strides[3] = 1;
  const MatmulKernel& kernel = active_kernels().matmul;
  const int64_t bytes = kernel.scratch_bytes(call);
  void* scratch = bytes < 0 ? nullptr : malloc(static_cast<size_t>(bytes));
  if (!scratch) return set_error(DU_OUT_OF_MEMORY, "no memory for the packed right side of %lld bytes", static_cast<long long>(bytes));
  kernel.run(call, scratch, threads);
  free(scratch);
  return DU_OK;
}

extern "C" int64_t du_multiply_adds(int64_t rounds, int64_t threads) {
  constexpr int64_t kMost = int64_t{1} << 32, kMostThreads = 1 << 16, kPieces = 16;
  if (!check_threads(threads)) return -1;
  if (threads > kMostThreads) {
    set_error(DU_BAD_ARGUMENT, "threads is %lld; use 1 to %lld", static_cast<long long>(threads), static_cast<long long>(kMostThreads));
    return -1;
  }
  if (rounds < 1 || rounds > kMost / threads) {
    set_error(DU_BAD_ARGUMENT, "rounds is %lld; use 1 to %lld on each of %lld threads", static_cast<long long>(rounds),
              static_cast<long long>(kMost / threads), static_cast<long long>(threads));
    return -1;
  }
  const MatmulKernel& kernel = active_kernels().matmul;
  // In pieces, so that all threads end together.
  const int64_t piece = (rounds + kPieces - 1) / kPieces;
  parallel_for(threads * kPieces, 1, threads, [&](int64_t begin, int64_t end) { kernel.multiply_add((end - begin) * piece); });
  return threads * kPieces * piece * kernel.round_size;
}
