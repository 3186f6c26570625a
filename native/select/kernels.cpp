// The select kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
#include <stdint.h>

#include "../threads.h"
#include "anywhere.h"
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

template <class T, class P>
struct RememberedOf {
  template <int64_t kLanes>
  using Visitor = Remembered<T, P, kLanes>;
};

template <class T>
int64_t max(const SelectCall& call, PositionForm form, int64_t threads) {
  switch (form) {
    case kOffsets: return to_samples<T, uint8_t, LargestOf<T, uint8_t, true>::template Visitor>(call, threads);
    case kFlat: return to_samples<T, int64_t, LargestOf<T, int64_t, true>::template Visitor>(call, threads);
    default: return to_samples<T, uint8_t, LargestOf<T, uint8_t, false>::template Visitor>(call, threads);
  }
}

template <class T>
int64_t take(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? to_samples<T, int64_t, RememberedOf<T, int64_t>::template Visitor>(call, threads)
                       : to_samples<T, uint8_t, RememberedOf<T, uint8_t>::template Visitor>(call, threads);
}

template <class T, bool kAdds>
int64_t back(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? to_plane<T, int64_t, kAdds>(call, threads) : to_plane<T, uint8_t, kAdds>(call, threads);
}

template <class T>
int64_t gather_of(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? gather<T, int64_t>(call, threads) : gather<T, uint8_t>(call, threads);
}

template <class T, bool kAdds>
int64_t scatter_of(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? scatter<T, int64_t, kAdds>(call, threads) : scatter<T, uint8_t, kAdds>(call, threads);
}

template <class T>
int64_t gather_kept_of(const SelectCall& call, PositionForm form, uint8_t* seen, int64_t threads) {
  return form == kFlat ? gather_kept<T, int64_t>(call, seen, threads) : gather_kept<T, uint8_t>(call, seen, threads);
}

template <class T>
constexpr SelectKernels kernels_of() {
  return {max<T>, take<T>, back<T, true>, back<T, false>, gather_of<T>, scatter_of<T, true>, scatter_of<T, false>, gather_kept_of<T>};
}

}  // namespace

extern const SelectKernels select_kernels[kElementTypes];
const SelectKernels select_kernels[kElementTypes] = {kernels_of<float>(), kernels_of<double>(), kernels_of<bfloat16>()};

}  // namespace DU_ISA
}  // namespace downup
