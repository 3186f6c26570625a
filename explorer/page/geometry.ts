// Sizes and padding: the rules of downup.geometry.
import { Refusal, type Window } from "./kernels";
import type { Size } from "./planes";

export type Padding = number | Size | [Size, Size] | "valid" | "same" | "same_lower";
export type Pair = number | Size;

const AXES = ["rows", "columns"] as const;

export function pair(value: Pair): Size {
  return typeof value === "number" ? [value, value] : value;
}

export function extent(kernel: number, dilation: number): number {
  return dilation * (kernel - 1) + 1;
}

/** Padding before and after one axis of "same": enough for ceil(n / stride) samples, the odd one at the end. */
function sameSides(padding: "same" | "same_lower", size: number, span: number, stride: number): Size {
  const out = Math.ceil(size / stride);
  const total = Math.max((out - 1) * stride + span - size, 0), less = Math.floor(total / 2);
  return padding === "same" ? [less, total - less] : [total - less, less];
}

/** [[top, bottom], [left, right]], however it was written. */
export function sidesOf(padding: Padding, size: Size, kernel: Size, stride: Size, dilation: Size): [Size, Size] {
  if (padding === "valid") return [[0, 0], [0, 0]];
  if (padding === "same" || padding === "same_lower") {
    const axis = (i: 0 | 1) => sameSides(padding, size[i], extent(kernel[i], dilation[i]), stride[i]);
    return [axis(0), axis(1)];
  }
  if (typeof padding === "number") return [[padding, padding], [padding, padding]];
  const [rows, columns] = padding;
  return [pair(rows), pair(columns)];
}

/** The same for a pool, where no side may exceed half the window. */
export function poolSides(padding: Padding, size: Size, kernel: Size, stride: Size, dilation: Size): [Size, Size] {
  const sides = sidesOf(padding, size, kernel, stride, dilation);
  if (typeof padding === "string") return sides;
  for (const i of [0, 1] as const) {
    const span = extent(kernel[i], dilation[i]), most = Math.floor(span / 2);
    if (Math.max(...sides[i]) > most) {
      throw new Refusal(`The padding is ${Math.max(...sides[i])} but the window spans ${span} ${AXES[i]}; a pool takes at most half of that, ${most}.`);
    }
  }
  return sides;
}

export function windowOf(kernel: Size, stride: Size, sides: [Size, Size], dilation: Size, ceil = false): Window {
  return { size: kernel, stride, before: [sides[0][0], sides[1][0]], after: [sides[0][1], sides[1][1]], dilation, ceil };
}

/** Number of windows along an axis: floor((n + before + after - extent) / stride) + 1. */
export function windowOutSize(size: number, window: Window, i: 0 | 1): number {
  const span = extent(window.size[i], window.dilation[i]), padded = size + window.before[i] + window.after[i];
  let out = Math.floor((padded - span) / window.stride[i]) + 1;
  if (window.ceil) {
    out = Math.ceil((padded - span) / window.stride[i]) + 1;
    // The last window starts on the picture, or on the padding before it.
    if ((out - 1) * window.stride[i] >= size + window.before[i]) out--;
  }
  if (out < 1) {
    throw new Refusal(`The window spans ${span} ${AXES[i]} but the padded picture has only ${padded}; use a smaller window, less dilation or more padding.`);
  }
  return out;
}

export function windowOutSizes(x: { rows: number; columns: number }, window: Window): Size {
  return [windowOutSize(x.rows, window, 0), windowOutSize(x.columns, window, 1)];
}

/** What an un-pooling goes back to, and about what a transposed convolution makes: stride * (n - 1) + extent - padding. */
export function spreadSizes(x: { rows: number; columns: number }, window: Window): Size {
  const axis = (n: number, i: 0 | 1) =>
    window.stride[i] * (n - 1) + extent(window.size[i], window.dilation[i]) - window.before[i] - window.after[i];
  return [axis(x.rows, 0), axis(x.columns, 1)];
}

/** Padding and output padding of a transposed convolution; "same" is the transpose of a "same" convolution from n * stride. */
export function transposedSides(padding: Padding, size: Size, kernel: Size, stride: Size, dilation: Size, extra: Size): { sides: [Size, Size]; extra: Size } {
  if (padding !== "same" && padding !== "same_lower") {
    for (const i of [0, 1] as const) {
      const most = Math.max(stride[i], dilation[i]) - 1;
      if (extra[i] > most) throw new Refusal(`The output padding is ${extra[i]}; use at most ${most}, below the stride or the dilation.`);
    }
    return { sides: sidesOf(padding, size, kernel, stride, dilation), extra };
  }
  if (extra[0] || extra[1]) throw new Refusal(`With padding "${padding}" the size is n * stride; leave the output padding 0.`);
  const out: Size = [size[0] * stride[0], size[1] * stride[1]];
  const missing = (i: 0 | 1) => Math.max(out[i] - stride[i] * (size[i] - 1) - extent(kernel[i], dilation[i]), 0);
  return { sides: sidesOf(padding, out, kernel, stride, dilation), extra: [missing(0), missing(1)] };
}
