// How a planner fills a table, output by output.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "taps.h"

namespace downup {

// More would be a table larger than the images it serves.
constexpr int64_t kMostTaps = int64_t{1} << 26, kMostSamples = kMostTaps;

// Fills a table output by output. Its memory grows; what it cannot get is noticed once, by finish().
class Builder {
 public:
  Builder(int64_t in, int64_t out) : in_(in), out_(out) {
    start_ = static_cast<int64_t*>(malloc(static_cast<size_t>(out + 1) * sizeof(int64_t)));
    divisor_ = static_cast<double*>(malloc(static_cast<size_t>(out) * sizeof(double)));
    is_short_ = !start_ || !divisor_;
    if (start_) start_[0] = 0;
  }
  ~Builder() {
    free(start_);
    free(divisor_);
    free(index_);
    free(weight_);
  }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // Whether there is room for more: asked before each output and each tap.
  bool goes_on() const { return !is_short_ && !is_long_; }

  void add(int64_t index, double weight) {
    // Weights are counted even where they are zero or merge with others: no arguments make a planner go on for ever.
    is_long_ |= ++work_ > 2 * kMostTaps;
    if (weight == 0 || !goes_on() || (count_ == capacity_ && !grow())) return;
    index_[count_] = static_cast<int32_t>(index);
    weight_[count_++] = weight;
  }
  // Adds to a tap of this output that reads the same sample, if there is one among the last `reach`.
  void merge(int64_t index, double weight, int64_t reach) {
    if (!goes_on()) return;
    const int64_t first = count_ - reach > start_[done_] ? count_ - reach : start_[done_];
    for (int64_t k = count_ - 1; k >= first; --k) {
      if (index_[k] == index) {
        weight_[k] += weight;
        is_long_ |= ++work_ > 2 * kMostTaps;
        return;
      }
    }
    add(index, weight);
  }
  // Makes the weights of this output sum to one.
  void normalize() {
    if (!goes_on()) return;
    double sum = 0;
    for (int64_t k = start_[done_]; k < count_; ++k) sum += weight_[k];
    for (int64_t k = start_[done_]; k < count_ && sum != 0; ++k) weight_[k] /= sum;
  }
  void close(double divisor) {
    if (!goes_on()) return;
    // Weights that came to nothing when they were merged or scaled.
    int64_t kept = start_[done_];
    for (int64_t k = kept; k < count_; ++k) {
      if (weight_[k] == 0) continue;
      index_[kept] = index_[k];
      weight_[kept++] = weight_[k];
    }
    count_ = kept;
    divisor_[done_++] = divisor;
    start_[done_] = count_;
  }

  du_taps* finish() {
    if (is_long_) {
      set_error(DU_BAD_ARGUMENT, "%lld samples from %lld need more than %lld taps; use a smaller window or image", static_cast<long long>(out_),
                static_cast<long long>(in_), static_cast<long long>(kMostTaps));
      return nullptr;
    }
    const size_t bytes = sizeof(du_taps) + static_cast<size_t>(out_ + 1) * sizeof(int64_t) + static_cast<size_t>(out_) * sizeof(double) +
                         static_cast<size_t>(count_) * (sizeof(double) + sizeof(int32_t));
    char* memory = is_short_ ? nullptr : static_cast<char*>(malloc(bytes));
    if (!memory) {
      set_error(DU_OUT_OF_MEMORY, "no memory for the taps of %lld samples", static_cast<long long>(out_));
      return nullptr;
    }
    du_taps* taps = reinterpret_cast<du_taps*>(memory);
    memory += sizeof(du_taps);
    taps->in = in_;
    taps->out = out_;
    taps->count = count_;
    taps->start = copy(memory, start_, out_ + 1);
    taps->divisor = copy(memory, divisor_, out_);
    taps->weight = copy(memory, weight_, count_);
    taps->index = copy(memory, index_, count_);
    return taps;
  }

 private:
  bool grow() {
    if (count_ >= kMostTaps) {
      is_long_ = true;
      return false;
    }
    capacity_ = capacity_ ? 2 * capacity_ : 2 * out_;
    int32_t* index = static_cast<int32_t*>(realloc(index_, static_cast<size_t>(capacity_) * sizeof(int32_t)));
    if (index) index_ = index;
    double* weight = static_cast<double*>(realloc(weight_, static_cast<size_t>(capacity_) * sizeof(double)));
    if (weight) weight_ = weight;
    is_short_ = !index || !weight;
    return !is_short_;
  }
  template <class E>
  static const E* copy(char*& memory, const E* from, int64_t count) {
    char* to = memory;
    const size_t bytes = static_cast<size_t>(count) * sizeof(E);
    if (bytes) memcpy(to, from, bytes);
    memory += bytes;
    return reinterpret_cast<const E*>(to);
  }

  int64_t in_, out_, count_ = 0, capacity_ = 0, done_ = 0, work_ = 0;
  bool is_short_ = false, is_long_ = false;
  int64_t* start_ = nullptr;
  int32_t* index_ = nullptr;
  double *weight_ = nullptr, *divisor_ = nullptr;
};

}  // namespace downup
