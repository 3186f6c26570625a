// The rearrange kernels of one instruction set: they move bits, and know no numbers.
#include <stdint.h>

#include "../threads.h"
#include "interleave.h"
#include "plan.h"

namespace downup {
namespace DU_ISA {
namespace {

// What is copied between two looks at the outer loops.
constexpr int64_t kSegment = 8192;

// Elements of the longest vector, and of the shortest.
template <class E>
constexpr int64_t kMany = kVectorBytes / static_cast<int64_t>(sizeof(E));
template <class E>
constexpr int64_t kFew = 16 / static_cast<int64_t>(sizeof(E));


// Calls one(l) so that every l in [0, length) lies in a vector that starts at one of them. The last vector may overlap the one before
// it, since the same elements give the same result.
template <int64_t kLanes, class F>
DU_INLINE void each_vector(int64_t length, F&& one) {
  int64_t l = 0;
  for (; l + kLanes <= length; l += kLanes) one(l);
  if (l < length) one(length - kLanes);
}

template <class V, class E>
DU_INLINE void put(E* place, const V& v, bool streams) {
  streams ? stream_as(place, v) : store_as(place, v);
}

template <class E, int64_t kLanes>
DU_INLINE void run_line(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  using V = Vector<E, kLanes>;
  each_vector<kLanes>(length, [&](int64_t l) DU_STEP { put(out + l, load_as<V>(in + l), plan.streams); });
}

// A run too short for a vector, as one or two whole numbers.
template <class E>
DU_INLINE void run_few(const RearrangePlan&, const E* in, E* out, int64_t length) {
  const auto copy = [&]<class Whole>(Whole) DU_STEP {
    constexpr int64_t kInWhole = sizeof(Whole) / sizeof(E);
    const Whole first = load_as<Whole>(in), last = load_as<Whole>(in + length - kInWhole);
    store_as(out, first);
    store_as(out + length - kInWhole, last);
  };
  const int64_t bytes = length * static_cast<int64_t>(sizeof(E));
  if (bytes >= 8) return copy(uint64_t{});
  if constexpr (sizeof(E) <= 4) {
    if (bytes >= 4) return copy(uint32_t{});
  }
  if constexpr (sizeof(E) <= 2) {
    if (bytes >= 2) return copy(uint16_t{});
  }
  *out = *in;
}

template <class E, int64_t kStrands, int64_t kLanes>
DU_INLINE void interleave_line(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  using V = Vector<E, kLanes>;
  each_vector<kLanes>(length, [&](int64_t l) DU_STEP {
    V v[kStrands];
    unrolled<kStrands>([&](auto k) DU_STEP { v[k()] = load_as<V>(in + plan.place[k()] + l); });
    interleave<kLanes, kStrands>(v);
    unrolled<kStrands>([&](auto k) DU_STEP {
      put(out + l * kStrands + k() * kLanes, v[k()], plan.streams);
    });
  });
}

template <class E, int64_t kStrands, int64_t kLanes>
DU_INLINE void deinterleave_line(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  using V = Vector<E, kLanes>;
  each_vector<kLanes>(length, [&](int64_t l) DU_STEP {
    V v[kStrands];
    unrolled<kStrands>([&](auto k) DU_STEP { v[k()] = load_as<V>(in + l * kStrands + k() * kLanes); });
    deinterleave<kLanes, kStrands>(v);
    unrolled<kStrands>([&](auto k) DU_STEP {
      put(out + plan.place[k()] + l, v[k()], plan.streams);
    });
  });
}

// Strands too short for a vector.
template <class E, int64_t kStrands>
DU_INLINE void interleave_few(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  for (int64_t l = 0; l < length; ++l, out += kStrands) {
    unrolled<kStrands>([&](auto k) DU_STEP { out[k()] = in[plan.place[k()] + l]; });
  }
}

template <class E, int64_t kStrands>
DU_INLINE void deinterleave_few(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  for (int64_t l = 0; l < length; ++l, in += kStrands) {
    unrolled<kStrands>([&](auto k) DU_STEP { out[plan.place[k()] + l] = in[k()]; });
  }
}

// So many cache lines stay in the nearest cache between two uses.
constexpr int64_t kFewLines = 128;

// A cache line of the run at a time: what was read once is used before it is lost, however far `across` goes.
template <class E>
DU_INLINE void scattered(const RearrangePlan& plan, const E* in, E* out, int64_t length) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(E));
  const Loop &run = plan.run, &across = plan.across;
  for (int64_t first = 0; first < length; first += kLine) {
    const int64_t end = smaller(first + kLine, length);
    const bool is_long_across = across.size > end - first && across.size <= kFewLines;
    const Loop &slow = is_long_across ? run : across, &fast = is_long_across ? across : run;
    const E* const source = in + first * run.from;
    E* const target = out + first * run.to;
    const int64_t slow_size = is_long_across ? end - first : across.size, fast_size = is_long_across ? across.size : end - first;
    for (int64_t i = 0; i < slow_size; ++i) {
      for (int64_t k = 0; k < fast_size; ++k) target[i * slow.to + k * fast.to] = source[i * slow.from + k * fast.from];
    }
  }
}

template <class E>
using Line = void (*)(const RearrangePlan& plan, const E* in, E* out, int64_t length);

// `count` lines, each a step after the one before it.
template <class E>
using Lines = void (*)(const RearrangePlan& plan, const E* in, E* out, int64_t length, int64_t count, const Loop& step);

template <class E, Line<E> line>
void lines(const RearrangePlan& plan, const E* in, E* out, int64_t length, int64_t count, const Loop& step) {
  for (; count > 0; --count, in += step.from, out += step.to) line(plan, in, out, length);
}

template <class E, int64_t kStrands>
Lines<E> lines_of(const RearrangePlan& plan) {
  const bool is_in = plan.kind == kInterleave;
  if (plan.run.size >= kMany<E>) return is_in ? lines<E, interleave_line<E, kStrands, kMany<E>>> : lines<E, deinterleave_line<E, kStrands, kMany<E>>>;
  if (plan.run.size >= kFew<E>) return is_in ? lines<E, interleave_line<E, kStrands, kFew<E>>> : lines<E, deinterleave_line<E, kStrands, kFew<E>>>;
  return is_in ? lines<E, interleave_few<E, kStrands>> : lines<E, deinterleave_few<E, kStrands>>;
}

template <class E>
Lines<E> choose_lines(const RearrangePlan& plan) {
  if (plan.kind == kRuns) return plan.run.size >= kMany<E> ? lines<E, run_line<E, kMany<E>>> : plan.run.size >= kFew<E> ? lines<E, run_line<E, kFew<E>>> : lines<E, run_few<E>>;
  if (plan.kind == kScattered) return lines<E, scattered<E>>;
  switch (plan.strands) {
    case 2: return lines_of<E, 2>(plan);
    case 3: return lines_of<E, 3>(plan);
    case 4: return lines_of<E, 4>(plan);
    case 5: return lines_of<E, 5>(plan);
    case 8: return lines_of<E, 8>(plan);
    case 9: return lines_of<E, 9>(plan);
    case 16: return lines_of<E, 16>(plan);
    default: return lines_of<E, 25>(plan);
  }
}

// The indices of the outer loops at one piece of the work, and the offsets they lead to.
struct Odometer {
  const Loop* loops;
  int count;
  int64_t index[kMostLoops], from = 0, to = 0;

