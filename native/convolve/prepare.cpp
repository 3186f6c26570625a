// Weights and bias in the order in which the kernels read them.
#include "convolution.h"
#include "winograd_weights.h"

#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

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

// The nearest bfloat16, ties to even; NaN stays a NaN.
uint16_t round_to_bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Weights of a block of out channels: [input][lane of the block], or in bfloat16 [pair of inputs][lane of the block][2].
struct Block {
  float* data;
  int64_t width;
  bool is_bfloat16;

  static int64_t rows(int64_t inputs, bool is_bfloat16) { return is_bfloat16 ? inputs / 2 + inputs % 2 : inputs; }
  void put(int64_t input, int64_t lane, float weight) const {
    if (is_bfloat16) {
      const uint16_t rounded = round_to_bfloat16(weight);
      memcpy(reinterpret_cast<char*>(data + input / 2 * width + lane) + 2 * (input % 2), &rounded, sizeof rounded);
    } else {
      data[input * width + lane] = weight;
    }
  }
};

// [group][block of out channels][tap][in channel], each as `Block` says
bool pack_direct(du_convolution& convolution, const ConvolveKernels& kernels, const Weights& weights) {
  ConvolvePlan& plan = convolution.plan;
  const int64_t lanes = kernels.lanes, width = kernels.block_vectors * lanes;
  const bool is_bfloat16 = convolution.algorithm == DU_DIRECT_BFLOAT16;
  const PhaseWeights one(convolution);
  if (!one.sums) return false;
  Phase* phases = const_cast<Phase*>(plan.phases);
  for (int64_t p = 0; p < plan.phase_count; ++p) {
    Phase& phase = phases[p];
    const int64_t columns = one.begin(phase), rows = Block::rows(phase.tap_count * plan.group_in, is_bfloat16);
    int64_t count;
    if (__builtin_mul_overflow(rows, plan.groups * plan.padded_out, &count)) return false;
    float* packed = convolution.memory.take<float>(count);
    if (!packed) return false;
    for (int64_t group = 0; group < plan.groups; ++group) {
      for (int64_t out = 0; out < plan.group_out; ++out) {
        const int64_t channel = out / width * width, block_width = plan.padded_out - channel < width ? lanes : width;
        const Block block{packed + (group * plan.padded_out + channel) * rows, block_width, is_bfloat16};
        for (int64_t in = 0; in < plan.group_in; ++in) {
          one.find(weights.at(group, out, in), phase.tap_count, columns);
          for (int64_t tap = 0; tap < phase.tap_count; ++tap) block.put(tap * plan.group_in + in, out % width, static_cast<float>(one.sums[tap]));
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

// Four out channels side by side; vectors of every instruction set have a multiple of that.
constexpr int64_t kQuad = 4;
typedef double Quad __attribute__((vector_size(kQuad * sizeof(double))));
typedef float QuadOfFloats __attribute__((vector_size(kQuad * sizeof(float))));

// In channels that are transformed together, and the floats of the widest block.
constexpr int64_t kGathered = 4, kWidest = 32;

// The windows between an in channel and four out channels, from `out` on, the last of them perhaps without weights.
void load_windows(const Weights& weights, int64_t out, int64_t in, Quad (&windows)[9]) {
  for (int64_t lane = 0; lane < kQuad; ++lane) {
    const float* window = out + lane < weights.group_out ? weights.at(0, out + lane, in) : nullptr;
    for (int64_t k = 0; k < 9; ++k) windows[k][lane] = window ? static_cast<double>(window[k]) : 0;
  }
}

// The windows of four out channels -> the points of the plane, row by row, `stride` floats apart.
template <class Line>
void transform_windows(const Quad (&windows)[9], float* to, int64_t stride) {
  Quad columns[3][Line::kPoints];
  for (int64_t x = 0; x < 3; ++x) Line::transform(windows[x], windows[3 + x], windows[6 + x], columns[x]);
  for (int64_t y = 0; y < Line::kPoints; ++y) {
    Quad row[Line::kPoints];
    Line::transform(columns[0][y], columns[1][y], columns[2][y], row);
    for (const Quad& point : row) {
      const auto rounded = __builtin_convertvector(point, QuadOfFloats);
      memcpy(to, &rounded, sizeof rounded);
      to += stride;
    }
  }
}

// [block of out channels][point][in channel][lane of the block], the points of a plane row by row
template <class Line>
bool pack_winograd(du_convolution& convolution, const ConvolveKernels& kernels, const Weights& weights) {
  ConvolvePlan& plan = convolution.plan;
  constexpr int64_t kPoints = Line::kPoints * Line::kPoints;
  const int64_t lanes = kernels.lanes, width = kernels.block_vectors * lanes;
  int64_t count;
  if (__builtin_mul_overflow(kPoints * plan.group_in, plan.padded_out, &count)) return false;
  float* packed = convolution.memory.take_unset<float>(count);
  if (!packed) return false;
  // Points lie so far apart that they share a few lines of the caches: a few in channels are gathered before they are stored.
  alignas(64) float gathered[kPoints * kGathered * kWidest];
  for (int64_t channel = 0, block_width; channel < plan.padded_out; channel += block_width) {
    block_width = plan.padded_out - channel < width ? lanes : width;
    float* block = packed + channel * plan.group_in * kPoints;
    for (int64_t first = 0; first < plan.group_in; first += kGathered) {
      const int64_t ins = plan.group_in - first < kGathered ? plan.group_in - first : kGathered;
      for (int64_t lane = 0; lane < block_width; lane += kQuad) {
        for (int64_t in = 0; in < ins; ++in) {
          Quad windows[9];
          load_windows(weights, channel + lane, first + in, windows);
          transform_windows<Line>(windows, gathered + in * block_width + lane, kGathered * kWidest);
        }
      }
      for (int64_t point = 0; point < kPoints; ++point) {
        memcpy(block + (point * plan.group_in + first) * block_width, gathered + point * kGathered * kWidest,
               static_cast<size_t>(ins * block_width) * sizeof(float));
      }
    }
  }
  const_cast<Phase*>(plan.phases)[0].weights = packed;
  return true;
}

// Fewer pages to clear one by one here, and to look up when the weights are read.
void ask_for_huge_pages(void* block, size_t size) {
#if defined(__linux__)
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(block), first = (begin + kPage - 1) / kPage * kPage, last = (begin + size) / kPage * kPage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)block, (void)size;
#endif
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
  ask_for_huge_pages(block, size);
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
    case DU_WINOGRAD: return pack_winograd<PlainWeights>(convolution, kernels, weights);
    case DU_WINOGRAD_REPEATED: return pack_winograd<RepeatedWeights>(convolution, kernels, weights);
    case DU_DEPTHWISE:
    case DU_GROUPED: return pack_narrow(convolution, weights);
    default: return pack_direct(convolution, kernels, weights);
  }
}

}  // namespace downup
