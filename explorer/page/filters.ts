// Filters by name, at any size.

export const FILTERS: Record<string, string> = {
  average: "average",
  ones: "ones (sum)",
  smooth: "smooth (binomial)",
  vertical: "vertical edges",
  horizontal: "horizontal edges",
  circle: "circle",
  sharpen: "sharpen",
};

function binomial(size: number): number[] {
  let row = [1];
  for (let i = 1; i < size; i++) row = Array.from({ length: i + 1 }, (_, k) => (row[k - 1] ?? 0) + (row[k] ?? 0));
  return row;
}

/** [size, size], row by row, in single precision. */
export function filterOf(name: string, size: number): Float32Array {
  const middle = (size - 1) / 2, row = binomial(size), sum = row.reduce((a, b) => a + b, 0);
  const smooth = (y: number, x: number) => (row[y]! * row[x]!) / sum ** 2;
  const sign = (x: number) => Math.sign(x - middle);
  const ring = (y: number, x: number) => (Math.abs(Math.hypot(y - middle, x - middle) - middle * 0.75) < 0.75 ? 1 : 0);
  const ringed = name === "circle" ? Array.from({ length: size * size }, (_, i) => ring(Math.floor(i / size), i % size)).reduce<number>((a, b) => a + b, 0) : 0;
  const weights: Record<string, (y: number, x: number) => number> = {
    average: () => 1 / size ** 2,
    ones: () => 1,
    smooth,
    vertical: (y, x) => (sign(x) * row[y]!) / sum,
    horizontal: (y, x) => (sign(y) * row[x]!) / sum,
    // The ring's mean less that of the rest, so that an even picture gives zero.
    circle: (y, x) => (ring(y, x) ? 1 / ringed : ringed < size ** 2 ? -1 / (size ** 2 - ringed) : 0),
    sharpen: (y, x) => (y === Math.floor(middle) && x === Math.floor(middle) ? 2 : 0) - smooth(y, x),
  };
  const weight = weights[name] ?? weights["average"]!;
  return Float32Array.from({ length: size * size }, (_, i) => weight(Math.floor(i / size), i % size));
}
