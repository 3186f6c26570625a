// The select kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
#include <stdint.h>

#include "../threads.h"
#include "anywhere.h"
#include "by_sample.h"
#include "codes.h"
#include "later.h"
#include "tiles.h"
#include "to_plane.h"
#include "to_samples.h"

namespace downup {
namespace DU_ISA {
namespace {

template <class T, class P, bool kWrites>
struct LargestOf {
  template <int64_t kLanes>
  using Visitor = Largest<T, P, kLanes, kWrites>;
};

template <class T>
struct CodedOf {
  template <int64_t kLanes>
  using Visitor = Coded<T, kLanes>;
};

template <class T>
void max(const SelectCall& call, PositionForm form, int64_t threads) {
  switch (form) {
    case kOffsets: return to_samples<T, uint8_t, LargestOf<T, uint8_t, true>::template Visitor>(call, threads);
    case kFlat: return to_samples<T, int64_t, LargestOf<T, int64_t, true>::template Visitor>(call, threads);
    default: return to_samples<T, uint8_t, LargestOf<T, uint8_t, false>::template Visitor>(call, threads);
  }
}

int64_t to_codes_of(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? to_codes<int64_t>(call, threads) : to_codes<uint8_t>(call, threads);
}

// Vectors look at every tap of a window, which costs more than one sample alone where there are many taps.
template <class T>
void take(const SelectCall& call, int64_t threads) {
  const bool by_channel = call.plane_strides[1] == 1 && call.sample_strides[1] == 1 && call.position_strides[1] == 1 && call.channels >= kFewLanes<T>;
  const bool planar = call.plane_strides[3] == 1 && call.sample_strides[3] == 1 && call.position_strides[3] == 1;
  const int64_t taps = call.rows.size * call.columns.size;
  const bool in_vectors = by_channel ? taps <= 16 : planar && !call.columns.is_adaptive && call.columns.stride <= 2 && call.columns.out >= 16 && taps <= 9;
  if (in_vectors) return to_samples<T, uint8_t, CodedOf<T>::template Visitor>(call, threads);
  gather_codes<T>(call, threads);
}

// Whether to look at each tap of a window, as vectors of channels do, takes longer than to put its samples.
bool has_many_taps(const SelectCall& call) { return call.plane_strides[1] == 1 && call.channels > 1 && call.rows.size * call.columns.size >= 64; }

template <class T>
void add_back(const SelectCall& call, int64_t threads) {
  if ((sizeof(T) > 2 || !call.overlaps) && has_many_taps(call)) return static_cast<void>(scatter<T, uint8_t, true>(call, threads));
  if (to_tiles<T, true>(call, threads) || to_plane_in_vectors<T, true>(call, threads)) return;
  if (sizeof(T) > 2 || !call.overlaps) return scatter_codes<T, true>(call, threads);
  if (call.rows.in <= kMostSums && call.columns.in <= kMostSums / call.rows.in) return scatter_sums<T>(call, threads);
  if constexpr (sizeof(T) == 2) scatter_sums_in_place<uint8_t>(call, threads);
}

template <class T>
void put_back(const SelectCall& call, int64_t threads) {
  if (has_many_taps(call)) return static_cast<void>(scatter<T, uint8_t, false>(call, threads));
  if (!to_tiles<T, false>(call, threads) && !to_plane_in_vectors<T, false>(call, threads)) scatter_codes<T, false>(call, threads);
}

template <class T>
int64_t far_add_back(const SelectCall& call, int64_t threads) {
  if constexpr (sizeof(T) == 2) {
    if (call.overlaps) return scatter_sums_in_place<int64_t>(call, threads);
  }
  return scatter<T, int64_t, true>(call, threads);
}

template <class T>
int64_t gather_kept_of(const SelectCall& call, PositionForm form, uint8_t* seen, int64_t threads) {
  if (form == kFlat) return gather_kept<T, int64_t>(call, seen, threads);
  if (seen) return gather_kept<T, uint8_t>(call, seen, threads);
  gather_kept_codes<T>(call, threads);
  return 0;
}

template <class T>
constexpr SelectKernels kernels_of() {
  return {max<T>, to_codes_of, keep_last, take<T>, add_back<T>, put_back<T>, far_take<T>, far_add_back<T>, scatter<T, int64_t, false>, gather_kept_of<T>};
}

}  // namespace

extern const SelectKernels select_kernels[kElementTypes];
#if defined(DU_FLOAT32_ALONE)
const SelectKernels select_kernels[kElementTypes] = {kernels_of<float>()};
#else
const SelectKernels select_kernels[kElementTypes] = {kernels_of<float>(), kernels_of<double>(), kernels_of<bfloat16>()};
#endif

}  // namespace DU_ISA
}  // namespace downup
