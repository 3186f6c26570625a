// What the reader sees, written in Python: by downup, by PyTorch, by Keras. A framework that has no such operator says so.
import { pair, sidesOf, transposedSides } from "./geometry";
import type { Arguments } from "./operators";
import type { Planes, Size } from "./planes";
import { isSmooth } from "./sampling";

export type Form = "downup" | "PyTorch" | "Keras";
export const FORMS: Form[] = ["downup", "PyTorch", "Keras"];

const NONE = "";

function python(value: unknown): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `(${value.map(python).join(", ")})`;
  return typeof value === "string" ? `"${value}"` : String(value);
}

/** name=value, of those that differ from the default. */
function options(given: Record<string, unknown>, defaults: Record<string, unknown>): string {
  return Object.entries(given)
    .filter(([name, value]) => value !== undefined && python(value) !== python(defaults[name]))
    .map(([name, value]) => `, ${name}=${python(value)}`)
    .join("");
}

/** With a point, since frameworks take 1 for a whole number. */
function decimal(value: number): string {
  const text = String(Number(value.toPrecision(9)));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function weightOf(args: Arguments): string {
  const [rows, columns] = pair(args.kernel_size!), numbers = [...args.weight!].map(decimal);
  const lines = Array.from({ length: rows }, (_, y) => `    [${numbers.slice(y * columns, (y + 1) * columns).join(", ")}],`);
  return `[\n${lines.join("\n")}\n]`;
}

interface Call {
  name: string;
  args: Arguments;
  x: Planes;
  kernel: Size;
  stride: Size;
  dilation: Size;
  sides: [Size, Size];
}

function isEven(sides: [Size, Size]): boolean {
  return sides[0][0] === sides[0][1] && sides[1][0] === sides[1][1];
}

function isBare(sides: [Size, Size]): boolean {
  return sides.flat().every((side) => side === 0);
}

function padded({ sides: [[top, bottom], [left, right]] }: Call, value = ""): string {
  return `x = F.pad(x, (${left}, ${right}, ${top}, ${bottom})${value})\n`;
}

// ------------------------------------------------------------ downup

const DEFAULTS = { stride: 1, padding: 0, dilation: 1, ceil_mode: false, count_include_pad: true, edge: "reflect", taps: 3, align_corners: false, antialias: false, order: "CRD", output_padding: 0, mode: "nearest" };

function inDownup({ name, args, x }: Call): string {
  const { kernel_size, factor, weight, norm_type, output_size, ...rest } = args, head = "from downup import ops\n\n";
  const convolution = `import torch\nfrom downup import ops\n\nweight = torch.tensor(${weight ? weightOf(args) : ""}).expand(${x.channels}, 1, -1, -1)\n`;
  switch (name) {
    case "max_unpool2d": {
      const same = `${kernel_size}${options(rest, { ...DEFAULTS, stride: kernel_size })}`;
      return `${head}pooled, positions = ops.max_pool2d(x, ${same}, return_indices=True)\ny = ops.max_unpool2d(pooled, positions, ${same}, output_size=x.shape[-2:])`;
    }
    case "conv2d":
    case "conv_transpose2d":
      return `${convolution}y = ops.${name}(x, weight${options(rest, DEFAULTS)}, groups=${x.channels})`;
    case "resize_conv2d":
      return `${convolution}y = ops.resize_conv2d(x, weight${options(rest, { ...DEFAULTS, scale_factor: 2, padding: "same" })}, groups=${x.channels})`;
    case "pixel_shuffle":
    case "pixel_unshuffle":
      return `${head}y = ops.${name}(x, ${factor}${options(rest, DEFAULTS)})`;
    case "adaptive_max_pool2d":
    case "adaptive_avg_pool2d":
      return `${head}y = ops.${name}(x, ${python(output_size)})`;
    case "lp_pool2d":
      return `${head}y = ops.lp_pool2d(x, ${norm_type}, ${kernel_size}${options(rest, { ...DEFAULTS, stride: kernel_size })})`;
    case "global_lp_pool2d":
      return `${head}y = ops.global_lp_pool2d(x, ${norm_type})`;
    case "blur_pool2d":
    case "interpolate":
      return `${head}y = ops.${name}(x${options(rest, { ...DEFAULTS, stride: 2 })})`;
    case "max_blur_pool2d":
      return `${head}y = ops.max_blur_pool2d(x, ${kernel_size}${options(rest, { ...DEFAULTS, stride: 2 })})`;
    case "max_pool2d_with_offsets":
      return `${head}y, offsets = ops.max_pool2d_with_offsets(x, ${kernel_size}${options(rest, { ...DEFAULTS, stride: kernel_size })})`;
    default: {
      const size = kernel_size === undefined ? "" : `, ${python(kernel_size)}`;
      return `${head}y = ops.${name}(x${size}${options(rest, { ...DEFAULTS, stride: kernel_size })})`;
    }
  }
}

// ------------------------------------------------------------ PyTorch

const TORCH = "import torch\nimport torch.nn.functional as F\n\n";

/** Whether a pool of torch takes the padding: alike on both sides, and at most half a window. */
function isPoolPadding({ sides, kernel }: Call): boolean {
  return isEven(sides) && sides.every(([before], i) => before <= Math.floor(kernel[i]! / 2));
}

function torchMaxPool(call: Call): string {
  const { args, sides, kernel } = call, symmetric = isPoolPadding(call);
  if (!symmetric && args.ceil_mode) return NONE;
  const padding = symmetric && sides[0][0] === sides[1][0] ? sides[0][0] : [sides[0][0], sides[1][0]];
  const rest = options({ stride: args.stride, padding: symmetric ? padding : 0, dilation: args.dilation, ceil_mode: args.ceil_mode }, { ...DEFAULTS, stride: args.kernel_size });
  return `${symmetric ? "" : padded(call, ', value=float("-inf")')}y = F.max_pool2d(x, ${kernel[0]}${rest})`;
}

function torchAverage(call: Call): string {
  const { args, sides, dilation, kernel } = call, isWord = typeof args.padding === "string" && args.padding !== "valid";
  if (dilation[0] > 1) return NONE;
  const given = { stride: args.stride, ceil_mode: args.ceil_mode }, plain = { ...DEFAULTS, stride: args.kernel_size };
  const counted = !isWord && args.count_include_pad;
  if (isPoolPadding(call)) {
    const padding = sides[0][0] === sides[1][0] ? sides[0][0] : [sides[0][0], sides[1][0]];
    return `y = F.avg_pool2d(x, ${kernel[0]}${options({ ...given, padding, count_include_pad: counted || isBare(sides) }, plain)})`;
  }
  if (args.ceil_mode) return NONE;
  const [[top, bottom], [left, right]] = sides, around = `(${left}, ${right}, ${top}, ${bottom})`, rest = options(given, plain);
  if (counted) return `x = F.pad(x, ${around})\ny = F.avg_pool2d(x, ${kernel[0]}${rest})`;
  return `inside = F.pad(torch.ones_like(x), ${around})\nx = F.pad(x, ${around})\ny = F.avg_pool2d(x, ${kernel[0]}${rest}) / F.avg_pool2d(inside, ${kernel[0]}${rest})`;
}

function torchTransposed({ args, x, kernel, stride, dilation }: Call): string {
  const { sides, extra } = transposedSides(args.padding ?? 0, [x.rows, x.columns], kernel, stride, dilation, pair(args.output_padding ?? 0));
  const padding = [Math.min(...sides[0]), Math.min(...sides[1])], weight = `weight = torch.tensor(${weightOf(args)}).expand(${x.channels}, 1, -1, -1)\n`;
  const rest = options({ stride: args.stride, padding, output_padding: extra, dilation: args.dilation }, { stride: 1, padding: [0, 0], output_padding: [0, 0], dilation: 1 });
  const cut = (i: 0 | 1) => `${sides[i][0] - padding[i]!}:${sides[i][1] - padding[i]! ? -(sides[i][1] - padding[i]!) : ""}`;
  return `${weight}y = F.conv_transpose2d(x, weight${rest}, groups=${x.channels})${isEven(sides) ? "" : `[..., ${cut(0)}, ${cut(1)}]`}`;
}

function torchConvolution(call: Call): string {
  const { args, x, sides } = call, symmetric = isEven(sides);
  const padding = symmetric && sides[0][0] === sides[1][0] ? sides[0][0] : [sides[0][0], sides[1][0]];
  const rest = options({ stride: args.stride, padding: symmetric ? padding : 0, dilation: args.dilation }, DEFAULTS);
  return `weight = torch.tensor(${weightOf(args)}).expand(${x.channels}, 1, -1, -1)\n${symmetric ? "" : padded(call)}y = F.conv2d(x, weight${rest}, groups=${x.channels})`;
}

function inTorch(call: Call): string {
  const { name, args, sides, kernel, dilation } = call;
  switch (name) {
    case "max_pool2d": {
      const code = torchMaxPool(call);
      return code && TORCH + code;
    }
    case "max_unpool2d": {
      if (dilation[0] > 1 || !isPoolPadding(call)) return NONE;
      const same = `${kernel[0]}, stride=${args.stride}, padding=${python([sides[0][0], sides[1][0]])}`;
      return `${TORCH}pooled, positions = F.max_pool2d(x, ${same}, return_indices=True)\ny = F.max_unpool2d(pooled, positions, ${same}, output_size=x.shape[-2:])`;
    }
    case "avg_pool2d": {
      const code = torchAverage(call);
      return code && TORCH + code;
    }
    case "lp_pool2d":
      if (dilation[0] > 1 || (args.ceil_mode && !isBare(sides))) return NONE;
      return `${TORCH}${isBare(sides) ? "" : padded(call)}y = F.lp_pool2d(x, ${args.norm_type}, ${kernel[0]}${options({ stride: args.stride, ceil_mode: args.ceil_mode }, { ...DEFAULTS, stride: args.kernel_size })})`;
    case "adaptive_max_pool2d":
    case "adaptive_avg_pool2d":
      return `${TORCH}y = F.${name}(x, ${python(args.output_size)})`;
    case "global_max_pool2d":
      return `${TORCH}y = F.adaptive_max_pool2d(x, 1)`;
    case "global_avg_pool2d":
      return `${TORCH}y = F.adaptive_avg_pool2d(x, 1)`;
    case "global_lp_pool2d":
      return `${TORCH}y = F.lp_pool2d(x, ${args.norm_type}, x.shape[-2:])`;
    case "interpolate": {
      if (args.mode!.startsWith("lanczos")) return NONE;
      const rest = options({ align_corners: args.align_corners, antialias: args.antialias }, DEFAULTS);
      return `${TORCH}y = F.interpolate(x, scale_factor=${args.scale_factor}, mode="${args.mode}"${rest})`;
    }
    case "pixel_shuffle":
    case "pixel_unshuffle":
      return args.order === "DCR" ? NONE : `${TORCH}y = F.${name}(x, ${args.factor})`;
    case "conv2d":
      return TORCH + torchConvolution(call);
    case "conv_transpose2d":
      return TORCH + torchTransposed(call);
    case "resize_conv2d":
      if (args.mode!.startsWith("lanczos")) return NONE;
      return `${TORCH}x = F.interpolate(x, scale_factor=${args.scale_factor}, mode="${args.mode}")\n${torchConvolution(call)}`;
    default:
      return NONE;
  }
}

// ------------------------------------------------------------ Keras

const KERAS = "import keras\n\n", OURS = "from downup.keras import ";

/** "valid" or "same" where padding is one of them, else none. */
function keraPadding({ args, sides }: Call): string {
  if (args.padding === "same") return "same";
  return isBare(sides) ? "valid" : NONE;
}

function kerasPool(call: Call, layer: string, from = "keras.layers."): string {
  const { args, kernel, dilation } = call, padding = keraPadding(call);
  if (!padding || dilation[0] > 1 || args.ceil_mode) return NONE;
  return `${from}${layer}(${kernel[0]}, strides=${args.stride}, padding="${padding}")`;
}

function kerasConvolution({ args, x, sides: [rows, columns], stride, dilation }: Call): string {
  const weight = `kernel = keras.ops.array(${weightOf(args)})[:, :, None, None]\nkernel = keras.ops.tile(kernel, (1, 1, ${x.channels}, 1))\n`;
  const pad = isBare([rows, columns]) ? "" : `x = keras.ops.pad(x, ((0, 0), ${python(rows)}, ${python(columns)}, (0, 0)))\n`;
  return `${weight}${pad}y = keras.ops.depthwise_conv(x, kernel, strides=${stride[0]}, dilation_rate=${dilation[0]})`;
}

function inKeras(call: Call): string {
  const { name, args } = call;
  const layer = (code: string) => code && `${KERAS}y = ${code}(x)`;
  switch (name) {
    case "max_pool2d":
      return layer(kerasPool(call, "MaxPooling2D"));
    case "avg_pool2d": {
      // Keras's own "same" gives other means at the edges on some of its backends.
      if (args.padding !== "same") return layer(kerasPool(call, "AveragePooling2D"));
      const pool = kerasPool(call, "AveragePooling2D", "");
      return pool && `${OURS}AveragePooling2D\n\ny = ${pool}(x)`;
    }
    case "max_unpool2d": {
      const pool = kerasPool(call, "MaxPoolingWithArgmax2D", "");
      return pool && `${OURS}MaxPoolingWithArgmax2D, MaxUnpooling2D\n\npooled, positions = ${pool}(x)\ny = ${pool.replace("MaxPoolingWithArgmax2D", "MaxUnpooling2D")}([pooled, positions], output_size=x.shape[1:3])`;
    }
    case "global_max_pool2d":
      return layer("keras.layers.GlobalMaxPooling2D(keepdims=True)");
    case "global_avg_pool2d":
      return layer("keras.layers.GlobalAveragePooling2D(keepdims=True)");
    case "blur_pool2d":
      return `${OURS}BlurPooling2D\n\ny = BlurPooling2D(${args.taps}, strides=${args.stride}, edge="${args.edge}")(x)`;
    case "interpolate": {
      const isPlain = Number.isInteger(args.scale_factor) && !args.align_corners && !args.antialias && ["nearest", "bilinear"].includes(args.mode!);
      return isPlain ? layer(`keras.layers.UpSampling2D(${args.scale_factor}, interpolation="${args.mode}")`) : NONE;
    }
    case "pixel_shuffle":
    case "pixel_unshuffle": {
      const made = name === "pixel_shuffle" ? "PixelShuffle2D" : "PixelUnshuffle2D";
      return `${OURS}${made}\n\ny = ${made}(${args.factor}, order="${args.order}")(x)`;
    }
    case "conv2d":
      return KERAS + kerasConvolution(call);
    default:
      return NONE;
  }
}

function aboutOf(form: Form): string {
  return form === "Keras" ? "# x: [batch, rows, columns, channels]" : "# x: [batch, channels, rows, columns]";
}

export function codeOf(form: Form, name: string, args: Arguments, x: Planes): string {
  const kernel = pair(args.kernel_size ?? 1), stride = pair(args.stride ?? (args.weight ? 1 : kernel)), dilation = pair(args.dilation ?? 1);
  let size: Size = [x.rows, x.columns];
  if (name === "resize_conv2d") size = [Math.floor(x.rows * Number(args.scale_factor)), Math.floor(x.columns * Number(args.scale_factor))];
  const call = { name, args, x, kernel, stride, dilation, sides: sidesOf(args.padding ?? 0, size, kernel, stride, dilation) };
  const code = form === "downup" ? inDownup(call) : form === "PyTorch" ? inTorch(call) : inKeras(call);
  if (code) return `${aboutOf(form)}\n${code}\n`;
  const why = name === "interpolate" && isSmooth(args.mode!) ? "with these options" : "with these arguments";
  return `# ${form} has no ${name} ${why}; downup.ops.${name} takes torch tensors.\n`;
}

/** A call, or what no operator of downup is, as each form writes it: from x to y. */
export type Step = { name: string; args: Arguments; x: Planes } | { what: string; written: Partial<Record<Form, string>> };

/** Steps one after the other, what they need imported at the top. */
export function codeOfSteps(form: Form, steps: Step[]): string {
  const imports = new Set<string>(), bodies: string[] = [];
  for (const step of steps) {
    const code = "name" in step ? codeOf(form, step.name, step.args, step.x) : (step.written[form] ?? `# ${form} has no ${step.what}.\n`);
    if (code.startsWith(`# ${form} has no`)) return code;
    const lines = code.trim().split("\n").filter((line) => line !== aboutOf(form)), isImport = (line: string) => /^(import|from) /.test(line);
    for (const line of lines.filter(isImport)) imports.add(line);
    bodies.push(lines.filter((line) => !isImport(line)).join("\n").trim());
  }
  return `${aboutOf(form)}\n${[...imports].join("\n")}\n\n${bodies.join("\n\nx = y\n")}\n`;
}
