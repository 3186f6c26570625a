// One place where an algorithm is chosen.
#include "../check.h"
#include "convolution.h"

namespace downup {
namespace {

bool is_plain_3x3(const du_convolution_spec& spec, int64_t upsample) {
  const du_window& window = spec.window;
  for (int i = 0; i < 2; ++i) {
    if (window.size[i] != 3 || window.stride[i] != 1 || spec.upsample[i] != upsample) return false;
  }
  return !spec.transposed && spec.groups == 1;
}

// Groups of 2, 4 or 8 channels, at least two to a vector.
bool has_narrow_groups(const du_convolution_spec& spec, int64_t lanes) {
  const int64_t channels = spec.in_channels / spec.groups;
  return spec.in_channels == spec.out_channels && channels < lanes && (channels == 2 || channels == 4 || channels == 8);
}

bool fits(const du_convolution_spec& spec, int32_t algorithm, const ConvolveKernels& kernels) {
  const du_window& window = spec.window;
  switch (algorithm) {
    case DU_WINOGRAD: return is_plain_3x3(spec, 1);
    case DU_WINOGRAD_REPEATED: return is_plain_3x3(spec, 2) && window.dilation[0] == 1 && window.dilation[1] == 1;
    case DU_DEPTHWISE: return spec.in_channels == spec.groups && spec.out_channels == spec.groups;
    case DU_GROUPED: return has_narrow_groups(spec, kernels.lanes);
    default: return kernels.algorithms[algorithm].run;
  }
}

constexpr const char* kConditions[kAlgorithms] = {
    "",
    "",
    "3x3 windows at stride 1, of one group",
    "3x3 windows at stride 1 without dilation, of one group, after upsampling by two",
    "as many groups as channels in and out",
    "groups of 2, 4 or 8 channels in and out, fewer than a vector holds",
    "processors with AVX-512 and its bfloat16 products (avx512_bf16)",
};

// Vector operations for a tile of 4x4 outputs; what is copied or transformed counts for every vector of channels. The channels of a
// picture, less than a vector, are multiplied where they lie.
struct Tally {
  int64_t in, in_vectors, out_vectors, lanes;

  int64_t direct(int64_t taps) const { return 16 * taps * (in * out_vectors + (in < lanes ? 0 : 2 * in_vectors)); }
  int64_t direct_bfloat16(int64_t taps) const { return 16 * taps * ((in + 1) / 2 * out_vectors + 2 * in_vectors); }
  int64_t winograd() const { return 36 * in * out_vectors + 250 * in_vectors + 300 * out_vectors; }
  int64_t winograd_repeated() const { return 25 * in * out_vectors + 40 * in_vectors + 110 * out_vectors; }
};

// Pixels of fewer channels than a vector, or of few under one tap, are read where they are. There to round them takes longer than a product
// with few vectors of channels out then takes less.
bool is_light(const du_convolution_spec& spec, const Tally& tally) {
  return tally.in < tally.lanes || (spec.window.size[0] * spec.window.size[1] == 1 && tally.in <= 256 && tally.out_vectors <= 2);
}

}  // namespace

int32_t choose_algorithm(const du_convolution_spec& spec, const ConvolveKernels& kernels) {
  const int64_t lanes = kernels.lanes;
  if (spec.algorithm != DU_AUTO) {
    if (fits(spec, spec.algorithm, kernels)) return spec.algorithm;
    set_error(DU_BAD_ARGUMENT, "algorithm %d is only for %s; use DU_AUTO", spec.algorithm, kConditions[spec.algorithm]);
    return -1;
  }
  if (spec.groups > 1 && fits(spec, DU_DEPTHWISE, kernels)) return DU_DEPTHWISE;
  if (spec.groups > 1 && fits(spec, DU_GROUPED, kernels)) return DU_GROUPED;
  const Tally tally{spec.in_channels, (spec.in_channels + lanes - 1) / lanes, (spec.out_channels + lanes - 1) / lanes, lanes};
  const bool is_bfloat16 = spec.precision == DU_BFLOAT16_PRODUCTS && fits(spec, DU_DIRECT_BFLOAT16, kernels) && !is_light(spec, tally);
  const auto direct = [&](int64_t taps) { return is_bfloat16 ? tally.direct_bfloat16(taps) : tally.direct(taps); };
  if (spec.precision != DU_EXACT) {
    if (fits(spec, DU_WINOGRAD, kernels) && tally.winograd() < direct(9)) return DU_WINOGRAD;
    if (fits(spec, DU_WINOGRAD_REPEATED, kernels) && tally.winograd_repeated() < direct(4)) return DU_WINOGRAD_REPEATED;
  }
  return is_bfloat16 ? DU_DIRECT_BFLOAT16 : DU_DIRECT;
}

}  // namespace downup
