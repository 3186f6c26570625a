/* The one C interface of downup. Python reads the lines between the two markers, so they hold plain declarations only.
 *
 * Every function returns 0, or an error code whose sentence du_last_error() gives. No argument makes one read or write
 * outside the views it was given. `threads` is the most threads a call may use, at least 1.
 */
#ifndef DOWNUP_H
#define DOWNUP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)
/* declarations begin */

enum { DU_OK = 0, DU_BAD_ARGUMENT = 1, DU_BAD_POSITION = 2, DU_OUT_OF_MEMORY = 3, DU_UNSUPPORTED = 4 };

enum { DU_FLOAT32 = 0, DU_FLOAT64 = 1, DU_BFLOAT16 = 2, DU_UINT8 = 3, DU_INT64 = 4 };

/* Where an array of [batch, channel, row, column] lies in memory. Strides are in elements and may describe
 * channels-first, channels-last or any other layout; a view that is written to must not overlap itself. */
typedef struct du_view {
  void* data;
  int64_t sizes[4];
  int64_t strides[4];
  int32_t type;
} du_view;

/* A sliding window; index 0 is the row axis, 1 the column axis. Tap k of output sample i reads input sample
 * i * stride - pad_before + k * dilation. pad_after counts for the output size only.
 * If adaptive is not 0, out windows share the in samples of an axis: window i takes those from floor(i * in / out) up to
 * ceil((i + 1) * in / out), and no other field counts. In offsets, every window has as many columns as the widest. */
typedef struct du_window {
  int64_t size[2];
  int64_t stride[2];
  int64_t pad_before[2];
  int64_t pad_after[2];
  int64_t dilation[2];
  int32_t ceil_mode;
  int32_t adaptive;
} du_window;

/* Version of this interface; it changes when a declaration does. */
int32_t du_interface_version(void);

/* The sentence for the last error of the calling thread, and its code. */
const char* du_last_error(void);
int32_t du_last_code(void);

/* The instruction sets this library was built for and this processor runs, best first: du_isa_name(0), (1), ...
 * until NULL. du_isa_select takes one of these names; du_isa_active tells the one in use. */
const char* du_isa_name(int32_t index);
int32_t du_isa_select(const char* name);
const char* du_isa_active(void);

/* Runs tasks on the threads of a host that already has some (the signature of libgomp's GOMP_parallel), so that two pools do
 * not fight for the same cores; NULL goes back to the library's own. */
void du_threads_borrow(void (*parallel)(void (*task)(void*), void* data, unsigned threads, unsigned flags));

/* From now on large blocks that the process frees stay with it and are used again, instead of going back to the system. */
int32_t du_reuse_memory(void);

/* Number of output samples along one axis (0 row, 1 column), or -1 with an error; an adaptive window has none of its own. */
int64_t du_window_out_size(int64_t in_size, const du_window* window, int32_t axis);

/* select: max_pool2d and max_unpool2d. Positions come in two forms, told apart by their view's type:
 *   DU_INT64  flat: row * columns + column of the chosen sample in its plane (-1 where a window saw only padding);
 *   DU_UINT8  offset in the window: tap_row * window columns + tap_column, for windows of at most 256 taps.
 * in, out, gradients: DU_FLOAT32, DU_FLOAT64 or DU_BFLOAT16, all of one type. */

/* in [n, c, h, w] -> out and positions [n, c, out_h, out_w]. The first of equal samples wins; NaN wins over all, the last
 * NaN over earlier ones, as in PyTorch. positions->data may be NULL. */
int32_t du_max_pool2d(const du_view* in, const du_view* out, const du_view* positions, const du_window* window,
                      int64_t threads);

/* grad_out and positions [n, c, out_h, out_w] -> grad_in [n, c, h, w]: each gradient is added where its sample was taken,
 * in the order of the outputs. A position outside its own window is refused. */
int32_t du_max_pool2d_backward(const du_view* grad_out, const du_view* positions, const du_view* grad_in,
                               const du_window* window, int64_t threads);

/* The transpose of du_max_pool2d_backward: values [n, c, h, w] -> taken [n, c, out_h, out_w], the value at each position. */
int32_t du_max_pool2d_take(const du_view* values, const du_view* positions, const du_view* taken,
                           const du_window* window, int64_t threads);

