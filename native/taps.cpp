// The planners: each makes the taps of one kind of resampling, along one axis.
#include "taps.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "taps_builder.h"

namespace downup {
namespace {

bool check_samples(int64_t size, const char* name) {
  if (size >= 1 && size <= kMostSamples) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s is %lld; use 1 to %lld", name, static_cast<long long>(size), static_cast<long long>(kMostSamples));
}

int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

// a / b rounded down, for b > 0.
int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// The inside sample that stands for one outside: mirrored about the edge sample, or the edge sample where the image is too short.
int64_t reflected(int64_t index, int64_t size, int64_t reach) {
  if (size <= reach) return clamp(index, 0, size - 1);
  if (index < 0) return -index;
  return index < size ? index : 2 * (size - 1) - index;
}

double linear(double x) {
  x = fabs(x);
  return x < 1 ? 1 - x : 0;
}

// Keys' cubic convolution with coefficient a.
double cubic(double x, double a) {
  x = fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// As many lobes on each side.
double lanczos(double x, double lobes) {
  x = fabs(x);
  if (x >= lobes) return 0;
  if (x == 0) return 1;
  if (x == floor(x)) return 0;  // exactly, so that a neighbour of no weight is not read
  const double angle = 3.14159265358979323846 * x;
  return sin(angle) / angle * sin(angle / lobes) / (angle / lobes);
}

double weight_of(const du_sampling& sampling, double way) {
  switch (sampling.filter) {
    case DU_LINEAR: return linear(way);
    case DU_CUBIC: return cubic(way, sampling.cubic_coefficient);
    case DU_LANCZOS: return lanczos(way, 3);
    default: return lanczos(way, 5);
  }
}

double support_of(const du_sampling& sampling) {
  switch (sampling.filter) {
    case DU_LINEAR: return 1;
    case DU_CUBIC: return 2;
    case DU_LANCZOS: return 3;
    default: return 5;
  }
}

// Where output samples lie: sample i at (2i * step + first) / unit, in input samples; exact when made from whole sizes.
struct Positions {
  double step, first, unit;
  double of(int64_t i) const { return (2 * static_cast<double>(i) * step + first) / unit; }
};

Positions positions_of(const du_sampling& sampling, int64_t in_size, int64_t out_size) {
  const double in = static_cast<double>(in_size), out = static_cast<double>(out_size);
  const bool has_ratio = sampling.ratio >= 0;
  // Input samples per output sample, as step / (unit / 2).
  const double step = has_ratio ? sampling.ratio : in, unit = has_ratio ? 2 : 2 * out;
  switch (sampling.coordinates) {
    case DU_ALIGN_CORNERS: return out_size == 1 ? Positions{0, 0, 1} : Positions{in - 1, 0, 2 * (out - 1)};
    case DU_ASYMMETRIC: return {step, 0, unit};
    case DU_PYTORCH_HALF_PIXEL:
      if (out_size == 1) return {0, 0, 1};
      break;
    case DU_HALF_PIXEL_SYMMETRIC:
      // The true output size in / ratio may be broken: what is cut off is shared by both ends.
      if (has_ratio && sampling.ratio > 0) return {step, step - 1 + in * (1 - out * sampling.ratio / in), unit};
      break;
    default: break;
  }
  return {step, step - unit / 2, unit};
}

int64_t rounded(double position, int32_t rounding) {
  switch (rounding) {
    case DU_ROUND_FLOOR: return static_cast<int64_t>(floor(position));
    case DU_ROUND_CEIL: return static_cast<int64_t>(ceil(position));
    case DU_ROUND_PREFER_FLOOR: return static_cast<int64_t>(ceil(position - 0.5));
    default: return static_cast<int64_t>(floor(position + 0.5));
  }
}

// The sample that torch's "nearest" and "nearest-exact" read: they compute in float32, whatever the type of the image.
int64_t torch_nearest(const du_sampling& sampling, int64_t i, int64_t in, int64_t out) {
  const float ratio = sampling.ratio >= 0 ? static_cast<float>(sampling.ratio) : static_cast<float>(in) / static_cast<float>(out);
  if (sampling.rounding == DU_ROUND_TORCH_EXACT) return static_cast<int64_t>(static_cast<float>((static_cast<double>(i) + 0.5) * static_cast<double>(ratio)));
  if (out == in) return i;
  if (out == 2 * in) return i / 2;
  return static_cast<int64_t>(floorf(static_cast<float>(i) * ratio));
}

void add_nearest(Builder& taps, const du_sampling& sampling, int64_t in, int64_t out) {
  const Positions positions = positions_of(sampling, in, out);
  for (int64_t i = 0; i < out && taps.goes_on(); ++i) {
    const bool is_torch = sampling.rounding == DU_ROUND_TORCH || sampling.rounding == DU_ROUND_TORCH_EXACT;
    const int64_t at = is_torch ? torch_nearest(sampling, i, in, out) : rounded(positions.of(i), sampling.rounding);
    taps.add(clamp(at, 0, in - 1), 1);
    taps.close(1);
  }
}

void add_filtered(Builder& taps, const du_sampling& sampling, int64_t in, int64_t out) {
  const Positions positions = positions_of(sampling, in, out);
  const double ratio = 2 * positions.step / positions.unit;
  // On the way down an antialiasing filter is as many times wider as there are more samples.
  const double width = sampling.antialias && ratio > 1 ? ratio : 1;
  const double support = support_of(sampling) * width;
  for (int64_t i = 0; i < out && taps.goes_on(); ++i) {
    double at = positions.of(i);
    // Linear weights repeat the edge; so does a sample placed on it.
    if (sampling.filter == DU_LINEAR && !sampling.exclude_outside) at = at < 0 ? 0 : at > static_cast<double>(in - 1) ? static_cast<double>(in - 1) : at;
    int64_t first = static_cast<int64_t>(floor(at - support)) + 1, last = static_cast<int64_t>(ceil(at + support)) - 1;
    if (sampling.exclude_outside) {
      first = first < 0 ? 0 : first;
      last = last < in ? last : in - 1;
    }
    for (int64_t k = first; k <= last && taps.goes_on(); ++k) {
      // Those outside come together on the edge sample, next to each other.
      taps.merge(clamp(k, 0, in - 1), weight_of(sampling, (static_cast<double>(k) - at) / width), 1);
    }
    if (sampling.antialias || sampling.exclude_outside) taps.normalize();
    taps.close(1);
  }
}

bool check_choice(int32_t value, int32_t choices, const char* name) {
  if (value >= 0 && value < choices) return true;
  return !set_error(DU_BAD_ARGUMENT, "%s is %d; use 0 to %d", name, value, choices - 1);
}

bool check_sampling(const du_sampling* sampling, int64_t in_size) {
  if (!sampling) return !set_error(DU_BAD_ARGUMENT, "sampling is NULL");
  if (!check_choice(sampling->filter, DU_LANCZOS5 + 1, "filter") || !check_choice(sampling->coordinates, DU_ASYMMETRIC + 1, "coordinates") ||
      !check_choice(sampling->rounding, DU_ROUND_PREFER_CEIL + 1, "rounding")) {
    return false;
  }
  if (!(sampling->ratio <= static_cast<double>(in_size))) {
    return !set_error(DU_BAD_ARGUMENT, "ratio is %g; use one up to in_size, %lld", sampling->ratio, static_cast<long long>(in_size));
  }
  if (!(fabs(sampling->cubic_coefficient) <= 1e3)) {
    return !set_error(DU_BAD_ARGUMENT, "cubic_coefficient is %g; use -1000 to 1000", sampling->cubic_coefficient);
  }
  return true;
}

}  // namespace
}  // namespace downup

using namespace downup;

extern "C" du_taps* du_taps_window(int64_t in_size, const du_window* window, int32_t axis, int32_t counted, double divisor) {
  if (!check_samples(in_size, "in_size") || !check_window(window) || !check_choice(axis, 2, "axis") ||
      !check_choice(counted, DU_COUNT_GIVEN + 1, "counted")) {
    return nullptr;
  }
  if (counted == DU_COUNT_GIVEN && !(fabs(divisor) >= 1e-30 && fabs(divisor) <= 1e30)) {
    set_error(DU_BAD_ARGUMENT, "divisor is %g; use a number other than 0, of 1e-30 to 1e30", divisor);
    return nullptr;
  }
  if (window->adaptive) {
    set_error(DU_BAD_ARGUMENT, "the window is adaptive; use du_taps_adaptive");
    return nullptr;
  }
  const int64_t out_size = window_out_size(in_size, *window, axis);
  if (out_size < 0 || !check_samples(out_size, "out_size")) return nullptr;
  const int64_t dilation = window->dilation[axis], size = window->size[axis], end = in_size + window->pad_after[axis];
  Builder taps(in_size, out_size);
  for (int64_t i = 0; i < out_size && taps.goes_on(); ++i) {
    const int64_t at = i * window->stride[axis] - window->pad_before[axis];
    // The taps from `first` on lie on the input or behind it, those from `last` on behind it.
    const int64_t first = clamp(-floor_div(at, dilation), 0, size), last = clamp(-floor_div(at - in_size, dilation), 0, size);
    for (int64_t k = first; k < last && taps.goes_on(); ++k) taps.add(at + k * dilation, 1);
    const int64_t padded = clamp(-floor_div(at - end, dilation), 0, size), inside = last - first;
    const int64_t count = counted == DU_COUNT_PADDED ? padded : inside;
    taps.close(counted == DU_COUNT_GIVEN ? divisor : count < 1 ? 1 : static_cast<double>(count));
  }
  return taps.finish();
}

extern "C" du_taps* du_taps_adaptive(int64_t in_size, int64_t out_size) {
  if (!check_samples(in_size, "in_size") || !check_samples(out_size, "out_size")) return nullptr;
  Builder taps(in_size, out_size);
  for (int64_t i = 0; i < out_size && taps.goes_on(); ++i) {
    const int64_t begin = i * in_size / out_size, end = ((i + 1) * in_size + out_size - 1) / out_size;
    for (int64_t k = begin; k < end && taps.goes_on(); ++k) taps.add(k, 1);
    taps.close(static_cast<double>(end - begin));
  }
  return taps.finish();
}

extern "C" du_taps* du_taps_binomial(int64_t in_size, int64_t count, int64_t stride, int32_t edge) {
  constexpr int64_t kMost = 1024;
  if (!check_samples(in_size, "in_size") || !check_samples(stride, "stride") || !check_choice(edge, DU_EDGE_ZERO + 1, "edge")) return nullptr;
  if (count < 1 || count > kMost) {
    set_error(DU_BAD_ARGUMENT, "taps is %lld; use 1 to %lld", static_cast<long long>(count), static_cast<long long>(kMost));
    return nullptr;
  }
  double row[kMost] = {1};
  for (int64_t n = 1; n < count; ++n) {
    for (int64_t k = n; k > 0; --k) row[k] = (row[k] + row[k - 1]) / 2;
    row[0] /= 2;
  }
  const int64_t out_size = (in_size + stride - 1) / stride, before = (count - 1) / 2, after = count / 2;
  Builder taps(in_size, out_size);
  for (int64_t i = 0; i < out_size && taps.goes_on(); ++i) {
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = i * stride - before + k;
      const bool is_inside = at >= 0 && at < in_size;
      if (edge == DU_EDGE_ZERO && !is_inside) continue;
      const bool is_near_edge = i * stride < count || i * stride + count >= in_size;
      taps.merge(edge == DU_EDGE_REFLECT ? reflected(at, in_size, after) : clamp(at, 0, in_size - 1), row[k], is_near_edge ? count : 0);
    }
    taps.close(1);
  }
  return taps.finish();
}

