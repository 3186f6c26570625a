// The C entries of the rearrange family: check everything, then plan the loops of the copy.
#include "check.h"
#include "dispatch.h"
#include "rearrange/plan.h"

namespace downup {
namespace {

// The largest factor whose square is a size.
constexpr int64_t kLargestFactor = 46340;

// `blocks` [n, channels * r * r, h, w] and `plane` [n, channels, h * r, w * r] fit together.
bool check_shuffle(const du_view* blocks, const char* blocks_name, const du_view* plane, const char* plane_name, int64_t factor,
                   int32_t order) {
  if (factor < 1 || factor > kLargestFactor) {
    return !set_error(DU_BAD_ARGUMENT, "factor is %lld; use 1 to %lld", static_cast<long long>(factor), static_cast<long long>(kLargestFactor));
  }
  if (order != DU_CRD && order != DU_DCR) return !set_error(DU_BAD_ARGUMENT, "order is %d; use DU_CRD or DU_DCR", order);
  if (blocks->type != plane->type) {
    return !set_error(DU_BAD_ARGUMENT, "%s has type %d but %s has type %d; give both one type", blocks_name, blocks->type, plane_name,
                      plane->type);
  }
  return check_size(plane, plane_name, 0, blocks->sizes[0]) && check_size(blocks, blocks_name, 1, plane->sizes[1] * factor * factor) &&
         check_size(plane, plane_name, 2, blocks->sizes[2] * factor) && check_size(plane, plane_name, 3, blocks->sizes[3] * factor);
}

// The loops of a copy while it is planned; those of one element are left out.
struct Loops {
  int count = 0;
  Loop all[kMostLoops];

