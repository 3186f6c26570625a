// Convolution of 3x3 windows at stride 1 by Winograd's minimal filtering: outputs in tiles of 4x4, whose inputs are transformed, then
// multiplied point by point, then transformed back.
//
// Tiles are counted from the corner of the plane, so a pixel always lies at the same place of its tile. A job takes as many tiles as
// the product holds in registers: their transformed inputs and products stay in the second-level cache, and are never in memory.
#pragma once

#include "finish.h"
#include "gather.h"
#include "jobs.h"
#include "winograd_ahead.h"
#include "winograd_plan.h"
#include "winograd_tiles.h"

namespace downup {
namespace DU_ISA {

template <class Scheme>
struct WinogradJob {
  using Outputs = TileOutputs<Scheme>;

  const ConvolveCall& call;
  const WinogradPlan<Scheme>& winograd;
  const Part* parts;
  const Pixels out, residual;

  WinogradJob(const ConvolveCall& c, const WinogradPlan<Scheme>& w, const Part* p)
      : call(c), winograd(w), parts(p), out(c.out), residual(c.residual) {}

  // The part in which a vector of channels lies as a whole, and which of its channels comes first; NULL: it crosses parts.
  const Part* whole_part(int64_t channel, int64_t* first) const {
    const int64_t left = call.plan->group_in - channel;
    for (int64_t p = 0; p < call.part_count; ++p) {
      if (channel < parts[p].channels) {
        *first = channel;
        // The last channels may fill less than a vector.
        return channel + smaller(kLanes, left) <= parts[p].channels ? &parts[p] : nullptr;
      }
      channel -= parts[p].channels;
    }
    return nullptr;
  }

  // Inputs of a tile that has some outside the image: patch [kIn][kIn][kLanes].
  void fill_patch(const TilePlace& place, const Part& part, int64_t first, float* patch) const {
    const float* image = part.data + place.n * part.batch_stride + first;
    for (int64_t i = 0; i < Scheme::kIn; ++i) {
      const int64_t y = place.in[0] + i * winograd.axes[0].dilation;
      for (int64_t k = 0; k < Scheme::kIn; ++k, patch += kLanes) {
        const int64_t x = place.in[1] + k * winograd.axes[1].dilation;
        const bool is_pixel = y >= 0 && y < call.in_size[0] && x >= 0 && x < call.in_size[1];
        store_as(patch, is_pixel ? load_as<Lanes>(image + y * part.row_stride + x * part.column_stride) : Lanes{});
      }
    }
  }

  // The same where a vector of channels has some in several parts, or behind the last.
  void collect_patch(const TilePlace& place, int64_t channel, float* patch) const {
    for (int64_t i = 0; i < Scheme::kIn; ++i) {
      for (int64_t k = 0; k < Scheme::kIn; ++k) {
        float* to = patch + (i * Scheme::kIn + k) * kLanes;
        store_as(to, Lanes{});
        const int64_t y = place.in[0] + i * winograd.axes[0].dilation, x = place.in[1] + k * winograd.axes[1].dilation;
        if (y < 0 || y >= call.in_size[0] || x < 0 || x >= call.in_size[1]) continue;
        int64_t first = channel, done = 0;
        for (int64_t p = 0; p < call.part_count && done < kLanes; ++p) {
          const Part& part = parts[p];
          const int64_t count = smaller(part.channels - first, kLanes - done);
          if (count > 0) {
            const float* from = part.data + place.n * part.batch_stride + y * part.row_stride + x * part.column_stride + first;
            __builtin_memcpy(to + done, from, static_cast<uint64_t>(count) * sizeof(float));
            done += count;
          }
          first = larger(0, first - part.channels);
        }
      }
    }
  }