extern "C" du_taps* du_taps_sampled(int64_t in_size, int64_t out_size, const du_sampling* sampling) {
  if (!check_samples(in_size, "in_size") || !check_samples(out_size, "out_size") || !check_sampling(sampling, in_size)) return nullptr;
  Builder taps(in_size, out_size);
  (sampling->filter == DU_NEAREST ? add_nearest : add_filtered)(taps, *sampling, in_size, out_size);
  return taps.finish();
}

extern "C" du_taps* du_taps_transposed(const du_taps* taps) {
  if (!taps) {
    set_error(DU_BAD_ARGUMENT, "taps is NULL");
    return nullptr;
  }
  // A divisor that all outputs share stays one; others go into the weights.
  bool is_uniform = true;
  for (int64_t i = 0; i < taps->out; ++i) is_uniform &= taps->divisor[i] == taps->divisor[0];
  // Counted, then placed: `next` first holds how many taps read each sample, then where its next one goes.
  const size_t bytes = static_cast<size_t>(taps->in + 1) * sizeof(int64_t) + static_cast<size_t>(taps->count) * (sizeof(int64_t) + sizeof(double));
  char* memory = static_cast<char*>(calloc(bytes, 1));
  if (!memory) {
    set_error(DU_OUT_OF_MEMORY, "no memory for the taps of %lld samples", static_cast<long long>(taps->in));
    return nullptr;
  }
  int64_t* next = reinterpret_cast<int64_t*>(memory);
  int64_t* reader = next + taps->in + 1;
  double* weight = reinterpret_cast<double*>(reader + taps->count);
  for (int64_t k = 0; k < taps->count; ++k) ++next[taps->index[k] + 1];
  for (int64_t i = 0; i < taps->in; ++i) next[i + 1] += next[i];
  for (int64_t i = 0; i < taps->out; ++i) {
    for (int64_t k = taps->start[i]; k < taps->start[i + 1]; ++k) {
      const int64_t place = next[taps->index[k]]++;
      reader[place] = i;
      weight[place] = is_uniform ? taps->weight[k] : taps->weight[k] / taps->divisor[i];
    }
  }
  Builder transposed(taps->out, taps->in);
  for (int64_t i = 0, k = 0; i < taps->in && transposed.goes_on(); ++i) {
    for (; k < next[i]; ++k) transposed.add(reader[k], weight[k]);
    transposed.close(is_uniform ? taps->divisor[0] : 1);
  }
  free(memory);
  return transposed.finish();
}

