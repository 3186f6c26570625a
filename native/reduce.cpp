// The C entry of the reductions: check everything, then part the axes into those that are kept and those that are summed.
#include <string.h>

#include <algorithm>

#include "check.h"
#include "dispatch.h"

namespace downup {
namespace {

bool check_sums(const du_view* sums, const du_view* planes) {
  if (sums->type != DU_INT64) return !set_error(DU_BAD_ARGUMENT, "sums has type %d; use DU_INT64", sums->type);
  return check_size(sums, "sums", 0, planes->sizes[0]) && check_size(sums, "sums", 1, planes->sizes[1]) && check_size(sums, "sums", 2, 1) &&
         check_size(sums, "sums", 3, kExactWords);
}

uint64_t unsigned_of(int64_t value) { return static_cast<uint64_t>(value); }

double power_of_two(int64_t exponent) {
  const uint64_t bits = unsigned_of(exponent + 1023) << 52;
  double found;
  memcpy(&found, &bits, sizeof found);
  return found;
}

// The nearest double, ties to even.
double rounded(const int64_t* words, int64_t step) {
  const bool has_positive = words[kExactDigits * step] != 0, has_negative = words[(kExactDigits + 1) * step] != 0;
  if (has_positive || has_negative) {
    constexpr double kInfinity = __builtin_inf();
    return has_positive && has_negative ? __builtin_nan("") : has_positive ? kInfinity : -kInfinity;
  }
  // One digit more than there are words, which takes what the last of them carries: any words have a sum.
  constexpr int64_t kDigits = kExactDigits + 1, kMask = 0xffffffff;
  uint64_t digits[kDigits];
  int64_t carried = 0;
  for (int64_t i = 0; i < kExactDigits; ++i) {
    const int64_t word = words[i * step], low = (word & kMask) + carried;
    digits[i] = unsigned_of(low & kMask);
    carried = (word >> 32) + (low >> 32);
  }
  digits[kDigits - 1] = unsigned_of(carried & kMask);
  const bool is_negative = carried < 0;
  if (is_negative) {
    uint64_t one = 1;
    for (uint64_t& digit : digits) {
      digit = (digit ^ unsigned_of(kMask)) + one;
      one = digit >> 32;
      digit &= unsigned_of(kMask);
    }
  }
  int64_t top = kDigits - 1;
  while (top > 0 && digits[top] == 0) --top;
  if (digits[top] == 0) return 0;
  // The top 64 bits, the last of them set if any below them is: so the conversion rounds as it would the whole.
  const auto at = [&digits](int64_t i) { return i < 0 ? 0 : digits[i]; };
  const int shift = __builtin_clzll(digits[top]) - 32;
  uint64_t bits = (digits[top] << 32 | at(top - 1)) << shift;
  if (shift) bits |= at(top - 2) >> (32 - shift);
  bool has_rest = (at(top - 2) << shift & 0xffffffff) != 0;
  for (int64_t i = 0; i < top - 2; ++i) has_rest = has_rest || digits[i] != 0;
  return (is_negative ? -1 : 1) * static_cast<double>(bits | has_rest) * power_of_two(32 * (top - 1) - shift - 149);
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_sum_exactly(const du_view* in, const du_view* sums, int64_t threads) {
  if (!check_view(in, "in") || !check_output(sums, "sums") || !check_threads(threads) || !check_sums(sums, in) ||
      !check_apart(sums, "sums", in, "in")) {
    return DU_BAD_ARGUMENT;
  }
  if (in->type != DU_FLOAT32) return set_error(DU_BAD_ARGUMENT, "in has type %d; use DU_FLOAT32", in->type);
  ExactCall call{};
  call.in = static_cast<const float*>(in->data);
  call.out = static_cast<int64_t*>(sums->data);
  for (int i = 0; i < 4; ++i) call.sizes[i] = in->sizes[i];
  copy_strides(*in, call.in_strides);
  copy_strides(*sums, call.out_strides);
  for (int64_t n = 0; n < sums->sizes[0]; ++n) {
    for (int64_t c = 0; c < sums->sizes[1]; ++c) {
      for (int64_t i = 0; i < kExactWords; ++i) call.out[n * sums->strides[0] + c * sums->strides[1] + i * sums->strides[3]] = 0;
    }
  }
  active_kernels().reduce.sum_exactly(call, threads);
  return DU_OK;
}

extern "C" int32_t du_mean_exactly(const du_view* sums, const du_view* out, int64_t count, int64_t threads) {
  if (!check_view(sums, "sums") || !check_output(out, "out") || !check_threads(threads) || !check_sums(sums, out) ||
      !check_size(out, "out", 2, 1) || !check_size(out, "out", 3, 1) || !check_apart(out, "out", sums, "sums")) {
    return DU_BAD_ARGUMENT;
  }
  if (out->type != DU_FLOAT32) return set_error(DU_BAD_ARGUMENT, "out has type %d; use DU_FLOAT32", out->type);
  if (count < 1) return set_error(DU_BAD_ARGUMENT, "count is %lld; use at least 1", static_cast<long long>(count));
  for (int64_t n = 0; n < out->sizes[0]; ++n) {
    for (int64_t c = 0; c < out->sizes[1]; ++c) {
      const int64_t* words = static_cast<const int64_t*>(sums->data) + n * sums->strides[0] + c * sums->strides[1];
      const double sum = rounded(words, sums->strides[3]);
      static_cast<float*>(out->data)[n * out->strides[0] + c * out->strides[1]] = static_cast<float>(sum / static_cast<double>(count));
    }
  }
  return DU_OK;
}

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
  active_kernels().reduce.reduce(call, threads);
  return DU_OK;
}
