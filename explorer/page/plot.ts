// A picture on the screen: zoomed to its numbers, pointed at by mouse, finger or keys, with samples lit up.
import { drawLights, drawNumbers, rangeOf, theme, Tile, type Range, type Scale } from "./paint";
import { planes, type Planes } from "./planes";
import type { Link } from "./stages";

/** Channels as tiles of one or three colours, side * side of them. */
export interface Tiling {
  side: number;
  colours: 1 | 3;
  channel(tile: number, colour: number): number;
}

export function plainTiling(channels: number): Tiling {
  return { side: 1, colours: channels === 3 ? 3 : 1, channel: (_tile, colour) => colour };
}

/** Blocks of factor * factor channels as tiles, each of one or three colours. */
export function blockTiling(factor: number, channels: number, order: "CRD" | "DCR"): Tiling {
  const colours = channels === 3 ? 3 : 1;
  return {
    side: factor,
    colours,
    channel: (tile, colour) => (order === "CRD" ? colour * factor * factor + tile : tile * channels + colour),
  };
}

export interface Place {
  channel: number;
  row: number;
  column: number;
}

export interface Lights {
  links: Link[];
  kind: "source" | "target";
  cursor?: Place;
  /** The window over the input, in samples: also where it reaches beyond the picture. */
  frame?: { row: number; column: number; rows: number; columns: number };
}

export interface PlotEvents {
  hover?(place: Place | null): void;
  pick?(place: Place): void;
}

const GAP = 1; // between tiles, in samples
const NUMBERS_FROM = 30; // pixels of the screen that a sample must have to show its number

