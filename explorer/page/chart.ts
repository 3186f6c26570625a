// A small line chart.
import { theme } from "./paint";

export interface Line {
  name: string;
  points: [number, number][];
}

const COLOURS = ["--source", "--target", "--accent", "--soft"];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const DRAWN = ["──", "╌╌", "┄┄", "─·"];

export class Chart {
  readonly root = document.createElement("figure");
  private canvas = document.createElement("canvas");
  private caption = document.createElement("figcaption");
  private legend = document.createElement("span");
  private lines: Line[] = [];

  constructor(private title: string, private labels: { x: string; y: string; most: number }) {
    this.root.className = "plot";
    this.canvas.className = "chart";
    this.canvas.setAttribute("role", "img");
    this.caption.className = "caption";
    this.root.append(this.caption, this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(lines: Line[], told: string): void {
    this.lines = lines;
    this.legend.className = "legend";
    this.caption.replaceChildren(this.title, this.legend);
    this.canvas.setAttribute("aria-label", `${this.title}. ${told}`);
    this.draw();
  }

  private draw(): void {
    const { canvas, labels } = this, width = canvas.clientWidth, height = canvas.clientHeight, density = devicePixelRatio;
    if (!width) return;
    canvas.width = width * density;
    canvas.height = height * density;
    const context = canvas.getContext("2d")!, left = 40, bottom = 34, right = 12, top = 14;
    context.scale(density, density);
    const place = (x: number, y: number) => [left + x * (width - left - right), height - bottom - (y / labels.most) * (height - bottom - top)] as const;
    context.font = "12px system-ui, sans-serif";
    context.strokeStyle = theme("--line");
    context.fillStyle = theme("--soft");
    for (let i = 0; i <= 4; i++) {
      const y = (labels.most * i) / 4, [, row] = place(0, y);
      context.beginPath();
      context.moveTo(left, row);
      context.lineTo(width - right, row);
      context.stroke();
      context.textAlign = "right";
      context.fillText(String(Math.round(y * 100) / 100), left - 6, row + 4);
    }
    context.textAlign = "center";
    for (const [share, text] of [[0, "0"], [0.5, "0.25"], [1, "0.5"]] as const) context.fillText(text, place(share, 0)[0], height - bottom + 14);
    context.fillText(labels.x, left + (width - left - right) / 2, height - 5);
    this.legend.replaceChildren();
    this.lines.forEach((line, i) => {
      const colour = theme(COLOURS[i % COLOURS.length]!), entry = document.createElement("span");
      entry.textContent = line.name;
      entry.style.color = colour;
      entry.dataset["dash"] = DRAWN[i % DRAWN.length]!;
      this.legend.append(entry);
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.setLineDash(DASHES[i % DASHES.length]!);
      context.beginPath();
      line.points.forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](...place(x, Math.min(y, labels.most))));
      context.stroke();
    });
    context.setLineDash([]);
  }
}
