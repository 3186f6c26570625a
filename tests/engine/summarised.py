"""Random networks that ask for numbers of the whole picture, as squeeze-and-excite, ASPP and PSP do."""

from __future__ import annotations

import numpy as np

from downup.prediction import windows_of
from engine.cuttable import Cuttable


class Summarised(Cuttable):
    """Every other block looks at the whole picture, in the spellings of several exporters."""

    def block(self, x, into, out):
        y = super().block(x, into, out)
        if not self.chance(0.4):
            return y
        match int(self.random.integers(5)):
            case 0:
                return self.node("Mul", y, self.gate(self.node("GlobalAveragePool", y), out))
            case 1:
                return self.node("Mul", y, self.node("HardSigmoid", self.dense(y, out)))
            case 2:
                weight = self.normal(out, out, 1, 1)
                pools = [
                    self.node("Conv", self.node(f"Global{kind}Pool", y), weight)
                    for kind in ("Average", "Max")
                ]
                return self.node("Mul", y, self.node("Sigmoid", self.node("Add", *pools)))
            case 3:
                return self.spread(y, out, self.choose("linear", "nearest", "cubic"))
            case _:
                # The brightest of each channel, spread by Expand.
                largest = (
                    self.node("ReduceMax", y, axes=[2, 3])
                    if self.opset < 18
                    else self.node("GlobalMaxPool", y)
                )
                shape = self.node("Shape", y)
                return self.node("Sub", y, self.node("Expand", self.node("Tanh", largest), shape))

    def gate(self, pooled, channels):
        few = max(1, channels // 4)
        x = self.node("Relu", self.conv(pooled, channels, few, 1))
        return self.node("Sigmoid", self.conv(x, few, channels, 1))

    def dense(self, y, channels):
        """Two axes, then four again."""
        if self.opset >= 18:
            x = self.node("ReduceMean", y, self.ints(2, 3), keepdims=0)
        else:
            x = self.node("ReduceMean", y, axes=[-2, -1], keepdims=0)
        x = self.node("MatMul", x, self.normal(channels, channels))
        if self.chance(0.5):
            return self.node("Unsqueeze", x, self.ints(2, 3))
        return self.node("Reshape", x, self.ints(-1, channels, 1, 1))

    def spread(self, y, channels, mode):
        """The image pooling of ASPP, the one bin of PSP."""
        pooled = self.node("Relu", self.conv(self.node("GlobalAveragePool", y), channels, 5, 1))
        size = self.node("Slice", self.node("Shape", y), self.ints(2), self.ints(4))
        sizes = self.node(
            "Concat", self.node("Slice", self.node("Shape", pooled), self.ints(0), self.ints(2)), size, axis=0
        )
        extra = {"mode": mode, "coordinate_transformation_mode": self.choose("half_pixel", "align_corners")}
        wide = self.node("Resize", pooled, "", "", sizes, **extra)
        if self.chance(0.3):
            wide = self.node("Sigmoid", self.conv(wide, 5, 5, 1))
        return self.conv(self.node("Concat", wide, y, axis=1), channels + 5, channels, self.choose(1, 3))


def kept(span, length):
    """Which pixels of a window that is read are kept, to the end of the picture where it ends there."""
    return slice(span.kept_of_read.start, None if span.last == length else span.kept_of_read.stop)


def settled(session, x, times):
    """A session that knows what is asked of the whole of a picture, gathered from windows; and how many there were.

    times: the most periods that a window keeps of an axis, by pass.
    """
    gathering, known, count = session.gathering, {}, 0
    size = x.shape[2:]
    for _ in range(gathering.passes):
        gatherer = gathering.gatherer(known)
        parts = windows_of(gatherer, *size, gatherer.stride * times())
        total = {}
        for part in parts:
            window = x[:, :, part.rows.start : part.rows.stop, part.columns.start : part.columns.stop]
            total = gatherer.add(
                total,
                gatherer.gather(
                    np.ascontiguousarray(window), kept(part.rows, size[0]), kept(part.columns, size[1])
                ),
            )
        known |= gatherer.finish(total)
        count += len(parts)
    return gathering.knowing(known), count
