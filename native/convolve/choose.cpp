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

bool fits(const du_convolution_spec& spec, int32_t algorithm) {
  const du_window& window = spec.window;
  switch (algorithm) {
    case DU_WINOGRAD: return is_plain_3x3(spec, 1);
    case DU_WINOGRAD_REPEATED: return is_plain_3x3(spec, 2) && window.dilation[0] == 1 && window.dilation[1] == 1;
    default: return true;
  }
}

// Vector operations for a tile of 4x4 outputs; what is copied or transformed counts for every vector of channels.
struct Tally {
  int64_t in, in_vectors, out_vectors;

  int64_t direct(int64_t taps) const { return 16 * taps * (in * out_vectors + 2 * in_vectors); }
  int64_t winograd() const { return 36 * in * out_vectors + 200 * in_vectors + 180 * out_vectors; }
  int64_t winograd_repeated() const { return 25 * in * out_vectors + 40 * in_vectors + 110 * out_vectors; }
};

}  // namespace

int32_t choose_algorithm(const du_convolution_spec& spec, int64_t lanes) {
  if (spec.algorithm != DU_AUTO) {
    if (fits(spec, spec.algorithm)) return spec.algorithm;
    set_error(DU_BAD_ARGUMENT, "algorithm %d is only for 3x3 windows at stride 1, of one group, after upsampling by %d; use DU_AUTO", spec.algorithm,
              spec.algorithm == DU_WINOGRAD ? 1 : 2);
    return -1;
  }
  const Tally tally{spec.in_channels, (spec.in_channels + lanes - 1) / lanes, (spec.out_channels + lanes - 1) / lanes};
  if (spec.precision == DU_FAST) {
    if (fits(spec, DU_WINOGRAD) && tally.winograd() < tally.direct(9)) return DU_WINOGRAD;
    if (fits(spec, DU_WINOGRAD_REPEATED) && tally.winograd_repeated() < tally.direct(4)) return DU_WINOGRAD_REPEATED;
  }
  return DU_DIRECT;
}

}  // namespace downup
