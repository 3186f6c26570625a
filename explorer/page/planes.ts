// Pictures as the kernels see them: planes of numbers.

/** [channels, rows, columns], row by row. */
export interface Planes {
  channels: number;
  rows: number;
  columns: number;
  data: Float32Array;
}

export type Size = [number, number];

export function planes(channels: number, rows: number, columns: number, data?: Float32Array): Planes {
  return { channels, rows, columns, data: data ?? new Float32Array(channels * rows * columns) };
}

export function at(x: Planes, channel: number, row: number, column: number): number {
  return x.data[(channel * x.rows + row) * x.columns + column] ?? NaN;
}

/** Each number changed by itself, in single precision. */
export function mapped(x: Planes, change: (value: number) => number): Planes {
  const out = planes(x.channels, x.rows, x.columns);
  for (let i = 0; i < out.data.length; i++) out.data[i] = change(x.data[i]!);
  return out;
}

/** What a window of so many rows and columns shows of the picture from (top, left) on; beyond the picture its edge is repeated. */
function framed(x: Planes, top: number, left: number, rows: number, columns: number): Planes {
  const out = planes(x.channels, rows, columns);
  const clamp = (value: number, count: number) => Math.min(count - 1, Math.max(0, value));
  let place = 0;
  for (let c = 0; c < x.channels; c++) {
    for (let y = 0; y < rows; y++) {
      const row = (c * x.rows + clamp(y + top, x.rows)) * x.columns;
      for (let i = 0; i < columns; i++) out.data[place++] = x.data[row + clamp(i + left, x.columns)]!;
    }
  }
  return out;
}

/** The picture moved: what leaves on one side is lost, and the edge is repeated on the other. */
export function shifted(x: Planes, rows: number, columns: number): Planes {
  return framed(x, -rows, -columns, x.rows, x.columns);
}

/** The picture with its edge repeated around it. */
export function bordered(x: Planes, width: number): Planes {
  return framed(x, -width, -width, x.rows + 2 * width, x.columns + 2 * width);
}

/** Rows and columns from one corner to another, the last ones not among them. */
export function cropped(x: Planes, top: number, left: number, bottom: number, right: number): Planes {
  const out = planes(x.channels, bottom - top, right - left);
  for (let c = 0; c < x.channels; c++) {
    for (let y = top; y < bottom; y++) {
      const from = (c * x.rows + y) * x.columns;
      out.data.set(x.data.subarray(from + left, from + right), (c * out.rows + y - top) * out.columns);
    }
  }
  return out;
}
