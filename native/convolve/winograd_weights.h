// What Winograd's transforms of weights and of tiles have in common.
#pragma once

namespace downup {

// The points of F(4, 3) are 0, +-a, +-b and infinity. Near the pair of least rounding, and of so few binary digits that what the transforms
// multiply by is exact.
constexpr double kPointA = 0.625, kPointB = 1.5;
constexpr double kSquareA = kPointA * kPointA, kSquareB = kPointB * kPointB;

// A window of three weights -> its factors at each point: (1, p, p^2), over the product of the distances to the other points.
constexpr double kScaleA = 0.5 / (kSquareA * (kSquareA - kSquareB)), kScaleB = 0.5 / (kSquareB * (kSquareB - kSquareA));
constexpr double kPlainWeights[6][3] = {
    {1 / (kSquareA * kSquareB), 0, 0},
    {kScaleA, kScaleA * kPointA, kScaleA * kSquareA},
    {kScaleA, -kScaleA * kPointA, kScaleA * kSquareA},
    {kScaleB, kScaleB * kPointB, kScaleB * kSquareB},
    {kScaleB, -kScaleB * kPointB, kScaleB * kSquareB},
    {0, 0, 1},
};
constexpr double kRepeatedWeights[5][3] = {{1, 1, 0}, {1, 0, 0}, {1, 1, 1}, {0, 0, -1}, {0, -1, -1}};

}  // namespace downup
