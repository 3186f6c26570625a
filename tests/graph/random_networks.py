"""Random networks for labelling pictures: down and up again, with all idioms that exporters write."""

from __future__ import annotations

import numpy as np
import onnx

from graph.builders import Builder

NEAREST = (
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor"},
)


class RandomNetwork(Builder):
    """Two or three levels down, as many up; every choice follows from the seed.

    squeezes: the share of blocks with a summary of the whole picture.
    """

    squeezes = 0.2

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.opset = int(self.random.choice([17, 18, 21]))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def choose(self, *items):
        return items[int(self.random.integers(len(items)))]

    def make(self) -> onnx.ModelProto:
        channels = int(self.random.integers(2, 7))
        x = self.block(self.transposed_input("x") if self.chance(0.2) else "x", 3, channels)
        skips = []
        for _ in range(int(self.random.integers(1, 4))):
            wider = channels + int(self.random.integers(0, 5))
            low, positions = self.down(x, channels)
            skips.append((x, channels, positions))
            x, channels = self.block(low, channels, wider), wider
        for skip, width, positions in reversed(skips):
            x, channels = self.up(x, channels, skip, width, positions)
            x, channels = self.block(x, channels, width), width
        return self.model(self.head(x, channels), opset=self.opset)

    def transposed_input(self, x: str) -> str:
        return self.node("Transpose", self.node("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])

    def block(self, x: str, into: int, out: int) -> str:
        dilation = self.choose(1, 1, 2, 3)
        if self.chance(0.2):
            x = self.batch_norm(x, into)
        elif self.chance(0.2):
            x = self.node("Mul", x, self.normal(into, 1, 1))
        if self.chance(0.2):
            x = self.node("Pad", x, self.ints(0, 0, dilation, dilation, 0, 0, dilation, dilation))
            x = self.conv(x, into, out, pads=[0] * 4, dilations=[dilation] * 2)
        else:
            x = self.conv(x, into, out, pads=[dilation] * 4, dilations=[dilation] * 2)
        if self.chance(0.6):
            x = self.batch_norm(x, out)
        elif self.chance(0.5):
            x = self.node("Add", self.node("Mul", x, self.normal(out, 1, 1)), self.normal(1, out, 1, 1))
        y = self.activation(x, out)
        if self.chance(self.squeezes):  # squeeze and excite
            gate = self.conv(self.node("GlobalAveragePool", y), out, out, 1)
            y = self.node("Mul", y, self.node("Sigmoid", gate))
        return self.node("Identity", y) if self.chance(0.2) else y

    def activation(self, x: str, channels: int) -> str:
        match int(self.random.integers(8)):
            case 0:
                return self.node("LeakyRelu", x, alpha=self.choose(0.1, 0.3))
            case 1:
                return self.node("Clip", x, self.weight(np.float32(0)), self.weight(np.float32(6)))
            case 2:
                return self.node("Mul", x, self.node("Sigmoid", x))
            case 3:
                return self.node("PRelu", x, self.normal(channels, 1, 1))
            case 4:
                return self.node("Tanh", x)
            case 5:
                return self.node("HardSwish", x)
            case _:
                return self.node("Relu", x)

    def down(self, x: str, channels: int) -> tuple[str, str | None]:
        match int(self.random.integers(5)):
            case 0:
                return self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), None
            case 1:
                return self.conv(x, channels, channels, strides=[2, 2]), None
            case 2:
                x = self.node("Sigmoid", x) if self.chance(0.5) else x
                return self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), None
            case _:
                pooled = self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], outputs=2)
                return pooled, f"{pooled}:1"

    def up(self, x: str, channels: int, skip: str, width: int, positions: str | None) -> tuple[str, int]:
        if positions is not None and self.chance(0.8):
            x = self.conv(x, channels, width, 1)
            return self.node(
                "MaxUnpool", x, positions, self.node("Shape", skip), kernel_shape=[2, 2], strides=[2, 2]
            ), width
        match int(self.random.integers(4)):
            case 0:
                shape = self.node("Shape", x)
                doubled = self.node(
                    "Mul", self.node("Slice", shape, self.ints(2), self.ints(4)), self.ints(2, 2)
                )
                sizes = self.node(
                    "Concat", self.node("Slice", shape, self.ints(0), self.ints(2)), doubled, axis=0
                )
                x = self.node("Resize", x, "", "", sizes, mode="nearest", **self.choose(*NEAREST))
            case 1:
                mode = self.choose("nearest", "linear", "cubic")
                x = self.node("Resize", x, "", self.weight([1, 1, 2, 2]), mode=mode, **self.choose(*NEAREST))
            case 2:
                x = self.node("ConvTranspose", x, self.normal(channels, channels, 3, 3), strides=[2, 2], pads=[1] * 4,
                    output_padding=[1, 1])  # fmt: skip
            case _:
                x = self.node("DepthToSpace", self.conv(x, channels, 4 * channels, 1), blocksize=2)
        if self.chance(0.3):
            x, channels = self.conv(x, channels, width, self.choose(1, 3)), width
        # Odd sizes: cut what is too much, repeat the edge where a row is missing.
        x = (
            self.node("Pad", x, self.ints(0, 0, 0, 0, 0, 0, 2, 2), mode="edge")
            if self.chance(0.5)
            else self.pad_to(x)
        )
        size = self.node("Slice", self.node("Shape", skip), self.ints(2), self.ints(4))
        x = self.node("Slice", x, self.ints(0, 0), size, self.ints(2, 3))
        order = (x, skip) if self.chance(0.5) else (skip, x)
        return self.node("Concat", *order, axis=1), channels + width

    def pad_to(self, x: str) -> str:
        return self.node("Pad", x, self.ints(0, 0, 0, 0, 0, 0, 2, 2), self.weight(np.float32(0)))

    def fit(self, x: str, like: str) -> str:
        """Interpolated to the size of another map."""
        size = self.node("Slice", self.node("Shape", like), self.ints(2), self.ints(4))
        sizes = self.node(
            "Concat", self.node("Slice", self.node("Shape", x), self.ints(0), self.ints(2)), size, axis=0
        )
        return self.node("Resize", x, "", "", sizes, mode="linear")

    def head(self, x: str, channels: int) -> str:
        x, out = self.conv(x, channels, 4, self.choose(1, 3)), 4
        if self.chance(0.4):
            out = 3
            x = self.conv(self.node("Resize", x, "", self.weight([1, 1, 2, 2]), mode="linear"), 4, 3, 1)
        if self.chance(0.3):  # maps of several resolutions, joined
            low = self.conv(self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), out, 4, 1)
            both = self.node("Concat", x, self.fit(low, x), axis=1)
            x, out = self.conv(both, out + 4, 3, 1), 3
        match int(self.random.integers(3)):
            case 0:
                return self.node("Softmax", x, axis=1)
            case 1:
                return self.node("Sigmoid", x)
            case _:
                return self.node("Identity", x)