  Odometer(const Loop* outer, int outer_count, int64_t at) : loops(outer), count(outer_count) {
    for (int i = count - 1; i >= 0; --i) {
      index[i] = at % loops[i].size;
      at /= loops[i].size;
      from += index[i] * loops[i].from;
      to += index[i] * loops[i].to;
    }
  }
  // How many pieces follow one another in the innermost loop, of at most so many.
  DU_INLINE int64_t together(int64_t most) const {
    return count == 0 ? 1 : smaller(most, loops[count - 1].size - index[count - 1]);
  }
  DU_INLINE void advance(int64_t pieces) {
    for (int i = count - 1; i >= 0; --i, pieces = 1) {
      from += pieces * loops[i].from;
      to += pieces * loops[i].to;
      if ((index[i] += pieces) < loops[i].size) return;
      from -= loops[i].size * loops[i].from;
      to -= loops[i].size * loops[i].to;
      index[i] = 0;
    }
  }
};

template <class E>
void rearrange(const RearrangePlan& plan, int64_t threads) {
  const Lines<E> run = choose_lines<E>(plan);
  // A long run is cut, so that threads share it; the last segment takes what is left.
  const int64_t segments = plan.run.size < 2 * kSegment ? 1 : plan.run.size / kSegment;
  Loop loops[kMostLoops + 1];
  int64_t pieces = segments;
  for (int i = 0; i < plan.outer_count; ++i) pieces *= (loops[i] = plan.outer[i]).size;
  loops[plan.outer_count] = {segments, kSegment * plan.run.from, kSegment * plan.run.to};
  const int count = plan.outer_count + (segments > 1);
  const int64_t length = segments > 1 ? kSegment : plan.run.size, last = plan.run.size - (segments - 1) * kSegment;
  const int64_t work = length * plan.strands * plan.across.size;
  parallel_for(pieces, 1 + 32768 / work, threads, [&](int64_t begin, int64_t end) {
    Odometer at(loops, count, begin);
    while (begin < end) {
      const bool is_last = segments > 1 && at.index[count - 1] == segments - 1;
      const int64_t together = segments > 1 ? 1 : at.together(end - begin);
      run(plan, static_cast<const E*>(plan.in) + at.from, static_cast<E*>(plan.out) + at.to, is_last ? last : length, together,
          loops[count > 0 ? count - 1 : 0]);
      at.advance(together);
      begin += together;
    }
    finish_streaming();
  });
}

}  // namespace

extern const RearrangeKernel rearrange_kernels[kElementSizes];
#if defined(DU_FLOAT32_ALONE)
const RearrangeKernel rearrange_kernels[kElementSizes] = {nullptr, nullptr, rearrange<uint32_t>, rearrange<uint64_t>};
#else
const RearrangeKernel rearrange_kernels[kElementSizes] = {rearrange<uint8_t>, rearrange<uint16_t>, rearrange<uint32_t>,
                                                          rearrange<uint64_t>};
#endif

}  // namespace DU_ISA
}  // namespace downup