/* in and positions [n, c, pooled_h, pooled_w] -> out [n, c, h, w], zero where no position points. Where several point to
 * one place, the last one is kept. Flat positions may point anywhere in the plane. */
int32_t du_max_unpool2d(const du_view* in, const du_view* positions, const du_view* out, const du_window* window,
                        int64_t threads);

/* grad_out [n, c, h, w] -> grad_in [n, c, pooled_h, pooled_w]: the gradient at each position, zero for a sample that a
 * later one replaced. */
int32_t du_max_unpool2d_backward(const du_view* grad_out, const du_view* positions, const du_view* grad_in,
                                 const du_window* window, int64_t threads);

/* rearrange: pixel_shuffle and pixel_unshuffle move every element as it is, of any of the types (of another type by one of the
 * same size). Blocks of factor x factor pixels of the plane are channels of the other view, in one of two orders:
 *   DU_CRD  channel (c * factor + y) * factor + x of the blocks is pixel (y, x) of channel c (PyTorch);
 *   DU_DCR  channel (y * factor + x) * channels + c (TensorFlow; ONNX unless told otherwise). */
enum { DU_CRD = 0, DU_DCR = 1 };

/* in [n, c * factor * factor, h, w] -> out [n, c, h * factor, w * factor]. */
int32_t du_pixel_shuffle(const du_view* in, const du_view* out, int64_t factor, int32_t order, int64_t threads);

/* in [n, c, h * factor, w * factor] -> out [n, c * factor * factor, h, w]: its inverse, and its gradient. */
int32_t du_pixel_unshuffle(const du_view* in, const du_view* out, int64_t factor, int32_t order, int64_t threads);

/* resample: out[y][x] is the sum over taps of row_weight * column_weight * in, along the rows first. */

/* For each output sample along one axis: the input samples it reads, their weights, and a divisor of the sum. Made by a planner,
 * never changed, freed once; a planner returns NULL with an error. */
typedef struct du_taps du_taps;

enum { DU_COUNT_PADDED = 0, DU_COUNT_INSIDE = 1, DU_COUNT_GIVEN = 2 };
enum { DU_EDGE_REFLECT = 0, DU_EDGE_REPEAT = 1, DU_EDGE_ZERO = 2 };
/* Lanczos of three lobes, and of five. */
enum { DU_NEAREST = 0, DU_LINEAR = 1, DU_CUBIC = 2, DU_LANCZOS = 3, DU_LANCZOS5 = 4 };
/* Where output sample i lies, in input samples, with r input samples per output sample: (i + 0.5) r - 0.5; the same about a
 * common centre; the same but 0 for an output of one sample; i (in - 1) / (out - 1); i r. */
enum { DU_HALF_PIXEL = 0, DU_HALF_PIXEL_SYMMETRIC = 1, DU_PYTORCH_HALF_PIXEL = 2, DU_ALIGN_CORNERS = 3, DU_ASYMMETRIC = 4 };
/* Which sample is nearest: torch's "nearest" and "nearest-exact", computed in float32 from the ratio alone; then by coordinates. */
enum { DU_ROUND_TORCH = 0, DU_ROUND_TORCH_EXACT = 1, DU_ROUND_FLOOR = 2, DU_ROUND_CEIL = 3, DU_ROUND_PREFER_FLOOR = 4, DU_ROUND_PREFER_CEIL = 5 };

typedef struct du_sampling {
  int32_t filter;
  int32_t coordinates;
  int32_t rounding;
  int32_t antialias;       /* widen the filter on the way down; weights sum to one */
  int32_t exclude_outside; /* drop taps outside the image and let the others sum to one; else the edge is repeated */
  double ratio;            /* input samples per output sample; negative: in_size / out_size */
  double cubic_coefficient;
} du_sampling;

/* The taps of a sliding window, each of weight 1; what divides their sum counts those on the padded input, or those on the input,
 * or is the given `divisor`. */
