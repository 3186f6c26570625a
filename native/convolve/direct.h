// Convolution as a product of gathered pixels and packed weights: any window, stride, dilation and number of groups; 1x1 too.
//
// A job gathers a few tiles of outputs with all their inputs, which then stay in the second-level cache, and multiplies them by one
// block of out channels after the other. Windows of one tap over few channels, 1x1 above all, are read where they are; so are windows over
// the channels of a picture, of which no vector could be gathered at once.
// Weights: [group][block of out channels][tap][in channel][lane of the block].
#pragma once

#include "finish.h"
#include "gather.h"
#include "jobs.h"

namespace downup {
namespace DU_ISA {

template <class Numbers>
struct DirectPlan {
  static constexpr int64_t kMostTiles = 16;
  // Gathered inputs of a job: they leave half of a second-level cache to the weights.
  static constexpr int64_t kInputBytes = 384 << 10;
  // Channels of pixels that are read where they are. More of them lie so far apart that they share a few lines of the nearest cache.
  static constexpr int64_t kMostInPlace = 256;
  // Inputs of a window over channels of less than a vector that is read where it is.
  static constexpr int64_t kMostOffsets = 256;
  // Jobs for each worker, so that none waits long for the last.
  static constexpr int64_t kJobs = 4;

  int64_t grid[2];  // outputs of the longest phase
  int64_t pixels;   // of a phase, over the batch
  int64_t tiles_of_job, tile_jobs;
  int64_t columns, column_jobs;  // phases x blocks of out channels
  int64_t blocks;
  int64_t workers;
  int64_t tile_size, line_size;  // floats
  bool is_in_place;              // phases of one tap that is always inside the image
  bool has_offsets;              // windows of several taps that are read where they are, inside the image
  int64_t run_length;            // so many pixels one after the other lie equally far apart in each part

  explicit DirectPlan(const ConvolveCall& call) {
    const ConvolvePlan& plan = *call.plan;
    for (int i = 0; i < 2; ++i) grid[i] = (call.out_size[i] + plan.out_step[i] - 1) / plan.out_step[i];
    pixels = call.batch * grid[0] * grid[1];
    const int64_t tiles = (pixels + kTile - 1) / kTile, inputs = plan.most_taps * plan.group_in;
    tile_size = tile_floats(slots_of(inputs));
    line_size = (inputs + 2 * kLanes - 1) / kLanes * kLanes;
    workers = smaller(call.threads, kMostWorkers);
    blocks = (plan.padded_out + kBlockVectors * kLanes - 1) / (kBlockVectors * kLanes);
    columns = plan.phase_count * blocks;
    tiles_of_job = larger(1, smaller(kMostTiles, kInputBytes / (4 * larger(1, tile_size))));
    const int64_t wanted = workers == 1 ? 1 : kJobs * workers;
    tiles_of_job = larger(1, smaller(tiles_of_job, tiles * plan.groups / wanted));
    tile_jobs = (tiles + tiles_of_job - 1) / tiles_of_job;
    column_jobs = larger(1, smaller(columns, wanted / larger(1, tile_jobs * plan.groups)));
    is_in_place = Numbers::kReadsInPlace && plan.group_in <= kMostInPlace && has_whole_chunks(call);
    for (int64_t p = 0; p < plan.phase_count; ++p) is_in_place = is_in_place && is_inside(call, plan.phases[p]);
    has_offsets = Numbers::kReadsInPlace && !is_in_place && plan.group_in < kLanes && call.part_count == 1 && inputs <= kMostOffsets;
    bool rows_follow = true, images_follow = true;
    for (int64_t p = 0; p < call.part_count; ++p) {
      const Part part(call.parts[p]);
      const int64_t column = plan.in_step[1] * part.column_stride, row = plan.in_step[0] * part.row_stride;
      rows_follow = rows_follow && row == grid[1] * column;
      images_follow = images_follow && part.batch_stride == grid[0] * row;
    }
    run_length = !rows_follow ? grid[1] : images_follow ? pixels : grid[0] * grid[1];
  }

  // Floats that so many inputs of a pixel take in a tile, and so many of a channel's weights.
  static int64_t slots_of(int64_t inputs) { return (inputs + Numbers::kInputs - 1) / Numbers::kInputs; }

  // Whether a phase has one tap, which every output finds inside the image.
  bool is_inside(const ConvolveCall& call, const Phase& phase) const {
    if (phase.tap_count != 1) return false;
    const int64_t tap[2] = {phase.taps[0].row, phase.taps[0].column};
    for (int i = 0; i < 2; ++i) {
      if (tap[i] < 0 || (grid[i] - 1) * call.plan->in_step[i] + tap[i] >= call.in_size[i]) return false;
    }
    return true;
  }

  // Whether no chunk of a group's inputs crosses parts.
  static bool has_whole_chunks(const ConvolveCall& call) {
    const ConvolvePlan& plan = *call.plan;
    if (call.part_count > 1 && plan.groups > 1) return false;
    for (int64_t p = 0; p + 1 < call.part_count; ++p) {
      if (call.parts[p].sizes[1] % kChunk) return false;
    }
    return true;
  }

