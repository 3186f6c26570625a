// The two transforms of tiles. Along one axis, with the matching transforms of the weights in winograd_weights.h:
//
// PlainTiles: F(4, 3) at the points 0, +-a, +-b and infinity, with a = 5/8, b = 3/2: less than half the error of the usual 1 and 2.
//
// RepeatedTiles: nearest upsampling by two before the window. Tile t takes the outputs one later, so that they read three pixels:
// x0, x1, x2 at 2 t, 2 t + 1, 2 t + 2. With d0 = x0 - x1, d1 = x1 - x2 and the window's sum S,
//     S x1 + (w0 + w1) d0,  S x1 + w0 d0,  S x1 - w2 d1,  S x1 - (w1 + w2) d1
// are the four outputs: five products of three numbers, and no loss of precision.
#pragma once

#include "plan.h"
#include "product.h"
#include "winograd_weights.h"

namespace downup {
namespace DU_ISA {

// Along one axis: tile t of lattice l (of `dilation` ones) reads from l + dilation * kInStep * t + in_shift on, and gives the outputs from
// l + dilation * kOut * t + out_shift on, each a dilation apart.
struct TileAxis {
  int64_t first, count, dilation, in_shift, out_shift;
};

struct PlainTiles {
  static constexpr float a = static_cast<float>(kPointA), b = static_cast<float>(kPointB);
  static constexpr float aa = static_cast<float>(kSquareA), bb = static_cast<float>(kSquareB);
  static constexpr int64_t kIn = 6, kInStep = 4, kOut = 4, kPoints = 6, kStored = 6;
  static int64_t stored(int64_t point) { return point; }
  static TileAxis axis(const ConvolvePlan& plan, int i, int64_t out_size) {
    const int64_t dilation = plan.dilation[i], longest = (out_size + dilation - 1) / dilation;
    return {0, (longest + kOut - 1) / kOut, dilation, -plan.pad_before[i], 0};
  }

  // Inputs at (y, x) -> to + (6 y + x) * stride. Two rows of points at a time, so that all stays in registers.
  static DU_INLINE void transform_input(const float* from, int64_t row, int64_t column, float* to, int64_t stride) {
    const auto at = [&](int64_t y, int64_t x) { return load_as<Lanes>(from + y * row + x * column); };
    Lanes even[6], odd[6];
#pragma GCC unroll 6
    for (int64_t x = 0; x < 6; ++x) {
      const Lanes u = at(4, x) - at(2, x) * bb, v = at(3, x) - at(1, x) * bb;
      even[x] = u + v * a, odd[x] = u - v * a;
    }
    transform_row(even, to + 6 * stride, stride);
    transform_row(odd, to + 12 * stride, stride);
#pragma GCC unroll 6
    for (int64_t x = 0; x < 6; ++x) {
      const Lanes u = at(4, x) - at(2, x) * aa, v = at(3, x) - at(1, x) * aa;
      even[x] = u + v * b, odd[x] = u - v * b;
    }
    transform_row(even, to + 18 * stride, stride);
    transform_row(odd, to + 24 * stride, stride);
#pragma GCC unroll 6
    for (int64_t x = 0; x < 6; ++x) {
      even[x] = (at(4, x) - at(2, x) * (aa + bb)) + at(0, x) * (aa * bb), odd[x] = (at(5, x) - at(3, x) * (aa + bb)) + at(1, x) * (aa * bb);
    }
    transform_row(even, to, stride);
    transform_row(odd, to + 30 * stride, stride);
  }

  // products of point p at products + p * stride
  static DU_INLINE void transform_output(const float* products, int64_t stride, const Lanes& bias, Lanes (&out)[16][1]) {
    Lanes half[4][6];
#pragma GCC unroll 6
    for (int64_t x = 0; x < 6; ++x) {
      Lanes m[6], y[4];
#pragma GCC unroll 6
      for (int64_t i = 0; i < 6; ++i) m[i] = load_as<Lanes>(products + (6 * i + x) * stride);
      combine(m, y);
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) half[i][x] = y[i];
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      Lanes y[4];
      combine(half[i], y);
#pragma GCC unroll 4
      for (int64_t k = 0; k < 4; ++k) out[4 * i + k][0] = y[k] + bias;
    }
  }

