// Panel 4: how far an output pixel sees, and what that means for a picture that is labelled in parts.
import type { Step } from "./code";
import { CodeView } from "./code_view";
import { Controls, type Values } from "./controls";
import { filterOf } from "./filters";
import { run, type Arguments } from "./operators";
import { difference, grey, make, type Page, type Panel } from "./panel";
import { short, theme } from "./paint";
import { cropped, planes, type Planes } from "./planes";
import { Plot } from "./plot";
import NETWORKS from "./networks.json";

const DEFAULTS: Values = { network: NETWORKS[0]!.name, tile: "32", halo: "6", picture: "house" };
const STRIDE = 4, SIDE = 128;

/** A little network: two convolutions and two pools down, and up again. */
const LAYERS: [string, Arguments][] = [
  ["conv2d", { kernel_size: 3, padding: "same", weight: filterOf("sharpen", 3) }],
  ["max_pool2d", { kernel_size: 2 }],
  ["conv2d", { kernel_size: 3, padding: "same", weight: filterOf("vertical", 3) }],
  ["max_pool2d", { kernel_size: 2 }],
  ["interpolate", { scale_factor: 4, mode: "bilinear" }],
  ["conv2d", { kernel_size: 3, padding: "same", weight: filterOf("smooth", 3) }],
];

function through(page: Page, x: Planes): { out: Planes; steps: Step[] } {
  const steps: Step[] = [];
  let out = x;
  for (const [name, args] of LAYERS) {
    steps.push({ name, args, x: out });
    out = run(page.kernels, name, out, args).out;
  }
  return { out, steps };
}

// How far a label of the little network sees: a pixel for the last filter, which lies a quarter below the next block of four; there the
// second filter reads 2 pixels further, and the first one more: 4 + 2 + 1.
const HALO = 7;

class Windows {
  private controls: Controls;
  private field = make("canvas", "picture field");
  private told = make("p", "hint");
  private whole = new Plot("whole");
  private tiled = new Plot("in tiles");
  private seam = new Plot("difference");
  private verdict = make("p", "hint");
  private code = new CodeView("the little network as Python");

  constructor(root: HTMLElement, private values: Values, private page: Page) {
    Object.assign(values, { ...DEFAULTS, ...values });
    const networks = NETWORKS.map(({ name }) => ({ value: name, label: name }));
    this.controls = new Controls([{ kind: "choice", name: "network", label: "network", options: networks }], values, () => this.update());
    const tiles = new Controls(
      [
        { kind: "choice", name: "picture", label: "picture", options: page.pictureOptions },
        { kind: "slider", name: "tile", label: "side of a tile", low: 16, high: 64, step: 16 },
        { kind: "slider", name: "halo", label: "halo around it", low: 0, high: HALO + 3 },
      ],
      values,
      () => this.update(),
    );
    this.field.setAttribute("role", "img");
    const cells = (kind: "td" | "th", ...words: (string | number)[]) => make("tr", "", ...words.map((word) => make(kind, "", String(word))));
    const rows = NETWORKS.map(({ name, stride, before, after, halo }) => cells("td", name, stride, before + 1 + after, Math.max(before, after), halo));
    const head = cells("th", "network", "stride", "pixels it sees", "halo", "for every bit");
    root.append(
      block("How far a pixel sees", this.controls, [
        make("p", "text", "Each label depends on the picture around its pixel. The square is what one label in the middle may depend on; a picture labelled in parts needs as much around each part: its halo."),
        make("div", "plots", make("figure", "plot", this.field), make("div", "scroll", make("table", "", head, ...rows))),
        this.told,
        make("p", "text", "Why two halos? With the first, a label has read all that it depends on. But the engine computes convolutions in tiles, and how a sample is rounded depends on its place in its tile: its last bits may differ. The last column reads each of these tiles whole, and then not one bit does. So reads downup predict; which tiles it computes in, and so a few pixels of this, depends on the processor."),
      ]),
      block("The seam", tiles, [
        make("p", "text", "A little network (two 3 × 3 filters and pools down, bilinear and a 3 × 3 filter up) labels the picture whole, and in tiles with a halo. Where the halo is long enough, no bit differs; make it one pixel short, and the seams appear."),
        make("div", "plots three", this.whole.root, this.tiled.root, this.seam.root),
        this.verdict,
        this.code.root,
      ]),
    );
    new ResizeObserver(() => this.drawField()).observe(this.field);
    this.update();
  }

  private get chosen() {
    return NETWORKS.find(({ name }) => name === this.values["network"]) ?? NETWORKS[0]!;
  }

  private update(): void {
    this.page.save(this.values);
    const { name, stride, before, after, halo } = this.chosen, times = (around: number) => short((1024 + 2 * around) ** 2 / 1024 ** 2);
    this.told.textContent = `${name} goes down by ${stride}. A label sees ${before} pixels before and ${after} after its own. A window that keeps 1024 × 1024 labels reads ${times(Math.max(before, after))} times as many pixels, or ${times(halo)} times for every bit.`;
    this.drawField();
    this.page.say(`${this.told.textContent} ${this.cut()}`);
  }

