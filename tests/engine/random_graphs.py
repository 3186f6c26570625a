"""Random segmentation networks as ONNX graphs: skips, un-pooling, dilation, odd sizes and all kinds of blocks."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from engine.models import model_of

POINTWISE = (
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Elu",
    "HardSwish",
    "HardSigmoid",
    "Tanh",
    "Gelu",
    "Clip",
    "PRelu",
    "Swish",
)


class Maker:
    """Adds nodes one by one and knows the shape of every value."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.shapes = [], {}, {}
        self.features = set()

    def chance(self, share):
        return self.random.random() < share

    def pick(self, *choices):
        return choices[int(self.random.integers(len(choices)))]

    def name(self, stem):
        return f"{stem}{len(self.nodes) + len(self.weights)}"

    def weight(self, *shape, scale=1.0):
        name = self.name("w")
        self.weights[name] = (scale * self.random.standard_normal(shape)).astype(np.float32)
        return name

    def numbers(self, array, dtype):
        name = self.name("n")
        self.weights[name] = np.array(array, dtype)
        return name

    def add(self, operator, inputs, shape, outputs=1, **attributes):
        names = [self.name(operator.lower()) for _ in range(outputs)]
        names = [f"{name}_{i}" for i, name in enumerate(names)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        for name in names:
            self.shapes[name] = shape
        return names[0] if outputs == 1 else names

    # ------------------------------------------------------------ blocks

    def convolution(self, x, channels=None, kernel=None, stride=1, dilation=1, groups=1):
        n, c, h, w = self.shapes[x]
        channels = channels or int(self.random.integers(1, 24))
        kernel = kernel or self.pick((1, 1), (3, 3), (3, 3), (5, 3), (2, 2))
        pads = [dilation * (k - 1) // 2 for k in kernel]
        ends = [dilation * (k - 1) - p for k, p in zip(kernel, pads, strict=True)]
        weight = self.weight(
            channels, c // groups, *kernel, scale=math.sqrt(2 * groups / (c * math.prod(kernel)))
        )
        inputs = [x, weight]
        if self.chance(0.7):
            inputs.append(self.weight(channels, scale=0.3))
        size = [(length - 1) // stride + 1 for length in (h, w)]
        return self.add(
            "Conv", inputs, (n, channels, *size), kernel_shape=kernel, strides=[stride] * 2,
            dilations=[dilation] * 2, pads=[*pads, *ends], group=groups,
        )  # fmt: skip

    def activation(self, x):
        kind, shape = self.pick(*POINTWISE), self.shapes[x]
        if kind == "Clip":
            return self.add("Clip", [x, self.numbers(-0.5, np.float32), self.numbers(1.5, np.float32)], shape)
        if kind == "PRelu":
            return self.add("PRelu", [x, self.weight(shape[1], 1, 1, scale=0.3)], shape)
        if kind == "Swish":
            return self.add("Mul", [x, self.add("Sigmoid", [x], shape)], shape)
        return self.add(kind, [x], shape)

    def norm(self, x):
        shape = self.shapes[x]
        scale, bias, mean = (self.weight(shape[1], scale=0.5) for _ in range(3))
        self.weights[name := self.name("w")] = self.random.uniform(0.5, 2, shape[1]).astype(np.float32)
        return self.add("BatchNormalization", [x, scale, bias, mean, name], shape)

    def block(self, x):
        """Something that keeps the size."""
        n, c, h, w = self.shapes[x]
        kind = self.pick(
            "conv", "conv", "dilated", "depthwise", "residual", "squeeze", "dense", "norm", "pyramid"
        )
        if kind == "dilated":
            self.features.add("dilation")
            return self.activation(self.convolution(x, kernel=(3, 3), dilation=self.pick(2, 3)))
        if kind == "depthwise":
            y = self.convolution(x, channels=c, kernel=(3, 3), groups=c)
            return self.convolution(self.activation(y), kernel=(1, 1))
        if kind == "residual":
            y = self.convolution(self.activation(self.convolution(x)), channels=c)
            return self.activation(self.add("Add", [y, x] if self.chance(0.5) else [x, y], (n, c, h, w)))
        if kind == "squeeze":
            y = self.add("GlobalAveragePool", [x], (n, c, 1, 1))
            y = self.add("Relu", [self.convolution(y, kernel=(1, 1))], None)
            self.shapes[y] = self.shapes[self.nodes[-1].input[0]]
            gate = self.add("Sigmoid", [self.convolution(y, channels=c, kernel=(1, 1))], (n, c, 1, 1))
            return self.add("Mul", [x, gate], (n, c, h, w))
        if kind == "dense":
            y = self.activation(self.convolution(x))
            return self.concat([x, y])
        if kind == "norm":
            return self.activation(self.norm(self.convolution(x)))
        if kind == "pyramid":
            pooled = self.add("GlobalAveragePool", [x], (n, c, 1, 1))
            sizes = self.numbers([n, c, h, w], np.int64)
            grown = self.add("Resize", [pooled, "", "", sizes], (n, c, h, w), mode="linear")
            return self.convolution(
                self.concat([self.convolution(x, kernel=(3, 3), dilation=2), grown]), kernel=(1, 1)
            )
        return self.activation(self.convolution(x))

    def concat(self, names):
        self.features.add("concat")
        n, _, h, w = self.shapes[names[0]]
        channels = sum(self.shapes[name][1] for name in names)
        return self.add("Concat", names, (n, channels, h, w), axis=self.pick(1, -3))

    def down(self, x):
        """Half the size; returns what came out, and the positions of a max pool with the shape of its input."""
        n, c, h, w = self.shapes[x]
        kind = self.pick("max", "max", "positions", "positions", "average", "stride")
        if kind == "stride":
            return self.convolution(x, kernel=(3, 3), stride=2), None
        if kind == "average":
            size = (h // 2, w // 2)
            return self.add("AveragePool", [x], (n, c, *size), kernel_shape=[2, 2], strides=[2, 2]), None
        size = (h // 2, w // 2)
        found = self.add(
            "MaxPool",
            [x],
            (n, c, *size),
            outputs=2 if kind == "positions" else 1,
            kernel_shape=[2, 2],
            strides=[2, 2],
        )
        return (found[0], (found[1], (n, c, h, w))) if kind == "positions" else (found, None)

    def up(self, x, size, positions):
        """To the size of a skip."""
        n, c, h, w = self.shapes[x]
        if positions is not None:
            self.features.add("unpool")
            index, shape = positions
            y = self.convolution(x, channels=shape[1])
            return self.add(
                "MaxUnpool",
                [y, index, self.numbers(shape, np.int64)],
                shape,
                kernel_shape=[2, 2],
                strides=[2, 2],
            )
        kind = self.pick("nearest", "linear", "cubic", "transposed", "shuffle")
        if kind == "transposed":
            channels, extra = int(self.random.integers(1, 16)), [size[i] - 2 * (h, w)[i] for i in (0, 1)]
            if max(extra) <= 1 and min(extra) >= 0:
                weight = self.weight(c, channels, 3, 3, scale=math.sqrt(2 / (9 * c)))
                return self.add(
                    "ConvTranspose", [x, weight], (n, channels, *size), strides=[2, 2], pads=[1, 1, 1, 1],
                    output_padding=[1 + e if e == 0 else 1 for e in extra], kernel_shape=[3, 3],
                ) if extra == [0, 0] else self.resize(x, size, "linear")  # fmt: skip
        if kind == "shuffle" and (2 * h, 2 * w) == tuple(size):
            y = self.convolution(x, channels=4 * int(self.random.integers(1, 6)), kernel=(1, 1))
            shape = (n, self.shapes[y][1] // 4, *size)
            return self.add("DepthToSpace", [y], shape, blocksize=2, mode=self.pick("CRD", "DCR"))
        return self.resize(x, size, kind if kind in ("linear", "cubic") else "nearest")

    def resize(self, x, size, mode):
        n, c, _, _ = self.shapes[x]
        shape = (n, c, *size)
        rules = {
            "mode": mode,
            "coordinate_transformation_mode": self.pick("half_pixel", "align_corners", "asymmetric"),
        }
        if mode == "nearest":
            rules |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", [x, "", "", self.numbers(shape, np.int64)], shape, **rules)


def make_graph(seed):
    """A random network: (model, inputs, what is in it)."""
    make = Maker(seed)
    batch, depth = make.pick(1, 1, 2), int(make.random.integers(1, 4))
    is_odd = make.chance(0.6)
    least = 2 ** (depth + 1)
    size = [
        int(make.random.integers(1, 4)) * least + (int(make.random.integers(1, least)) if is_odd else 0)
        for _ in (0, 1)
    ]
    if any(n % 2 for n in size):
        make.features.add("odd")
    x = make.shapes["x"] = (batch, int(make.random.integers(1, 5)), *size)
    given = make.random.standard_normal(x).astype(np.float32)
    value, skips = "x", []
    for _ in range(depth):
        value = make.block(value)
        skips.append(value)
        value, positions = make.down(value)
        skips.append(positions)
    value = make.block(value)
    while skips:
        positions, skip = skips.pop(), skips.pop()
        value = make.up(value, make.shapes[skip][2:], positions)
        if make.chance(0.7):
            make.features.add("skip")
            value = make.concat([skip, value] if make.chance(0.5) else [value, skip])
        value = make.block(value)
    scores = make.convolution(value, channels=int(make.random.integers(2, 8)), kernel=(1, 1))
    if make.chance(0.3):
        scores = make.resize(scores, [2 * n for n in make.shapes[scores][2:]], "linear")
    outputs = [scores]
    if make.chance(0.2):
        outputs.append(value)
    return model_of(make.nodes, {"x": given}, outputs, make.weights), {"x": given}, make.features
