// Panel 5: filters find features, and features survive the way down.
import type { Step } from "./code";
import { CodeView } from "./code_view";
import { Controls, type Values } from "./controls";
import { FILTERS, filterOf } from "./filters";
import { Refusal } from "./kernels";
import { run, type Arguments } from "./operators";
import { grey, make, type Page, type Panel } from "./panel";
import { short } from "./paint";
import { bordered, mapped, planes, type Planes } from "./planes";
import { Plot } from "./plot";

const DEFAULTS: Values = { picture: "house", size: "5", pool: "max", stride: "4", own: "" };
const FIXED = ["vertical", "horizontal", "circle"];

class Edges {
  private controls: Controls;
  private original = new Plot("picture");
  private rows = [...FIXED, "own"].map((name) => ({
    name,
    weights: new Plot("weights"),
    found: new Plot("found"),
    pooled: new Plot("pooled"),
    note: make("p", "hint"),
  }));
  private grid = make("div", "grid");
  private code = new CodeView("your own filter as Python");

  constructor(root: HTMLElement, private values: Values, private page: Page) {
    Object.assign(values, { ...DEFAULTS, ...values });
    const options = (...names: string[]) => names.map((value) => ({ value, label: value }));
    this.controls = new Controls(
      [
        { kind: "choice", name: "picture", label: "picture", options: page.pictureOptions },
        { kind: "choice", name: "size", label: "size of the filters", options: [3, 5, 7].map((n) => ({ value: String(n), label: `${n} × ${n}` })) },
        { kind: "choice", name: "pool", label: "pool", options: options("max", "avg", "blur") },
        { kind: "slider", name: "stride", label: "stride of the pool", low: 2, high: 8 },
      ],
      values,
      () => this.update(),
    );
    const side = make("div", "side", this.controls.root, make("h3", "own", "your own filter"), this.grid);
    const sections = this.rows.map(({ name, weights, found, pooled, note }) =>
      make("section", "block", make("h2", "", name === "own" ? "Your own" : FILTERS[name]!), make("div", "plots three", weights.root, found.root, pooled.root), note),
    );
    const text = make("p", "text", "A convolution answers where the picture looks like its filter. Pooling then keeps the strongest answers: at a quarter of the size, the features are still there. Answers below zero are cut off, as a network does.");
    root.append(make("div", "bench", side, make("div", "stage", text, make("div", "plots one", this.original.root), ...sections, this.code.root)));
    this.update();
  }

  /** The reader's weights, as the link keeps them; a filter against the diagonal where there are none of this size. */
  private own(size: number): Float32Array {
    const given = this.values["own"]!.split(",").map(Number);
    if (given.length === size * size && given.every(Number.isFinite)) return Float32Array.from(given);
    return Float32Array.from({ length: size * size }, (_, i) => Math.sign((i % size) - Math.floor(i / size)));
  }

  private showGrid(size: number): void {
    const weights = this.own(size);
    if (this.grid.children.length === size * size) return;
    this.grid.className = `grid grid-${size}`;
    this.grid.replaceChildren(
      ...[...weights].map((value, i) => {
        const input = make("input");
        input.type = "number";
        input.step = "any";
        input.value = String(value);
        input.setAttribute("aria-label", `weight in row ${Math.floor(i / size)}, column ${i % size}`);
        input.addEventListener("input", () => {
          this.values["own"] = [...this.grid.querySelectorAll("input")].map((one) => String(Number(one.value) || 0)).join(",");
          this.update();
        });
        return input;
      }),
    );
  }

  private update(): void {
    const size = this.controls.number("size"), stride = this.controls.number("stride");
    this.showGrid(size);
    this.page.save(this.values);
    const x = grey(this.page.picture(this.values["picture"]!));
    this.original.show(x);
    // Padding with zeros would find an edge all around the picture.
    const around = bordered(x, (size - 1) / 2);
    const told: string[] = [], [poolName, poolArgs] = this.poolCall(stride);
    for (const row of this.rows) {
      const weight = row.name === "own" ? this.own(size) : filterOf(row.name, size);
      row.weights.showBy("signed", planes(1, size, size, weight));
      try {
        const found = mapped(run(this.page.kernels, "conv2d", around, { kernel_size: size, weight }).out, (value) => Math.max(value, 0));
        const pooled = run(this.page.kernels, poolName, found, poolArgs).out;
        if (row.name === "own") this.showCode(around, found, size, stride);
        row.found.showBy("scaled", found);
        row.pooled.showBy("scaled", pooled);
        const most = pooled.data.reduce((a, b) => Math.max(a, b), 0), before = found.data.reduce((a, b) => Math.max(a, b), 0);
        row.note.textContent = `The strongest answer is ${short(before)} before and ${short(most)} after the pool, on ${short((100 * pooled.data.length) / found.data.length)}% of the samples.`;
        told.push(`${row.name} ${short(most)}`);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        row.note.textContent = error.message;
      }
    }
    this.page.say(`Strongest answers after the pool: ${told.join(", ")}.`);
  }

  private poolCall(stride: number): [string, Arguments] {
    if (this.values["pool"] === "blur") return ["blur_pool2d", { taps: 3, stride, edge: "reflect" }];
    const args: Arguments = { kernel_size: stride, stride, padding: "same" };
    return this.values["pool"] === "avg" ? ["avg_pool2d", { ...args, count_include_pad: true }] : ["max_pool2d", args];
  }

  private showCode(around: Planes, found: Planes, size: number, stride: number): void {
    const side = (size - 1) / 2, torch = "import torch.nn.functional as F\n\n", [name, args] = this.poolCall(stride);
    const pad = `${torch}y = F.pad(x, (${side}, ${side}, ${side}, ${side}), mode="replicate")`, cut = `${torch}y = F.relu(x)`;
    const steps: Step[] = [
      { what: "padding that repeats the edge", written: { downup: pad, PyTorch: pad } },
      { name: "conv2d", args: { kernel_size: size, weight: this.own(size) }, x: around },
      { what: "relu", written: { downup: cut, PyTorch: cut } },
      { name, args, x: found },
    ];
    this.code.show(...steps);
  }
}

export const edges: Panel = {
  id: "edges",
  title: "Edges",
  open: (root, values, page) => void new Edges(root, values, page),
};
