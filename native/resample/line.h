// A line of samples from a line of samples, for any taps: the output is cut into blocks of one vector, and for each tap of a block
// the input samples of its lanes are picked out of two or four vectors. What to pick is planned once for all lines.
#pragma once

#include "combine.h"

namespace downup {
namespace DU_ISA {

// The k-th tap of every lane of a block.
template <class T>
struct Step {
  using E = Element<T, kManyLanes<T>>;
  typename E::Lanes weight;
  typename E::Mask index;    // of the sample that a lane reads, from `offset`
  typename E::Mask present;  // lanes that have so many taps
  int64_t offset;            // of the first vector, from the block's origin in the line
  int64_t vectors;           // that hold all samples: 2, 4, or 0 where they lie further apart
};

template <class T>
struct Block {
  using E = Element<T, kManyLanes<T>>;
  typename E::Lanes divisor, inverse;  // the inverse only where it is exact in every lane
  const Step<T>* steps;
  int64_t count, out, lanes;  // number of steps; the output samples out, out + 1, ..., out + lanes - 1
  int64_t origin;             // in the line
  int64_t begin, end;         // the part of the line that is read, whole vectors included
  bool is_ragged, has_divisor, has_inverse;
  bool is_far;  // reads further than its axis lets it: it has no steps
};

// An axis whose samples may hold `inner` elements each (the channels of a narrow channels-last image).
struct LineAxis {
  const du_taps* taps;
  int64_t inner;
  bool divides;   // or leaves that to a later step
  int64_t reach;  // the longest part of a line that a block may read
  int64_t in() const { return taps->in * inner; }
  int64_t out() const { return taps->out * inner; }
};

template <class T>
class LinePlan {
  static constexpr int64_t kLanes = kManyLanes<T>;
  using E = typename Step<T>::E;
  using Scalar = typename E::Scalar;

 public:
  static int64_t block_count(const LineAxis& axis) { return (axis.out() + kLanes - 1) / kLanes; }

  // Blocks, and at most as many steps as their longest lanes have taps.
  static int64_t bytes(const LineAxis& axis) {
    int64_t steps = 0;
    for (int64_t b = 0; b < block_count(axis); ++b) {
      const int64_t out = first_out(axis, b), lanes = lanes_of(axis);
      steps += is_far(axis, out, lanes) ? 0 : most_taps(axis, out, lanes);
    }
    return block_count(axis) * static_cast<int64_t>(sizeof(Block<T>)) + (steps + 1) * static_cast<int64_t>(sizeof(Step<T>)) + 64;
  }

  void make(const LineAxis& axis, void* memory) {
    count_ = block_count(axis);
    const uint64_t aligned = (reinterpret_cast<uint64_t>(memory) + 63) & ~uint64_t{63};
    blocks_ = reinterpret_cast<Block<T>*>(aligned);
    Step<T>* free_step = reinterpret_cast<Step<T>*>(blocks_ + count_);
    for (int64_t b = 0; b < count_; ++b) {
      Block<T>& block = blocks_[b];
      plan_block(axis, first_out(axis, b), block, free_step);
      // Inside an image most blocks do the same: they share their steps, which then stay in the nearest cache.
      if (b > 0 && do_the_same(block, blocks_[b - 1])) {
        block.steps = blocks_[b - 1].steps;
      } else {
        free_step += block.count;
      }
    }
  }

  int64_t count() const { return count_; }
  const Block<T>& block(int64_t b) const { return blocks_[b]; }

 private:
  // The last block is moved back to end with the line, unless the line is shorter than a vector.
  static int64_t lanes_of(const LineAxis& axis) { return axis.out() < kLanes ? axis.out() : kLanes; }
  static int64_t first_out(const LineAxis& axis, int64_t b) {
    const int64_t last = axis.out() - lanes_of(axis);
    return b * kLanes < last ? b * kLanes : last;
  }
  static int64_t taps_at(const LineAxis& axis, int64_t out) {
    const int64_t sample = out / axis.inner;
    return axis.taps->start[sample + 1] - axis.taps->start[sample];
  }
  static int64_t most_taps(const LineAxis& axis, int64_t out, int64_t lanes) {
    int64_t most = 0;
    for (int64_t i = 0; i < lanes; ++i) {
      const int64_t taps = taps_at(axis, out + i);
      most = taps > most ? taps : most;
    }
    return most;
  }

