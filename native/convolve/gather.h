// Collects the inputs of a tile of outputs, in the order of the weights: by tap, then by channel.
#pragma once

#include "../check.h"
#include "plan.h"
#include "product.h"

namespace downup {
namespace DU_ISA {

// A part of the input: channels [0, channels) of pixels that lie anywhere.
struct Part {
  const float* data;
  const float* end;  // nothing at or past it may be read
  int64_t channels;
  int64_t batch_stride, row_stride, column_stride;

  Part() = default;
  explicit Part(const du_view& view) {
    int64_t strides[4];
    copy_strides(view, strides);
    data = static_cast<const float*>(view.data);
    end = data + span_of(view).end / 4;
    channels = view.sizes[1];
    batch_stride = strides[0], row_stride = strides[2], column_stride = strides[3];
  }
};

// Copies n floats; may overwrite a vector's length behind them.
DU_INLINE void copy_run(float* to, const float* from, int64_t n, const float* end) {
  for (; n >= kLanes; n -= kLanes, to += kLanes, from += kLanes) store_as(to, load_as<Lanes>(from));
  if (n == 0) return;
  if (end - from >= kLanes) {
    store_as(to, load_as<Lanes>(from));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

// Which output of a phase, counted along the columns, then the rows, then the batch.
struct Pixel {
  int64_t n, y, x;
};

struct Parts {
  Part items[kMostParts];

  explicit Parts(const ConvolveCall& call) {
    for (int64_t p = 0; p < call.part_count; ++p) items[p] = Part(call.parts[p]);
  }
};

// The group's channels of one input pixel, out of as many parts as they lie in; put(part, channel of the group, from, count).
template <class Put>
DU_INLINE void each_run(const ConvolveCall& call, const Part* parts, int64_t group, int64_t n, int64_t y, int64_t x, Put&& put) {
  const int64_t group_in = call.plan->group_in;
  int64_t first = group_in * group, done = 0;
  for (int64_t p = 0; p < call.part_count && done < group_in; ++p) {
    const Part& part = parts[p];
    if (first >= part.channels) {
      first -= part.channels;
      continue;
    }
    const int64_t count = smaller(part.channels - first, group_in - done);
    put(part, done, part.data + n * part.batch_stride + y * part.row_stride + x * part.column_stride + first, count);
    done += count;
    first = 0;
  }
}

template <class Numbers>
struct Gatherer {
  const ConvolveCall& call;
  const Part* parts;
  const Phase& phase;
  int64_t group;
  float* line;  // [most_taps * group_in + kLanes], where vectors of channels cross taps or parts

  const ConvolvePlan& plan() const { return *call.plan; }
  DU_INLINE bool is_inside(int64_t y, int64_t x) const {
    return y >= 0 && y < call.in_size[0] && x >= 0 && x < call.in_size[1];
  }

  // Whether no vector of the tile crosses a tap or a part.
  bool is_even() const {
    if (plan().group_in % kLanes) return false;
    for (int64_t p = 0; p + 1 < call.part_count; ++p) {
      if (parts[p].channels % kLanes) return false;
    }
    return true;
  }

  void gather_even(const Pixel* pixels, float* tile) const {
    for (int64_t r = 0; r < kTile; ++r) {
      int64_t input = 0;
      const int64_t top = pixels[r].y * plan().in_step[0], left = pixels[r].x * plan().in_step[1];
      for (int64_t k = 0; k < phase.tap_count; ++k) {
        const int64_t y = top + phase.taps[k].row, x = left + phase.taps[k].column;
        if (is_inside(y, x)) {
          each_run(call, parts, group, pixels[r].n, y, x, [&](const Part&, int64_t, const float* from, int64_t count) DU_STEP {
            for (int64_t c = 0; c < count; c += kLanes, input += kLanes) Numbers::put(tile, r, input, load_as<Lanes>(from + c));
          });
        } else {
          for (int64_t c = 0; c < plan().group_in; c += kLanes, input += kLanes) Numbers::put(tile, r, input, Lanes{});
        }
      }
    }
  }

  // Taps of one row side by side, of pixels side by side: one run of floats.
  bool has_runs() const { return call.part_count == 1 && plan().groups == 1 && parts[0].column_stride == plan().in_channels; }

  void fill_line(const Pixel& pixel, bool with_runs) const {
    const int64_t top = pixel.y * plan().in_step[0], left = pixel.x * plan().in_step[1];
    for (int64_t k = 0; k < phase.tap_count;) {
      const int64_t y = top + phase.taps[k].row, x = left + phase.taps[k].column;
      float* to = line + k * plan().group_in;
      int64_t taps = 1;
      if (!is_inside(y, x)) {
        for (int64_t c = 0; c < plan().group_in; c += kLanes) store_as(to + c, Lanes{});
      } else if (with_runs) {
        while (k + taps < phase.tap_count && phase.taps[k + taps].row == phase.taps[k].row &&
               phase.taps[k + taps].column == phase.taps[k].column + taps && x + taps < call.in_size[1]) {
          ++taps;
        }
        const Part& part = parts[0];
        copy_run(to, part.data + pixel.n * part.batch_stride + y * part.row_stride + x * part.column_stride, taps * plan().group_in, part.end);
      } else {
        each_run(call, parts, group, pixel.n, y, x, [&](const Part& part, int64_t channel, const float* from, int64_t count) DU_STEP {
          copy_run(to + channel, from, count, part.end);
        });
      }
      k += taps;
    }
  }

  void gather_uneven(const Pixel* pixels, float* tile) const {
    const bool with_runs = has_runs();
    const int64_t inputs = phase.tap_count * plan().group_in;
    for (int64_t r = 0; r < kTile; ++r) {
      fill_line(pixels[r], with_runs);
      // What lies behind the last input is never multiplied, but may be the other of a pair.
      if (Numbers::kInputs > 1) store_as(line + inputs, Lanes{});
      for (int64_t k = 0; k < inputs; k += kLanes) Numbers::put(tile, r, k, load_as<Lanes>(line + k));
    }
  }

  void gather(const Pixel* pixels, float* tile) const { is_even() ? gather_even(pixels, tile) : gather_uneven(pixels, tile); }
};

}  // namespace DU_ISA
}  // namespace downup
