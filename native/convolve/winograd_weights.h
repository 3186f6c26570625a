// What Winograd's transforms of weights and of tiles have in common.
#pragma once

namespace downup {

// The points of F(4, 3) are 0, +-a, +-b and infinity.
constexpr double kPointA = 0.70710678118654752, kPointB = 1.4142135623730951;

// A window of three weights -> its factors at each point.
constexpr double kPlainWeights[6][3] = {
    // 1 / (a^2 b^2) at zero; at +-a (1, p, p^2) / (2 a^2 (a^2 - b^2)), at +-b the same with a and b exchanged.
    {1, 0, 0},
    {-2.0 / 3, -2.0 / 3 * kPointA, -1.0 / 3},
    {-2.0 / 3, 2.0 / 3 * kPointA, -1.0 / 3},
    {1.0 / 6, 1.0 / 6 * kPointB, 1.0 / 3},
    {1.0 / 6, -1.0 / 6 * kPointB, 1.0 / 3},
    {0, 0, 1},
};
constexpr double kRepeatedWeights[5][3] = {{1, 1, 0}, {1, 0, 0}, {1, 1, 1}, {0, 0, -1}, {0, -1, -1}};

}  // namespace downup
