// Weights and bias in the order in which the kernels read them.
#include "convolution.h"
#include "winograd_weights.h"

#include <string.h>

namespace downup {
namespace {

// Weights of a window, as the caller lays them out.
struct Weights {
  const float* data;
  int64_t group_in, group_out, taps;
  bool transposed;

  // [window rows, window columns] between a channel in and a channel out of a group.
  const float* at(int64_t group, int64_t out, int64_t in) const {
    const int64_t row = transposed ? (group * group_in + in) * group_out + out : (group * group_out + out) * group_in + in;
    return data + row * taps;
  }
};

// For each tap of the window along an axis, which of the phase's offsets it falls on; -1: none. How many offsets there are.
int64_t find_slots(const du_convolution_spec& spec, int axis, int64_t phase, int64_t* slots) {
  int64_t count = 0, last = 0;
  for (int64_t k = 0; k < spec.window.size[axis]; ++k) {
    int64_t offset;
    slots[k] = -1;
    if (!tap_offset(spec, axis, phase, k, &offset)) continue;
    if (count == 0 || offset != last) ++count;
    last = offset;
    slots[k] = count - 1;
  }
  return count;
}

// The weights of one phase between two channels: those that fall on one pixel are summed in double, and rounded once.
struct PhaseWeights {
  const du_convolution_spec& spec;
  int64_t *row_slots, *column_slots;
  double* sums;  // [tap]; NULL where there is no memory

  explicit PhaseWeights(du_convolution& convolution) : spec(convolution.spec) {
    row_slots = convolution.memory.take<int64_t>(spec.window.size[0]);
    column_slots = convolution.memory.take<int64_t>(spec.window.size[1]);
    sums = row_slots && column_slots ? convolution.memory.take<double>(convolution.plan.most_taps) : nullptr;
  }

  // Turns to a phase; how many taps it has along the columns.
  int64_t begin(const Phase& phase) const {
    find_slots(spec, 0, phase.first[0], row_slots);
    return find_slots(spec, 1, phase.first[1], column_slots);
  }

