// The operators of downup's catalog, by their Python names and arguments, on one picture.
import { pair, poolSides, sidesOf, spreadSizes, transposedSides, windowOf, windowOutSizes, type Padding, type Pair } from "./geometry";
import { Refusal, type Kernels, type Order, type Window } from "./kernels";
import { planes, type Planes, type Size } from "./planes";
import { interpolated, type Interpolation } from "./sampling";
import { convolved, picked, pointwise, putBack, resampled, reversed, shuffled, type Stage } from "./stages";

/** Arguments as the Python functions name them; each operator looks at its own. */
export interface Arguments extends Interpolation {
  kernel_size?: Pair;
  stride?: Pair;
  padding?: Padding;
  dilation?: Pair;
  ceil_mode?: boolean;
  count_include_pad?: boolean;
  divisor_override?: number;
  norm_type?: number;
  output_size?: Pair;
  taps?: number;
  edge?: "reflect" | "repeat" | "zero";
  factor?: number;
  order?: Order;
  output_padding?: Pair;
  /** Of max_unpool2d: positions of the samples, row * columns + column. */
  indices?: Int32Array;
  /** Of the convolutions: one filter for each channel, or [filters, channels / groups, rows, columns]. */
  weight?: Float32Array;
  filters?: number;
  groups?: number;
}

export interface Result {
  out: Planes;
  stages: Stage[];
  positions?: Int32Array;
  offsets?: Uint8Array;
  window?: Window;
}

const EDGES = ["reflect", "repeat", "zero"];
const round = Math.fround;

type Operator = (kernels: Kernels, x: Planes, args: Arguments) => Result;

function sizeOf(x: Planes): Size {
  return [x.rows, x.columns];
}

function poolWindow(x: Planes, args: Arguments): Window {
  const kernel = pair(args.kernel_size ?? 2), stride = pair(args.stride ?? kernel), dilation = pair(args.dilation ?? 1);
  const sides = poolSides(args.padding ?? 0, sizeOf(x), kernel, stride, dilation);
  return windowOf(kernel, stride, sides, dilation, args.ceil_mode);
}

function isSame(padding: Padding | undefined): boolean {
  return padding === "same" || padding === "same_lower";
}

function averaged(kernels: Kernels, x: Planes, window: Window, divisor: "padded" | "inside" | number): Result {
  windowOutSizes(x, window);
  const rows = kernels.windowTaps(x.rows, window, 0, divisor);
  const columns = kernels.windowTaps(x.columns, window, 1, typeof divisor === "number" ? 1 : divisor);
  return { out: kernels.resample(x, rows, columns), stages: [resampled(rows, columns)], window };
}

const avgPool: Operator = (kernels, x, args) => {
  const counted = (args.count_include_pad ?? true) && !isSame(args.padding) ? "padded" : "inside";
  return averaged(kernels, x, poolWindow(x, args), args.divisor_override ?? counted);
};

/** A plain loop: of a megapixel in colour, a function for each number takes three times as long. */
function squared(x: Planes): Planes {
  const out = emptyLike(x), from = x.data, to = out.data;
  for (let i = 0; i < to.length; i++) to[i] = from[i]! * from[i]!;
  return out;
}

const lpPool: Operator = (kernels, x, args) => {
  const norm = args.norm_type ?? 2;
  if (norm !== 1 && norm !== 2) throw new Refusal(`norm_type is ${norm}; this page has 1 and 2.`);
  const powers = norm === 1 ? x : squared(x);
  const { out: mean, stages, window } = averaged(kernels, powers, poolWindow(x, args), "padded");
  const taps = window!.size[0] * window!.size[1];
  const out = emptyLike(mean);
  for (let i = 0; i < out.data.length; i++) {
    const sum = round(mean.data[i]! * taps);
    out.data[i] = norm === 1 ? sum : Math.sqrt(sum);
  }
  const before = pointwise(x, (value) => (norm === 1 ? 1 : 2 * value));
  const after = pointwise(out, (value) => (norm === 1 ? taps : value > 0 ? taps / (2 * value) : 0));
  return { out, stages: [before, ...stages, after], window };
};