 private:
  static DU_INLINE void transform_row(const Lanes (&d)[6], float* to, int64_t stride) {
    const Lanes u = d[4] - d[2] * bb, v = d[3] - d[1] * bb, s = d[4] - d[2] * aa, t = d[3] - d[1] * aa;
    store_as(to, (d[4] - d[2] * (aa + bb)) + d[0] * (aa * bb));
    store_as(to + stride, u + v * a);
    store_as(to + 2 * stride, u - v * a);
    store_as(to + 3 * stride, s + t * b);
    store_as(to + 4 * stride, s - t * b);
    store_as(to + 5 * stride, (d[5] - d[3] * (aa + bb)) + d[1] * (aa * bb));
  }
  // y_k = sum of point^k m
  static DU_INLINE void combine(const Lanes (&m)[6], Lanes (&y)[4]) {
    const Lanes p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
    y[0] = (m[0] + p) + r;
    y[1] = q * a + s * b;
    y[2] = p * aa + r * bb;
    y[3] = (m[5] + q * (a * aa)) + s * (b * bb);
  }
};

struct RepeatedTiles {
  static constexpr int64_t kIn = 3, kInStep = 2, kOut = 4, kPoints = 5, kStored = 3;
  // The points along an axis read d0, d0, x1, d1, d1.
  static int64_t stored(int64_t point) {
    constexpr int64_t kReads[5] = {0, 0, 1, 2, 2};
    return kReads[point / kPoints] * kStored + kReads[point % kPoints];
  }
  static TileAxis axis(const ConvolvePlan& plan, int i, int64_t out_size) {
    // The first tile may begin before the plane.
    const int64_t pad = plan.pad_before[i], first = -((pad + kOut - 1) / kOut), last = (out_size - 1 - pad - kOut * first) / kOut + first;
    return {first, last - first + 1, 1, 0, pad};
  }

  static DU_INLINE void transform_input(const float* from, int64_t row, int64_t column, float* to, int64_t stride) {
    const auto at = [&](int64_t y, int64_t x) { return load_as<Lanes>(from + y * row + x * column); };
    Lanes above[3], middle[3], below[3];
#pragma GCC unroll 3
    for (int64_t x = 0; x < 3; ++x) {
      middle[x] = at(1, x);
      above[x] = at(0, x) - middle[x], below[x] = middle[x] - at(2, x);
    }
    transform_row(above, to, stride);
    transform_row(middle, to + 3 * stride, stride);
    transform_row(below, to + 6 * stride, stride);
  }

  static DU_INLINE void transform_output(const float* products, int64_t stride, const Lanes& bias, Lanes (&out)[16][1]) {
    Lanes half[4][5];
#pragma GCC unroll 5
    for (int64_t x = 0; x < 5; ++x) {
      Lanes m[5];
#pragma GCC unroll 5
      for (int64_t i = 0; i < 5; ++i) m[i] = load_as<Lanes>(products + (5 * i + x) * stride);
      if (x == 2) m[2] += bias;  // the product that is part of every output
      half[0][x] = m[2] + m[0], half[1][x] = m[2] + m[1], half[2][x] = m[2] + m[3], half[3][x] = m[2] + m[4];
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      const Lanes(&m)[5] = half[i];
      out[4 * i][0] = m[2] + m[0], out[4 * i + 1][0] = m[2] + m[1], out[4 * i + 2][0] = m[2] + m[3], out[4 * i + 3][0] = m[2] + m[4];
    }
  }

 private:
  static DU_INLINE void transform_row(const Lanes (&x)[3], float* to, int64_t stride) {
    store_as(to, x[0] - x[1]);
    store_as(to + stride, x[1]);
    store_as(to + 2 * stride, x[1] - x[2]);
  }
};

}  // namespace DU_ISA
}  // namespace downup
