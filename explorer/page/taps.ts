// Taps as the page sees them: for each output sample along an axis, the input samples it reads and their weights.

/** The numbers of du_sampling. */
export interface SamplingRule {
  filter: number;
  coordinates: number;
  rounding: number;
  antialias: boolean;
  excludeOutside: boolean;
  ratio: number;
  cubicCoefficient: number;
}

export interface Tap {
  index: number;
  weight: number;
}

export class Taps {
  private readers?: Tap[][];

  constructor(
    readonly name: string,
    readonly inSize: number,
    readonly outSize: number,
    private start: Int32Array,
    private index: Int32Array,
    private weight: Float64Array,
    private divisor: Float64Array,
  ) {}

  /** What output sample i reads. */
  read(i: number): Tap[] {
    const taps: Tap[] = [];
    for (let k = this.start[i]!; k < this.start[i + 1]!; k++) {
      taps.push({ index: this.index[k]!, weight: this.weight[k]! / this.divisor[i]! });
    }
    return taps;
  }

  /** Which output samples read input sample i: where its gradient comes from. */
  readBy(i: number): Tap[] {
    if (!this.readers) {
      this.readers = Array.from({ length: this.inSize }, () => []);
      for (let o = 0; o < this.outSize; o++) {
        for (const tap of this.read(o)) this.readers[tap.index]!.push({ index: o, weight: tap.weight });
      }
    }
    return this.readers[i] ?? [];
  }
}
