// Panel 2: a picture taken down and up again, by several pairs side by side.
import type { Step } from "./code";
import { CodeView } from "./code_view";
import { Controls, type Values } from "./controls";
import { Refusal } from "./kernels";
import { run, type Arguments } from "./operators";
import { difference, grey, make, type Page, type Panel } from "./panel";
import { short } from "./paint";
import { at, cropped, type Planes } from "./planes";
import { blockTiling, Plot } from "./plot";

const DOWNS: Record<string, string> = { max: "max_pool2d", avg: "avg_pool2d", blur: "blur_pool2d", strided: "every s-th sample", shuffle: "pixel_unshuffle" };
const UPS: Record<string, string> = { nearest: "nearest", bilinear: "bilinear", bicubic: "bicubic", unpool: "max_unpool2d", transposed: "conv_transpose2d", shuffle: "pixel_shuffle" };
const PAIRS = ["max-unpool", "max-nearest", "avg-nearest", "blur-bilinear", "strided-nearest", "max-transposed", "shuffle-shuffle"];
const WHY: Record<string, string> = {
  unpool: "Un-pooling puts each kept sample back on its own pixel, exactly; all others are zero, for the next convolution to fill. Edges stay where they were.",
  nearest: "Each sample is repeated: blocks, whose edges lie up to a stride from where they were.",
  bilinear: "Between samples the picture is blended: smooth, and the edges are soft.",
  bicubic: "As bilinear, over four samples: sharper, and it may overshoot.",
  transposed: "A transposed convolution with bilinear weights spreads each sample over a window; where windows overlap, they add up.",
  shuffle: "Nothing was dropped on the way down, so everything comes back.",
};
const DEFAULTS: Values = { picture: "house", first: "max-unpool", second: "max-nearest", third: "blur-bilinear", stride: "4" };

/** The picture cut to multiples of the stride, so that all pairs come back to its size. */
function divisible(x: Planes, stride: number): Planes {
  return cropped(x, 0, 0, x.rows - (x.rows % stride), x.columns - (x.columns % stride));
}

interface Trip {
  low: Planes;
  back: Planes;
  steps: Step[];
}

function bilinearFilter(stride: number): Float32Array {
  const size = 2 * stride - (stride % 2), centre = (size - 1) / 2, line = (i: number) => 1 - Math.abs(i - centre) / stride;
  return Float32Array.from({ length: size * size }, (_, i) => line(Math.floor(i / size)) * line(i % size));
}

/** The call of each way down. */
function downCall(down: string, stride: number): [string, Arguments] {
  const calls: Record<string, [string, Arguments]> = {
    max: ["max_pool2d", { kernel_size: stride, stride }],
    avg: ["avg_pool2d", { kernel_size: stride, stride, count_include_pad: true }],
    blur: ["blur_pool2d", { taps: 3, stride, edge: "reflect" }],
    strided: ["conv2d", { kernel_size: 1, stride, weight: new Float32Array([1]) }],
    shuffle: ["pixel_unshuffle", { factor: stride, order: "CRD" }],
  };
  return calls[down]!;
}

/** The call of each way up; of un-pooling without what the pool found. */
function upCall(up: string, stride: number): [string, Arguments] {
  const kernel = 2 * stride - (stride % 2), padding = Math.floor((kernel - stride) / 2);
  const calls: Record<string, [string, Arguments]> = {
    unpool: ["max_unpool2d", { kernel_size: stride, stride }],
    transposed: ["conv_transpose2d", { kernel_size: kernel, stride, padding, weight: bilinearFilter(stride) }],
    shuffle: ["pixel_shuffle", { factor: stride, order: "CRD" }],
  };
  return calls[up] ?? ["interpolate", { scale_factor: stride, mode: up as "nearest" }];
}

function travel(page: Page, x: Planes, pair: string, stride: number): Trip {
  const [down, up] = pair.split("-") as [string, string];
  if (up === "unpool" && down !== "max") throw new Refusal("Only max pooling tells where its samples were, so un-pooling goes with it alone.");
  if ((up === "shuffle") !== (down === "shuffle")) throw new Refusal("pixel_unshuffle and pixel_shuffle go together: one moves samples into channels, the other moves them back.");
  const [downName, downArgs] = downCall(down, stride), [upName, upArgs] = upCall(up, stride);
  const { out: low, positions } = run(page.kernels, downName, x, downArgs);
  const found: Arguments = up === "unpool" ? { ...upArgs, indices: positions, output_size: [x.rows, x.columns] } : upArgs;
  const back = run(page.kernels, upName, low, found).out;
  // The code of un-pooling begins with its pool.
  const steps: Step[] = [{ name: downName, args: downArgs, x }, { name: upName, args: upArgs, x: low }];
  return { low, back, steps: up === "unpool" ? [{ name: upName, args: upArgs, x }] : steps };
}

