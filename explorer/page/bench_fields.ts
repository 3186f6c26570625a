// The controls of the operator bench, which of them each operator has, and the arguments they stand for.
import type { Field, Values } from "./controls";
import type { Padding } from "./geometry";
import type { Order } from "./kernels";
import type { Arguments } from "./operators";
import { FILTERS, filterOf } from "./filters";
import { isSmooth, MODES, type Mode } from "./sampling";

export const FAMILIES: Record<string, string[]> = {
  "select: the position taken from each window": ["max_pool2d", "max_pool2d_with_offsets", "max_unpool2d", "adaptive_max_pool2d", "global_max_pool2d", "max_blur_pool2d"],
  "resample: fixed weights": ["avg_pool2d", "lp_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d", "global_lp_pool2d", "blur_pool2d", "interpolate"],
  "rearrange: a permutation": ["pixel_unshuffle", "pixel_shuffle"],
  "convolve: learned weights": ["conv2d", "conv_transpose2d", "resize_conv2d"],
};

const POOLS = ["max_pool2d", "max_pool2d_with_offsets", "max_unpool2d", "avg_pool2d", "lp_pool2d"];
const CONVOLUTIONS = ["conv2d", "conv_transpose2d", "resize_conv2d"];
// Their input is made of the picture first.
const DERIVED = ["max_unpool2d", "pixel_shuffle"];
const WINDOWS = [...POOLS, ...CONVOLUTIONS];

/** A sentence for a newcomer. */
export const MEANINGS: Record<string, string> = {
  max_pool2d: "Keeps the largest sample of each window, and can tell where it was.",
  max_pool2d_with_offsets: "Keeps the largest sample of each window, and remembers in one byte which tap of the window it was.",
  max_unpool2d: "Puts each pooled sample back where max pooling took it, among zeros. The input here is the pooled picture.",
  adaptive_max_pool2d: "Shares the picture among as many windows as you ask for, and keeps the largest sample of each.",
  global_max_pool2d: "Keeps the largest sample of each channel.",
  max_blur_pool2d: "The largest sample around every place, smoothed before samples are dropped: it moves with the picture.",
  avg_pool2d: "The mean of each window.",
  lp_pool2d: "The power sum of each window: with 2 the Euclidean length, with 1 the plain sum.",
  adaptive_avg_pool2d: "Shares the picture among as many windows as you ask for, and takes the mean of each.",
  global_avg_pool2d: "The mean of each channel.",
  global_lp_pool2d: "The power sum of each channel.",
  blur_pool2d: "Smooths with a row of Pascal's triangle, then keeps every stride-th sample.",
  interpolate: "Reads between the samples, up or down to any size.",
  pixel_unshuffle: "Moves each block of pixels into channels: a way down that loses nothing.",
  pixel_shuffle: "Lays channels out as blocks of pixels: a way up. The input here is the unshuffled picture.",
  conv2d: "Weighs each window with a filter; with a stride, a way down that a network can learn.",
  conv_transpose2d: "Spreads each sample over a window, weighted by a filter; where windows overlap, they add up.",
  resize_conv2d: "Enlarges first, then convolves: a way up without checkerboards.",
};

export const DEFAULTS: Values = {
  operator: "max_pool2d", picture: "circle", colour: "1", kernel: "2", stride: "2", padding: "numbers", sides: "0", dilation: "1", ceil: "0",
  counted: "1", norm: "2", rows: "4", columns: "4", taps: "3", edge: "reflect", mode: "bilinear", scale: "2", corners: "0", antialias: "0",
  factor: "2", order: "CRD", extra: "0", filter: "average", side: "256", draw: "0", level: "255",
};

const among = (...names: string[]) => (values: Values) => names.includes(values["operator"]!);

