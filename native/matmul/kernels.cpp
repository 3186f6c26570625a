// The matrix product of one instruction set, with fused multiply-add where there is one. Each output is a sum of chunks along the
// inner axis, each a chain in order, whatever the sizes and the number of threads: one long chain rounds more the longer it is.
//
// The right side is packed in panels of two vectors' columns first; a tile of six rows then reads a panel from end to end.
#include "../simd.h"
#include "../threads.h"
#include "call.h"

namespace downup {
namespace DU_ISA {
namespace {

constexpr int64_t kLanes = kManyLanes<float>;
constexpr int64_t kPanel = 2 * kLanes;
constexpr int64_t kTile = 6;
constexpr int64_t kChunk = 32;
using Lanes = Vector<float, kLanes>;

// Right sides that differ: the others are packed once for all.
int64_t packed_batches(const MatmulCall& call) { return call.right_strides[0] ? call.batch : 1; }
int64_t packed_groups(const MatmulCall& call) { return call.right_strides[1] ? call.groups : 1; }
int64_t panels_of(const MatmulCall& call) { return (call.columns + kPanel - 1) / kPanel; }

int64_t scratch_bytes(const MatmulCall& call) {
  int64_t bytes = 0;
  const int64_t factors[] = {packed_batches(call), packed_groups(call), panels_of(call), call.inner};
  bytes = kPanel * static_cast<int64_t>(sizeof(float));
  for (int64_t factor : factors) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return -1;
  }
  return bytes;
}

// Columns beyond the last are zero.
void pack_panel(const MatmulCall& call, const float* right, int64_t panel, float* to) {
  const int64_t first = panel * kPanel, count = smaller(kPanel, call.columns - first);
  const int64_t down = call.right_strides[2], across = call.right_strides[3];
  for (int64_t k = 0; k < call.inner; ++k, to += kPanel) {
    const float* from = right + k * down + first * across;
    for (int64_t i = 0; i < kPanel; ++i) to[i] = i < count ? from[i * across] : 0;
  }
}

// kRows rows of a panel. The left side is read with its own strides: each of its elements serves a whole panel.
template <int64_t kRows>
void multiply_tile(const MatmulCall& call, const float* left, const float* panel, float* out, int64_t columns) {
  Lanes sum[kRows][2]{};
  const int64_t down = call.left_strides[2], across = call.left_strides[3];
  for (int64_t first = 0; first < call.inner; first += kChunk) {
    Lanes chunk[kRows][2]{};
    const int64_t last = smaller(call.inner, first + kChunk);
    for (int64_t k = first; k < last; ++k, panel += kPanel) {
      const Lanes a = load_as<Lanes>(panel), b = load_as<Lanes>(panel + kLanes);
#pragma GCC unroll 6
      for (int64_t r = 0; r < kRows; ++r) {
        const Lanes factor = Lanes{} + left[r * down + k * across];
        chunk[r][0] += factor * a;
        chunk[r][1] += factor * b;
      }
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < kRows; ++r) sum[r][0] += chunk[r][0], sum[r][1] += chunk[r][1];
  }
  for (int64_t r = 0; r < kRows; ++r) {
    float* to = out + r * call.out_strides[2];
    if (call.out_strides[3] == 1 && columns == kPanel) {
      store_as(to, sum[r][0]);
      store_as(to + kLanes, sum[r][1]);
    } else {
      for (int64_t i = 0; i < columns; ++i) to[i * call.out_strides[3]] = sum[r][i / kLanes][i % kLanes];
    }
  }
}

void multiply_rows(const MatmulCall& call, const float* left, const float* panel, float* out, int64_t columns, int64_t rows) {
  switch (rows) {
    case 1: return multiply_tile<1>(call, left, panel, out, columns);
    case 2: return multiply_tile<2>(call, left, panel, out, columns);
    case 3: return multiply_tile<3>(call, left, panel, out, columns);
    case 4: return multiply_tile<4>(call, left, panel, out, columns);
    case 5: return multiply_tile<5>(call, left, panel, out, columns);
    default: return multiply_tile<kTile>(call, left, panel, out, columns);
  }
}

void run(const MatmulCall& call, void* scratch, int64_t threads) {
  float* packed = static_cast<float*>(scratch);
  const int64_t groups = packed_groups(call), panels = panels_of(call), panel_size = kPanel * call.inner;
  parallel_for(packed_batches(call) * groups * panels, 1 + 8192 / panel_size, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t matrix = i / panels, n = matrix / groups, g = matrix % groups;
      pack_panel(call, call.right + n * call.right_strides[0] + g * call.right_strides[1], i % panels, packed + i * panel_size);
    }
  });
  const int64_t strips = (call.rows + kTile - 1) / kTile;
  const int64_t work = kTile * smaller(call.inner * call.columns, 65536);
  parallel_for(call.batch * call.groups * strips, 1 + 65536 / work, threads, [&](int64_t begin, int64_t end) {
    // Panel by panel over all strips of a matrix at hand: the panel stays in the nearest caches.
    for (int64_t i = begin; i < end;) {
      const int64_t matrix = i / strips, n = matrix / call.groups, g = matrix % call.groups, strip = i % strips;
      const int64_t last = smaller(strips, strip + end - i);
      const float* left = call.left + n * call.left_strides[0] + g * call.left_strides[1];
      float* out = call.out + n * call.out_strides[0] + g * call.out_strides[1];
      const int64_t own = (call.right_strides[0] ? n : 0) * groups + (call.right_strides[1] ? g : 0);
      for (int64_t panel = 0; panel < panels; ++panel) {
        const float* from = packed + (own * panels + panel) * panel_size;
        const int64_t first = panel * kPanel, columns = smaller(kPanel, call.columns - first);
        for (int64_t s = strip; s < last; ++s) {
          const int64_t row = s * kTile;
          multiply_rows(call, left + row * call.left_strides[2], from, out + row * call.out_strides[2] + first * call.out_strides[3], columns,
                        smaller(kTile, call.rows - row));
        }
      }
      i += last - strip;
    }
  });
}

// Sums that do not wait for one another: more than the steps that one product takes, times the units that multiply.
constexpr int64_t kSums = 12;

void multiply_add(int64_t rounds) {
  // The sums stay near 1: other numbers may be slower.
  const Lanes factor = Lanes{} + 0.999f, term = Lanes{} + 0.001f;
  Lanes sums[kSums];
  // Each is a number of its own for all that the compiler knows: of twelve equal ones it would compute one.
  for (Lanes& sum : sums) {
    sum = Lanes{} + 1;
    asm volatile("" : "+m"(sum));
  }
  for (int64_t k = 0; k < rounds; ++k) {
#pragma GCC unroll 12
    for (int64_t i = 0; i < kSums; ++i) sums[i] = sums[i] * factor + term;
  }
  // Somebody might look at them, so they are computed.
  for (const Lanes& sum : sums) asm volatile("" : : "m"(sum));
}

}  // namespace

extern const MatmulKernel matmul_kernel;
const MatmulKernel matmul_kernel = {scratch_bytes, run, kSums * kLanes, multiply_add};

}  // namespace DU_ISA
}  // namespace downup
