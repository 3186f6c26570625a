// Jobs for workers that have memory of their own.
#pragma once

#include "../simd.h"
#include "../threads.h"

namespace downup {
namespace DU_ISA {

constexpr int64_t kMostWorkers = 256;

// The jobs of a worker that nobody has begun, alone on its cache line.
struct alignas(64) Share {
  int64_t next, end;
};

// Runs job(worker, index) for every index in [0, count). Two jobs that run at one time have different workers, each below `workers`. Each
// worker goes through a share of its own, then helps others with theirs: neighbouring jobs touch memory side by side, and cores that wrote
// side by side at one time would take lines from each other that they asked for ahead.
template <class Job>
void run_jobs(int64_t count, int64_t workers, Job&& job) {
  workers = smaller(workers, count);
  Share shares[kMostWorkers];
  for (int64_t w = 0; w < workers; ++w) shares[w].next = count * w / workers, shares[w].end = count * (w + 1) / workers;
  parallel_for(workers, 1, workers, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t k = 0; k < workers; ++k) {
        Share& share = shares[(worker + k) % workers];
        // A builtin, since no inline function may be shared between instruction sets.
        for (int64_t i; (i = __atomic_fetch_add(&share.next, 1, __ATOMIC_RELAXED)) < share.end;) job(worker, i);
      }
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
