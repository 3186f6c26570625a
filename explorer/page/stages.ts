// Where each number comes from: an operator is a chain of stages, and each tells how its outputs depend on its inputs.
import type { Order, Window } from "./kernels";
import { at, type Planes, type Size } from "./planes";
import type { Taps } from "./taps";

/** A sample, and how much it counts: how fast the output changes with the input. */
export interface Link {
  channel: number;
  row: number;
  column: number;
  weight: number;
}

/** Links of an output sample to inputs, and of an input sample to outputs. */
export interface Stage {
  inputs(channel: number, row: number, column: number): Link[];
  outputs(channel: number, row: number, column: number): Link[];
}

/** Fixed weights: the product of a table along the rows and one along the columns. */
export function resampled(rows: Taps, columns: Taps): Stage {
  const product = (down: ReturnType<Taps["read"]>, across: ReturnType<Taps["read"]>, channel: number): Link[] =>
    down.flatMap((r) => across.map((c) => ({ channel, row: r.index, column: c.index, weight: r.weight * c.weight })));
  return {
    inputs: (channel, row, column) => product(rows.read(row), columns.read(column), channel),
    outputs: (channel, row, column) => product(rows.readBy(row), columns.readBy(column), channel),
  };
}

/** One sample of each window: positions [channels, size] in planes of inColumns columns. */
export function picked(positions: Int32Array, size: Size, inColumns: number): Stage {
  const plane = size[0] * size[1];
  return {
    inputs(channel, row, column) {
      const position = positions[channel * plane + row * size[1] + column]!;
      return position < 0 ? [] : [{ channel, row: Math.floor(position / inColumns), column: position % inColumns, weight: 1 }];
    },
    outputs(channel, row, column) {
      const links: Link[] = [], wanted = row * inColumns + column;
      for (let i = 0; i < plane; i++) {
        if (positions[channel * plane + i] !== wanted) continue;
        links.push({ channel, row: Math.floor(i / size[1]), column: i % size[1], weight: 1 });
      }
      return links;
    },
  };
}

/** Its way back: a sample put where it was taken; where several have one place, the last is kept. */
export function putBack(positions: Int32Array, size: Size, outColumns: number): Stage {
  const forward = picked(positions, size, outColumns);
  const last = (channel: number, row: number, column: number) => forward.outputs(channel, row, column).slice(-1);
  return {
    inputs: last,
    outputs(channel, row, column) {
      return forward.inputs(channel, row, column).filter((place) => {
        const kept = last(channel, place.row, place.column)[0];
        return kept?.row === row && kept.column === column;
      });
    },
  };
}

/** pixel_shuffle: the plane has `channels` channels, the blocks factor * factor times as many. */
export function shuffled(factor: number, order: Order, channels: number): Stage {
  const inputs = (channel: number, row: number, column: number): Link[] => {
    const inside = (row % factor) * factor + (column % factor);
    const from = order === "CRD" ? channel * factor * factor + inside : inside * channels + channel;
    return [{ channel: from, row: Math.floor(row / factor), column: Math.floor(column / factor), weight: 1 }];
  };
  const outputs = (channel: number, row: number, column: number): Link[] => {
    const inside = order === "CRD" ? channel % (factor * factor) : Math.floor(channel / channels);
    const to = order === "CRD" ? Math.floor(channel / (factor * factor)) : channel % channels;
    return [{ channel: to, row: row * factor + Math.floor(inside / factor), column: column * factor + (inside % factor), weight: 1 }];
  };
  return { inputs, outputs };
}

/** The same stage the other way, for what is its own transpose and inverse. */
export function reversed(stage: Stage): Stage {
  return { inputs: stage.outputs, outputs: stage.inputs };
}

/** A filter of [rows, columns] over each channel by itself. */
export function convolved(weight: Float32Array, window: Window, x: { rows: number; columns: number }, out: { rows: number; columns: number }): Stage {
  const [rows, columns] = window.size;
  const each = (use: (tap: { y: number; x: number }, weight: number) => void) => {
    for (let ky = 0; ky < rows; ky++) for (let kx = 0; kx < columns; kx++) use({ y: ky, x: kx }, weight[ky * columns + kx]!);
  };
  return {
    inputs(channel, row, column) {
      const links: Link[] = [];
      each((tap, weight) => {
        const y = row * window.stride[0] - window.before[0] + tap.y * window.dilation[0];
        const i = column * window.stride[1] - window.before[1] + tap.x * window.dilation[1];
        if (y >= 0 && i >= 0 && y < x.rows && i < x.columns) links.push({ channel, row: y, column: i, weight });
      });
      return links;
    },
    outputs(channel, row, column) {
      const links: Link[] = [];
      each((tap, weight) => {
        const y = (row + window.before[0] - tap.y * window.dilation[0]) / window.stride[0];
        const i = (column + window.before[1] - tap.x * window.dilation[1]) / window.stride[1];
        if (!Number.isInteger(y) || !Number.isInteger(i)) return;
        if (y >= 0 && i >= 0 && y < out.rows && i < out.columns) links.push({ channel, row: y, column: i, weight });
      });
      return links;
    },
  };
}

/** Each number by itself: how fast its output changes with it. */
export function pointwise(x: Planes, slope: (value: number) => number): Stage {
  const link = (channel: number, row: number, column: number): Link[] => [{ channel, row, column, weight: slope(at(x, channel, row, column)) }];
  return { inputs: link, outputs: link };
}

function followed(links: Link[], next: (link: Link) => Link[]): Link[] {
  const found = new Map<string, Link>();
  for (const link of links) {
    for (const end of next(link)) {
      const key = `${end.channel} ${end.row} ${end.column}`, weight = link.weight * end.weight, known = found.get(key);
      if (known) known.weight += weight;
      else found.set(key, { ...end, weight });
    }
  }
  return [...found.values()];
}

/** The input samples that an output sample depends on. */
export function sourcesOf(stages: Stage[], channel: number, row: number, column: number): Link[] {
  let links: Link[] = [{ channel, row, column, weight: 1 }];
  for (const stage of [...stages].reverse()) links = followed(links, (link) => stage.inputs(link.channel, link.row, link.column));
  return links;
}

/** The output samples that an input sample's gradient comes from. */
export function targetsOf(stages: Stage[], channel: number, row: number, column: number): Link[] {
  let links: Link[] = [{ channel, row, column, weight: 1 }];
  for (const stage of stages) links = followed(links, (link) => stage.outputs(link.channel, link.row, link.column));
  return links;
}
