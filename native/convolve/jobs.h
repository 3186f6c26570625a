// Jobs for workers that have memory of their own.
#pragma once

#include "../simd.h"
#include "../threads.h"

namespace downup {
namespace DU_ISA {

constexpr int64_t kMostWorkers = 256;

// Runs job(worker, index) for every index in [0, count), in order of index as workers become free. Two jobs that run at one time have
// different workers, each below `workers`.
template <class Job>
void run_jobs(int64_t count, int64_t workers, Job&& job) {
  int64_t next = 0;  // a builtin, since no inline function may be shared between instruction sets
  workers = smaller(workers, count);
  parallel_for(workers, 1, workers, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;) job(worker, i);
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
