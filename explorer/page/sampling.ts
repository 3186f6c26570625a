// What the arguments of `interpolate` mean: the rules of downup.ops, as two tables of taps.
import { pair, type Pair } from "./geometry";
import { Refusal, type Kernels } from "./kernels";
import type { Size } from "./planes";
import type { Taps } from "./taps";

export interface Interpolation {
  size?: Pair;
  scale_factor?: number | [number, number];
  mode?: Mode;
  align_corners?: boolean;
  recompute_scale_factor?: boolean;
  antialias?: boolean;
  coordinates?: Coordinates;
  rounding?: Rounding;
  cubic_coefficient?: number;
  exclude_outside?: boolean;
}

// The words in the order of their numbers in downup.h.
const FILTERS = { nearest: 0, "nearest-exact": 0, bilinear: 1, bicubic: 2, lanczos: 3, lanczos5: 4, area: -1 } as const;
const COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"] as const;
const ROUNDINGS = ["torch", "torch_exact", "floor", "ceil", "prefer_floor", "prefer_ceil"] as const;

export type Mode = keyof typeof FILTERS;
export type Coordinates = (typeof COORDINATES)[number];
export type Rounding = (typeof ROUNDINGS)[number];
export const MODES = Object.keys(FILTERS) as Mode[];

export function isSmooth(mode: Mode): boolean {
  return !mode.startsWith("nearest") && mode !== "area";
}

/** Rows and columns that come out. */
export function interpolatedSize(size: Size, args: Interpolation): Size {
  if (args.size !== undefined) return pair(args.size);
  const [rows, columns] = pair(args.scale_factor ?? 2);
  const out: Size = [Math.floor(size[0] * rows), Math.floor(size[1] * columns)];
  if (out[0] < 1 || out[1] < 1) throw new Refusal(`Nothing would be left of ${size[0]} x ${size[1]} samples; use a larger factor.`);
  return out;
}

export function interpolated(kernels: Kernels, size: Size, args: Interpolation): [Taps, Taps] {
  const out = interpolatedSize(size, args);
  const axis = (i: 0 | 1) => axisTaps(kernels, size[i], out[i], i, args);
  return [axis(0), axis(1)];
}

function axisTaps(kernels: Kernels, old: number, fresh: number, axis: 0 | 1, args: Interpolation): Taps {
  const mode = args.mode ?? "nearest";
  if (mode === "area") return kernels.adaptiveTaps(old, fresh);
  const antialias = (args.antialias ?? false) || mode.startsWith("lanczos");
  const factor = args.scale_factor === undefined ? undefined : pair(args.scale_factor)[axis];
  // Samples are placed by the factor that was given, not by the size that came of it, as in torch.
  let isScaled = factor !== undefined && !args.recompute_scale_factor;
  if ((mode === "bilinear" || antialias) && args.coordinates === undefined && fresh === old) isScaled = false;
  let ratio = isScaled ? 1 / factor! : -1;
  let places: Coordinates = args.coordinates ?? (args.align_corners ? "align_corners" : "half_pixel");
  if (args.align_corners && antialias) {
    places = "half_pixel";
    ratio = fresh > 1 ? (old - 1) / (fresh - 1) : 0;
  }
  if (args.rounding !== undefined && args.coordinates === undefined) places = mode === "nearest-exact" ? "half_pixel" : "asymmetric";
  const rounding = args.rounding ?? (args.coordinates ? "prefer_floor" : mode === "nearest-exact" ? "torch_exact" : "torch");
  return kernels.sampledTaps(old, fresh, {
    filter: FILTERS[mode],
    coordinates: COORDINATES.indexOf(places),
    rounding: ROUNDINGS.indexOf(rounding),
    antialias,
    excludeOutside: args.exclude_outside ?? antialias,
    ratio,
    cubicCoefficient: args.cubic_coefficient ?? (antialias ? -0.5 : -0.75),
  });
}
