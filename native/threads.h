// The only place that knows about threads.
#pragma once

#include <stdint.h>

namespace downup {

// Runs task(context, begin, end) over [0, count) in pieces of at least `grain`, on at most `threads` threads, the caller
// among them. Pieces are taken in any order, so a task writes only what its own indices own.
void parallel_for(int64_t count, int64_t grain, int64_t threads, void (*task)(void*, int64_t, int64_t), void* context);

// The same for any callable f(begin, end).
template <class F>
void parallel_for(int64_t count, int64_t grain, int64_t threads, F&& f) {
  parallel_for(count, grain, threads, [](void* g, int64_t begin, int64_t end) { (*static_cast<F*>(g))(begin, end); }, &f);
}

using HostParallel = void (*)(void (*task)(void*), void* data, unsigned threads, unsigned flags);
void borrow_threads(HostParallel parallel);

}  // namespace downup
