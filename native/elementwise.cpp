// The C entries of the elementwise family: check everything, then plan the loops over the elements.
#include <stddef.h>

#include <algorithm>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

bool check_float(const du_view* view, const char* name) {
  return view->type == DU_FLOAT32 || !set_error(DU_BAD_ARGUMENT, "%s has type %d; use DU_FLOAT32", name, view->type);
}

bool check_activation(const du_activation* activation) {
  if (!activation) return true;
  if (activation->kind < DU_IDENTITY || activation->kind > DU_ABS) {
    return !set_error(DU_BAD_ARGUMENT, "activation is of kind %d; use %d to %d", activation->kind, DU_IDENTITY, DU_ABS);
  }
  return activation->kind != DU_PRELU || activation->slopes || !set_error(DU_BAD_ARGUMENT, "the slopes of DU_PRELU are NULL; give one for each channel");
}

bool is_same(const du_view& a, const du_view& b) {
  return a.data == b.data && std::equal(a.sizes, a.sizes + 4, b.sizes) && std::equal(a.strides, a.strides + 4, b.strides);
}

bool check_input(const du_view* in, const char* name, const du_view* out, bool is_repeated) {
  if (!check_view(in, name) || !check_float(in, name)) return false;
  for (int i = 0; i < 4; ++i) {
    if (!(is_repeated && in->sizes[i] == 1) && !check_size(in, name, i, out->sizes[i])) return false;
  }
  return is_same(*in, *out) || check_apart(out, "out", in, name);
}

bool check_result(const du_view* out, const du_activation* activation, int64_t threads) {
  return check_output(out, "out") && check_float(out, "out") && check_activation(activation) && check_threads(threads);
}

class Plan {
 public:
  Plan(const du_view& out, int32_t operation, const du_activation* activation) : out_(out) {
    call_.operation = operation;
    if (activation) call_.activation = *activation;
    add(kOut, out);
    if (activation && activation->kind == DU_PRELU) add_channels(kSlopes, activation->slopes);
  }
  void add(Stream stream, const du_view& view) {
    call_.data[stream] = static_cast<float*>(view.data);
    for (int i = 0; i < 4; ++i) call_.strides[i][stream] = view.sizes[i] == 1 ? 0 : view.strides[i];
  }
  void add_channels(Stream stream, const float* numbers) {
    call_.data[stream] = const_cast<float*>(numbers);  // read only
    call_.strides[1][stream] = out_.sizes[1] == 1 ? 0 : 1;
  }
  void run(int64_t threads) {
    if (out_.sizes[0] == 0) return;
    order();
    active_kernels().elementwise(call_, threads);
  }

 private:
  // Loops in the order of the output's memory, without those of one element, and merged where all streams allow it.
  void order() {
    int axes[4] = {0, 1, 2, 3};
    const auto length = [&](int axis) { return std::abs(call_.strides[axis][kOut]); };
    std::stable_sort(axes, axes + 4, [&](int a, int b) { return length(a) > length(b); });
    ElementwiseCall planned = call_;
    planned.loops = 0;
    for (int axis : axes) {
      const int64_t size = out_.sizes[axis];
      if (size == 1) continue;
      const int last = planned.loops - 1;
      bool is_one = last >= 0;
      for (int s = 0; is_one && s < kStreams; ++s) is_one = planned.strides[last][s] == call_.strides[axis][s] * size;
      const int place = is_one ? last : planned.loops++;
      planned.sizes[place] = is_one ? planned.sizes[place] * size : size;
      std::copy(call_.strides[axis], call_.strides[axis] + kStreams, planned.strides[place]);
    }
    if (planned.loops == 0) {
      planned.loops = 1;
      planned.sizes[0] = 1;
      std::fill(planned.strides[0], planned.strides[0] + kStreams, 0);
      planned.strides[0][kOut] = 1;
    }
    call_ = planned;
  }

  const du_view& out_;
  ElementwiseCall call_{};
};

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_activate(const du_view* in, const du_view* out, const du_activation* activation, int64_t threads) {
  if (!check_result(out, activation, threads) || !check_input(in, "in", out, false)) return DU_BAD_ARGUMENT;
  Plan plan(*out, kOperationNone, activation);
  plan.add(kFirst, *in);
  plan.run(threads);
  return DU_OK;
}

extern "C" int32_t du_combine(const du_view* a, const du_view* b, const du_view* out, int32_t operation, const du_activation* activation,
                              int64_t threads) {
  if (!check_result(out, activation, threads) || !check_input(a, "a", out, true) || !check_input(b, "b", out, true)) return DU_BAD_ARGUMENT;
  if (operation < DU_ADD || operation > DU_MAXIMUM) {
    return set_error(DU_BAD_ARGUMENT, "operation is %d; use %d to %d", operation, DU_ADD, DU_MAXIMUM);
  }
  Plan plan(*out, operation, activation);
  plan.add(kFirst, *a);
  plan.add(kSecond, *b);
  plan.run(threads);
  return DU_OK;
}

extern "C" int32_t du_affine(const du_view* in, const du_view* out, const float* scale, const float* shift, const du_activation* activation,
                             int64_t threads) {
  if (!check_result(out, activation, threads) || !check_input(in, "in", out, false)) return DU_BAD_ARGUMENT;
  if (!scale || !shift) return set_error(DU_BAD_ARGUMENT, "%s is NULL; give one number for each channel", scale ? "shift" : "scale");
  Plan plan(*out, kOperationAffine, activation);
  plan.add(kFirst, *in);
  plan.add_channels(kSecond, scale);
  plan.add_channels(kThird, shift);
  plan.run(threads);
  return DU_OK;
}
