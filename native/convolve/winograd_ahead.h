// What Winograd's transforms will read and write is asked for beforehand.
#pragma once

#include "gather.h"
#include "winograd_plan.h"

namespace downup {
namespace DU_ISA {

// Asks for memory while a group is multiplied, some before each point: for the outputs of the block, and for the inputs of the group that
// comes next. Else their transforms wait longer than they compute. It counts rows of tiles, as many each time, so that no branch is missed.
template <class Scheme>
struct Ahead {
  static constexpr int64_t kPoints = Scheme::kPoints * Scheme::kPoints;
  // A tile shares its first columns with its neighbour.
  static constexpr int64_t kColumns = Scheme::kInStep, kRows = kTile * Scheme::kIn;
  static constexpr int64_t kLineFloats = 16;  // of a cache line

  const ConvolveCall& call;
  const WinogradPlan<Scheme>& winograd;
  const Part* parts;
  const GroupPlaces<Scheme> places;
  int64_t row = 0, rows_each, rest = 0, period;  // rows_each rows of the next group, at every period-th point
  const TileOutputs<Scheme>* outputs = nullptr;
  int64_t output_rows = 0, output_row = 0, channel = 0;

  Ahead(const ConvolveCall& c, const WinogradPlan<Scheme>& w, const Part* p, int64_t group)
      : call(c), winograd(w), parts(p), places(w, smaller(group, w.groups - 1)) {
    const int64_t points = kPoints * w.blocks;
    rows_each = (kRows + points - 1) / points, period = larger(1, points / kRows);
    if (group >= w.groups) row = kRows;
  }

  void begin_block(const TileOutputs<Scheme>* to, int64_t tiles, int64_t first) {
    outputs = to, output_row = 0, output_rows = tiles * Scheme::kOut, channel = first;
  }

  // Not part of what calls it: its numbers would take registers from the product.
  __attribute__((noinline)) void before_point() {
    constexpr int64_t kRowsEach = (kTile * Scheme::kOut + kPoints - 1) / kPoints;
#pragma GCC unroll 4
    for (int64_t i = 0; i < kRowsEach; ++i) fetch_output_row();
    if (++rest < period) return;
    rest = 0;
    for (int64_t i = 0; i < rows_each; ++i) fetch_input_row();
  }

  DU_INLINE void fetch_output_row() {
    if (output_row >= output_rows) return;
    const TileOutputs<Scheme>& tile = outputs[output_row / Scheme::kOut];
    const int64_t first = output_row++ % Scheme::kOut * Scheme::kOut;
#pragma GCC unroll 4
    for (int64_t k = 0; k < Scheme::kOut; ++k) {
      fetch<true>(tile.to[first + k], channel);
      if (call.residual) fetch<false>(tile.residual[first + k], channel);
    }
  }

  DU_INLINE void fetch_input_row() {
    if (row >= kRows) return;
    const TilePlace& at = places.items[row / Scheme::kIn];
    const int64_t y = at.in[0] + row++ % Scheme::kIn * winograd.axes[0].dilation;
    const int64_t x = at.in[1] + (Scheme::kIn - kColumns) * winograd.axes[1].dilation;
    for (int64_t p = 0; p < call.part_count; ++p) {
      const Part& part = parts[p];
      int64_t first = at.n * part.batch_stride + y * part.row_stride + x * part.column_stride;
      const int64_t step = winograd.axes[1].dilation * part.column_stride;
      for (int64_t c = 0; c < part.channels; c += kLineFloats, first += kLineFloats) {
#pragma GCC unroll 4
        for (int64_t k = 0; k < kColumns; ++k) fetch<false>(part.data, first + k * step);
      }
    }
  }
};

}  // namespace DU_ISA
}  // namespace downup
