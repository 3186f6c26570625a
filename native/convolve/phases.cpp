// Which outputs read their inputs alike, and which inputs those are.
#include <numeric>

#include "convolution.h"

namespace downup {
namespace {

int64_t floor_division(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// The offsets of one phase along one axis, each once, in the order of the window.
struct AxisTaps {
  int64_t count;
  int64_t* offsets;  // [window size]
};

void find_taps(const du_convolution_spec& spec, int axis, int64_t phase, AxisTaps& taps) {
  taps.count = 0;
  for (int64_t k = 0; k < spec.window.size[axis]; ++k) {
    int64_t offset;
    if (!tap_offset(spec, axis, phase, k, &offset)) continue;
    // Taps that fall on one pixel follow one another.
    if (taps.count == 0 || taps.offsets[taps.count - 1] != offset) taps.offsets[taps.count++] = offset;
  }
}

bool are_same(const Phase& a, const Phase& b) {
  if (a.tap_count != b.tap_count) return false;
  for (int64_t i = 0; i < a.tap_count; ++i) {
    if (a.taps[i].row != b.taps[i].row || a.taps[i].column != b.taps[i].column) return false;
  }
  return true;
}

}  // namespace

bool tap_offset(const du_convolution_spec& spec, int axis, int64_t phase, int64_t k, int64_t* offset) {
  const du_window& window = spec.window;
  const int64_t stride = window.stride[axis], reach = k * window.dilation[axis];
  int64_t place;  // on the upsampled input
  if (spec.transposed) {
    const int64_t spread = phase + window.pad_before[axis] - reach;
    if (spread % stride) return false;
    place = spread / stride;
  } else {
    place = phase * stride - window.pad_before[axis] + reach;
  }
  *offset = floor_division(place, spec.upsample[axis]);
  return true;
}

bool plan_phases(du_convolution& convolution) {
  const du_convolution_spec& spec = convolution.spec;
  ConvolvePlan& plan = convolution.plan;
  for (int i = 0; i < 2; ++i) {
    const int64_t stride = spec.window.stride[i], upsample = spec.upsample[i];
    plan.out_step[i] = spec.transposed ? stride * upsample : upsample / std::gcd(upsample, stride);
    plan.in_step[i] = spec.transposed ? 1 : plan.out_step[i] * stride / upsample;
  }
  plan.phase_count = plan.out_step[0] * plan.out_step[1];
  Phase* phases = convolution.memory.take<Phase>(plan.phase_count);
  plan.phases = phases;
  AxisTaps rows{0, convolution.memory.take<int64_t>(spec.window.size[0])};
  AxisTaps columns{0, convolution.memory.take<int64_t>(spec.window.size[1])};
  if (!phases || !rows.offsets || !columns.offsets) return false;
  for (int64_t p = 0; p < plan.phase_count; ++p) {
    Phase& phase = phases[p];
    phase.first[0] = p / plan.out_step[1], phase.first[1] = p % plan.out_step[1];
    find_taps(spec, 0, phase.first[0], rows);
    find_taps(spec, 1, phase.first[1], columns);
    phase.tap_count = rows.count * columns.count;
    Tap* taps = convolution.memory.take<Tap>(phase.tap_count);
    if (!taps) return false;
    for (int64_t y = 0; y < rows.count; ++y) {
      for (int64_t x = 0; x < columns.count; ++x) taps[y * columns.count + x] = {rows.offsets[y], columns.offsets[x]};
    }
    phase.taps = taps;
    phase.is_shared = p > 0 && are_same(phase, phases[p - 1]);
    if (phase.tap_count > plan.most_taps) plan.most_taps = phase.tap_count;
  }
  return true;
}

}  // namespace downup
