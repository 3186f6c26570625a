// Strands into one line, element by element in turn, and back: vectors that stay in registers.
//
// So many strands as a product: those of the first factor are interleaved among themselves, then the results. A prime number takes
// one shuffle of two vectors for each strand but the first.
#pragma once

#include <utility>

#include "../simd.h"

namespace downup {
namespace DU_ISA {

template <int64_t kCount, class F>
DU_INLINE void unrolled(F&& f) {
  [&]<int64_t... i>(std::integer_sequence<int64_t, i...>) DU_STEP {
    (f(Known<i>{}), ...);
  }(std::make_integer_sequence<int64_t, kCount>{});
}

// Lane i of the result is lane Rule::lane(i) of a and b one after the other.
template <class Rule, class V, int64_t... i>
DU_INLINE V shuffled(const V& a, const V& b, std::integer_sequence<int64_t, i...>) {
  return __builtin_shufflevector(a, b, Rule::lane(i)...);
}

// Lane i of vector kVector of the line is element i / kStrands of strand i % kStrands, counted from the vector's first place. The
// lanes of other strands than kNext stay as they are; the first step has strand 0 there.
template <int64_t kLanes, int64_t kStrands, int64_t kVector, int64_t kNext>
struct IntoLine {
  static constexpr int64_t lane(int64_t i) {
    const int64_t place = kVector * kLanes + i;
    if (place % kStrands == kNext) return kLanes + place / kStrands;
    return kNext == 1 && place % kStrands == 0 ? place / kStrands : i;
  }
};

// Lane i of strand kStrand is element i * kStrands + kStrand of the line; those outside vector kNext stay.
template <int64_t kLanes, int64_t kStrands, int64_t kStrand, int64_t kNext>
struct OutOfLine {
  static constexpr int64_t lane(int64_t i) {
    const int64_t place = i * kStrands + kStrand;
    if (place / kLanes == kNext) return kLanes + place % kLanes;
    return kNext == 1 && place / kLanes == 0 ? place % kLanes : i;
  }
};

template <int64_t kLanes, int64_t kStrands, template <int64_t, int64_t, int64_t, int64_t> class Rule, class V>
DU_INLINE void shuffle_prime(V (&v)[kStrands]) {
  V out[kStrands];
  unrolled<kStrands>([&](auto k) DU_STEP {
    V sum = v[0];
    unrolled<kStrands - 1>([&](auto before) DU_STEP {
      constexpr int64_t kNext = before() + 1;
      sum = shuffled<Rule<kLanes, kStrands, k(), kNext>>(sum, v[kNext], std::make_integer_sequence<int64_t, kLanes>{});
    });
    out[k()] = sum;
  });
  unrolled<kStrands>([&](auto k) DU_STEP { v[k()] = out[k()]; });
}

constexpr int64_t smallest_factor(int64_t n) {
  for (int64_t f = 2; f * f <= n; ++f) {
    if (n % f == 0) return f;
  }
  return n;
}

// v[k]: strand k -> vector k of the line.
template <int64_t kLanes, int64_t kStrands, class V>
DU_INLINE void interleave(V (&v)[kStrands]) {
  constexpr int64_t kGroups = smallest_factor(kStrands), kInGroup = kStrands / kGroups;
  if constexpr (kInGroup == 1) {
    shuffle_prime<kLanes, kStrands, IntoLine>(v);
  } else {
    V groups[kGroups][kInGroup];
    unrolled<kGroups>([&](auto g) DU_STEP {
      unrolled<kInGroup>([&](auto i) DU_STEP { groups[g()][i()] = v[i() * kGroups + g()]; });
      interleave<kLanes, kInGroup>(groups[g()]);
    });
    unrolled<kInGroup>([&](auto i) DU_STEP {
      V line[kGroups];
      unrolled<kGroups>([&](auto g) DU_STEP { line[g()] = groups[g()][i()]; });
      shuffle_prime<kLanes, kGroups, IntoLine>(line);
      unrolled<kGroups>([&](auto g) DU_STEP { v[i() * kGroups + g()] = line[g()]; });
    });
  }
}

// v[k]: vector k of the line -> strand k.
template <int64_t kLanes, int64_t kStrands, class V>
DU_INLINE void deinterleave(V (&v)[kStrands]) {
  constexpr int64_t kGroups = smallest_factor(kStrands), kInGroup = kStrands / kGroups;
  if constexpr (kInGroup == 1) {
    shuffle_prime<kLanes, kStrands, OutOfLine>(v);
  } else {
    V groups[kGroups][kInGroup];
    unrolled<kInGroup>([&](auto i) DU_STEP {
      V line[kGroups];
      unrolled<kGroups>([&](auto g) DU_STEP { line[g()] = v[i() * kGroups + g()]; });
      shuffle_prime<kLanes, kGroups, OutOfLine>(line);
      unrolled<kGroups>([&](auto g) DU_STEP { groups[g()][i()] = line[g()]; });
    });
    unrolled<kGroups>([&](auto g) DU_STEP {
      deinterleave<kLanes, kInGroup>(groups[g()]);
      unrolled<kInGroup>([&](auto i) DU_STEP { v[i() * kGroups + g()] = groups[g()][i()]; });
    });
  }
}

}  // namespace DU_ISA
}  // namespace downup