  void find(const float* window, int64_t tap_count, int64_t columns) const {
    for (int64_t i = 0; i < tap_count; ++i) sums[i] = 0;
    for (int64_t y = 0; y < spec.window.size[0]; ++y) {
      if (row_slots[y] < 0) continue;
      for (int64_t x = 0; x < spec.window.size[1]; ++x) {
        if (column_slots[x] >= 0) sums[row_slots[y] * columns + column_slots[x]] += static_cast<double>(window[y * spec.window.size[1] + x]);
      }
    }
  }
};

// [group][block of out channels][tap][in channel][lane of the block]
bool pack_direct(du_convolution& convolution, const ConvolveKernels& kernels, const Weights& weights) {
  ConvolvePlan& plan = convolution.plan;
  const int64_t lanes = kernels.lanes, width = kernels.block_vectors * lanes;
  const PhaseWeights one(convolution);
  if (!one.sums) return false;
  Phase* phases = const_cast<Phase*>(plan.phases);
  for (int64_t p = 0; p < plan.phase_count; ++p) {
    Phase& phase = phases[p];
    const int64_t columns = one.begin(phase), inputs = phase.tap_count * plan.group_in;
    int64_t count;
    if (__builtin_mul_overflow(inputs, plan.groups * plan.padded_out, &count)) return false;
    float* packed = convolution.memory.take<float>(count);
    if (!packed) return false;
    for (int64_t group = 0; group < plan.groups; ++group) {
      for (int64_t out = 0; out < plan.group_out; ++out) {
        const int64_t channel = out / width * width, block_width = plan.padded_out - channel < width ? lanes : width;
        float* to = packed + (group * plan.padded_out + channel) * inputs + out % width;
        for (int64_t in = 0; in < plan.group_in; ++in) {
          one.find(weights.at(group, out, in), phase.tap_count, columns);
          for (int64_t tap = 0; tap < phase.tap_count; ++tap) to[(tap * plan.group_in + in) * block_width] = static_cast<float>(one.sums[tap]);
        }
      }
    }
    phase.weights = packed;
  }
  return true;
}

// [tap][in channel of a group][channel]
bool pack_narrow(du_convolution& convolution, const Weights& weights) {
  ConvolvePlan& plan = convolution.plan;
  const PhaseWeights one(convolution);
  if (!one.sums) return false;
  for (int64_t p = 0; p < plan.phase_count; ++p) {
    Phase& phase = const_cast<Phase*>(plan.phases)[p];
    const int64_t columns = one.begin(phase);
    float* packed = convolution.memory.take<float>(phase.tap_count * plan.cross * plan.padded_out);
    if (!packed) return false;
    for (int64_t out = 0; out < plan.out_channels; ++out) {
      for (int64_t in = 0; in < plan.cross; ++in) {
        one.find(weights.at(out / plan.cross, out % plan.cross, in), phase.tap_count, columns);
        for (int64_t tap = 0; tap < phase.tap_count; ++tap) packed[(tap * plan.cross + in) * plan.padded_out + out] = static_cast<float>(one.sums[tap]);
      }
    }
    phase.weights = packed;
  }
  return true;
}

// [block of out channels][point][in channel][lane of the block], the points of a plane row by row
template <int64_t kPoints>
bool pack_winograd(du_convolution& convolution, const ConvolveKernels& kernels, const Weights& weights, const double (&factors)[kPoints][3]) {
  ConvolvePlan& plan = convolution.plan;
  const int64_t lanes = kernels.lanes, width = kernels.block_vectors * lanes;
  int64_t count;
  if (__builtin_mul_overflow(kPoints * kPoints * plan.group_in, plan.padded_out, &count)) return false;
  float* packed = convolution.memory.take<float>(count);
  if (!packed) return false;
  for (int64_t out = 0; out < plan.group_out; ++out) {
    const int64_t channel = out / width * width, block_width = plan.padded_out - channel < width ? lanes : width;
    float* block = packed + channel * plan.group_in * kPoints * kPoints + out % width;
    for (int64_t in = 0; in < plan.group_in; ++in) {
      const float* window = weights.at(0, out, in);
      double half[kPoints][3];
      for (int64_t i = 0; i < kPoints; ++i) {
        for (int64_t x = 0; x < 3; ++x) {
          half[i][x] = 0;
          for (int64_t y = 0; y < 3; ++y) half[i][x] += factors[i][y] * static_cast<double>(window[3 * y + x]);
        }
      }
      for (int64_t i = 0; i < kPoints; ++i) {
        for (int64_t k = 0; k < kPoints; ++k) {
          const double value = half[i][0] * factors[k][0] + half[i][1] * factors[k][1] + half[i][2] * factors[k][2];
          block[((i * kPoints + k) * plan.group_in + in) * block_width] = static_cast<float>(value);
        }
      }
    }
  }
  const_cast<Phase*>(plan.phases)[0].weights = packed;
  return true;
}

// One number an out channel, groups rounded up to whole vectors.
const float* pack_by_channel(du_convolution& convolution, const float* values) {
  const ConvolvePlan& plan = convolution.plan;
  float* packed = convolution.memory.take<float>(plan.groups * plan.padded_out);
  for (int64_t group = 0; packed && values && group < plan.groups; ++group) {
    memcpy(packed + group * plan.padded_out, values + group * plan.group_out, static_cast<size_t>(plan.group_out) * sizeof(float));
  }
  return packed;
}

}  // namespace

void* Memory::take_bytes(int64_t bytes) {
  if (bytes > INT64_MAX - 2 * kAlignment) return nullptr;
  const size_t size = static_cast<size_t>(bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
  void* block = aligned_alloc(kAlignment, size);
  if (!block) return nullptr;
  memset(block, 0, size);
  static_cast<Block*>(block)->before = last_;
  last_ = static_cast<Block*>(block);
  return static_cast<char*>(block) + kAlignment;
}

bool pack(du_convolution& convolution, const ConvolveKernels& kernels, const float* weight, const float* bias) {
  const du_convolution_spec& spec = convolution.spec;
  ConvolvePlan& plan = convolution.plan;
  plan.padded_out = (plan.group_out + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  plan.bias = pack_by_channel(convolution, bias);
  plan.slopes = pack_by_channel(convolution, spec.activation.kind == DU_PRELU ? spec.activation.slopes : nullptr);
  if (!plan.bias || !plan.slopes) return false;
  const Weights weights{weight, spec.in_channels / spec.groups, spec.out_channels / spec.groups, spec.window.size[0] * spec.window.size[1], spec.transposed != 0};
  switch (convolution.algorithm) {
    case DU_WINOGRAD: return pack_winograd(convolution, kernels, weights, kPlainWeights);
    case DU_WINOGRAD_REPEATED: return pack_winograd(convolution, kernels, weights, kRepeatedWeights);
    case DU_DEPTHWISE:
    case DU_GROUPED: return pack_narrow(convolution, weights);
    default: return pack_direct(convolution, kernels, weights);
  }
}

}  // namespace downup
