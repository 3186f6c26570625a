// What Winograd's transforms of weights and of tiles have in common.
#pragma once

#include <stdint.h>

namespace downup {

// The points of F(4, 3) are 0, +-a, +-b and infinity. Near the pair of least rounding, and of so few binary digits that what the transforms
// multiply by is exact.
constexpr double kPointA = 0.625, kPointB = 1.5;
constexpr double kSquareA = kPointA * kPointA, kSquareB = kPointB * kPointB;

// A line of three weights -> its factor at each point p: (1, p, p^2) . line, over the product of the distances to the other points. Points come
// in pairs +-p, whose factors are even + odd and even - odd.
struct PlainWeights {
  static constexpr int64_t kPoints = 6;
  static constexpr double kScaleZero = 1 / (kSquareA * kSquareB);
  static constexpr double kScaleA = 0.5 / (kSquareA * (kSquareA - kSquareB)), kScaleB = 0.5 / (kSquareB * (kSquareB - kSquareA));

  template <class V>
  static void transform(const V& first, const V& second, const V& third, V (&points)[kPoints]) {
    const V even_a = kScaleA * first + kScaleA * kSquareA * third, odd_a = kScaleA * kPointA * second;
    const V even_b = kScaleB * first + kScaleB * kSquareB * third, odd_b = kScaleB * kPointB * second;
    points[0] = kScaleZero * first;
    points[1] = even_a + odd_a;
    points[2] = even_a - odd_a;
    points[3] = even_b + odd_b;
    points[4] = even_b - odd_b;
    points[5] = third;
  }
};

// The same behind nearest x2, for differences of neighbours.
struct RepeatedWeights {
  static constexpr int64_t kPoints = 5;

  template <class V>
  static void transform(const V& first, const V& second, const V& third, V (&points)[kPoints]) {
    points[0] = first + second;
    points[1] = first;
    points[2] = points[0] + third;
    points[3] = -third;
    points[4] = -(second + third);
  }
};

}  // namespace downup