  // Whether the samples of these lanes, and the whole vectors around them, reach further than they may.
  static bool is_far(const LineAxis& axis, int64_t out, int64_t lanes) {
    int64_t low = INT64_MAX, high = 0;
    for (int64_t k = axis.taps->start[out / axis.inner]; k < axis.taps->start[(out + lanes - 1) / axis.inner + 1]; ++k) {
      low = axis.taps->index[k] < low ? axis.taps->index[k] : low;
      high = axis.taps->index[k] > high ? axis.taps->index[k] : high;
    }
    return high >= low && (high - low + 1) * axis.inner + 6 * kLanes > axis.reach;
  }

  static void plan_block(const LineAxis& axis, int64_t out, Block<T>& block, Step<T>* steps) {
    block = Block<T>{};
    block.steps = steps;
    block.out = out;
    block.lanes = lanes_of(axis);
    block.is_far = is_far(axis, out, block.lanes);
    block.count = block.is_far ? 0 : most_taps(axis, out, block.lanes);
    block.divisor = typename E::Lanes{} + Scalar{1};
    block.begin = axis.in();
    int64_t sample = out / axis.inner, channel = out % axis.inner;
    block.origin = sample * axis.taps->in / axis.taps->out * axis.inner;
    int64_t first_tap[kLanes], taps[kLanes], channels[kLanes];
    for (int64_t i = 0; i < block.lanes; ++i) {
      first_tap[i] = axis.taps->start[sample];
      taps[i] = axis.taps->start[sample + 1] - first_tap[i];
      channels[i] = channel;
      if (axis.divides) block.divisor[i] = static_cast<Scalar>(axis.taps->divisor[sample]);
      block.has_divisor |= block.divisor[i] != 1;
      block.is_ragged |= taps[i] < block.count;
      if (++channel == axis.inner) {
        channel = 0;
        ++sample;
      }
    }
    block.has_inverse = true;
    for (int64_t i = 0; i < kLanes; ++i) {
      block.inverse[i] = exact_inverse(block.divisor[i]);
      block.has_inverse &= block.inverse[i] != 0;
    }
    for (int64_t k = 0; k < block.count; ++k) {
      int64_t index[kLanes], low = INT64_MAX, high = 0;
      Step<T>& step = steps[k];
      __builtin_memset(&step, 0, sizeof step);  // its padding too: steps are compared as bytes
      for (int64_t i = 0; i < block.lanes; ++i) {
        if (k >= taps[i]) continue;
        index[i] = axis.taps->index[first_tap[i] + k] * axis.inner + channels[i];
        low = index[i] < low ? index[i] : low;
        high = index[i] > high ? index[i] : high;
        step.weight[i] = static_cast<Scalar>(axis.taps->weight[first_tap[i] + k]);
        step.present[i] = -1;
      }
      const int64_t reach = high - low;
      step.vectors = reach < 2 * kLanes ? 2 : reach < 4 * kLanes && axis.in() >= 4 * kLanes ? 4 : 0;
      // Whole vectors are read where they end inside the line, if it is long enough.
      const int64_t most = axis.in() - step.vectors * kLanes, whole = low / kLanes * kLanes;
      if (low > most) low = most > 0 ? most : 0;
      // Vectors that begin as the line does lie in one cache line each, and several steps share them.
      if (step.vectors == 2 && whole <= low && high - whole < 2 * kLanes) low = whole;
      step.offset = low - block.origin;
      for (int64_t i = 0; i < block.lanes; ++i) {
        if (k < taps[i]) step.index[i] = static_cast<typename E::Integer>(index[i] - low);
      }
      block.begin = low < block.begin ? low : block.begin;
      const int64_t end = step.vectors ? low + step.vectors * kLanes : high + 1;
      block.end = end > block.end ? end : block.end;
    }
    block.end = block.end < axis.in() ? block.end : axis.in();
    block.begin = block.begin < block.end ? block.begin : block.end;
  }

