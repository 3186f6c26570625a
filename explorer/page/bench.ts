// Panel 1: any operator on any picture, down to the samples and weights behind each number.
import { argumentsOf, DEFAULTS, fieldsOf, MEANINGS } from "./bench_fields";
import { CodeView } from "./code_view";
import { Controls, type Values } from "./controls";
import { equations, ruleOf, shapes } from "./equation";
import { Refusal, type Window } from "./kernels";
import { run, type Arguments, type Result } from "./operators";
import { button, grey, make, type Page, type Panel } from "./panel";
import { short } from "./paint";
import { at, type Planes } from "./planes";
import { blockTiling, plainTiling, Plot, type Lights, type Place } from "./plot";
import { sourcesOf, targetsOf, type Link } from "./stages";

const FRAME_MS = 350;

/** The samples of a window over the input: where its first tap lies, and how far it spans. */
function frameOf(window: Window, row: number, column: number): NonNullable<Lights["frame"]> {
  const span = (i: 0 | 1) => window.dilation[i] * (window.size[i] - 1) + 1;
  return { row: row * window.stride[0] - window.before[0], column: column * window.stride[1] - window.before[1], rows: span(0), columns: span(1) };
}

class Bench {
  private controls: Controls;
  private about = make("p", "text", "A network makes pictures smaller on the way down, to see far, and larger again on the way up, to label each pixel. Choose one of its operators, and point at the pictures.");
  private message = make("p", "message");
  private meaning = make("p", "meaning");
  private rule = make("p", "rule");
  private sizes = make("div", "sizes");
  private hint = make("p", "hint");
  private input = new Plot("input", { hover: (place) => this.hoverInput(place), pick: (place) => this.pickInput(place) });
  private output = new Plot("output", { hover: (place) => this.hoverOutput(place), pick: (place) => this.pickOutput(place) });
  private code = new CodeView();
  private play = button("▶ play the window", () => this.toggle(), "play");
  private shown: { x: Planes; result: Result; args: Arguments } | null = null;
  private pinned: (() => void) | null = null;
  private timer = 0;

  constructor(root: HTMLElement, values: Values, private page: Page) {
    Object.assign(values, { ...DEFAULTS, ...values });
    this.controls = new Controls(fieldsOf(page.pictureOptions), values, () => this.update());
    const pair = make("div", "pair", this.input.root, make("div", "arrow", "→"), this.output.root);
    const side = make("div", "side", this.controls.root, this.play);
    this.hint.textContent = "Point at an output sample to see what it is made of, or at an input sample to see where its gradient comes from; a click keeps it lit. Zoom in to read the numbers.";
    root.append(make("div", "bench", side, make("div", "stage", this.about, this.meaning, this.message, pair, this.hint, this.rule, this.sizes, this.code.root)));
    this.update();
  }

  private get name(): string {
    return this.controls.values["operator"]!;
  }

  /** The picture, or what the operator takes of it: pooled, or unshuffled. */
  private prepared(args: Arguments): { x: Planes; args: Arguments; code: Planes } {
    const values = this.controls.values, chosen = this.page.picture(values["picture"]!), { kernels } = this.page;
    const picture = this.controls.is("colour") ? chosen : grey(chosen);
    if (this.name === "pixel_shuffle") {
      const x = run(kernels, "pixel_unshuffle", picture, args).out;
      return { x, args, code: x };
    }
    if (this.name !== "max_unpool2d") return { x: picture, args, code: picture };
    const pooled = run(kernels, "max_pool2d", picture, args);
    return { x: pooled.out, args: { ...args, indices: pooled.positions, output_size: [picture.rows, picture.columns] }, code: picture };
  }

  update(): void {
    this.stop();
    const { values } = this.controls;
    this.page.save(values);
    this.meaning.textContent = MEANINGS[this.name] ?? "";
    this.message.textContent = "";
    this.pinned = null;
    const args = argumentsOf(values);
    try {
      const { x, args: full, code } = this.prepared(args);
      const result = run(this.page.kernels, this.name, x, full);
      const before = this.shown;
      this.shown = { x, result, args };
      this.draw(args, code);
      if (before && before.result.out !== before.x) this.page.kernels.reuse(before.result.out);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.message.textContent = error.message;
      this.page.say(error.message);
    }
  }