  int64_t worker_floats() const { return tiles_of_job * tile_size + line_size; }
};

// The inputs of a phase, as floats from the pixel that the outputs of a tile are counted from.
struct PhaseOffsets {
  int64_t lowest[2], highest[2];  // taps
  int64_t floats[DirectPlan<Float32>::kMostOffsets];

  void find(const Phase& phase, const Part& part, int64_t group, int64_t group_in) {
    for (int64_t k = 0; k < phase.tap_count; ++k) {
      const int64_t tap[2] = {phase.taps[k].row, phase.taps[k].column};
      for (int i = 0; i < 2; ++i) {
        lowest[i] = k == 0 ? tap[i] : smaller(lowest[i], tap[i]);
        highest[i] = k == 0 ? tap[i] : larger(highest[i], tap[i]);
      }
      for (int64_t c = 0; c < group_in; ++c) {
        floats[k * group_in + c] = tap[0] * part.row_stride + tap[1] * part.column_stride + group * group_in + c;
      }
    }
  }
};

// Where a tile is read, and where its outputs go: NULL where a pixel of the tile is no output.
struct TilePlaces {
  const Pixel* in_place;  // the first of its pixels, if they are read where they are; or NULL
  float* to[kTile];
  const float* residual[kTile];
};

template <class Numbers>
struct DirectJob {
  const ConvolveCall& call;
  const DirectPlan<Numbers>& direct;
  const Part* parts;
  const Pixels out, residual;

  DirectJob(const ConvolveCall& c, const DirectPlan<Numbers>& d, const Part* p)
      : call(c), direct(d), parts(p), out(c.out), residual(c.residual) {}

  // The pixels of a tile; behind the last one, that one again.
  void place(int64_t tile, Pixel* pixels) const {
    const int64_t row = tile * kTile / direct.grid[1];
    Pixel pixel{row / direct.grid[0], row % direct.grid[0], tile * kTile % direct.grid[1]};
    for (int64_t r = 0; r < kTile; ++r) {
      pixels[r] = pixel;
      if (tile * kTile + r + 1 >= direct.pixels) continue;
      // One division each, for the first: a dozen would cost as much as a fifth of a short product.
      if (++pixel.x == direct.grid[1]) {
        pixel.x = 0;
        if (++pixel.y == direct.grid[0]) pixel.y = 0, ++pixel.n;
      }
    }
  }

  void aim(int64_t tile, const Phase& phase, const Pixel* pixels, TilePlaces& places) const {
    for (int64_t r = 0; r < kTile; ++r) {
      const int64_t y = phase.first[0] + pixels[r].y * call.plan->out_step[0], x = phase.first[1] + pixels[r].x * call.plan->out_step[1];
      const bool is_output = tile * kTile + r < direct.pixels && y < call.out_size[0] && x < call.out_size[1];
      places.to[r] = is_output ? out.at(pixels[r].n, y, x) : nullptr;
      places.residual[r] = is_output && residual.data ? residual.at(pixels[r].n, y, x) : nullptr;
    }
  }

  // Whether a tile's pixels lie equally far apart in every part, so that the product may read them there.
  bool is_in_place(int64_t tile) const {
    const int64_t first = tile * kTile;
    return direct.is_in_place && first % direct.run_length + kTile <= direct.run_length && first + kTile <= direct.pixels;
  }

  // Whether a tile is part of a row of outputs whose windows lie inside the image.
  bool is_under_image(const Pixel* pixels, int64_t tile, const PhaseOffsets& offsets) const {
    const ConvolvePlan& plan = *call.plan;
    if (!direct.has_offsets || pixels->x + kTile > direct.grid[1] || (tile + 1) * kTile > direct.pixels) return false;
    const int64_t first[2] = {pixels->y * plan.in_step[0], pixels->x * plan.in_step[1]};
    const int64_t last[2] = {first[0], first[1] + (kTile - 1) * plan.in_step[1]};
    for (int i = 0; i < 2; ++i) {
      if (first[i] + offsets.lowest[i] < 0 || last[i] + offsets.highest[i] >= call.in_size[i]) return false;
    }
    return true;
  }

  template <int64_t kVectors>
  void multiply_windows(const Pixel& pixel, const PhaseOffsets& offsets, int64_t inputs, const float* weights, Sums<kVectors>& sums) const {
    const ConvolvePlan& plan = *call.plan;
    Panels<kVectors> panels;
    const Part& part = parts[0];
    const int64_t step = plan.in_step[1] * part.column_stride;
    const float* first = part.data + pixel.n * part.batch_stride + pixel.y * plan.in_step[0] * part.row_stride + pixel.x * step;
    multiply<kVectors>(TapsInPlace(first, step, offsets.floats), weights, inputs, panels, sums);
    panels.finish(sums);
  }