  void add(int64_t size, int64_t from, int64_t to) {
    if (size > 1) all[count++] = {size, from, to};
  }
  Loop take(int i) {
    const Loop taken = all[i];
    --count;
    for (; i < count; ++i) all[i] = all[i + 1];
    return taken;
  }
  // Two loops that one can stand for are made one.
  void merge() {
    for (int a = 0; a < count; ++a) {
      for (int b = 0; b < count; ++b) {
        if (a == b || all[a].from != all[b].from * all[b].size || all[a].to != all[b].to * all[b].size) continue;
        all[b].size *= all[a].size;
        take(a);
        a = -1;
        break;
      }
    }
  }
  template <class Key>
  int smallest(Key key) const {
    int best = 0;
    for (int i = 1; i < count; ++i) {
      if (key(all[i]) < key(all[best])) best = i;
    }
    return best;
  }
};

int64_t length_of(int64_t stride) { return stride < 0 ? -stride : stride; }

// Whether the loop `run` lies side by side on the side `lies` and, on the side `turns`, other loops fill the gaps between its
// elements. Those are its strands: taken from `loops`, with their places on the side where they lie.
bool find_strands(Loops& loops, int run, int64_t Loop::* lies, int64_t Loop::* turns, RearrangePlan& plan) {
  const int64_t gap = loops.all[run].*turns;
  if (loops.all[run].*lies != 1 || gap < 2 || gap > kMostStrands || !is_built_for(gap)) return false;
  int chain[kMostLoops], links = 0;
  int64_t strands = 1;
  plan.place[0] = 0;
  while (strands < gap) {
    int next = 0;
    while (next < loops.count && (next == run || loops.all[next].*turns != strands)) ++next;
    if (next == loops.count || strands * loops.all[next].size > gap) return false;
    const Loop& link = loops.all[next];
    for (int64_t k = strands; k < strands * link.size; ++k) plan.place[k] = plan.place[k % strands] + k / strands * (link.*lies);
    strands *= link.size;
    chain[links++] = next;
  }
  plan.strands = strands;
  plan.run = loops.all[run];
  Loops rest;
  for (int i = 0; i < loops.count; ++i) {
    bool is_taken = i == run;
    for (int link = 0; link < links; ++link) is_taken |= chain[link] == i;
    if (!is_taken) rest.all[rest.count++] = loops.all[i];
  }
  loops = rest;
  return true;
}

// What is innermost, by the first way that fits.
void choose_kind(Loops& loops, RearrangePlan& plan) {
  plan.strands = 1;
  plan.run = plan.across = {1, 1, 1};
  if (loops.count == 0) return void(plan.kind = kRuns);
  for (int i = 0; i < loops.count; ++i) {
    if (loops.all[i].from == 1 && loops.all[i].to == 1) {
      plan.run = loops.take(i);
      return void(plan.kind = kRuns);
    }
  }
  for (int i = 0; i < loops.count; ++i) {
    if (find_strands(loops, i, &Loop::from, &Loop::to, plan)) return void(plan.kind = kInterleave);
    if (find_strands(loops, i, &Loop::to, &Loop::from, plan)) return void(plan.kind = kDeinterleave);
  }
  plan.kind = kScattered;
  plan.run = loops.take(loops.smallest([](const Loop& loop) { return length_of(loop.from); }));
  if (loops.count > 0) plan.across = loops.take(loops.smallest([](const Loop& loop) { return length_of(loop.to); }));
}

// A run of elements that together have the size of a larger element is one such, where everything else keeps whole ones.
// Returns how many bytes an element has from now on.
int64_t widen(Loops& loops, const RearrangePlan& plan, int64_t bytes) {
  for (int i = 0; i < loops.count; ++i) {
    const int64_t size = loops.all[i].size, wide = size * bytes;
    if (loops.all[i].from != 1 || loops.all[i].to != 1 || size > 8 || (wide != 2 && wide != 4 && wide != 8)) continue;
    uint64_t odd = (reinterpret_cast<uint64_t>(plan.in) | reinterpret_cast<uint64_t>(plan.out)) % static_cast<uint64_t>(wide);
    for (int other = 0; other < loops.count; ++other) {
      if (other != i) odd |= static_cast<uint64_t>(loops.all[other].from % size | loops.all[other].to % size);
    }
    if (odd) continue;
    loops.take(i);
    for (int other = 0; other < loops.count; ++other) {
      loops.all[other].from /= size;
      loops.all[other].to /= size;
    }
    loops.merge();
    return wide;
  }
  return bytes;
}

// Whether everything is written in whole cache lines. Measured: where streamed and other stores meet in a line, they take twenty
// times as long as without streaming.
bool has_whole_lines(const RearrangePlan& plan, int64_t bytes) {
  if (plan.kind == kScattered) return false;
  int64_t odd = static_cast<int64_t>(reinterpret_cast<uint64_t>(plan.out) % 64) | plan.run.size * bytes % 64;
  for (int i = 0; i < plan.outer_count; ++i) odd |= plan.outer[i].to * bytes % 64;
  for (int64_t k = 0; plan.kind == kDeinterleave && k < plan.strands; ++k) odd |= plan.place[k] * bytes % 64;
  return odd == 0;
}

// The stride of an axis of one element says nothing, and may be any number.
int64_t stride_of(const du_view& view, int axis) { return view.sizes[axis] == 1 ? 0 : view.strides[axis]; }

// A sample of the plane at channel c, row i * r + y, column j * r + x is that of the blocks at row i, column j and channel
// (c * r + y) * r + x, or (y * r + x) * channels + c.
void run(const du_view& blocks, const du_view& plane, int64_t factor, int32_t order, bool is_up, int64_t threads) {
  if (plane.sizes[0] == 0) return;
  const int64_t channel = stride_of(blocks, 1), channels = plane.sizes[1];
  const int64_t by_c = order == DU_CRD ? channel * factor * factor : channel;
  const int64_t by_x = order == DU_CRD ? channel : channel * channels;
  Loops loops;
  const auto add = [&](int64_t size, int64_t in_blocks, int64_t in_plane) {
    loops.add(size, is_up ? in_blocks : in_plane, is_up ? in_plane : in_blocks);
  };
  // In the order of the plane: what stays to be looped over goes through its memory row by row.
  add(plane.sizes[0], stride_of(blocks, 0), stride_of(plane, 0));
  add(channels, by_c, stride_of(plane, 1));
  add(blocks.sizes[2], stride_of(blocks, 2), stride_of(plane, 2) * factor);
  add(factor, by_x * factor, stride_of(plane, 2));
  add(blocks.sizes[3], stride_of(blocks, 3), stride_of(plane, 3) * factor);
  add(factor, by_x, stride_of(plane, 3));
  loops.merge();

  RearrangePlan plan{};
  plan.in = is_up ? blocks.data : plane.data;
  plan.out = is_up ? plane.data : blocks.data;
  const int64_t bytes = widen(loops, plan, element_bytes(plane.type));
  choose_kind(loops, plan);
  plan.outer_count = loops.count;
  for (int i = 0; i < loops.count; ++i) plan.outer[i] = loops.all[i];
  const Span span = span_of(is_up ? plane : blocks);
  plan.streams = is_streamed(span.end - span.begin) && has_whole_lines(plan, bytes);
  active_kernels().rearrange[bytes == 8 ? 3 : bytes == 4 ? 2 : bytes == 2 ? 1 : 0](plan, threads);
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" int32_t du_pixel_shuffle(const du_view* in, const du_view* out, int64_t factor, int32_t order, int64_t threads) {
  if (!check_view(in, "in") || !check_output(out, "out") || !check_threads(threads) ||
      !check_shuffle(in, "in", out, "out", factor, order) || !check_apart(out, "out", in, "in")) {
    return DU_BAD_ARGUMENT;
  }
  run(*in, *out, factor, order, true, threads);
  return DU_OK;
}

extern "C" int32_t du_pixel_unshuffle(const du_view* in, const du_view* out, int64_t factor, int32_t order, int64_t threads) {
  if (!check_view(in, "in") || !check_output(out, "out") || !check_threads(threads) ||
      !check_shuffle(out, "out", in, "in", factor, order) || !check_apart(out, "out", in, "in")) {
    return DU_BAD_ARGUMENT;
  }
  run(*out, *in, factor, order, false, threads);
  return DU_OK;
}
