// Colours of numbers, and what is drawn over a picture.
import { at, type Planes } from "./planes";
import type { Lights, Place } from "./plot";

/** How numbers become brightness: from 0 to 255, or about zero where there are negative ones. */
export interface Range {
  low: number;
  high: number;
  isSigned: boolean;
}

export function theme(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** "levels" of a picture, from 0 to 255 where that holds them; "signed" about zero; "scaled" from zero to the largest. */
export type Scale = "levels" | "signed" | "scaled";

export function rangeOf(x: Planes, scale: Scale): Range {
  let low = Infinity, high = -Infinity;
  const { data } = x;
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const largest = Math.max(-low, high, 1e-6);
  // What a bicubic interpolation overshoots stays within black and white.
  if (scale === "signed" || low < -0.3 * Math.abs(high)) return { low: -largest, high: largest, isSigned: true };
  return { low: 0, high: scale === "levels" && high <= 350 ? 255 : Math.max(high, 1e-6), isSigned: false };
}

const COOL = [36, 99, 201], WARM = [217, 95, 14], MIDDLE = 245;

/** Bytes of a pixel, red first, as one number. */
const OPAQUE = 0xff000000;

function level(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : (value + 0.5) | 0;
}

function paintGrey(from: Float32Array, pixels: Uint32Array, { low, high }: Range): void {
  const scale = 255 / (high - low);
  for (let i = 0; i < pixels.length; i++) pixels[i] = OPAQUE | (level((from[i]! - low) * scale) * 0x010101);
}

function paintColours(red: Float32Array, green: Float32Array, blue: Float32Array, pixels: Uint32Array, { low, high }: Range): void {
  const scale = 255 / (high - low);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = OPAQUE | (level((blue[i]! - low) * scale) << 16) | (level((green[i]! - low) * scale) << 8) | level((red[i]! - low) * scale);
  }
}

function paintSigned(from: Float32Array, pixels: Uint32Array, most: number): void {
  const mixed = (colour: number[], share: number, c: number) => level(MIDDLE + (colour[c]! - MIDDLE) * share) << (8 * c);
  for (let i = 0; i < pixels.length; i++) {
    const value = from[i]!, share = Math.min(Math.abs(value) / most, 1), colour = value < 0 ? COOL : WARM;
    pixels[i] = OPAQUE | mixed(colour, share, 2) | mixed(colour, share, 1) | mixed(colour, share, 0);
  }
}

/** Means of 2 * 2 samples; the last row or column of an odd number is taken twice. */
function halve(from: Float32Array, rows: number, columns: number, to: Float32Array): void {
  let place = 0;
  for (let y = 0; y < rows; y += 2) {
    const top = y * columns, below = y + 1 < rows ? top + columns : top, last = columns - 1;
    for (let i = 0; i < last; i += 2) to[place++] = 0.25 * (from[top + i]! + from[top + i + 1]! + from[below + i]! + from[below + i + 1]!);
    if (columns % 2) to[place++] = 0.5 * (from[top + last]! + from[below + last]!);
  }
}

/** What a tile is painted on, kept for the next picture of its size: fresh memory takes longer than the painting. */
export class Tile {
  readonly canvas: OffscreenCanvas;
  private context: OffscreenCanvasRenderingContext2D;
  private image: ImageData;
  private small = new Map<string, Float32Array>();

  /** step: so many samples a side become one pixel, for a picture larger than the screen's; a power of two. */
  constructor(readonly rows: number, readonly columns: number, readonly step: number) {
    this.canvas = new OffscreenCanvas(Math.ceil(columns / step), Math.ceil(rows / step));
    this.context = this.canvas.getContext("2d")!;
    this.image = new ImageData(this.canvas.width, this.canvas.height);
  }

  fits(x: Planes, step: number): boolean {
    return this.rows === x.rows && this.columns === x.columns && this.step === step;
  }

  private shown(x: Planes, channel: number, colour: number): Float32Array {
    const plane = x.rows * x.columns;
    let from = x.data.subarray(channel * plane, (channel + 1) * plane), { rows, columns } = x;
    for (let step = 2; step <= this.step; step *= 2) {
      const down = Math.ceil(rows / 2), across = Math.ceil(columns / 2), key = `${colour} ${step}`;
      if (!this.small.has(key)) this.small.set(key, new Float32Array(down * across));
      const to = this.small.get(key)!;
      halve(from, rows, columns, to);
      [from, rows, columns] = [to, down, across];
    }
    return from;
  }