  static bool do_the_same(const Block<T>& a, const Block<T>& b) {
    return !a.is_far && !b.is_far && a.count == b.count && a.is_ragged == b.is_ragged &&
           !__builtin_memcmp(a.steps, b.steps, static_cast<uint64_t>(a.count) * sizeof(Step<T>));
  }

  int64_t count_ = 0;
  Block<T>* blocks_ = nullptr;
};

// The samples of a step's lanes; `line` points to the line's sample 0, be it in memory or not.
template <class T, class S>
DU_INLINE typename Step<T>::E::Lanes pick(const Step<T>& step, const S* line, int64_t lanes) {
  using E = Element<S, kManyLanes<T>>;
  constexpr int64_t kLanes = kManyLanes<T>;
  const S* at = line + step.offset;
  if constexpr (kVectorBytes >= 32) {
    if (step.vectors == 2) return __builtin_shuffle(E::load(at), E::load(at + kLanes), step.index);
    if (step.vectors == 4) {
      const typename E::Lanes near = __builtin_shuffle(E::load(at), E::load(at + kLanes), step.index);
      const typename E::Lanes far = __builtin_shuffle(E::load(at + 2 * kLanes), E::load(at + 3 * kLanes), step.index);
      return choose((step.index & static_cast<typename E::Integer>(2 * kLanes)) != 0, far, near);
    }
  }
  typename E::Lanes picked{};
  for (int64_t i = 0; i < lanes; ++i) picked[i] = E::get(at + step.index[i]);
  return picked;
}

// How a block is stored: past the caches; exactly its samples; or a whole vector, where there is room for it.
enum Storing { kStreamed, kExact, kRoom };

// The output samples of one block, from elements S to elements D: sums in the order of the taps, divided by the block's divisor and
// the row's.
template <class T, class S, class D, Storing kStoring>
DU_INLINE void run_block(const Block<T>& block, const S* line, typename Arithmetic<T>::Scalar row_divisor, D* out) {
  using E = Element<D, kManyLanes<T>>;
  using Lanes = typename E::Lanes;
  const S* origin = line + block.origin;
  Lanes sum{};
  if (block.is_ragged) {
    for (int64_t k = 0; k < block.count; ++k) {
      const Step<T>& step = block.steps[k];
      const Lanes product = pick<T, S>(step, origin, block.lanes) * step.weight;
      // A lane without this tap keeps its sum, whatever was picked for it.
      sum = choose(step.present, k == 0 ? product : sum + product, sum);
    }
  } else if (block.count > 0) {
    sum = pick<T, S>(block.steps[0], origin, block.lanes) * block.steps[0].weight;
    for (int64_t k = 1; k < block.count; ++k) sum += pick<T, S>(block.steps[k], origin, block.lanes) * block.steps[k].weight;
  }
  if (block.has_divisor || row_divisor != 1) {
    const auto row_inverse = exact_inverse(row_divisor);
    sum = block.has_inverse && row_inverse != 0 ? sum * (block.inverse * row_inverse) : sum / (block.divisor * row_divisor);
  }
  if constexpr (kStoring == kRoom) {
    E::store(out + block.out, sum);
    return;
  }
  if (block.lanes < kManyLanes<T>) {
    D lanes[kManyLanes<T>];
    E::store(lanes, sum);
    for (int64_t i = 0; i < block.lanes; ++i) out[block.out + i] = lanes[i];
  } else if constexpr (kStoring == kStreamed) {
    E::stream(out + block.out, sum);
  } else {
    E::store(out + block.out, sum);
  }
}

}  // namespace DU_ISA
}  // namespace downup
