"""Random networks that can be cut into windows: a label for each pixel, and nothing that sees the whole picture."""

from __future__ import annotations

import numpy as np

from graph.random_networks import NEAREST, RandomNetwork


class Cuttable(RandomNetwork):
    """Two or three levels down and up, of more kinds than its parent knows, and with wider maps."""

    squeezes = 0.0

    def make(self, levels=None):
        channels = int(self.random.integers(4, 21))
        x = self.block(self.filled("x") if self.chance(0.3) else "x", 3, channels)
        skips = []
        for _ in range(levels or int(self.random.integers(1, 4))):
            wider = channels + int(self.random.integers(0, 9))
            low, positions = self.down(x, channels)
            skips.append((x, channels, positions))
            x, channels = self.block(low, channels, wider), wider
        for skip, width, positions in reversed(skips):
            x, channels = self.up(x, channels, skip, width, positions)
            x, channels = self.block(x, channels, width), width
        x = self.conv(x, channels, 4, self.choose(1, 3))
        size = self.node("Slice", self.node("Shape", "x"), self.ints(2), self.ints(4))
        x = self.node("Slice", x, self.ints(0, 0), size, self.ints(2, 3))
        return self.model(self.node("Softmax", x, axis=1) if self.chance(0.2) else x, opset=self.opset)

    def filled(self, x):
        """With rows and columns behind the end, up to a multiple of eight."""
        size = self.node("Slice", self.node("Shape", x), self.ints(2), self.ints(4))
        missing = self.node("Mod", self.node("Neg", size), self.ints(8, 8))
        pads = self.node("Concat", self.ints(0, 0, 0, 0, 0, 0), missing, axis=0)
        return self.node("Pad", x, pads, mode="edge") if self.chance(0.5) else self.node("Pad", x, pads)

    def block(self, x, into, out):
        if into == out and self.chance(0.15):
            y = self.node("Conv", x, self.normal(into, 1, 3, 3), pads=[1] * 4, group=into)
            return self.node("Add", x, self.activation(y, into))
        if self.chance(0.1):
            x = self.node("Pad", x, self.ints(0, 0, 2, 1, 0, 0, 0, 1), mode="reflect")
            return self.activation(self.conv(x, into, out, 3, pads=[0, 0, 0, 0]), out)
        if self.chance(0.1):
            return self.activation(self.conv(x, into, out, 5, pads=[2] * 4), out)
        return super().block(x, into, out)

    def down(self, x, channels):
        match int(self.random.integers(8)):
            case 0:
                size = self.choose(2, 3)
                return self.node("MaxPool", x, kernel_shape=[size] * 2, strides=[2, 2], ceil_mode=1), None
            case 1:
                return self.node("LpPool", x, kernel_shape=[2, 2], strides=[2, 2]), None
            case 2:
                x = self.conv(x, channels, channels, 3, strides=[2, 2], pads=[1] * 4)
                return self.activation(x, channels), None
            case _:
                return super().down(x, channels)

    def up(self, x, channels, skip, width, positions):
        if positions is None and self.chance(0.2):
            # Exactly twice, or cut: convolutions may take a nearest upsampling along.
            mode = self.choose(*NEAREST)
            x = self.node("Resize", x, "", self.weight([1, 1, 2, 2]), mode="nearest", **mode)
            x, channels = self.conv(x, channels, width, 3, pads=[1] * 4), width
            x = self.pad_to(x)
            size = self.node("Slice", self.node("Shape", skip), self.ints(2), self.ints(4))
            x = self.node("Slice", x, self.ints(0, 0), size, self.ints(2, 3))
            return self.node("Add", x, skip), channels
        return super().up(x, channels, skip, width, positions)


def picture(random, rows, columns, batch=1):
    return random.standard_normal((batch, 3, rows, columns)).astype(np.float32)
