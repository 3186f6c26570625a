// Panel 6: the reader's own network, where `downup explore RUN` serves one.
import { CodeView } from "./code_view";
import type { Values } from "./controls";
import { make, type Page, type Panel } from "./panel";
import { short } from "./paint";

interface About {
  name: string;
  classes: { name: string; color: [number, number, number] }[];
  /** How far a label sees, and how windows with the bits of the whole picture lie; or why there are none. */
  windows: { sees: number; stride: number; halo: number } | { refused: string };
  scores: { confusion: number[][]; mean_iou: number; classes: string[] } | null;
}

interface Labelled {
  rows: number;
  columns: number;
  overlay: string;
  shares: number[];
  steps: { name: string; operators: string; algorithm: string; ms: number; writes: number[][]; multiply_adds: number }[];
  step_size: [number, number];
  maps: { name: string; shape: number[]; maps: string[] }[];
}

let about: About | null = null;
let opened: OwnNetwork | null = null;
let last: { name: string; found: Labelled } | null = null;

/** What the server knows of a network; none where the page is a folder of files. */
export async function findNetwork(): Promise<boolean> {
  // A page that no `downup explore RUN` serves does not ask.
  if (!document.documentElement.hasAttribute("data-network")) return false;
  const answer = await fetch("network.json");
  about = answer.ok ? ((await answer.json()) as About) : null;
  return about !== null;
}

function windowsTold(windows: About["windows"]): string {
  if ("refused" in windows) return `It labels a picture whole: ${windows.refused}.`;
  const { sees, stride, halo } = windows;
  const why = halo > sees ? " More than it sees, because the engine computes convolutions in tiles, and a sample's last bits depend on its place in a tile." : "";
  return `A label sees ${sees} pixels around its own. Windows of a larger picture begin at multiples of ${stride} and read ${halo} pixels around what they keep: then their labels are those of the whole picture, bit for bit.${why}`;
}

function table(head: string[], rows: string[][]): HTMLElement {
  const lines = rows.map((row) => make("tr", "", ...row.map((cell) => make("td", "", cell))));
  return make("div", "scroll", make("table", "", make("tr", "", ...head.map((cell) => make("th", "", cell))), ...lines));
}

function picture(source: string, label: string, className = ""): HTMLImageElement {
  const image = make("img", className);
  image.src = source;
  image.alt = label;
  return image;
}

class OwnNetwork {
  private results = make("div");
  private message = make("p", "message");

  constructor(private root: HTMLElement, private page: Page) {
    const known = about!;
    const chooser = make("input");
    chooser.type = "file";
    chooser.accept = "image/*,.tif,.tiff";
    chooser.addEventListener("change", () => chooser.files?.[0] && void this.send(chooser.files[0]));
    const drop = make("label", "file", "label a picture", chooser);
    const classes = known.classes.map(({ name }, i) => make("li", "", this.swatch(i), name));
    this.root.append(
      make("h2", "", known.name),
      make("p", "text", `Labels ${known.classes.length} classes. ${windowsTold(known.windows)}`),
      make("ul", "classes", ...classes),
      make("p", "", drop),
      this.message,
      this.results,
    );
    if (known.scores) this.root.append(this.confusion(known.scores));
    const code = new CodeView(), call = `import downup\n\nsession = downup.load(${JSON.stringify(known.name)})\ny = session.run(x)  # scores; session.labels takes a picture as it is`;
    code.show({ what: "part in this: the engine runs the network's ONNX file", written: { downup: call } });
    this.root.append(make("div", "block", code.root));
    if (last) this.show(last.name, last.found);
  }

  private swatch(index: number): HTMLElement {
    const canvas = make("canvas", "swatch"), context = canvas.getContext("2d")!;
    canvas.width = canvas.height = 1;
    context.fillStyle = `rgb(${about!.classes[index]!.color.join(", ")})`;
    context.fillRect(0, 0, 1, 1);
    return canvas;
  }

  private confusion(scores: NonNullable<About["scores"]>): HTMLElement {
    const rows = scores.confusion.map((row, i) => {
      const total = row.reduce((a, b) => a + b, 0);
      return [scores.classes[i] ?? String(i), ...row.map((count) => (total ? `${short((100 * count) / total)}%` : "–"))];
    });
    return make("section", "block", make("h2", "", "Confusion matrix"), make("p", "text", `Of the pixels of each class (rows), how many were given each label (columns), on the run's validation pictures. Mean IoU ${short(scores.mean_iou)}.`), table(["", ...scores.classes], rows));
  }

  async send(file: File): Promise<void> {
    this.message.textContent = `${file.name} is being labelled.`;
    this.page.say(this.message.textContent);
    try {
      const answer = await fetch("label", { method: "POST", body: file });
      if (!answer.ok) throw new Error(await answer.text());
      const found = (await answer.json()) as Labelled;
      last = { name: file.name, found };
      this.message.textContent = "";
      this.show(file.name, found);
      this.page.say(`${file.name} is labelled.`);
    } catch (error) {
      this.message.textContent = `${file.name} could not be labelled: ${error instanceof Error ? error.message : String(error)}`;
      this.page.say(this.message.textContent);
    }
  }

  private show(name: string, found: Labelled): void {
    const shares = about!.classes.map(({ name: label }, i) => [label, `${short(100 * found.shares[i]!)}%`]);
    const layers = found.maps.map(({ name: title, shape, maps }) =>
      make("figure", "layer", make("figcaption", "caption", `${title}: ${shape.join(" × ")}`), make("div", "maps", ...maps.map((source, i) => picture(source, `${title}, channel ${i}`)))),
    );
    const total = found.steps.reduce((sum, step) => sum + step.ms, 0);
    const steps = found.steps.map((step) => [step.operators, step.algorithm, step.writes.map((shape) => shape.slice(shape.length > 3 ? 1 : 0).join(" × ")).join("; "), short(step.multiply_adds / 1e6), step.ms.toFixed(2)]);
    this.results.replaceChildren(
      make("section", "block", make("h2", "", name), picture(found.overlay, `${name}, its labels laid over it`, "overlay"), table(["class", "of the picture"], shares)),
      make("section", "block", make("h2", "", "Layers"), make("p", "text", "The first channels of each layer, from its smallest number (black) to its largest (white)."), ...layers),
      make("section", "block", make("h2", "", "Steps"), make("p", "text", `What the engine does for ${found.step_size.join(" × ")} pixels, in ${total.toFixed(1)} ms.`), table(["operators", "how", "writes", "million multiply-adds", "ms"], steps)),
    );
  }
}

export const network: Panel = {
  id: "network",
  title: "Your network",
  open: (root: HTMLElement, _values: Values, page: Page) => {
    page.save({});
    opened = new OwnNetwork(root, page);
  },
  take: (file: File) => void opened?.send(file),
};