  private draw(args: Arguments, code: Planes): void {
    const { x, result } = this.shown!, { window } = result;
    const blocks = (channels: number) => blockTiling(args.factor ?? 1, channels, args.order ?? "CRD");
    const isBlock = (y: Planes, other: Planes) => (y.channels === other.channels ? plainTiling(y.channels) : blocks(other.channels));
    const isPadded = window && !window.adaptive && this.name !== "conv_transpose2d" && this.name !== "max_unpool2d";
    const around: [number, number, number, number] = isPadded ? [window.before[0], window.after[1], window.after[0], window.before[1]] : [0, 0, 0, 0];
    const isShuffle = this.name === "pixel_shuffle", isUnshuffle = this.name === "pixel_unshuffle";
    this.input.rename(this.name === "max_unpool2d" ? "input (the pooled picture)" : isShuffle ? "input (the unshuffled picture)" : "input");
    this.input.show(x, isShuffle ? isBlock(x, result.out) : plainTiling(x.channels), this.name === "resize_conv2d" ? [0, 0, 0, 0] : around);
    this.output.show(result.out, isUnshuffle ? isBlock(result.out, x) : plainTiling(result.out.channels));
    const rule = ruleOf(this.name);
    this.rule.textContent = rule && `size = ${rule}`;
    const before = shapes(x), after = shapes(result.out);
    this.sizes.replaceChildren(
      ...equations(this.name, x, args, result).map((line) => make("code", "equation", line)),
      make("p", "shapes", make("span", "", "PyTorch, channels first: "), make("code", "", `${before.first} → ${after.first}`)),
      make("p", "shapes", make("span", "", "Keras, channels last: "), make("code", "", `${before.last} → ${after.last}`)),
    );
    this.code.show({ name: this.name, args, x: code });
    this.page.say(`${this.name}: ${x.rows} by ${x.columns} samples become ${result.out.rows} by ${result.out.columns}.`);
  }

  // ------------------------------------------------------------ what comes from where

  private lightSources(place: Place): void {
    const { result, x } = this.shown!, links = sourcesOf(result.stages, place.channel, place.row, place.column);
    const isSliding = result.window && !result.window.adaptive && this.name !== "conv_transpose2d" && this.name !== "max_unpool2d" && this.name !== "resize_conv2d";
    const frame = isSliding ? frameOf(result.window!, place.row, place.column) : undefined;
    this.output.light({ links: [], kind: "source", cursor: place });
    this.input.light({ links, kind: "source", frame });
    this.tell(`output (${place.row}, ${place.column}) = ${short(at(result.out, place.channel, place.row, place.column))}: ${told(links, x)}`);
  }

  private lightTargets(place: Place): void {
    const { result, x } = this.shown!, links = targetsOf(result.stages, place.channel, place.row, place.column);
    this.input.light({ links: [], kind: "target", cursor: place });
    this.output.light({ links, kind: "target" });
    const count = links.length === 1 ? "one output sample" : `${links.length} output samples`;
    const end = links.length ? `its gradient comes from ${count}, ${weights(links)}` : "no output depends on it: its gradient is 0";
    this.tell(`input (${place.row}, ${place.column}) = ${short(at(x, place.channel, place.row, place.column))}: ${end}.`);
  }

  private tell(text: string): void {
    this.hint.textContent = text;
    this.page.say(text);
  }

  private hoverOutput(place: Place | null): void {
    if (!this.shown || this.timer) return;
    if (place) this.lightSources(place);
    else this.darken();
  }

  private hoverInput(place: Place | null): void {
    if (!this.shown || this.timer) return;
    if (place) this.lightTargets(place);
    else this.darken();
  }

  private darken(): void {
    this.input.light();
    this.output.light();
    this.pinned?.();
  }

  private pickInput(place: Place): void {
    if (this.controls.is("draw") && this.name !== "max_unpool2d" && this.name !== "pixel_shuffle") return this.paint(place);
    this.pinned = () => this.lightTargets(place);
  }

  /** One sample of the input brought to the chosen level; the drawing is then the reader's own picture. */
  private paint(place: Place): void {
    const { x } = this.shown!, data = x.data.slice(), plane = x.rows * x.columns;
    for (let c = 0; c < x.channels; c++) data[c * plane + place.row * x.columns + place.column] = this.controls.number("level");
    this.page.drawn({ ...x, data });
    this.controls.set("picture", "own");
    this.update();
    this.lightTargets(place);
  }

  private pickOutput(place: Place): void {
    this.pinned = () => this.lightSources(place);
  }

  // ------------------------------------------------------------ the window moves

  private toggle(): void {
    if (this.timer) return this.stop();
    if (!this.shown) return;
    const { out } = this.shown.result;
    let i = 0;
    this.play.textContent = "■ stop";
    const next = () => {
      if (!this.shown || i >= out.rows * out.columns) return this.stop();
      this.lightSources({ channel: 0, row: Math.floor(i / out.columns), column: i % out.columns });
      i++;
    };
    next();
    this.timer = window.setInterval(next, FRAME_MS);
  }

  private stop(): void {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "▶ play the window";
  }
}

function weights(links: Link[]): string {
  const found = links.map((link) => link.weight), low = Math.min(...found), high = Math.max(...found);
  return high - low < 1e-9 ? `with weight ${short(high)}` : `with weights from ${short(low)} to ${short(high)}`;
}

function told(links: Link[], x: Planes): string {
  if (!links.length) return "it comes from no input sample.";
  if (links.length === 1) {
    const link = links[0]!;
    return `from input (${link.row}, ${link.column}) = ${short(at(x, link.channel, link.row, link.column))}, ${weights(links)}.`;
  }
  return `from ${links.length} input samples ${weights(links)}.`;
}

export const bench: Panel = {
  id: "bench",
  title: "Operator bench",
  open: (root, values, page) => void new Bench(root, values, page),
};