const adaptiveAvgPool: Operator = (kernels, x, args) => {
  const [rows, columns] = pair(args.output_size ?? 1);
  const down = kernels.adaptiveTaps(x.rows, rows), across = kernels.adaptiveTaps(x.columns, columns);
  return { out: kernels.resample(x, down, across), stages: [resampled(down, across)] };
};

const blurPool: Operator = (kernels, x, args) => {
  const taps = args.taps ?? 3, [down, across] = pair(args.stride ?? 2), edge = EDGES.indexOf(args.edge ?? "reflect");
  const rows = kernels.binomialTaps(x.rows, taps, down, edge), columns = kernels.binomialTaps(x.columns, taps, across, edge);
  return { out: kernels.resample(x, rows, columns), stages: [resampled(rows, columns)] };
};

const interpolate: Operator = (kernels, x, args) => {
  const [rows, columns] = interpolated(kernels, sizeOf(x), args);
  return { out: kernels.resample(x, rows, columns), stages: [resampled(rows, columns)] };
};

function selected(kernels: Kernels, x: Planes, window: Window, size: Size): Result {
  const { out, positions } = kernels.maxPool(x, window, size);
  return { out, positions, stages: [picked(positions, size, x.columns)], window };
}

const maxPool: Operator = (kernels, x, args) => {
  const window = poolWindow(x, args);
  return selected(kernels, x, window, windowOutSizes(x, window));
};

const maxPoolWithOffsets: Operator = (kernels, x, args) => {
  const window = poolWindow(x, args), size = windowOutSizes(x, window);
  if (window.size[0] * window.size[1] > 256) throw new Refusal("More than 256 taps do not fit one byte; use a smaller window.");
  return { ...selected(kernels, x, window, size), offsets: kernels.maxPoolWithOffsets(x, window, size).offsets };
};

const adaptiveMaxPool: Operator = (kernels, x, args) => {
  const window: Window = { size: [1, 1], stride: [1, 1], before: [0, 0], after: [0, 0], dilation: [1, 1], adaptive: true };
  return selected(kernels, x, window, pair(args.output_size ?? 1));
};

const maxBlurPool: Operator = (kernels, x, args) => {
  const largest = maxPool(kernels, x, { kernel_size: args.kernel_size ?? 2, stride: 1, padding: "same" });
  const smooth = blurPool(kernels, largest.out, args);
  return { out: smooth.out, stages: [...largest.stages, ...smooth.stages] };
};

const maxUnpool: Operator = (kernels, x, args) => {
  if (!args.indices) throw new Refusal("max_unpool2d needs the positions that a max_pool2d returned.");
  const kernel = pair(args.kernel_size ?? 2), stride = pair(args.stride ?? kernel), dilation = pair(args.dilation ?? 1);
  const wanted = args.output_size === undefined ? undefined : pair(args.output_size);
  const window = windowOf(kernel, stride, sidesOf(args.padding ?? 0, wanted ?? [0, 0], kernel, stride, dilation), dilation);
  const size = wanted ?? spreadSizes(x, window);
  return { out: kernels.maxUnpool(x, args.indices, window, size), stages: [putBack(args.indices, sizeOf(x), size[1])], window };
};

const pixelUnshuffle: Operator = (kernels, x, args) => {
  const factor = args.factor ?? 2, order = args.order ?? "CRD";
  if (x.rows % factor || x.columns % factor) {
    throw new Refusal(`${x.rows} rows and ${x.columns} columns do not both divide by ${factor}; choose another factor or picture.`);
  }
  return { out: kernels.pixelUnshuffle(x, factor, order), stages: [reversed(shuffled(factor, order, x.channels))] };
};

