// The select kernels of one instruction set. Built once for each, with -ffp-contract=off: every build gives the same bits.
#include <stdint.h>

#include "../threads.h"
#include "anywhere.h"
#include "to_plane.h"
#include "to_samples.h"

namespace downup {
namespace DU_ISA {
namespace {

template <class T>
int64_t max(const SelectCall& call, PositionForm form, int64_t threads) {
  switch (form) {
    case kOffsets: return to_samples<T, uint8_t, Largest<T, uint8_t, true>>(call, threads);
    case kFlat: return to_samples<T, int64_t, Largest<T, int64_t, true>>(call, threads);
    default: return to_samples<T, uint8_t, Largest<T, uint8_t, false>>(call, threads);
  }
}

template <class T>
int64_t take(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? to_samples<T, int64_t, Remembered<T, int64_t>>(call, threads)
                       : to_samples<T, uint8_t, Remembered<T, uint8_t>>(call, threads);
}

template <class T, bool kAdds>
int64_t back(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? to_plane<T, int64_t, kAdds>(call, threads) : to_plane<T, uint8_t, kAdds>(call, threads);
}

template <class T>
int64_t put(const SelectCall& call, PositionForm form, int64_t threads) {
  return form == kFlat ? put_anywhere<T, int64_t>(call, threads) : put_anywhere<T, uint8_t>(call, threads);
}

template <class T>
int64_t kept(const SelectCall& call, PositionForm form, uint8_t* seen, int64_t threads) {
  return form == kFlat ? take_kept<T, int64_t>(call, seen, threads) : take_kept<T, uint8_t>(call, seen, threads);
}

template <class T>
constexpr SelectKernels kernels_of() {
  return {max<T>, take<T>, back<T, true>, back<T, false>, put<T>, kept<T>};
}

}  // namespace

extern const SelectKernels select_kernels[kElementTypes];
const SelectKernels select_kernels[kElementTypes] = {kernels_of<float>(), kernels_of<double>(), kernels_of<bfloat16>()};

}  // namespace DU_ISA
}  // namespace downup