/** Mean distance, and the same where neighbours of the picture differ much: at its edges. */
export function errors(x: Planes, back: Planes): { mean: number; edge: number } {
  let sum = 0, edgeSum = 0, edges = 0;
  for (let c = 0; c < x.channels; c++) {
    for (let y = 0; y < x.rows; y++) {
      for (let i = 0; i < x.columns; i++) {
        const value = at(x, c, y, i), error = Math.abs(at(back, c, y, i) - value);
        const beside = Math.abs(value - at(x, c, y, Math.min(i + 1, x.columns - 1))), below = Math.abs(value - at(x, c, Math.min(y + 1, x.rows - 1), i));
        sum += error;
        if (Math.max(beside, below) <= 40) continue;
        edgeSum += error;
        edges++;
      }
    }
  }
  return { mean: sum / x.data.length, edge: edges ? edgeSum / edges : 0 };
}

class ThereAndBack {
  private controls: Controls;
  private columns: { title: HTMLElement; note: HTMLElement; low: Plot; back: Plot; lost: Plot }[];
  private code = new CodeView("the first pair as Python");

  constructor(root: HTMLElement, values: Values, private page: Page) {
    Object.assign(values, { ...DEFAULTS, ...values });
    const pairs = Object.keys(DOWNS).flatMap((down) => Object.keys(UPS).map((up) => ({ value: `${down}-${up}`, label: `${DOWNS[down]} → ${UPS[up]}` })));
    const options = pairs.filter(({ value }) => PAIRS.includes(value) || !/unpool|shuffle/.test(value));
    this.controls = new Controls(
      [
        { kind: "choice", name: "picture", label: "picture", options: page.pictureOptions },
        { kind: "slider", name: "stride", label: "stride", low: 2, high: 8 },
        ...["first", "second", "third"].map((name) => ({ kind: "choice" as const, name, label: `${name} pair`, options })),
      ],
      values,
      () => this.update(),
    );
    this.columns = ["first", "second", "third"].map(() => ({
      title: make("h2"), note: make("p", "hint"), low: new Plot("down"), back: new Plot("and up again"), lost: new Plot("what was lost"),
    }));
    const columns = this.columns.map(({ title, note, low, back, lost }) => make("section", "trip", title, low.root, back.root, lost.root, note));
    const text = make("p", "text", "A network for segmentation takes the picture down, to see far, and up again, to label each pixel. Compare what comes back, and where the edges end up.");
    root.append(make("div", "bench", make("div", "side", this.controls.root), make("div", "stage", text, make("div", "plots trips", ...columns), this.code.root)));
    this.update();
  }

  private update(): void {
    const { values } = this.controls, stride = this.controls.number("stride");
    this.page.save(values);
    const chosen = this.page.picture(values["picture"]!), x = divisible(chosen.channels === 3 ? chosen : grey(chosen), stride);
    const told: string[] = [];
    ["first", "second", "third"].forEach((name, i) => {
      const pair = values[name]!, column = this.columns[i]!, [down, up] = pair.split("-") as [string, string];
      column.title.textContent = `${DOWNS[down]} → ${UPS[up]}`;
      try {
        if (!x.rows || !x.columns) throw new Refusal("The picture is smaller than the stride; use a smaller stride.");
        const { low, back, steps } = travel(this.page, x, pair, stride), { mean, edge } = errors(x, back);
        if (i === 0) this.code.show(...steps);
        column.low.show(low, down === "shuffle" ? blockTiling(stride, x.channels, "CRD") : undefined);
        column.back.show(back);
        column.lost.showBy("signed", difference(grey(back), grey(x)));
        column.note.textContent = `Off by ${short(mean)} of 255 on average, by ${short(edge)} at edges. ${WHY[up]}`;
        told.push(`${DOWNS[down]} then ${UPS[up]}: ${short(mean)} off, ${short(edge)} at edges`);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        column.note.textContent = error.message;
      }
    });
    this.page.say(`${told.join("; ")}.`);
  }
}

export const back: Panel = {
  id: "back",
  title: "There and back",
  open: (root, values, page) => void new ThereAndBack(root, values, page),
};
