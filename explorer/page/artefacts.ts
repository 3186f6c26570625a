// Panel 3: what goes wrong on the way down and up, and where it comes from.
import { Chart, type Line } from "./chart";
import { CodeView } from "./code_view";
import { Controls, type Values } from "./controls";
import { Refusal } from "./kernels";
import { run } from "./operators";
import { difference, grey, make, type Page, type Panel } from "./panel";
import { short } from "./paint";
import { planes, shifted, type Planes } from "./planes";
import { Plot } from "./plot";
import type { Taps } from "./taps";

const DEFAULTS: Values = { kernel: "3", spread: "2", picture: "rings", shift: "1", stride: "2", taps: "3" };
const SIDE = 8; // samples that are spread

/** Each way down by a stride, as it is often taken. */
const DOWNS: Record<string, (page: Page, x: Planes, stride: number, taps: number) => Planes> = {
  "every s-th sample": (page, x, stride) => run(page.kernels, "conv2d", x, { kernel_size: 1, stride, weight: new Float32Array([1]) }).out,
  max_pool2d: (page, x, stride) => run(page.kernels, "max_pool2d", x, { kernel_size: stride, stride }).out,
  avg_pool2d: (page, x, stride) => run(page.kernels, "avg_pool2d", x, { kernel_size: stride, stride }).out,
  blur_pool2d: (page, x, stride, taps) => run(page.kernels, "blur_pool2d", x, { taps, stride }).out,
  max_blur_pool2d: (page, x, stride, taps) => run(page.kernels, "max_blur_pool2d", x, { kernel_size: stride, taps, stride }).out,
};

/** How much of each frequency, in cycles per sample, the weights of one output let through. */
export function response(taps: Taps, frequency: number): number {
  let real = 0, imaginary = 0;
  for (const { index, weight } of taps.read(Math.floor(taps.outSize / 2))) {
    real += weight * Math.cos(2 * Math.PI * frequency * index);
    imaginary += weight * Math.sin(2 * Math.PI * frequency * index);
  }
  return Math.hypot(real, imaginary);
}

class Artefacts {
  private overlap: Controls;
  private aliasing: Controls;
  private spread = new Plot("conv_transpose2d: weights on each output");
  private resized = new Plot("resize_conv2d: the same");
  private verdict = make("p", "hint");
  private spreadCode = new CodeView("conv_transpose2d as Python");
  private smoothCode = new CodeView("blur_pool2d as Python");
  private original = new Plot("picture");
  private downs = Object.keys(DOWNS).map((name) => ({ name, plot: new Plot(name), change: new Plot("change"), note: make("p", "hint") }));
  private chart = new Chart("What passes on the way down", { x: "frequency, cycles per sample", y: "gain", most: 1.2 });

  constructor(root: HTMLElement, private values: Values, private page: Page) {
    Object.assign(values, { ...DEFAULTS, ...values });
    this.overlap = new Controls(
      [
        { kind: "slider", name: "kernel", label: "window", low: 1, high: 9 },
        { kind: "slider", name: "spread", label: "stride", low: 1, high: 4 },
      ],
      values,
      () => this.update(),
    );
    this.aliasing = new Controls(
      [
        { kind: "choice", name: "picture", label: "picture", options: page.pictureOptions },
        { kind: "slider", name: "shift", label: "shift by columns", low: 0, high: 4 },
        { kind: "slider", name: "stride", label: "stride", low: 2, high: 4 },
        { kind: "slider", name: "taps", label: "taps of the blur", low: 1, high: 9 },
      ],
      values,
      () => this.update(),
    );
    const text = (words: string) => make("p", "text", words);
    root.append(
      section("Checkerboards", this.overlap, [
        text("A transposed convolution spreads each sample over a window. Unless the window is a multiple of the stride, some outputs get more weights than their neighbours: a pattern that training must unlearn."),
        make("div", "plots", this.spread.root, this.resized.root),
        this.verdict,
        this.spreadCode.root,
      ]),
      section("Aliasing", this.aliasing, [
        text("Move the picture by one column. A way down that samples too coarsely gives quite another answer; one that smooths first hardly notices."),
        make("div", "plots five", make("section", "trip", this.original.root), ...this.downs.map(({ plot, change, note }) => make("section", "trip", plot.root, change.root, note))),
        this.chart.root,
        text("Frequencies right of half a cycle per output sample (0.5 / stride) cannot be told from lower ones after the way down. What a filter lets through there comes back as a false pattern."),
        this.smoothCode.root,
      ]),
    );
    this.update();
  }

