// The size rule of an operator with its numbers put in.
import { pair } from "./geometry";
import type { Arguments, Result } from "./operators";
import { extent } from "./geometry";
import type { Planes } from "./planes";

const DOWN = ["max_pool2d", "max_pool2d_with_offsets", "avg_pool2d", "lp_pool2d", "conv2d"];

function axis(name: string, x: Planes, args: Arguments, result: Result, i: 0 | 1): string {
  const n = i ? x.columns : x.rows, out = i ? result.out.columns : result.out.rows, { window } = result;
  if (window && !window.adaptive && DOWN.includes(name)) {
    const span = extent(window.size[i], window.dilation[i]), round = args.ceil_mode ? "ceil" : "floor";
    const rule = `${round}((${n} + ${window.before[i]} + ${window.after[i]} − ${span}) / ${window.stride[i]}) + 1`;
    const plain = Math.ceil((n + window.before[i] + window.after[i] - span) / window.stride[i]) + 1;
    return `${rule}${args.ceil_mode && plain > out ? " − 1" : ""} = ${out}`;
  }
  if (window && (name === "max_unpool2d" || name === "conv_transpose2d")) {
    const span = extent(window.size[i], window.dilation[i]);
    const base = window.stride[i] * (n - 1) + span - window.before[i] - window.after[i], rest = out - base;
    return `${window.stride[i]} · (${n} − 1) + ${span} − ${window.before[i]} − ${window.after[i]}${rest ? (rest > 0 ? ` + ${rest}` : ` − ${-rest}`) : ""} = ${out}`;
  }
  if (name.endsWith("blur_pool2d")) return `ceil(${n} / ${pair(args.stride ?? 2)[i]}) = ${out}`;
  if (name === "interpolate") return `floor(${n} · ${pair(args.scale_factor ?? 2)[i]}) = ${out}`;
  if (name === "resize_conv2d") return `floor(${n} · ${pair(args.scale_factor ?? 2)[i]}), then the window: ${out}`;
  if (name === "pixel_unshuffle") return `${n} / ${args.factor} = ${out}`;
  if (name === "pixel_shuffle") return `${n} · ${args.factor} = ${out}`;
  return name.startsWith("adaptive") ? `as asked: ${out}` : `${out}`;
}

export const RULES: Record<string, string> = {
  window: "floor((n + before + after − extent) / stride) + 1, where extent = dilation · (window − 1) + 1",
  spread: "stride · (n − 1) + extent − before − after (+ output padding), where extent = dilation · (window − 1) + 1",
};

export function ruleOf(name: string): string {
  if (DOWN.includes(name)) return RULES["window"]!;
  return name === "max_unpool2d" || name === "conv_transpose2d" ? RULES["spread"]! : "";
}

/** Lines for the rows and the columns. */
export function equations(name: string, x: Planes, args: Arguments, result: Result): string[] {
  return [`rows: ${axis(name, x, args, result, 0)}`, `columns: ${axis(name, x, args, result, 1)}`];
}

/** Shapes in both data formats. */
export function shapes(x: Planes): { first: string; last: string } {
  return { first: `[1, ${x.channels}, ${x.rows}, ${x.columns}]`, last: `[1, ${x.rows}, ${x.columns}, ${x.channels}]` };
}
