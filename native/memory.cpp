// Large blocks of memory that were given back stay with the process.
#include <stdlib.h>  // says which C library this is

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <atomic>

#include "check.h"

namespace downup {
namespace {

// From here on, what a call writes is out of a core's cache before the next layer reads it.
constexpr int64_t kStreamedBytes = int64_t{16} << 20;
// From here on, glibc takes each block from the system: the pages are cleared when first touched, and then are in the caches.
// Writing past those took twice as long.
constexpr int64_t kFreshBytes = int64_t{32} << 20;

std::atomic<bool> is_reused{false};

}  // namespace

bool is_streamed(int64_t bytes) { return bytes >= kStreamedBytes && (bytes < kFreshBytes || is_reused.load(std::memory_order_relaxed)); }

}  // namespace downup

using namespace downup;

// Blocks above M_MMAP_THRESHOLD are maps of their own, which the system takes back at once and hands out again page by page, each
// cleared. Older versions of glibc refuse a threshold above 32 MiB, so no maps are allowed at all (M_MMAP_MAX), and the end of the
// heap is never cut off (M_TRIM_THRESHOLD).
extern "C" int32_t du_reuse_memory(void) {
#if defined(__GLIBC__)
  if (mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1) {
    is_reused.store(true);
    return DU_OK;
  }
  return set_error(DU_UNSUPPORTED, "the C library refuses to keep large blocks (mallopt)");
#else
  return set_error(DU_UNSUPPORTED, "memory is reused by an option of glibc (mallopt), but this system has another C library; do without");
#endif
}