  /** One channel in grey (below zero blue, above orange), or three as colours. */
  paint(x: Planes, channels: number[], range: Range): void {
    const pixels = new Uint32Array(this.image.data.buffer), [first, ...rest] = channels.map((channel, i) => this.shown(x, channel, i));
    if (rest.length) paintColours(first!, rest[0]!, rest[1]!, pixels, range);
    else if (range.isSigned) paintSigned(first!, pixels, range.high);
    else paintGrey(first!, pixels, range);
    this.context.putImageData(this.image, 0, 0);
  }
}

/** A number in few characters. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const text = Number.isInteger(value) ? String(value) : Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace("-", "−");
}

/** Whether a sample is painted so dark that its number must be white. */
function isDark(x: Planes, channels: number[], row: number, column: number, range: Range): boolean {
  const values = channels.map((channel) => at(x, channel, row, column));
  if (range.isSigned && channels.length === 1) return Math.abs(values[0]!) > 0.55 * range.high;
  const shares = values.map((value) => (value - range.low) / (range.high - range.low));
  const [red, green, blue] = shares.length === 3 ? shares : [shares[0]!, shares[0]!, shares[0]!];
  return 0.299 * red! + 0.587 * green! + 0.114 * blue! < 0.5;
}

export function drawNumbers(
  context: CanvasRenderingContext2D,
  x: Planes,
  channels: number[],
  place: { scale: number; left: number; top: number; width: number; height: number },
  range: Range,
): void {
  const { scale, left, top, width, height } = place, size = Math.min(scale / 3.7, 15); // "−0.06" fits
  context.font = `${size}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const first = { row: Math.max(0, Math.floor(-top / scale)), column: Math.max(0, Math.floor(-left / scale)) };
  const last = { row: Math.min(x.rows, Math.ceil((height - top) / scale)), column: Math.min(x.columns, Math.ceil((width - left) / scale)) };
  for (let row = first.row; row < last.row; row++) {
    for (let column = first.column; column < last.column; column++) {
      channels.forEach((channel, line) => {
        const text = short(at(x, channel, row, column));
        const centre = top + (row + 0.5) * scale + (line - (channels.length - 1) / 2) * size * 0.95;
        context.fillStyle = isDark(x, channels, row, column, range) ? "#fff" : "#111";
        context.fillText(text, left + (column + 0.5) * scale, centre);
      });
    }
  }
}

export function drawLights(
  context: CanvasRenderingContext2D,
  lights: Lights,
  scale: number,
  origin: (channel: number) => { left: number; top: number },
): void {
  const colour = theme(lights.kind === "source" ? "--source" : "--target"), line = Math.max(1.5, Math.min(3, scale / 8));
  const most = Math.max(...lights.links.map((link) => Math.abs(link.weight)), 1e-12);
  const box = (place: Place, inset: number) => {
    const { left, top } = origin(place.channel);
    return [left + place.column * scale + inset, top + place.row * scale + inset, Math.max(scale - 2 * inset, 1), Math.max(scale - 2 * inset, 1)] as const;
  };
  for (const link of lights.links) {
    context.globalAlpha = 0.1 + 0.35 * (Math.abs(link.weight) / most);
    context.fillStyle = colour;
    context.fillRect(...box(link, 0));
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = line;
    if (scale >= 6) context.strokeRect(...box(link, line / 2));
    if (scale >= 50 && lights.links.length > 1) {
      const { left, top } = origin(link.channel);
      context.font = `600 ${Math.min(scale / 5, 11)}px system-ui, sans-serif`;
      context.textAlign = "left";
      context.textBaseline = "top";
      const text = `×${short(link.weight)}`, x = left + link.column * scale + line, y = top + link.row * scale + line;
      context.fillStyle = colour;
      context.fillRect(x, y, context.measureText(text).width + 5, Math.min(scale / 5, 11) + 4);
      context.fillStyle = theme("--card");
      context.fillText(text, x + 2, y + 2);
    }
  }
  if (lights.frame) {
    const { row, column, rows, columns } = lights.frame, { left, top } = origin(lights.links[0]?.channel ?? 0);
    context.strokeStyle = colour;
    context.lineWidth = line + 1;
    context.setLineDash([6, 4]);
    context.strokeRect(left + column * scale, top + row * scale, columns * scale, rows * scale);
    context.setLineDash([]);
  }
  if (lights.cursor) {
    context.strokeStyle = theme("--cursor");
    context.lineWidth = line + 1;
    context.strokeRect(...box(lights.cursor, 0));
  }
}
