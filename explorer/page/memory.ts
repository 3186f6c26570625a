// Memory of the kernels, and the structures of downup.h in it.
import type { Size } from "./planes";

/** A sliding window, or, if adaptive, windows that share the picture; see du_window. Pairs are rows, columns. */
export interface Window {
  size: Size;
  stride: Size;
  before: Size;
  after: Size;
  dilation: Size;
  ceil?: boolean;
  adaptive?: boolean;
}

export interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(bytes: number): number;
  free(pointer: number): void;
  [name: string]: unknown;
}

/** Why a call was refused, in a sentence for the reader. */
export class Refusal extends Error {}

/** Memory borrowed for one call. */
export class Borrowed {
  private blocks: number[] = [];
  constructor(private exports: Exports) {}

  bytes(count: number): number {
    const pointer = this.exports.malloc(Math.max(count, 8));
    if (!pointer) throw new Refusal(`The browser has no memory for ${count} bytes more; use a smaller picture.`);
    this.blocks.push(pointer);
    return pointer;
  }

  floats(values: Float32Array): number {
    const pointer = this.bytes(4 * values.length);
    new Float32Array(this.exports.memory.buffer, pointer, values.length).set(values);
    return pointer;
  }

  longs(values: ArrayLike<number>): number {
    const pointer = this.bytes(8 * values.length);
    const to = new Int32Array(this.exports.memory.buffer, pointer, 2 * values.length);
    for (let i = 0; i < values.length; i++) {
      to[2 * i] = values[i]!;
      to[2 * i + 1] = values[i]! < 0 ? -1 : 0;
    }
    return pointer;
  }

  /** A du_view; channels side by side if `interleaved`. */
  view(data: number, channels: number, rows: number, columns: number, type: number, interleaved = false): number {
    const pointer = this.bytes(80);
    const memory = new DataView(this.exports.memory.buffer);
    const plane = rows * columns;
    const strides = interleaved ? [channels * plane, 1, columns * channels, channels] : [channels * plane, plane, columns, 1];
    memory.setUint32(pointer, data, true);
    [1, channels, rows, columns].forEach((size, i) => memory.setBigInt64(pointer + 8 + 8 * i, BigInt(size), true));
    strides.forEach((stride, i) => memory.setBigInt64(pointer + 40 + 8 * i, BigInt(stride), true));
    memory.setInt32(pointer + 72, type, true);
    return pointer;
  }

  writeWindow(pointer: number, window: Window): void {
    const memory = new DataView(this.exports.memory.buffer);
    [window.size, window.stride, window.before, window.after, window.dilation].flat().forEach((number, i) => {
      memory.setBigInt64(pointer + 8 * i, BigInt(number), true);
    });
    memory.setInt32(pointer + 80, window.ceil ? 1 : 0, true);
    memory.setInt32(pointer + 84, window.adaptive ? 1 : 0, true);
  }

  window(window: Window): number {
    const pointer = this.bytes(88);
    this.writeWindow(pointer, window);
    return pointer;
  }

  giveBack(): void {
    for (const block of this.blocks) this.exports.free(block);
  }
}
