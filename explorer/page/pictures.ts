// Pictures to try operators on: some that code draws, and the reader's own. Levels from 0 to 255.
import { Refusal } from "./kernels";
import { planes, type Planes } from "./planes";

type Paint = (y: number, x: number) => number | [number, number, number];

function painted(rows: number, columns: number, paint: Paint): Planes {
  const isGrey = typeof paint(0, 0) === "number", x = planes(isGrey ? 1 : 3, rows, columns), plane = rows * columns;
  for (let y = 0; y < rows; y++) {
    for (let i = 0; i < columns; i++) {
      const value = paint(y, i);
      if (typeof value === "number") x.data[y * columns + i] = value;
      else value.forEach((level, c) => (x.data[c * plane + y * columns + i] = Math.round(level)));
    }
  }
  return x;
}

function mixed(a: number[], b: number[], share: number): [number, number, number] {
  return [0, 1, 2].map((c) => a[c]! + (b[c]! - a[c]!) * share) as [number, number, number];
}

/** A house on a meadow: edges of all directions, a fine fence, smooth sky. */
function house(y: number, x: number): [number, number, number] {
  const sun = Math.hypot(y - 44, x - 204);
  let colour = mixed([96, 160, 224], [214, 232, 246], y / 150);
  if (sun < 26) colour = [255, 214, 92];
  else if (sun < 40) colour = mixed([255, 226, 140], colour, (sun - 26) / 14);
  if (y > 118 + 26 * Math.sin(x / 34) + 8 * Math.sin(x / 11)) colour = mixed([88, 122, 126], [120, 150, 140], (y - 90) / 80);
  if (y > 168 + 5 * Math.sin(x / 40)) colour = mixed([104, 156, 72], [58, 108, 52], (y - 168) / 88);
  if (x > 54 && x < 146 && y > 116 && y < 196) colour = (y - 116) % 10 < 1 ? [196, 170, 140] : [232, 214, 184];
  if (y > 78 && y < 118 && Math.abs(x - 100) < 8 + (y - 78) * 1.25) colour = (x + y) % 6 < 2 ? [150, 58, 46] : [178, 74, 56];
  if (x > 88 && x < 112 && y > 152 && y < 196) colour = [112, 72, 48];
  for (const left of [62, 120]) {
    if (x > left && x < left + 18 && y > 130 && y < 150) colour = (x - left) % 9 === 0 || y === 140 ? [250, 250, 246] : [72, 104, 140];
  }
  if (y > 198 && y < 226 && x > 150 && (x % 8 < 3 || Math.abs(y - 208) < 2)) colour = [246, 242, 230];
  if (Math.hypot(y - 130, (x - 28) * 1.2) < 26) colour = (x * 7 + y * 5) % 11 < 4 ? [40, 92, 48] : [58, 118, 56];
  if (Math.abs(x - 28) < 4 && y > 150 && y < 200) colour = [92, 64, 44];
  return colour;
}

export const BUILT_IN: Record<string, { label: string; make(): Planes }> = {
  numbers: { label: "numbers, 6 × 6", make: () => painted(6, 6, (y, x) => y * 36 + x * 7) },
  corner: { label: "a corner, 8 × 8", make: () => painted(8, 8, (y, x) => (y >= 3 && x >= 2 ? 230 : 20) - ((x * 5 + y * 3) % 7)) },
  circle: { label: "a circle, 16 × 16", make: () => painted(16, 16, (y, x) => (Math.abs(Math.hypot(y - 7.5, x - 7.5) - 5) < 1.2 ? 240 : 24)) },
  stripes: { label: "fine stripes, 32 × 32", make: () => painted(32, 32, (_y, x) => (x % 2 ? 240 : 16)) },
  rings: { label: "rings ever finer, 128 × 128", make: () => painted(128, 128, (y, x) => 128 + 120 * Math.cos(((y - 63.5) ** 2 + (x - 63.5) ** 2) / 40.8)) },
  house: { label: "a house, 256 × 256", make: () => painted(256, 256, house) },
};

const MOST_PIXELS = 64e6, MOST_BYTES = 100e6, HEADER_BYTES = 1 << 18;

/** [width, height] as the first bytes of a file tell it, before anything is decoded. */
export function sizeInHeader(bytes: Uint8Array): [number, number] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (bytes.length < 30) return null;
  if (text(1, 3) === "PNG") return [view.getUint32(16), view.getUint32(20)];
  if (text(0, 3) === "GIF") return [view.getUint16(6, true), view.getUint16(8, true)];
  if (text(0, 2) === "BM") return [Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true))];
  if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") return sizeOfWebp(view, text(12, 4));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return sizeOfJpeg(view);
  return null;
}

function sizeOfWebp(view: DataView, kind: string): [number, number] | null {
  if (kind === "VP8X") return [1 + (view.getUint32(24, true) & 0xffffff), 1 + (view.getUint32(26, true) >>> 8)];
  if (kind === "VP8 ") return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
  const bits = view.getUint32(21, true);
  return kind === "VP8L" ? [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)] : null;
}

function sizeOfJpeg(view: DataView): [number, number] | null {
  for (let at = 2; at + 9 < view.byteLength; at += 2 + view.getUint16(at + 2)) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
  }
  return null;
}

/** The reader's file, its longer side brought to at most `side` samples. */
export async function openPicture(file: Blob, name: string, side: number): Promise<Planes> {
  if (file.size > MOST_BYTES) throw new Refusal(`${name} has ${Math.round(file.size / 1e6)} MB; use a picture of at most 100 MB.`);
  const size = sizeInHeader(new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer()));
  if (!size || !size[0] || !size[1]) throw new Refusal(`${name} is no picture that this page reads; use PNG, JPEG, WebP, GIF or BMP.`);
  if (size[0] * size[1] > MOST_PIXELS) {
    throw new Refusal(`${name} has ${Math.round((size[0] * size[1]) / 1e6)} million pixels; use one of at most 64 million.`);
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Refusal(`${name} is damaged: the browser could not decode it.`);
  }
  const factor = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const columns = Math.max(1, Math.round(bitmap.width * factor)), rows = Math.max(1, Math.round(bitmap.height * factor));
  const canvas = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, columns, rows);
  bitmap.close();
  return fromPixels(context.getImageData(0, 0, columns, rows));
}

function fromPixels(image: ImageData): Planes {
  const x = planes(3, image.height, image.width), plane = image.width * image.height;
  for (let i = 0; i < plane; i++) for (let c = 0; c < 3; c++) x.data[c * plane + i] = image.data[4 * i + c]!;
  return x;
}