du_taps* du_taps_window(int64_t in_size, const du_window* window, int32_t axis, int32_t counted, double divisor);
/* Averages of the samples from floor(i in / out) up to ceil((i + 1) in / out). */
du_taps* du_taps_adaptive(int64_t in_size, int64_t out_size);
/* Every stride-th sample of the input smoothed by a row of Pascal's triangle. */
du_taps* du_taps_binomial(int64_t in_size, int64_t count, int64_t stride, int32_t edge);
du_taps* du_taps_sampled(int64_t in_size, int64_t out_size, const du_sampling* sampling);
/* Output i has the taps start[i] up to start[i + 1] of index [count] and weight [count]; start [out_size + 1]. */
du_taps* du_taps_of(int64_t in_size, int64_t out_size, int64_t count, const int64_t* start, const int64_t* index, const double* weight);
/* The gradient's taps: output and input change places. */
du_taps* du_taps_transposed(const du_taps* taps);
void du_taps_free(du_taps* taps);
/* sizes [3]: of the input, of the output, number of taps. */
int32_t du_taps_sizes(const du_taps* taps, int64_t* sizes);
/* start [out + 1], index [taps], weight [taps], divisor [out]. */
int32_t du_taps_read(const du_taps* taps, int64_t* start, int64_t* index, double* weight, double* divisor);

/* in [n, c, h, w] -> out [n, c, new_h, new_w], both DU_FLOAT32, DU_FLOAT64, DU_BFLOAT16 or DU_UINT8. Computed in float32
 * (DU_FLOAT64 in double) and rounded once, DU_UINT8 to the nearest, ties to even. */
int32_t du_resample2d(const du_view* in, const du_view* out, const du_taps* rows, const du_taps* columns, int64_t threads);

/* elementwise: DU_FLOAT32, any strides. An output may be one of the inputs itself (the same view), or must be apart from them. */

/* x is an element. DU_CLIP: alpha to beta; DU_HARD_SIGMOID: alpha x + beta, clipped to 0 and 1; DU_LEAKY_RELU and DU_ELU: alpha;
 * DU_PRELU: one slope for each channel. What lies below 0 is 0 for DU_RELU. The others need no numbers. */
enum {
  DU_IDENTITY = 0, DU_RELU, DU_LEAKY_RELU, DU_PRELU, DU_CLIP, DU_SIGMOID, DU_SILU, DU_HARD_SIGMOID, DU_HARD_SWISH, DU_GELU, DU_GELU_TANH,
  DU_ELU, DU_TANH, DU_EXP, DU_ERF, DU_SQRT, DU_ABS
};
typedef struct du_activation {
  int32_t kind;
  float alpha, beta;
  const float* slopes; /* [channels] */
} du_activation;

enum { DU_ADD = 0, DU_SUBTRACT, DU_MULTIPLY, DU_DIVIDE, DU_MINIMUM, DU_MAXIMUM };

/* out = activation(in); NULL stands for DU_IDENTITY. */
int32_t du_activate(const du_view* in, const du_view* out, const du_activation* activation, int64_t threads);

/* out = activation(a operation b). An axis of one element of a or b is read for every element of out. */
int32_t du_combine(const du_view* a, const du_view* b, const du_view* out, int32_t operation, const du_activation* activation, int64_t threads);

/* out = activation(in * scale + shift), scale and shift [channels]. */
int32_t du_affine(const du_view* in, const du_view* out, const float* scale, const float* shift, const du_activation* activation,
                  int64_t threads);

/* reduce: each element of out is the sum, mean or largest of the elements of `in` along the axes where out has size 1, in their
 * order (DU_FLOAT32, summed in double); NaN is the largest. */
enum { DU_SUM = 0, DU_MEAN, DU_LARGEST };
int32_t du_reduce(const du_view* in, const du_view* out, int32_t operation, int64_t threads);

/* sums [n, c, 1, DU_EXACT_WORDS], DU_INT64: the sum of each plane of `in` (DU_FLOAT32) without any rounding. Sums of the parts of a
 * plane, in any order, added as integers are the sum of the plane. Each part may have up to 2^31 elements, and there be as many parts. */
enum { DU_EXACT_WORDS = 12 };
int32_t du_sum_exactly(const du_view* in, const du_view* sums, int64_t threads);

/* out [n, c, 1, 1] (DU_FLOAT32): such sums rounded to double, divided by `count`, rounded to float32. */
int32_t du_mean_exactly(const du_view* sums, const du_view* out, int64_t count, int64_t threads);

/* matmul: out [n, g, m, k] = left [n, g, m, inner] x right [n, g, inner, k], DU_FLOAT32. A batch or group of one matrix serves all. */
int32_t du_matmul(const du_view* left, const du_view* right, const du_view* out, int64_t threads);

/* What the instruction set in use can do at most: multiplies and adds in registers, in `rounds` short rounds on each of `threads`, at
 * most 2^16 threads and 2^32 rounds in all. Returns how many multiply-adds that were, for the caller to time; -1 with an error. */