  template <int64_t kVectors>
  void multiply_pixels(const Pixel& pixel, const Tap& tap, int64_t group, const float* weights, Sums<kVectors>& sums) const {
    const ConvolvePlan& plan = *call.plan;
    Panels<kVectors> panels;
    const int64_t y = pixel.y * plan.in_step[0] + tap.row, x = pixel.x * plan.in_step[1] + tap.column;
    each_run(call, parts, group, pixel.n, y, x, [&](const Part& part, int64_t done, const float* from, int64_t count) DU_STEP {
      const PixelsInPlace pixels(from, plan.in_step[1] * part.column_stride);
      multiply<kVectors>(pixels, weights + done * kVectors * kLanes, count, panels, sums);
    });
    panels.finish(sums);
  }

  template <int64_t kVectors>
  void multiply_block(const Phase& phase, int64_t group, int64_t channel, const float* weights, const float* tiles, int64_t tile_count,
                      const TilePlaces* places, const PhaseOffsets& offsets) const {
    const Finisher<kVectors> finisher(*call.plan, group, channel);
    const int64_t slots = direct.slots_of(phase.tap_count * call.plan->group_in);
    for (int64_t t = 0; t < tile_count; ++t) {
      finisher.fetch_outputs(places[t].to);
      Sums<kVectors> sums;
      each_pixel([&](int64_t r) DU_STEP {
#pragma GCC unroll 2
        for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = finisher.bias(v);
      });
      if (places[t].in_place && direct.has_offsets) {
        multiply_windows<kVectors>(*places[t].in_place, offsets, phase.tap_count * call.plan->group_in, weights, sums);
      } else if (places[t].in_place) {
        multiply_pixels<kVectors>(*places[t].in_place, phase.taps[0], group, weights, sums);
      } else {
        Numbers::template multiply<kVectors>(tiles + t * direct.tile_size, weights, slots, sums);
      }
      finisher.put(sums, places[t].to, residual.data ? places[t].residual : nullptr);
    }
  }

  // Tiles [first, last) of a group, phases and blocks [column, end).
  void run(int64_t group, int64_t first, int64_t last, int64_t column, int64_t end, float* memory) const {
    const ConvolvePlan& plan = *call.plan;
    Pixel pixels[DirectPlan<Numbers>::kMostTiles][kTile];
    TilePlaces places[DirectPlan<Numbers>::kMostTiles];
    for (int64_t t = first; t < last; ++t) {
      place(t, pixels[t - first]);
      places[t - first].in_place = is_in_place(t) ? pixels[t - first] : nullptr;
    }
    PhaseOffsets offsets;
    bool has_gathered = false;
    for (; column < end; ++column) {
      const Phase& phase = plan.phases[column / direct.blocks];
      const int64_t block = column % direct.blocks, slots = direct.slots_of(phase.tap_count * plan.group_in);
      if (!has_gathered || block == 0) {
        const Gatherer<Numbers> gatherer{call, parts, phase, group, memory + direct.tiles_of_job * direct.tile_size};
        const bool is_same = has_gathered && phase.is_shared;
        if (direct.has_offsets) offsets.find(phase, parts[0], group, plan.group_in);
        for (int64_t t = first; t < last; ++t) {
          if (direct.has_offsets) places[t - first].in_place = is_under_image(pixels[t - first], t, offsets) ? pixels[t - first] : nullptr;
          if (!is_same && !places[t - first].in_place) gatherer.gather(pixels[t - first], memory + (t - first) * direct.tile_size);
          aim(t, phase, pixels[t - first], places[t - first]);
        }
        has_gathered = true;
      }
      constexpr int64_t kWidth = kBlockVectors * kLanes;
      const int64_t channel = block * kWidth;
      const float* weights = phase.weights + (group * plan.padded_out + channel) * slots;
      if (plan.padded_out - channel >= kWidth) {
        multiply_block<kBlockVectors>(phase, group, channel, weights, memory, last - first, places, offsets);
      } else {
        multiply_block<1>(phase, group, channel, weights, memory, last - first, places, offsets);
      }
    }
  }
};

template <class Numbers>
int64_t direct_scratch_bytes(const ConvolveCall& call) {
  const DirectPlan<Numbers> direct(call);
  return direct.workers * direct.worker_floats() * 4;
}

template <class Numbers>
void run_direct(const ConvolveCall& call, char* scratch) {
  const DirectPlan<Numbers> direct(call);
  const Parts parts(call);
  float* memory = reinterpret_cast<float*>(scratch);
  const DirectJob<Numbers> job(call, direct, parts.items);
  const int64_t tiles = (direct.pixels + kTile - 1) / kTile;
  run_jobs(call.plan->groups * direct.tile_jobs * direct.column_jobs, direct.workers, [&](int64_t worker, int64_t i) {
    const int64_t share = i % direct.column_jobs, block = i / direct.column_jobs % direct.tile_jobs;
    const int64_t first = block * direct.tiles_of_job;
    job.run(i / direct.column_jobs / direct.tile_jobs, first, smaller(tiles, first + direct.tiles_of_job),
            direct.columns * share / direct.column_jobs, direct.columns * (share + 1) / direct.column_jobs,
            memory + worker * direct.worker_floats());
  });
}

}  // namespace DU_ISA
}  // namespace downup