extern "C" du_taps* du_taps_of(int64_t in_size, int64_t out_size, int64_t count, const int64_t* start, const int64_t* index,
                                const double* weight) {
  if (!check_samples(in_size, "in_size") || !check_samples(out_size, "out_size")) return nullptr;
  if (!start || !index || !weight) {
    set_error(DU_BAD_ARGUMENT, "start, index or weight is NULL");
    return nullptr;
  }
  Builder taps(in_size, out_size);
  for (int64_t i = 0; i < out_size && taps.goes_on(); ++i) {
    if (start[i] < 0 || start[i + 1] < start[i] || start[i + 1] > count) {
      set_error(DU_BAD_ARGUMENT, "taps of output sample %lld go from %lld to %lld; use rising numbers from 0 to %lld", static_cast<long long>(i),
                static_cast<long long>(start[i]), static_cast<long long>(start[i + 1]), static_cast<long long>(count));
      return nullptr;
    }
    for (int64_t k = start[i]; k < start[i + 1] && taps.goes_on(); ++k) {
      if (index[k] < 0 || index[k] >= in_size) {
        set_error(DU_BAD_ARGUMENT, "output sample %lld reads sample %lld; use 0 to %lld", static_cast<long long>(i),
                  static_cast<long long>(index[k]), static_cast<long long>(in_size - 1));
        return nullptr;
      }
      taps.add(index[k], weight[k]);
    }
    taps.close(1);
  }
  return taps.finish();
}

extern "C" void du_taps_free(du_taps* taps) { free(taps); }

extern "C" int32_t du_taps_sizes(const du_taps* taps, int64_t* sizes) {
  if (!taps || !sizes) return set_error(DU_BAD_ARGUMENT, "taps or sizes is NULL");
  sizes[0] = taps->in;
  sizes[1] = taps->out;
  sizes[2] = taps->count;
  return DU_OK;
}

extern "C" int32_t du_taps_read(const du_taps* taps, int64_t* start, int64_t* index, double* weight, double* divisor) {
  if (!taps || !start || !index || !weight || !divisor) return set_error(DU_BAD_ARGUMENT, "taps or a place to write to is NULL");
  for (int64_t i = 0; i <= taps->out; ++i) start[i] = taps->start[i];
  for (int64_t k = 0; k < taps->count; ++k) {
    index[k] = taps->index[k];
    weight[k] = taps->weight[k];
  }
  for (int64_t i = 0; i < taps->out; ++i) divisor[i] = taps->divisor[i];
  return DU_OK;
}