export function fieldsOf(pictures: { value: string; label: string }[]): Field[] {
  const operators = Object.entries(FAMILIES).flatMap(([group, names]) => names.map((value) => ({ value, label: value, group })));
  const options = (...values: string[]) => values.map((value) => ({ value, label: value }));
  return [
    { kind: "choice", name: "operator", label: "operator", options: operators },
    { kind: "choice", name: "picture", label: "picture", options: pictures },
    { kind: "switch", name: "colour", label: "in colour", shown: (values) => ["house", "own"].includes(values["picture"]!) },
    { kind: "switch", name: "draw", label: "draw: a click on the input paints", shown: (values) => !DERIVED.includes(values["operator"]!) },
    { kind: "slider", name: "level", label: "level to paint", low: 0, high: 255, shown: (values) => values["draw"] === "1" && !DERIVED.includes(values["operator"]!) },
    { kind: "slider", name: "kernel", label: "window", low: 1, high: 7, shown: among(...WINDOWS, "max_blur_pool2d") },
    { kind: "choice", name: "filter", label: "filter", options: Object.entries(FILTERS).map(([value, label]) => ({ value, label })), shown: among(...CONVOLUTIONS) },
    { kind: "slider", name: "stride", label: "stride", low: 1, high: 5, shown: among(...POOLS, "conv2d", "conv_transpose2d", "blur_pool2d", "max_blur_pool2d") },
    { kind: "choice", name: "padding", label: "padding", options: options("numbers", "valid", "same", "same_lower"), shown: among(...WINDOWS) },
    { kind: "slider", name: "sides", label: "samples on each side", low: 0, high: 3, shown: (values) => among(...WINDOWS)(values) && values["padding"] === "numbers" },
    { kind: "slider", name: "dilation", label: "dilation", low: 1, high: 4, shown: among(...WINDOWS) },
    { kind: "slider", name: "extra", label: "output padding", low: 0, high: 4, shown: (values) => among("conv_transpose2d")(values) && !values["padding"]!.startsWith("same") },
    { kind: "switch", name: "ceil", label: "ceil_mode: round the number of windows up", shown: among("max_pool2d", "max_pool2d_with_offsets", "avg_pool2d", "lp_pool2d") },
    { kind: "switch", name: "counted", label: "count padding in the mean", shown: (values) => among("avg_pool2d")(values) && !values["padding"]!.startsWith("same") },
    { kind: "slider", name: "norm", label: "norm_type", low: 1, high: 2, shown: among("lp_pool2d", "global_lp_pool2d") },
    { kind: "slider", name: "rows", label: "rows out", low: 1, high: 32, shown: among("adaptive_max_pool2d", "adaptive_avg_pool2d") },
    { kind: "slider", name: "columns", label: "columns out", low: 1, high: 32, shown: among("adaptive_max_pool2d", "adaptive_avg_pool2d") },
    { kind: "slider", name: "taps", label: "taps", low: 1, high: 9, shown: among("blur_pool2d", "max_blur_pool2d") },
    { kind: "choice", name: "edge", label: "outside the picture", options: options("reflect", "repeat", "zero"), shown: among("blur_pool2d", "max_blur_pool2d") },
    { kind: "choice", name: "mode", label: "mode", options: options(...MODES), shown: among("interpolate", "resize_conv2d") },
    { kind: "slider", name: "scale", label: "scale factor", low: 0.25, high: 4, step: 0.25, shown: among("interpolate", "resize_conv2d") },
    { kind: "switch", name: "corners", label: "align_corners", shown: (values) => among("interpolate")(values) && isSmooth(values["mode"] as Mode) },
    { kind: "switch", name: "antialias", label: "antialias", shown: (values) => among("interpolate")(values) && isSmooth(values["mode"] as Mode) },
    { kind: "slider", name: "factor", label: "factor", low: 1, high: 4, shown: among("pixel_shuffle", "pixel_unshuffle") },
    { kind: "choice", name: "order", label: "order of channels", options: [{ value: "CRD", label: "CRD (PyTorch)" }, { value: "DCR", label: "DCR (TensorFlow)" }], shown: among("pixel_shuffle", "pixel_unshuffle") },
    { kind: "choice", name: "side", label: "longest side of your picture", options: options("32", "64", "128", "256", "512", "1024"), shown: (values) => values["picture"] === "own" },
  ];
}

/** The arguments of the operator that the values name; those it does not have are left out. */
export function argumentsOf(values: Values): Arguments {
  const operator = values["operator"]!, number = (name: string) => Number(values[name]), is = (name: string) => values[name] === "1";
  const args: Arguments = {};
  if (among(...WINDOWS)(values)) {
    args.kernel_size = number("kernel");
    args.dilation = number("dilation");
    args.padding = values["padding"] === "numbers" ? number("sides") : (values["padding"] as Padding);
    if (operator !== "resize_conv2d") args.stride = number("stride");
  }
  if (among("max_pool2d", "max_pool2d_with_offsets", "avg_pool2d", "lp_pool2d")(values)) args.ceil_mode = is("ceil");
  if (operator === "avg_pool2d") args.count_include_pad = is("counted");
  if (operator.endsWith("lp_pool2d")) args.norm_type = number("norm");
  if (operator.startsWith("adaptive")) args.output_size = [number("rows"), number("columns")];
  if (operator.endsWith("blur_pool2d")) Object.assign(args, { taps: number("taps"), stride: number("stride"), edge: values["edge"] });
  if (operator === "max_blur_pool2d") args.kernel_size = number("kernel");
  if (among("interpolate", "resize_conv2d")(values)) Object.assign(args, { scale_factor: number("scale"), mode: values["mode"] });
  if (operator === "interpolate" && isSmooth(values["mode"] as Mode)) {
    if (is("corners")) args.align_corners = true;
    if (is("antialias")) args.antialias = true;
  }
  if (operator.startsWith("pixel")) Object.assign(args, { factor: number("factor"), order: values["order"] as Order });
  if (operator === "conv_transpose2d" && !values["padding"]!.startsWith("same")) args.output_padding = number("extra");
  if (CONVOLUTIONS.includes(operator)) args.weight = filterOf(values["filter"]!, number("kernel"));
  return args;
}