  private drawField(): void {
    const { field } = this, { name, before, after } = this.chosen, side = field.clientWidth, density = devicePixelRatio;
    if (!side) return;
    field.width = field.height = side * density;
    const context = field.getContext("2d")!, largest = Math.max(...NETWORKS.map((one) => one.before + one.after + 1)) * 1.15, scale = (side * density) / largest;
    const middle = (side * density) / 2;
    context.clearRect(0, 0, field.width, field.height);
    for (const one of NETWORKS) {
      const isChosen = one.name === name;
      context.strokeStyle = theme(isChosen ? "--source" : "--line");
      context.lineWidth = (isChosen ? 3 : 1) * density;
      const reach = (one.before + one.after + 1) * scale;
      context.strokeRect(middle - one.before * scale, middle - one.before * scale, reach, reach);
    }
    context.globalAlpha = 0.15;
    context.fillStyle = theme("--source");
    context.fillRect(middle - before * scale, middle - before * scale, (before + after + 1) * scale, (before + after + 1) * scale);
    context.globalAlpha = 1;
    context.fillStyle = theme("--ink");
    context.fillRect(middle - 2 * density, middle - 2 * density, 4 * density, 4 * density);
    context.font = `${13 * density}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText(`${before + 1 + after} pixels`, middle, middle - 10 * density);
    field.setAttribute("aria-label", `One label of ${name} sees ${before + 1 + after} by ${before + 1 + after} pixels.`);
  }

  /** The picture whole and in tiles, and where they differ. */
  private cut(): string {
    const full = grey(this.page.picture(this.values["picture"]!));
    const rows = Math.min(SIDE, full.rows - (full.rows % STRIDE)), columns = Math.min(SIDE, full.columns - (full.columns % STRIDE));
    const top = Math.floor((full.rows - rows) / 2), left = Math.floor((full.columns - columns) / 2);
    if (rows < STRIDE || columns < STRIDE) return (this.verdict.textContent = "The picture is too small; use one of at least 4 × 4 samples.");
    const x = cropped(full, top, left, top + rows, left + columns), tile = Number(this.values["tile"]), halo = Number(this.values["halo"]);
    const { out: whole, steps } = through(this.page, x), tiled = planes(1, rows, columns);
    for (let y = 0; y < rows; y += tile) for (let i = 0; i < columns; i += tile) this.label(x, tiled, y, i, tile, halo);
    const lost = difference(tiled, whole), worst = lost.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const wrong = lost.data.reduce((count, value) => count + (value ? 1 : 0), 0);
    this.code.show(...steps);
    this.whole.showBy("signed", whole);
    this.tiled.showBy("signed", tiled);
    this.seam.showBy("signed", lost);
    this.verdict.textContent = wrong
      ? `With a halo of ${halo}, ${wrong} of ${rows * columns} numbers differ, by up to ${short(worst)}. This network needs a halo of ${HALO}.`
      : `With a halo of ${halo}, every number is the same, bit for bit.`;
    return this.verdict.textContent;
  }

  /** One tile, read from a multiple of the stride on, so that pools take the same samples; what lies beyond its halo is black. */
  private label(x: Planes, out: Planes, top: number, left: number, tile: number, halo: number): void {
    const bottom = Math.min(top + tile, x.rows), right = Math.min(left + tile, x.columns), around = Math.ceil(halo / STRIDE) * STRIDE;
    const window = { top: Math.max(0, top - around), left: Math.max(0, left - around), bottom: Math.min(x.rows, bottom + around), right: Math.min(x.columns, right + around) };
    const read = cropped(x, window.top, window.left, window.bottom, window.right);
    for (let y = 0; y < read.rows; y++) {
      for (let i = 0; i < read.columns; i++) {
        const row = y + window.top, column = i + window.left;
        if (row < top - halo || column < left - halo || row >= bottom + halo || column >= right + halo) read.data[y * read.columns + i] = 0;
      }
    }
    const found = through(this.page, read).out;
    const part = cropped(found, top - window.top, left - window.left, bottom - window.top, right - window.left);
    for (let y = 0; y < part.rows; y++) out.data.set(part.data.subarray(y * part.columns, (y + 1) * part.columns), (top + y) * x.columns + left);
  }
}

function block(title: string, controls: Controls, parts: Node[]): HTMLElement {
  return make("section", "block", make("h2", "", title), make("div", "bench", make("div", "side", controls.root), make("div", "stage", ...parts)));
}

export const windows: Panel = {
  id: "windows",
  title: "Windows",
  open: (root, values, page) => void new Windows(root, values, page),
};
