// The door to the kernels: native/downup.h, compiled to WebAssembly.
import { Borrowed, Refusal, type Exports, type Window } from "./memory";
import { planes, type Planes, type Size } from "./planes";
import { Taps, type SamplingRule } from "./taps";

const FLOAT32 = 0, UINT8 = 3, INT64 = 4;
const ORDERS = { CRD: 0, DCR: 1 } as const;
const EXACT = 1;

export { Refusal, type Window };
export type Order = keyof typeof ORDERS;

export interface Convolution {
  filters: number;
  groups: number;
  window: Window;
  outputPadding: Size;
  transposed: boolean;
}

export class Kernels {
  private constructor(private exports: Exports) {}

  static async load(compressed: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Kernels> {
    const code = await new Response(compressed.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    const { instance } = await WebAssembly.instantiate(code, {});
    const exports = instance.exports as unknown as Exports;
    exports._initialize();
    return new Kernels(exports);
  }

  private call(name: string, ...args: (number | bigint)[]): number {
    return (this.exports[name] as (...args: (number | bigint)[]) => number)(...args);
  }

  private borrowing<T>(work: (memory: Borrowed) => T): T {
    const memory = new Borrowed(this.exports);
    try {
      return work(memory);
    } finally {
      memory.giveBack();
    }
  }

  private sentence(): string {
    const bytes = new Uint8Array(this.exports.memory.buffer, this.call("du_last_error"));
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  private check(code: number): void {
    if (code) throw new Refusal(this.sentence());
  }

  private floatsAt(pointer: number, count: number): Float32Array {
    return new Float32Array(this.exports.memory.buffer, pointer, count);
  }

  private read(pointer: number, channels: number, rows: number, columns: number): Planes {
    const found = this.floatsAt(pointer, channels * rows * columns);
    if (this.spare?.length !== found.length) return planes(channels, rows, columns, found.slice());
    const out = planes(channels, rows, columns, this.spare);
    this.spare = null;
    out.data.set(found);
    return out;
  }

  private spare: Float32Array | null = null;

  /** Take back a picture that nobody looks at any more: the next of its size is written over it, which is quicker than fresh memory. */
  reuse(x: Planes): void {
    this.spare = x.data;
  }

  /** The largest sample of each window, and where it was: row * columns + column, or -1. */
  maxPool(x: Planes, window: Window, size: Size): { out: Planes; positions: Int32Array } {
    return this.borrowing((memory) => {
      const count = x.channels * size[0] * size[1];
      const to = memory.bytes(4 * count), places = memory.bytes(8 * count);
      const input = memory.view(memory.floats(x.data), x.channels, x.rows, x.columns, FLOAT32);
      const output = memory.view(to, x.channels, ...size, FLOAT32);
      this.check(this.call("du_max_pool2d", input, output, memory.view(places, x.channels, ...size, INT64), memory.window(window), 1n));
      return { out: this.read(to, x.channels, ...size), positions: this.lowHalves(places, count) };
    });
  }

  /** The same with positions counted in the window: tap_row * columns + tap_column. */
  maxPoolWithOffsets(x: Planes, window: Window, size: Size): { out: Planes; offsets: Uint8Array } {
    return this.borrowing((memory) => {
      const count = x.channels * size[0] * size[1];
      const to = memory.bytes(4 * count), places = memory.bytes(count);
      const input = memory.view(memory.floats(x.data), x.channels, x.rows, x.columns, FLOAT32);
      const output = memory.view(to, x.channels, ...size, FLOAT32);
      this.check(this.call("du_max_pool2d", input, output, memory.view(places, x.channels, ...size, UINT8), memory.window(window), 1n));
      return { out: this.read(to, x.channels, ...size), offsets: new Uint8Array(this.exports.memory.buffer, places, count).slice() };
    });
  }

  /** Each sample put back where it was, among zeros. */
  maxUnpool(x: Planes, positions: Int32Array, window: Window, size: Size): Planes {
    return this.borrowing((memory) => {
      const to = memory.bytes(4 * x.channels * size[0] * size[1]);
      const input = memory.view(memory.floats(x.data), x.channels, x.rows, x.columns, FLOAT32);
      const places = memory.view(memory.longs(positions), x.channels, x.rows, x.columns, INT64);
      this.check(this.call("du_max_unpool2d", input, places, memory.view(to, x.channels, ...size, FLOAT32), memory.window(window), 1n));
      return this.read(to, x.channels, ...size);
    });
  }

  pixelShuffle(x: Planes, factor: number, order: Order): Planes {
    return this.rearranged("du_pixel_shuffle", x, x.channels / factor ** 2, x.rows * factor, x.columns * factor, factor, order);
  }

  pixelUnshuffle(x: Planes, factor: number, order: Order): Planes {
    return this.rearranged("du_pixel_unshuffle", x, x.channels * factor ** 2, x.rows / factor, x.columns / factor, factor, order);
  }

  private rearranged(name: string, x: Planes, channels: number, rows: number, columns: number, factor: number, order: Order): Planes {
    return this.borrowing((memory) => {
      const to = memory.bytes(4 * x.data.length);
      const input = memory.view(memory.floats(x.data), x.channels, x.rows, x.columns, FLOAT32);
      this.check(this.call(name, input, memory.view(to, channels, rows, columns, FLOAT32), BigInt(factor), ORDERS[order], 1n));
      return this.read(to, channels, rows, columns);
    });
  }

  /** out[y][x] = sum of row weight * column weight * in. */
  resample(x: Planes, rows: Taps, columns: Taps): Planes {
    return this.borrowing((memory) => {
      const to = memory.bytes(4 * x.channels * rows.outSize * columns.outSize);
      const input = memory.view(memory.floats(x.data), x.channels, x.rows, x.columns, FLOAT32);
      const output = memory.view(to, x.channels, rows.outSize, columns.outSize, FLOAT32);
      this.check(this.call("du_resample2d", input, output, this.handle(rows), this.handle(columns), 1n));
      return this.read(to, x.channels, rows.outSize, columns.outSize);
    });
  }

  // What the planners made last, by what was asked for.
  private handles = new Map<string, number>();
  private tables = new Map<string, Taps>();

  private handle(taps: Taps): number {
    return this.handles.get(taps.name)!;
  }

  private planned(name: string, make: (memory: Borrowed) => number): Taps {
    const known = this.tables.get(name);
    if (known) {
      // To the end of the queue: a call has two tables, and the second must not push out the first.
      this.tables.delete(name);
      this.tables.set(name, known);
      return known;
    }
    return this.borrowing((memory) => {
      const handle = make(memory);
      if (!handle) throw new Refusal(this.sentence());
      const sizes = memory.bytes(24);
      this.check(this.call("du_taps_sizes", handle, sizes));
      const [inSize, outSize, count] = this.lowHalves(sizes, 3) as unknown as [number, number, number];
      const start = memory.bytes(8 * outSize + 8), index = memory.bytes(8 * count), weight = memory.bytes(8 * count), divisor = memory.bytes(8 * outSize);
      this.check(this.call("du_taps_read", handle, start, index, weight, divisor));
      const doubles = (pointer: number, length: number) => new Float64Array(this.exports.memory.buffer, pointer, length).slice();
      const taps = new Taps(name, inSize, outSize, this.lowHalves(start, outSize + 1), this.lowHalves(index, count), doubles(weight, count), doubles(divisor, outSize));
      this.keep(name, handle, taps);
      return taps;
    });
  }

  private keep(name: string, handle: number, taps: Taps): void {
    if (this.tables.size >= 64) {
      const oldest = this.tables.keys().next().value!;
      this.call("du_taps_free", this.handles.get(oldest)!);
      this.handles.delete(oldest);
      this.tables.delete(oldest);
    }
    this.tables.set(name, taps);
    this.handles.set(name, handle);
  }

  private lowHalves(pointer: number, count: number): Int32Array {
    const halves = new Int32Array(this.exports.memory.buffer, pointer, 2 * count);
    const out = new Int32Array(count);
    for (let i = 0; i < count; i++) out[i] = halves[2 * i]!;
    return out;
  }

  windowTaps(inSize: number, window: Window, axis: 0 | 1, divisor: "padded" | "inside" | number): Taps {
    const counted = typeof divisor === "number" ? 2 : divisor === "padded" ? 0 : 1;
    const number = typeof divisor === "number" ? divisor : 0;
    const name = JSON.stringify(["window", inSize, window, axis, divisor]);
    return this.planned(name, (memory) => this.call("du_taps_window", BigInt(inSize), memory.window(window), axis, counted, number));
  }

  adaptiveTaps(inSize: number, outSize: number): Taps {
    return this.planned(`adaptive ${inSize} ${outSize}`, () => this.call("du_taps_adaptive", BigInt(inSize), BigInt(outSize)));
  }

  binomialTaps(inSize: number, count: number, stride: number, edge: number): Taps {
    const name = `binomial ${inSize} ${count} ${stride} ${edge}`;
    return this.planned(name, () => this.call("du_taps_binomial", BigInt(inSize), BigInt(count), BigInt(stride), edge));
  }

  sampledTaps(inSize: number, outSize: number, rule: SamplingRule): Taps {
    return this.planned(JSON.stringify(["sampled", inSize, outSize, rule]), (memory) => {
      const pointer = memory.bytes(40), view = new DataView(this.exports.memory.buffer);
      [rule.filter, rule.coordinates, rule.rounding, rule.antialias ? 1 : 0, rule.excludeOutside ? 1 : 0].forEach((number, i) => {
        view.setInt32(pointer + 4 * i, number, true);
      });
      view.setFloat64(pointer + 24, rule.ratio, true);
      view.setFloat64(pointer + 32, rule.cubicCoefficient, true);
      return this.call("du_taps_sampled", BigInt(inSize), BigInt(outSize), pointer);
    });
  }

  /** weight [filters, channels / groups, rows, columns]; transposed [channels, filters / groups, rows, columns]. */
  convolve(x: Planes, weight: Float32Array, spec: Convolution): Planes {
    return this.borrowing((memory) => {
      const made = this.call("du_convolution_new", this.writeSpec(memory, x.channels, spec), memory.floats(weight), 0);
      if (!made) throw new Refusal(this.sentence());
      try {
        return this.convolved(memory, made, x, spec.filters);
      } finally {
        this.call("du_convolution_free", made);
      }
    });
  }

  private writeSpec(memory: Borrowed, channels: number, spec: Convolution): number {
    const pointer = memory.bytes(176), view = new DataView(this.exports.memory.buffer);
    [channels, spec.filters, spec.groups].forEach((number, i) => view.setBigInt64(pointer + 8 * i, BigInt(number), true));
    memory.writeWindow(pointer + 24, spec.window);
    [...spec.outputPadding, 1, 1].forEach((number, i) => view.setBigInt64(pointer + 112 + 8 * i, BigInt(number), true));
    [spec.transposed ? 1 : 0, EXACT, 0, 0, 0, 0, 0].forEach((number, i) => view.setInt32(pointer + 144 + 4 * i, number, true));
    return pointer;
  }

  private convolved(memory: Borrowed, made: number, x: Planes, filters: number): Planes {
    const size = memory.longs([x.rows, x.columns]), found = memory.bytes(16);
    this.check(this.call("du_convolution_out_size", made, size, found));
    const [rows, columns] = this.lowHalves(found, 2) as unknown as Size;
    const bytes = (this.exports["du_convolution_scratch_bytes"] as (...args: unknown[]) => bigint)(made, 1n, BigInt(x.rows), BigInt(x.columns), 1n);
    if (bytes < 0n) throw new Refusal(this.sentence());
    const scratch = memory.bytes(Number(bytes)), from = memory.bytes(4 * x.data.length), to = memory.bytes(4 * filters * rows * columns);
    interleave(x, this.floatsAt(from, x.data.length));
    const input = memory.view(from, x.channels, x.rows, x.columns, FLOAT32, true);
    const output = memory.view(to, filters, rows, columns, FLOAT32, true);
    this.check(this.call("du_convolution_run", made, 1n, input, 0, output, scratch, bytes, 1n));
    return apart(this.floatsAt(to, filters * rows * columns), filters, rows, columns);
  }
}

/** Planes written so that all channels of a pixel lie side by side. */
function interleave(x: Planes, out: Float32Array): void {
  const plane = x.rows * x.columns, { channels, data } = x;
  if (channels === 1) return out.set(data);
  for (let c = 0; c < channels; c++) {
    const from = data.subarray(c * plane, (c + 1) * plane);
    for (let i = 0, to = c; i < plane; i++, to += channels) out[to] = from[i]!;
  }
}

/** Its way back. */
function apart(pixels: Float32Array, channels: number, rows: number, columns: number): Planes {
  const plane = rows * columns, out = planes(channels, rows, columns);
  for (let c = 0; c < channels; c++) {
    const to = out.data.subarray(c * plane, (c + 1) * plane);
    for (let i = 0, from = c; i < plane; i++, from += channels) to[i] = pixels[from]!;
  }
  return out;
}