function element<K extends keyof HTMLElementTagNameMap>(name: K, className: string, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Plot {
  readonly root = element("figure", "plot");
  readonly canvas = element("canvas", "picture");
  private caption = element("figcaption", "caption");
  private title = element("span", "title");
  private size = element("span", "size");
  private picture: Planes = planes(1, 1, 1);
  private tiling: Tiling = plainTiling(1);
  private margin: [number, number, number, number] = [0, 0, 0, 0]; // top, right, bottom, left
  private lights: Lights[] = [];
  private zoom = 1;
  private centre = { x: 0.5, y: 0.5 };
  private cursor: Place | null = null;
  private tiles: Tile[] = [];
  private scale: Scale = "levels";
  private range: Range = { low: 0, high: 255, isSigned: false };
  private drag: { x: number; y: number; moved: boolean } | null = null;
  private isWaiting = false;
  private isStale = true; // whether the tiles are of another picture

  constructor(private name: string, private events: PlotEvents = {}) {
    this.title.textContent = name;
    this.caption.append(this.title, this.size, ...(events.hover ? [this.buttons()] : []));
    this.root.append(this.caption, this.canvas);
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  private buttons(): HTMLElement {
    const group = element("span", "zoom");
    const add = (text: string, label: string, action: () => void) => {
      const button = element("button", "small", text);
      button.type = "button";
      button.setAttribute("aria-label", `${label}: ${this.name}`);
      button.addEventListener("click", action);
      group.append(button);
    };
    add("−", "Smaller", () => this.zoomBy(1 / 1.5));
    add("+", "Larger", () => this.zoomBy(1.5));
    add("fit", "Whole picture", () => this.reset());
    return group;
  }

  show(picture: Planes, tiling: Tiling = plainTiling(picture.channels), margin: [number, number, number, number] = [0, 0, 0, 0], scale: Scale = "levels"): void {
    const isSame = picture.rows === this.picture.rows && picture.columns === this.picture.columns;
    const isPainted = picture === this.picture && tiling.side === 1 && this.tiling.side === 1 && scale === this.scale;
    this.picture = picture;
    this.tiling = tiling;
    this.margin = margin;
    this.scale = scale;
    this.lights = [];
    if (!isSame) this.reset();
    this.size.textContent = `${picture.rows} × ${picture.columns}${picture.channels > 3 ? ` × ${picture.channels} channels` : ""}`;
    const help = this.events.hover ? " Arrow keys move from sample to sample." : "";
    this.canvas.setAttribute("aria-label", `${this.title.textContent}: ${picture.rows} rows, ${picture.columns} columns.${help}`);
    this.isStale ||= !isPainted;
    this.draw();
  }

  /** One channel or three, by another scale than that of a picture's levels. */
  showBy(scale: Scale, picture: Planes): void {
    this.show(picture, undefined, undefined, scale);
  }

  rename(title: string): void {
    this.title.textContent = title;
  }

  light(...lights: Lights[]): void {
    this.lights = lights;
    this.draw();
  }

  /** step: samples a side that one pixel shows. */
  private paint(step: number): void {
    if (!this.isStale && this.tiles[0]?.step === step) return;
    const { side, colours, channel } = this.tiling;
    if (this.isStale) this.range = rangeOf(this.picture, this.scale);
    this.tiles = Array.from({ length: side * side }, (_, i) => {
      const old = this.tiles[i], tile = old?.fits(this.picture, step) ? old : new Tile(this.picture.rows, this.picture.columns, step);
      tile.paint(this.picture, Array.from({ length: colours }, (_, colour) => channel(i, colour)), this.range);
      return tile;
    });
    this.isStale = false;
  }

  // ------------------------------------------------------------ where things are

  private get grid() {
    const { side } = this.tiling, [top, right, bottom, left] = this.margin;
    return {
      rows: side * (this.picture.rows + GAP) - GAP + top + bottom,
      columns: side * (this.picture.columns + GAP) - GAP + left + right,
    };
  }

  /** Screen pixels of a sample, and where sample (0, 0) of the first tile begins. */
  private get frame() {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight, { rows, columns } = this.grid;
    const scale = Math.min(width / columns, height / rows) * this.zoom;
    const x = width / 2 - this.centre.x * columns * scale + this.margin[3] * scale;
    const y = height / 2 - this.centre.y * rows * scale + this.margin[0] * scale;
    return { scale, x, y };
  }

  private reset(): void {
    this.zoom = 1;
    this.centre = { x: 0.5, y: 0.5 };
    this.canvas.classList.remove("zoomed");
    this.draw();
  }

  private zoomBy(factor: number, around = this.centre): void {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), 512);
    const share = this.zoom / zoom;
    this.centre = { x: around.x + (this.centre.x - around.x) * share, y: around.y + (this.centre.y - around.y) * share };
    this.zoom = zoom;
    this.canvas.classList.toggle("zoomed", zoom > 1);
    this.draw();
  }

  private placeAt(event: PointerEvent | WheelEvent): Place | null {
    const box = this.canvas.getBoundingClientRect(), { scale, x, y } = this.frame;
    const { rows, columns } = this.picture, { side } = this.tiling;
    const column = Math.floor((event.clientX - box.left - x) / scale), row = Math.floor((event.clientY - box.top - y) / scale);
    const down = Math.floor(row / (rows + GAP)), across = Math.floor(column / (columns + GAP));
    const inner = { row: row - down * (rows + GAP), column: column - across * (columns + GAP) };
    if (row < 0 || column < 0 || down >= side || across >= side || inner.row >= rows || inner.column >= columns) return null;
    return { channel: this.tiling.channel(down * side + across, 0), ...inner };
  }

  /** The tile that shows a channel. */
  private tileOf(channel: number): number {
    const { side, colours } = this.tiling;
    for (let tile = 0; tile < side * side; tile++) {
      for (let colour = 0; colour < colours; colour++) if (this.tiling.channel(tile, colour) === channel) return tile;
    }
    return 0;
  }

  // ------------------------------------------------------------ pointing

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerdown", (event) => {
      this.drag = { x: event.clientX, y: event.clientY, moved: false };
    });
    canvas.addEventListener("pointerup", (event) => {
      const place = this.placeAt(event);
      if (place && !this.drag?.moved) this.picked(place);
      this.drag = null;
    });
    canvas.addEventListener("pointerleave", () => {
      this.drag = null;
      this.events.hover?.(null);
    });
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      const box = canvas.getBoundingClientRect(), { scale, x, y } = this.frame, { rows, columns } = this.grid;
      const around = {
        x: ((event.clientX - box.left - x) / scale + this.margin[3]) / columns,
        y: ((event.clientY - box.top - y) / scale + this.margin[0]) / rows,
      };
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, around);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  private moved(event: PointerEvent): void {
    const { drag } = this;
    if (drag && this.zoom > 1 && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 3) {
      const { scale } = this.frame, { rows, columns } = this.grid;
      this.centre = { x: this.centre.x - (event.clientX - drag.x) / scale / columns, y: this.centre.y - (event.clientY - drag.y) / scale / rows };
      this.drag = { x: event.clientX, y: event.clientY, moved: true };
      this.draw();
      return;
    }
    this.cursor = this.placeAt(event);
    this.events.hover?.(this.cursor);
  }

  private picked(place: Place): void {
    this.cursor = place;
    this.events.hover?.(place);
    this.events.pick?.(place);
  }

  private pressed(event: KeyboardEvent): void {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (event.key === "Enter" && this.cursor) this.picked(this.cursor);
    else if (step) this.step(step[0]!, step[1]!);
    else return;
    event.preventDefault();
  }

  private step(down: number, across: number): void {
    const from = this.cursor ?? { channel: this.tiling.channel(0, 0), row: -down, column: -across };
    const row = Math.min(Math.max(from.row + down, 0), this.picture.rows - 1);
    const column = Math.min(Math.max(from.column + across, 0), this.picture.columns - 1);
    this.cursor = { channel: from.channel, row, column };
    this.events.hover?.(this.cursor);
  }

  // ------------------------------------------------------------ drawing

  draw(): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const { canvas } = this, density = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    const wide = Math.round(width * density), high = Math.round(height * density);
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext("2d")!, { scale, x, y } = this.frame, { rows, columns } = this.picture, { side } = this.tiling;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = scale < 1;
    this.drawMargin(context, scale, x, y);
    this.paint(2 ** Math.max(0, Math.floor(-Math.log2(scale * density))));
    this.tiles.forEach(({ canvas: painted, step }, tile) => {
      const left = x + (tile % side) * (columns + GAP) * scale, top = y + Math.floor(tile / side) * (rows + GAP) * scale;
      context.drawImage(painted, left, top, painted.width * step * scale, painted.height * step * scale);
      if (scale >= NUMBERS_FROM) {
        const channels = Array.from({ length: this.tiling.colours }, (_, colour) => this.tiling.channel(tile, colour));
        drawNumbers(context, this.picture, channels, { scale, left, top, width, height }, this.range);
      }
    });
    const origin = (channel: number) => {
      const tile = this.tileOf(channel);
      return { left: x + (tile % side) * (columns + GAP) * scale, top: y + Math.floor(tile / side) * (rows + GAP) * scale };
    };
    for (const lights of this.lights) drawLights(context, lights, scale, origin);
  }

  private drawMargin(context: CanvasRenderingContext2D, scale: number, x: number, y: number): void {
    const [top, right, bottom, left] = this.margin;
    if (!(top + right + bottom + left)) return;
    context.fillStyle = theme("--padding");
    context.fillRect(x - left * scale, y - top * scale, (this.picture.columns + left + right) * scale, (this.picture.rows + top + bottom) * scale);
  }
}
