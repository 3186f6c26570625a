// A line of samples from a line of samples, for any taps: the output is cut into blocks of one vector, and for each tap of a block
// the input samples of its lanes are picked out of one, two or four vectors. What to pick is planned once for all lines. Blocks that
// do the same are run side by side: what to pick is then looked up once for all of them, and their sums do not wait for each other.
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
  int64_t vectors;           // that hold all samples: 1, 2, 4, or 0 where they lie further apart
};

template <class T>
struct Block {
  using E = Element<T, kManyLanes<T>>;
  typename E::Lanes divisor, inverse;  // the inverse only where it is exact in every lane
  const Step<T>* steps;
  int64_t count, out, lanes;  // number of steps; the output samples out, out + 1, ..., out + lanes - 1
  int64_t vectors;            // those of all its steps, or 0 where they differ
  bool is_shared;             // all its steps pick from the same vectors
  int64_t run;                // this block and those after it that do the same, each so much further on in the line as
  int64_t advance;            // this: never back
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
    for (int64_t b = count_ - 2; b >= 0; --b) {
      Block<T>& block = blocks_[b];
      const Block<T>& next = blocks_[b + 1];
      if (!goes_on(block, next)) continue;
      block.advance = next.begin - block.begin;
      block.run = next.run == 1 || next.advance == block.advance ? next.run + 1 : 2;
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

  // From the first to the last sample of a step's lanes.
  struct Reach {
    int64_t low, high;
    int64_t length() const { return high - low; }
  };
  static int64_t vectors_for(const LineAxis& axis, int64_t length) {
    return length < kLanes ? 1 : length < 2 * kLanes ? 2 : length < 4 * kLanes && axis.in() >= 4 * kLanes ? 4 : 0;
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
    block.run = 1;
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
    const auto index_of = [&](int64_t i, int64_t k) { return axis.taps->index[first_tap[i] + k] * axis.inner + channels[i]; };
    const auto reach_of = [&](int64_t k) {
      int64_t low = INT64_MAX, high = 0;
      for (int64_t i = 0; i < block.lanes; ++i) {
        if (k >= taps[i]) continue;
        low = index_of(i, k) < low ? index_of(i, k) : low;
        high = index_of(i, k) > high ? index_of(i, k) : high;
      }
      return Reach{low, high};
    };
    int64_t longest = 0;
    Reach all{INT64_MAX, 0};
    for (int64_t k = 0; k < block.count; ++k) {
      const Reach reach = reach_of(k);
      longest = reach.length() > longest ? reach.length() : longest;
      all = {reach.low < all.low ? reach.low : all.low, reach.high > all.high ? reach.high : all.high};
    }
    block.vectors = block.count ? vectors_for(axis, longest) : 0;
    block.is_shared = block.vectors && all.length() < block.vectors * kLanes;
    for (int64_t k = 0; k < block.count; ++k) {
      Step<T>& step = steps[k];
      __builtin_memset(&step, 0, sizeof step);  // its padding too: steps are compared as bytes
      auto [low, high] = block.is_shared ? all : reach_of(k);
      step.vectors = block.vectors ? block.vectors : vectors_for(axis, high - low);
      // Whole vectors are read where they end inside the line, if it is long enough.
      const int64_t most = axis.in() - step.vectors * kLanes, whole = low / kLanes * kLanes;
      if (low > most) low = most > 0 ? most : 0;
      // Vectors that begin as the line does lie in one cache line each, and several steps share them. On the way up that would
      // set blocks apart that do the same.
      if (axis.in() >= axis.out() && step.vectors && whole <= low && high - whole < step.vectors * kLanes) low = whole;
      step.offset = low - block.origin;
      for (int64_t i = 0; i < block.lanes; ++i) {
        if (k >= taps[i]) continue;
        step.index[i] = static_cast<typename E::Integer>(index_of(i, k) - low);
        step.weight[i] = static_cast<Scalar>(axis.taps->weight[first_tap[i] + k]);
        step.present[i] = -1;
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

  // Whether b does what a does on the next samples: then it has a's steps.
  static bool goes_on(const Block<T>& a, const Block<T>& b) {
    const int64_t advance = b.begin - a.begin;
    return a.steps == b.steps && do_the_same(a, b) && a.lanes == kLanes && b.out == a.out + kLanes && advance >= 0 && b.end == a.end + advance &&
           b.origin == a.origin + advance && !__builtin_memcmp(&a.divisor, &b.divisor, sizeof a.divisor);
  }

  int64_t count_ = 0;
  Block<T>* blocks_ = nullptr;
};

// Vectors of a line that lie side by side, to pick lanes from.
template <class T, class S, int64_t kVectors>
struct Window {
  static constexpr int64_t kLanes = kManyLanes<T>;
  using E = Element<S, kLanes>;
  typename E::Lanes vector[kVectors];

  DU_INLINE const Window& load(const S* at) {
    for (int64_t v = 0; v < kVectors; ++v) vector[v] = E::load(at + v * kLanes);
    return *this;
  }
  DU_INLINE typename E::Lanes pick(const typename E::Mask& index) const {
    if constexpr (kVectors == 1) return shuffle(vector[0], index);
    if constexpr (kVectors == 2) return shuffle(vector[0], vector[1], index);
    if constexpr (kVectors == 4) {
      return choose((index & static_cast<typename E::Integer>(2 * kLanes)) != 0, shuffle(vector[2], vector[3], index),
                    shuffle(vector[0], vector[1], index));
    }
  }
};

// The samples of a step's lanes; `line` points to the line's sample 0, be it in memory or not.
template <class T, class S>
DU_INLINE typename Step<T>::E::Lanes pick(const Step<T>& step, const S* line, int64_t lanes) {
  using E = Element<S, kManyLanes<T>>;
  const S* at = line + step.offset;
  if constexpr (kPicksLanes) {
    if (step.vectors == 1) return Window<T, S, 1>().load(at).pick(step.index);
    if (step.vectors == 2) return Window<T, S, 2>().load(at).pick(step.index);
    if (step.vectors == 4) return Window<T, S, 4>().load(at).pick(step.index);
  }
  typename E::Lanes picked{};
  for (int64_t i = 0; i < lanes; ++i) picked[i] = E::get(at + step.index[i]);
  return picked;
}

// Sums of one step more. A lane without this tap keeps its sum, whatever was picked for it.
template <class T, class Lanes>
DU_INLINE void add_step(const Block<T>& block, int64_t k, const Lanes& picked, Lanes& sum) {
  const Step<T>& step = block.steps[k];
  const Lanes product = picked * step.weight, next = k == 0 ? product : sum + product;
  sum = block.is_ragged ? choose(step.present, next, sum) : next;
}

// The output samples of kBlocks blocks that do the same, from elements S to elements D: sums in the order of the taps, divided by the
// blocks' divisor and the row's. kShared: all steps pick from the same kVectors vectors, which are loaded once.
template <class T, class S, class D, Storing kStoring, int64_t kBlocks, int64_t kVectors, bool kShared>
DU_INLINE void run_alike(const Block<T>& block, const S* line, typename Arithmetic<T>::Scalar row_divisor, D* out) {
  constexpr int64_t kLanes = kManyLanes<T>;
  using E = Element<D, kLanes>;
  using Lanes = typename E::Lanes;
  const S* origin = line + block.origin;
  Lanes sum[kBlocks]{};
  if constexpr (kShared) {
    Window<T, S, kVectors> window[kBlocks];
    for (int64_t i = 0; i < kBlocks; ++i) window[i].load(origin + i * block.advance + block.steps[0].offset);
    for (int64_t k = 0; k < block.count; ++k) {
      for (int64_t i = 0; i < kBlocks; ++i) add_step(block, k, window[i].pick(block.steps[k].index), sum[i]);
    }
  } else {
    for (int64_t k = 0; k < block.count; ++k) {
      const Step<T>& step = block.steps[k];
      for (int64_t i = 0; i < kBlocks; ++i) {
        const S* from = origin + i * block.advance;
        if constexpr (kVectors > 0) {
          add_step(block, k, Window<T, S, kVectors>().load(from + step.offset).pick(step.index), sum[i]);
        } else {
          add_step(block, k, pick<T, S>(step, from, block.lanes), sum[i]);
        }
      }
    }
  }
  if (block.has_divisor || row_divisor != 1) {
    const auto row_inverse = exact_inverse(row_divisor);
    const bool multiplies = block.has_inverse && row_inverse != 0;
    const Lanes by = multiplies ? block.inverse * row_inverse : block.divisor * row_divisor;
    for (int64_t i = 0; i < kBlocks; ++i) sum[i] = multiplies ? sum[i] * by : sum[i] / by;
  }
  for (int64_t i = 0; i < kBlocks; ++i) {
    D* to = out + block.out + i * kLanes;
    if (kBlocks == 1 && kStoring != kRoom && block.lanes < kLanes) {
      D lanes[kLanes];
      E::store(lanes, sum[i]);
      for (int64_t lane = 0; lane < block.lanes; ++lane) to[lane] = lanes[lane];
    } else {
      store<kStoring, E>(to, sum[i]);
    }
  }
}

template <class T, class S, class D, Storing kStoring>
DU_INLINE void run_block(const Block<T>& block, const S* line, typename Arithmetic<T>::Scalar row_divisor, D* out) {
  run_alike<T, S, D, kStoring, 1, 0, false>(block, line, row_divisor, out);
}

// `count` blocks of one run.
template <class T, class S, class D, Storing kStoring, int64_t kVectors, bool kShared>
DU_INLINE void run_blocks_of(const Block<T>* block, int64_t count, const S* line, typename Arithmetic<T>::Scalar row_divisor, D* out) {
  for (; count >= 4; count -= 4, block += 4) run_alike<T, S, D, kStoring, 4, kVectors, kShared>(*block, line, row_divisor, out);
  for (; count > 0; --count, ++block) run_alike<T, S, D, kStoring, 1, kVectors, kShared>(*block, line, row_divisor, out);
}

template <class T, class S, class D, Storing kStoring>
DU_INLINE void run_blocks(const Block<T>* block, int64_t count, const S* line, typename Arithmetic<T>::Scalar row_divisor, D* out) {
  if constexpr (kPicksLanes) {
    if (count > 1 && block->vectors == 1 && block->is_shared) return run_blocks_of<T, S, D, kStoring, 1, true>(block, count, line, row_divisor, out);
    if (count > 1 && block->vectors == 2 && block->is_shared) return run_blocks_of<T, S, D, kStoring, 2, true>(block, count, line, row_divisor, out);
    if (count > 1 && block->vectors == 2) return run_blocks_of<T, S, D, kStoring, 2, false>(block, count, line, row_divisor, out);
  }
  for (int64_t i = 0; i < count; ++i) run_block<T, S, D, kStoring>(block[i], line, row_divisor, out);
}

}  // namespace DU_ISA
}  // namespace downup
