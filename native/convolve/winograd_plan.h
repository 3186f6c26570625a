// How the tiles of a convolution by Winograd are shared out, and where each lies.
#pragma once

#include "jobs.h"
#include "winograd_tiles.h"

namespace downup {
namespace DU_ISA {

template <class Scheme>
struct WinogradPlan {
  static constexpr int64_t kWidth = kBlockVectors * kLanes;
  // Fewer tiles, fewer groups for each worker, or more bytes of weights, are worth reading each weight once: then all tiles are transformed
  // before the products.
  static constexpr int64_t kFewTiles = 200, kFewGroups = 8, kHeavyBytes = 16 << 20;
  // Transformed inputs that are shared so stay in the last-level cache.
  static constexpr int64_t kSharedBytes = 12 << 20;
  static constexpr int64_t kJobs = 4;

  TileAxis axes[2];
  int64_t tiles, groups;  // a group is kTile tiles
  int64_t blocks;         // of out channels
  int64_t point_stride;   // floats between the inputs of a group at one point and at the next
  int64_t group_size;     // floats of the inputs of a group
  int64_t groups_together;
  int64_t workers;

  explicit WinogradPlan(const ConvolveCall& call) {
    const ConvolvePlan& plan = *call.plan;
    tiles = call.batch;
    for (int i = 0; i < 2; ++i) {
      axes[i] = Scheme::axis(plan, i, call.out_size[i]);
      tiles *= axes[i].count * axes[i].dilation;
    }
    groups = (tiles + kTile - 1) / kTile;
    blocks = (plan.padded_out + kWidth - 1) / kWidth;
    // Points a multiple of 4096 bytes apart would share the same few lines of the nearest cache: the transform takes twice as long.
    point_stride = tile_floats(plan.group_in) + 16;
    group_size = Scheme::kStored * Scheme::kStored * point_stride;
    workers = smaller(call.threads, kMostWorkers);
    const int64_t weight_bytes = Scheme::kPoints * Scheme::kPoints * plan.group_in * plan.padded_out * 4;
    const bool is_shared = tiles < kFewTiles || groups < kFewGroups * workers || weight_bytes > kHeavyBytes;
    groups_together = is_shared ? larger(1, smaller(groups, kSharedBytes / (4 * group_size))) : 0;
  }

  int64_t products_size() const { return Scheme::kPoints * Scheme::kPoints * kTile * kWidth; }
  int64_t worker_floats() const { return products_size() + Scheme::kIn * Scheme::kIn * kLanes + (groups_together ? 0 : group_size); }
  int64_t scratch_floats() const { return groups_together * group_size + workers * worker_floats(); }
};

// Where a tile lies: the first of its inputs and of its outputs.
struct TilePlace {
  int64_t n, in[2], out[2];
};

// Tiles one after the other: along the columns of a lattice, its neighbours', then the rows.
template <class Scheme>
struct TileCursor {
  const TileAxis (&axes)[2];
  int64_t n, tile[2], lattice[2];

  TileCursor(const WinogradPlan<Scheme>& winograd, int64_t index) : axes(winograd.axes) {
    for (int i = 1; i >= 0; --i) {
      tile[i] = index % axes[i].count, lattice[i] = index / axes[i].count % axes[i].dilation;
      index /= axes[i].count * axes[i].dilation;
    }
    n = index;
  }

  TilePlace place() const {
    TilePlace place;
    place.n = n;
    for (int i = 0; i < 2; ++i) {
      const int64_t first = axes[i].dilation * (axes[i].first + tile[i]);
      place.in[i] = lattice[i] + Scheme::kInStep * first + axes[i].in_shift;
      place.out[i] = lattice[i] + Scheme::kOut * first + axes[i].out_shift;
    }
    return place;
  }

  void advance() {
    for (int i = 1; i >= 0; --i) {
      if (++tile[i] < axes[i].count) return;
      tile[i] = 0;
      if (++lattice[i] < axes[i].dilation) return;
      lattice[i] = 0;
    }
    ++n;
  }
};

// The places of a group of tiles; behind the last tile, that one again.
template <class Scheme>
struct GroupPlaces {
  TilePlace items[kTile];

  GroupPlaces(const WinogradPlan<Scheme>& winograd, int64_t group) {
    TileCursor<Scheme> cursor(winograd, group * kTile);
    for (int64_t r = 0; r < kTile; ++r) {
      items[r] = cursor.place();
      if (group * kTile + r + 1 < winograd.tiles) cursor.advance();
    }
  }
};

// Where the outputs of a tile go; NULL where there is none.
template <class Scheme>
struct TileOutputs {
  static constexpr int64_t kCount = Scheme::kOut * Scheme::kOut;
  float* to[kCount];
  const float* residual[kCount];
};

}  // namespace DU_ISA
}  // namespace downup