  // Group of tiles -> inputs [point][channel / kLanes][kTile][kLanes], the points point_stride apart. Behind the last tile: that one.
  void transform_inputs(int64_t group, float* inputs, float* patch) const {
    const TileAxis *rows = &winograd.axes[0], *columns = &winograd.axes[1];
    const GroupPlaces<Scheme> places(winograd, group);
    for (int64_t r = 0; r < kTile; ++r) {
      const TilePlace& at = places.items[r];
      const bool is_inside = at.in[0] >= 0 && at.in[0] + (Scheme::kIn - 1) * rows->dilation < call.in_size[0] && at.in[1] >= 0 &&
                             at.in[1] + (Scheme::kIn - 1) * columns->dilation < call.in_size[1];
      float* to = inputs + r * kLanes;
      for (int64_t channel = 0; channel < call.plan->group_in; channel += kLanes, to += kTile * kLanes) {
        int64_t first = 0;
        const Part* part = whole_part(channel, &first);
        const bool is_vector = part && first + kLanes <= part->channels;
        const float* from = nullptr;
        bool is_readable = false;
        if (part && is_inside) {
          from = part->data + at.n * part->batch_stride + at.in[0] * part->row_stride + at.in[1] * part->column_stride + first;
          // What is read behind the last channel is never multiplied, but must lie in the view.
          const int64_t reach = larger(0, (Scheme::kIn - 1) * rows->dilation * part->row_stride) +
                                larger(0, (Scheme::kIn - 1) * columns->dilation * part->column_stride);
          is_readable = is_vector || part->end - from >= reach + kLanes;
        }
        if (is_readable) {
          Scheme::transform_input(from, part->row_stride * rows->dilation, part->column_stride * columns->dilation, to, winograd.point_stride);
          continue;
        }
        is_vector ? fill_patch(at, *part, first, patch) : collect_patch(at, channel, patch);
        Scheme::transform_input(patch, Scheme::kIn * kLanes, kLanes, to, winograd.point_stride);
      }
    }
  }

  // products [point][kTile][kVectors * kLanes], of the first kPixels tiles
  template <int64_t kVectors, int64_t kPixels>
  void multiply_points(const float* inputs, const float* weights, float* products, Ahead<Scheme>& ahead) const {
    const int64_t channels = call.plan->group_in;
    for (int64_t point = 0; point < Scheme::kPoints * Scheme::kPoints; ++point) {
      ahead.before_point();
      Sums<kVectors, kPixels> sums{};
      Panels<kVectors, kPixels> panels;
      multiply<kVectors>(GatheredTile{inputs + Scheme::stored(point) * winograd.point_stride}, weights, channels, panels, sums);
      panels.finish(sums);
      each_pixel<kPixels>([&](int64_t r) DU_STEP {
#pragma GCC unroll 2
        for (int64_t v = 0; v < kVectors; ++v) store_as(products + (r * kVectors + v) * kLanes, sums[r][v]);
      });
      products += kTile * kVectors * kLanes;
      weights += channels * kVectors * kLanes;
    }
  }

  void aim(const TilePlace& at, Outputs& outputs) const {
    for (int64_t i = 0; i < Outputs::kCount; ++i) {
      const int64_t y = at.out[0] + i / Scheme::kOut * winograd.axes[0].dilation, x = at.out[1] + i % Scheme::kOut * winograd.axes[1].dilation;
      const bool is_output = y >= 0 && y < call.out_size[0] && x >= 0 && x < call.out_size[1];
      outputs.to[i] = is_output ? out.at(at.n, y, x) : nullptr;
      outputs.residual[i] = is_output && residual.data ? residual.at(at.n, y, x) : nullptr;
    }
  }