const pixelShuffle: Operator = (kernels, x, args) => {
  const factor = args.factor ?? 2, order = args.order ?? "CRD";
  if (x.channels % factor ** 2) throw new Refusal(`${x.channels} channels do not divide by ${factor ** 2}, the square of the factor.`);
  return { out: kernels.pixelShuffle(x, factor, order), stages: [shuffled(factor, order, x.channels / factor ** 2)] };
};

/** The filters of a call: those that were given, or one for every channel. */
function filtersOf(x: Planes, args: Arguments, taps: number): { weight: Float32Array; filters: number; groups: number } {
  const weight = args.weight ?? new Float32Array(taps).fill(round(1 / taps));
  if (args.filters !== undefined) return { weight, filters: args.filters, groups: args.groups ?? 1 };
  const repeated = new Float32Array(taps * x.channels);
  for (let c = 0; c < x.channels; c++) repeated.set(weight, c * taps);
  return { weight: repeated, filters: x.channels, groups: x.channels };
}

const conv: Operator = (kernels, x, args) => {
  const kernel = pair(args.kernel_size ?? 3), stride = pair(args.stride ?? 1), dilation = pair(args.dilation ?? 1);
  const window = windowOf(kernel, stride, sidesOf(args.padding ?? 0, sizeOf(x), kernel, stride, dilation), dilation);
  windowOutSizes(x, window);
  const { weight, ...rest } = filtersOf(x, args, kernel[0] * kernel[1]);
  const out = kernels.convolve(x, weight, { ...rest, window, outputPadding: [0, 0], transposed: false });
  return { out, stages: [convolved(weight, window, x, out)], window };
};

const convTranspose: Operator = (kernels, x, args) => {
  const kernel = pair(args.kernel_size ?? 3), stride = pair(args.stride ?? 1), dilation = pair(args.dilation ?? 1);
  const { sides, extra } = transposedSides(args.padding ?? 0, sizeOf(x), kernel, stride, dilation, pair(args.output_padding ?? 0));
  const window = windowOf(kernel, stride, sides, dilation);
  const { weight, ...rest } = filtersOf(x, args, kernel[0] * kernel[1]);
  const out = kernels.convolve(x, weight, { ...rest, window, outputPadding: extra, transposed: true });
  return { out, stages: [reversed(convolved(weight, window, out, x))], window };
};

const resizeConv: Operator = (kernels, x, args) => {
  const larger = interpolate(kernels, x, { scale_factor: args.scale_factor ?? 2, mode: args.mode ?? "nearest" });
  const smooth = conv(kernels, larger.out, { ...args, stride: 1, padding: args.padding ?? "same" });
  return { ...smooth, stages: [...larger.stages, ...smooth.stages] };
};

export const OPERATORS: Record<string, Operator> = {
  avg_pool2d: avgPool,
  lp_pool2d: lpPool,
  adaptive_avg_pool2d: adaptiveAvgPool,
  global_avg_pool2d: (kernels, x) => adaptiveAvgPool(kernels, x, { output_size: 1 }),
  global_lp_pool2d: (kernels, x, args) => lpPool(kernels, x, { norm_type: args.norm_type, kernel_size: sizeOf(x) }),
  blur_pool2d: blurPool,
  interpolate,
  max_pool2d: maxPool,
  max_pool2d_with_offsets: maxPoolWithOffsets,
  max_unpool2d: maxUnpool,
  adaptive_max_pool2d: adaptiveMaxPool,
  global_max_pool2d: (kernels, x) => adaptiveMaxPool(kernels, x, { output_size: 1 }),
  max_blur_pool2d: maxBlurPool,
  pixel_unshuffle: pixelUnshuffle,
  pixel_shuffle: pixelShuffle,
  conv2d: conv,
  conv_transpose2d: convTranspose,
  resize_conv2d: resizeConv,
};

export function run(kernels: Kernels, name: string, x: Planes, args: Arguments): Result {
  const operator = OPERATORS[name];
  if (!operator) throw new Refusal(`There is no operator ${name}.`);
  return operator(kernels, x, args);
}

function emptyLike(x: Planes): Planes {
  return planes(x.channels, x.rows, x.columns);
}