  private update(): void {
    this.page.save(this.values);
    const told = this.updateOverlap();
    this.page.say(`${told} ${this.updateAliasing()}`);
  }

  private updateOverlap(): string {
    const kernel = this.overlap.number("kernel"), stride = this.overlap.number("spread"), { kernels } = this.page;
    const ones = planes(1, SIDE, SIDE, new Float32Array(SIDE * SIDE).fill(1)), weight = new Float32Array(kernel * kernel).fill(1);
    const args = { kernel_size: kernel, stride, weight };
    this.spread.showBy("scaled", run(kernels, "conv_transpose2d", ones, args).out);
    this.spreadCode.show({ name: "conv_transpose2d", args, x: ones });
    this.resized.showBy("scaled", run(kernels, "resize_conv2d", ones, { scale_factor: stride, mode: "nearest", kernel_size: kernel, weight }).out);
    const isEven = kernel % stride === 0;
    this.verdict.textContent = isEven
      ? `A window of ${kernel} is a multiple of the stride ${stride}: away from the edges every output gets as many weights.`
      : kernel < stride
        ? `A window of ${kernel} is shorter than the stride ${stride}: between the windows nothing arrives.`
        : `A window of ${kernel} is no multiple of the stride ${stride}: a checkerboard. Try ${Math.ceil(kernel / stride) * stride}.`;
    return this.verdict.textContent;
  }

  private updateAliasing(): string {
    const { page } = this, x = grey(page.picture(this.values["picture"]!)), moved = shifted(x, 0, this.aliasing.number("shift"));
    const stride = this.aliasing.number("stride"), taps = this.aliasing.number("taps"), told: string[] = [];
    this.original.show(moved);
    this.smoothCode.show({ name: "blur_pool2d", args: { taps, stride, edge: "reflect" }, x });
    for (const { name, plot, change, note } of this.downs) {
      try {
        const before = DOWNS[name]!(page, x, stride, taps), after = DOWNS[name]!(page, moved, stride, taps), lost = difference(after, before);
        plot.show(after);
        change.showBy("signed", lost);
        const mean = lost.data.reduce((sum, value) => sum + Math.abs(value), 0) / lost.data.length;
        note.textContent = `Changed by ${short(mean)} of 255 on average.`;
        told.push(`${name} ${short(mean)}`);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        note.textContent = error.message;
      }
    }
    this.updateChart(stride, taps);
    return `Changed by the shift: ${told.join(", ")}.`;
  }

  private updateChart(stride: number, taps: number): void {
    const { kernels } = this.page, length = 64 * stride;
    const box = kernels.adaptiveTaps(length, 64), smooth = kernels.binomialTaps(length, taps, stride, 0);
    const frequencies = Array.from({ length: 101 }, (_, i) => i / 200);
    const line = (name: string, gain: (frequency: number) => number): Line => ({ name, points: frequencies.map((f) => [f / 0.5, gain(f)]) });
    const limit: Line = { name: "half a cycle per output", points: [[1 / stride, 0], [1 / stride, 1.2]] };
    this.chart.show(
      [line("every s-th sample", () => 1), line(`avg_pool2d ${stride}`, (f) => response(box, f)), line(`blur_pool2d, ${taps} taps`, (f) => response(smooth, f)), limit],
      `At the limit of ${short(0.5 / stride)} cycles the average lets ${short(response(box, 0.5 / stride))} through, the blur ${short(response(smooth, 0.5 / stride))}.`,
    );
  }
}

function section(title: string, controls: Controls, parts: Node[]): HTMLElement {
  return make("section", "block", make("h2", "", title), make("div", "bench", make("div", "side", controls.root), make("div", "stage", ...parts)));
}

export const artefacts: Panel = {
  id: "artefacts",
  title: "Artefacts",
  open: (root, values, page) => void new Artefacts(root, values, page),
};