  template <int64_t kVectors>
  void multiply_block(const Outputs* outputs, int64_t count, int64_t channel, const float* inputs, float* products,
                      Ahead<Scheme>& ahead) const {
    const ConvolvePlan& plan = *call.plan;
    constexpr int64_t kAll = Scheme::kPoints * Scheme::kPoints;
    ahead.begin_block(outputs, count, channel);
    const float* weights = plan.phases[0].weights + channel * plan.group_in * kAll;
    // The last group may have few tiles: 16 of them would cost as much as 28.
    constexpr int64_t kHalf = kTile / 2 + 1, kQuarter = kTile / 4 + 1;
    if (count > kHalf) {
      multiply_points<kVectors, kTile>(inputs, weights, products, ahead);
    } else if (count > kQuarter) {
      multiply_points<kVectors, kHalf>(inputs, weights, products, ahead);
    } else {
      multiply_points<kVectors, kQuarter>(inputs, weights, products, ahead);
    }
    for (int64_t v = 0; v < kVectors && channel + v * kLanes < plan.group_out; ++v) {
      const Finisher<1> finisher(plan, 0, channel + v * kLanes);
      const Lanes bias = finisher.bias(0);
      for (int64_t r = 0; r < count; ++r) {
        Lanes values[Outputs::kCount][1];
        Scheme::transform_output(products + (r * kVectors + v) * kLanes, kTile * kVectors * kLanes, bias, values);
        finisher.put(values, outputs[r].to, residual.data ? outputs[r].residual : nullptr);
      }
    }
  }

  // Blocks [block, end) of the out channels of a group of tiles.
  void multiply_blocks(int64_t group, int64_t block, int64_t end, const float* inputs, float* products, Ahead<Scheme>& ahead) const {
    const int64_t count = smaller(kTile, winograd.tiles - group * kTile);
    const GroupPlaces<Scheme> places(winograd, group);
    Outputs outputs[kTile];
    for (int64_t r = 0; r < count; ++r) aim(places.items[r], outputs[r]);
    for (; block < end; ++block) {
      const int64_t channel = block * winograd.kWidth;
      if (call.plan->padded_out - channel >= winograd.kWidth) {
        multiply_block<kBlockVectors>(outputs, count, channel, inputs, products, ahead);
      } else {
        multiply_block<1>(outputs, count, channel, inputs, products, ahead);
      }
    }
  }
};

template <class Scheme>
int64_t winograd_scratch_bytes(const ConvolveCall& call) {
  return WinogradPlan<Scheme>(call).scratch_floats() * 4;
}

template <class Scheme>
void run_winograd(const ConvolveCall& call, char* scratch) {
  const WinogradPlan<Scheme> winograd(call);
  const Parts parts(call);
  const WinogradJob<Scheme> job(call, winograd, parts.items);
  float* shared = reinterpret_cast<float*>(scratch);
  float* own = shared + winograd.groups_together * winograd.group_size;
  const auto patch_of = [&](int64_t worker) { return own + worker * winograd.worker_floats(); };
  const auto products_of = [&](int64_t worker) { return patch_of(worker) + Scheme::kIn * Scheme::kIn * kLanes; };
  if (!winograd.groups_together) {
    run_jobs(winograd.groups, winograd.workers, [&](int64_t worker, int64_t group) {
      float *products = products_of(worker), *inputs = products + winograd.products_size();
      job.transform_inputs(group, inputs, patch_of(worker));
      Ahead<Scheme> ahead(call, winograd, parts.items, group + 1);
      job.multiply_blocks(group, 0, winograd.blocks, inputs, products, ahead);
    });
    return;
  }
  for (int64_t first = 0; first < winograd.groups; first += winograd.groups_together) {
    const int64_t count = smaller(winograd.groups_together, winograd.groups - first);
    run_jobs(count, winograd.workers, [&](int64_t worker, int64_t i) {
      job.transform_inputs(first + i, shared + i * winograd.group_size, patch_of(worker));
    });
    // Each block of out channels in as many runs of groups as make enough jobs.
    const int64_t runs = winograd.workers == 1 ? 1 : larger(1, smaller(count, (winograd.kJobs * winograd.workers + winograd.blocks - 1) / winograd.blocks));
    run_jobs(winograd.blocks * runs, winograd.workers, [&](int64_t worker, int64_t i) {
      const int64_t run = i % runs, end = count * (run + 1) / runs;
      Ahead<Scheme> none(call, winograd, parts.items, winograd.groups);
      for (int64_t group = count * run / runs; group < end; ++group) {
        job.multiply_blocks(first + group, i / runs, i / runs + 1, shared + group * winograd.group_size, products_of(worker), none);
      }
    });
  }
}

}  // namespace DU_ISA
}  // namespace downup