int64_t du_multiply_adds(int64_t rounds, int64_t threads);

/* labels: what becomes of the scores of classes, the channels of `in` (DU_FLOAT32). */

/* e^x over its sum. */
int32_t du_softmax(const du_view* in, const du_view* out, int64_t threads);

/* The first channel with the largest score; NaN is larger than all. out [n, 1, h, w], DU_INT64, or DU_UINT8 for at most 256 classes. */
int32_t du_argmax(const du_view* in, const du_view* out, int64_t threads);

/* du_argmax of du_resample2d of `in`, with the same bits, without the resampled scores ever being in memory. */
int32_t du_resample_argmax(const du_view* in, const du_view* out, const du_taps* rows, const du_taps* columns, int64_t threads);

/* convolve: a convolution with learned weights, prepared once, then run on any size. A sample's bits depend on its own inputs, the
 * spec and the instruction set in use when it was prepared: not on sizes, threads or how its channels are cut into parts. */

/* DU_FAST: sums may be rearranged (Winograd), at up to three times the rounding error. DU_EXACT: they may not. DU_BFLOAT16_PRODUCTS: as
 * DU_FAST, and where that takes less time inputs and weights are rounded to bfloat16 before they are multiplied, and summed in float32; on
 * a processor without instructions for it, that is DU_FAST. */
enum { DU_FAST = 0, DU_EXACT = 1, DU_BFLOAT16_PRODUCTS = 2 };
enum { DU_AUTO = 0, DU_DIRECT, DU_WINOGRAD, DU_WINOGRAD_REPEATED, DU_DEPTHWISE, DU_GROUPED, DU_DIRECT_BFLOAT16 };
typedef struct du_convolution_spec {
  int64_t in_channels, out_channels, groups;
  du_window window; /* ceil_mode and adaptive must be 0 */
  int64_t output_padding[2]; /* of a transposed convolution: rows and columns more, below its stride or dilation; else 0 */
  int64_t upsample[2]; /* nearest upsampling by whole factors in front of the window; 1, 1: none */
  int32_t transposed;
  int32_t precision; /* DU_FAST, DU_EXACT or DU_BFLOAT16_PRODUCTS */
  int32_t algorithm; /* DU_AUTO, or one of the others where it fits the rest */
  du_activation activation;
} du_convolution_spec;

typedef struct du_convolution du_convolution;

/* weight [out_channels, in_channels / groups, window rows, window columns], transposed [in_channels, out_channels / groups, rows,
 * columns]; bias [out_channels] or NULL. All is copied. NULL with an error; freed once. */
du_convolution* du_convolution_new(const du_convolution_spec* spec, const float* weight, const float* bias);
void du_convolution_free(du_convolution* convolution);

/* in_size and out_size [2]: rows, columns. */
int32_t du_convolution_out_size(const du_convolution* convolution, const int64_t* in_size, int64_t* out_size);

/* Memory that a run on such a size borrows, or -1 with an error. */
int64_t du_convolution_scratch_bytes(const du_convolution* convolution, int64_t batch, int64_t in_rows, int64_t in_columns,
                                     int64_t threads);

/* The name of what was chosen: "direct", "winograd", "winograd_repeated", "depthwise", "grouped" or "direct_bfloat16". */
const char* du_convolution_algorithm(const du_convolution* convolution);

/* steps [2] of each: outputs repeat bit by bit, out_step further on, where the inputs repeat in_step further on. Winograd works on tiles
 * of 4x4 outputs (a dilation apart), counted from the corner of the plane: the bits of an output are those of its whole tile's inputs. */
int32_t du_convolution_steps(const du_convolution* convolution, int64_t* in_step, int64_t* out_step);

/* parts [part_count, at most 64]: [n, c_i, h, w], whose channels one after the other are the input's -> out [n, out_channels, out_h, out_w],
 * the activation of convolution + bias + residual. residual is NULL or like out; it may be out itself. All DU_FLOAT32, channels
 * side by side (stride 1). Any number of threads may run one convolution, each call with a scratch of its own. */
int32_t du_convolution_run(const du_convolution* convolution, int64_t part_count, const du_view* parts, const du_view* residual,
                           const du_view* out, void* scratch, int64_t scratch_bytes, int64_t threads);

/* declarations end */
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* DOWNUP_H */
