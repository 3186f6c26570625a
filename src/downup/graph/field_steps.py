"""Which samples of its input each operator reads, along one axis: the rules behind `downup.graph.field`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from downup.errors import DataError
from downup.geometry import extent
from downup.graph.facts import Facts
from downup.graph.nodes import attribute, constant, name_node, operand, words
from downup.graph.shapes.others import REDUCTIONS
from downup.graph.shapes.pointwise import BROADCAST, UNARY
from downup.graph.shapes.windows import Window, window_of

Interval = tuple[int, int]


class WholePictureError(DataError):
    """A node whose output depends on the whole picture, or on where in it a sample lies."""


@dataclass(frozen=True)
class Step:
    """How an operator goes along one axis.

    axis: which axis of its output that is.
    stride: input samples from one output sample to the next.
    centre: where the centre of output sample 0 lies, in input samples.
    reads: from the first and last output sample of interest, the first and last input sample that they read, far from
    the edges.
    """

    axis: int
    stride: Fraction = Fraction(1)
    centre: Fraction = Fraction(0)
    reads: Callable[[int, int], Interval] = lambda first, last: (first, last)


@dataclass(frozen=True)
class Place:
    """A node, the input whose samples are followed, and the axis along which they are."""

    node: ir.Node
    index: int
    axis: int
    facts: Facts

    @property
    def value(self) -> ir.Value:
        """The input that is followed."""
        value = self.node.inputs[self.index]
        assert value is not None
        return value

    @property
    def rank(self) -> int:
        """How many axes the input has."""
        return len(self.facts.shapes(self.value)[0])

    def refuse(self, why: str) -> WholePictureError:
        """Return the error that names the node."""
        return WholePictureError(f"{name_node(self.node)} ({why})")

    def window(self) -> Window:
        """Return the node's window, if it is the same for all sizes."""
        weight = (
            self.facts.shapes(self.node.inputs[1])[0][2:]
            if self.node.op_type in ("Conv", "ConvTranspose")
            else None
        )
        windows = {window_of(self.node, shape, weight) for shape in self.facts.shapes(self.value)}
        if len(windows) != 1 or self.axis < 2:
            raise self.refuse("its padding depends on the size of the picture")
        return windows.pop()


def _windowed(place: Place) -> Step:
    window, i = place.window(), place.axis - 2
    stride, before, span = window.stride[i], window.pads[i][0], extent(window.size[i], window.dilation[i])
    return Step(
        place.axis,
        Fraction(stride),
        Fraction(span - 1, 2) - before,
        lambda first, last: (first * stride - before, last * stride - before + span - 1),
    )


def _transposed(place: Place) -> Step:
    """The transpose of a window: also what un-pooling does, whose samples may land anywhere in theirs."""
    window, i = place.window(), place.axis - 2
    if place.node.op_type == "MaxUnpool":
        window = _pool_window(place) or window
    stride, before, span = window.stride[i], window.pads[i][0], extent(window.size[i], window.dilation[i])
    return Step(
        place.axis,
        Fraction(1, stride),
        -(Fraction(span - 1, 2) - before) / stride,
        lambda first, last: (-((span - 1 - before - first) // stride), (last + before) // stride),
    )


def _pool_window(place: Place) -> Window | None:
    """The window of the pool whose positions an un-pooling uses, followed through what was done to them."""
    value = place.node.inputs[1]
    while value is not None and (maker := value.producer()) is not None:
        if maker.op_type == "MaxPool":
            return window_of(maker, place.facts.shapes(maker.inputs[0])[0])
        value = next((item for item in maker.inputs if item is not None and item.const_value is None), None)
    return None


def _resized(place: Place) -> Step:
    node, axis = place.node, place.axis
    scale = _scale(place)
    mode, where = (
        attribute(node, "mode", "nearest"),
        attribute(node, "coordinate_transformation_mode", "half_pixel"),
    )
    if scale == 1:
        return Step(axis)
    if where == "align_corners" or where.startswith("tf_"):
        raise place.refuse(f"{where}: where a sample lies depends on the size of the picture")
    if attribute(node, "antialias", 0) and scale < 1:
        raise place.refuse("antialias is not followed yet")
    shift = Fraction(0) if where == "asymmetric" else Fraction(1, 2)
    rounding = attribute(node, "nearest_mode", "round_prefer_floor")

    def position(out: int) -> Fraction:
        return (out + shift) / scale - shift

    def nearest(out: int) -> int:
        at = position(out)
        half = Fraction(1, 2)
        rules = {"floor": math.floor(at), "ceil": math.ceil(at), "round_prefer_floor": math.ceil(at - half)}
        return rules.get(rounding, math.floor(at + half))

    def reads(first: int, last: int) -> Interval:
        if mode == "nearest":
            return nearest(first), nearest(last)
        # A cubic on a sample weighs no other.
        low, high = math.floor(position(first)), math.ceil(position(last))
        if mode == "cubic":
            low -= position(first).denominator != 1
            high += position(last).denominator != 1
        return low, high

    return Step(axis, 1 / scale, position(0), reads)


def _scale(place: Place) -> Fraction:
    """By what factor the axis grows, whatever the size of the picture."""
    node, axes = place.node, attribute(place.node, "axes") or tuple(range(place.rank))
    if place.axis not in [axis % place.rank for axis in axes]:
        return Fraction(1)
    scales = constant(operand(node, 2))
    if scales is not None:
        number = float(scales[[axis % place.rank for axis in axes].index(place.axis)])
        fraction = Fraction(number).limit_denominator(1024)
        if np.float32(fraction.numerator / fraction.denominator) != np.float32(number):
            raise place.refuse(f"a factor of {number:g} puts every sample elsewhere")
        return fraction
    proven = place.facts.scales.get(node.outputs[0].name or "")
    if proven is None or place.axis < 2:
        raise place.refuse("resizes to a size that is no fixed multiple of its input's")
    return Fraction(proven[place.axis - 2])


def _pointwise(place: Place) -> Step:
    """Each output sample reads one, counted from the last axis, as broadcasting does."""
    out = place.facts.rank(place.node.outputs[0])
    assert out is not None
    return Step(place.axis + out - place.rank)


def _along_other(place: Place) -> Step:
    """An operator that works along axes of its own."""
    default = 0 if place.node.op_type in ("Split", "Gather", "ArgMax", "ArgMin") else -1
    axis = attribute(place.node, "axis", default)
    if place.node.op_type == "CumSum":
        numbers = constant(operand(place.node, 1))
        axis = None if numbers is None else int(numbers.reshape(-1)[0])
    if axis is None or axis % place.rank == place.axis:
        raise place.refuse("works along the rows or columns of the picture")
    axis %= place.rank
    if place.node.op_type in ("ArgMax", "ArgMin") and not attribute(place.node, "keepdims", 1):
        return Step(place.axis - (axis < place.axis))
    if place.node.op_type == "Gather":
        indices = place.facts.rank(place.node.inputs[1])
        assert indices is not None
        return Step(place.axis + (indices - 1 if axis < place.axis else 0))
    return Step(place.axis)


def _reduced(place: Place) -> Step:
    numbers = constant(operand(place.node, 1))
    if operand(place.node, 1) is None and attribute(place.node, "noop_with_empty_axes", 0):
        return Step(place.axis)
    axes = (
        {int(axis) % place.rank for axis in numbers.reshape(-1)}
        if numbers is not None
        else set(range(place.rank))
    )
    if place.axis in axes:
        raise place.refuse("sums over the rows or columns of the picture")
    gone = 0 if attribute(place.node, "keepdims", 1) else sum(axis < place.axis for axis in axes)
    return Step(place.axis - gone)


def _layer(place: Place) -> Step:
    if attribute(place.node, "axis", -1) % place.rank <= place.axis:
        raise place.refuse("normalises over the picture")
    return Step(place.axis)


def _transpose(place: Place) -> Step:
    order = attribute(place.node, "perm", tuple(reversed(range(place.rank))))
    return Step(order.index(place.axis))


def _reshape(place: Place) -> Step:
    """Axes before and behind the one followed may be split and joined, if it stays whole."""
    found = set()
    for before, after in zip(
        place.facts.shapes(place.value), place.facts.shapes(place.node.outputs[0]), strict=True
    ):
        ahead = math.prod(before[: place.axis])
        found.add(
            frozenset(
                axis
                for axis, length in enumerate(after)
                if length == before[place.axis] and math.prod(after[:axis]) == ahead
            )
        )
    axes = frozenset.intersection(*found)
    if not axes:
        raise place.refuse("mixes the rows or columns of the picture")
    return Step(max(axes))


def _slice(place: Place) -> Step:
    starts, steps = constant(operand(place.node, 1)), constant(operand(place.node, 4))
    axes = constant(operand(place.node, 3))
    if starts is None or (operand(place.node, 3) is not None and axes is None):
        raise place.refuse("cuts at a place that depends on the size of the picture")
    numbered = [int(axis) % place.rank for axis in axes] if axes is not None else list(range(len(starts)))
    if place.axis not in numbered:
        return Step(place.axis)
    i = numbered.index(place.axis)
    start, step = (
        int(starts[i]),
        1 if operand(place.node, 4) is None else 0 if steps is None else int(steps[i]),
    )
    if start < 0 or step < 1:
        raise place.refuse("cuts at a place that depends on the size of the picture")
    return Step(
        place.axis,
        Fraction(step),
        Fraction(start),
        lambda first, last: (start + first * step, start + last * step),
    )


def _pad(place: Place) -> Step:
    pads, axes = constant(operand(place.node, 1)), constant(operand(place.node, 3))
    if pads is None:
        raise place.refuse("pads by an amount that depends on the size of the picture")
    numbered = [int(axis) % place.rank for axis in axes] if axes is not None else list(range(place.rank))
    before = int(pads[numbered.index(place.axis)]) if place.axis in numbered else 0
    if attribute(place.node, "mode", "constant") == "wrap" and place.axis in numbered:
        raise place.refuse("wraps around the picture")
    return Step(
        place.axis, Fraction(1), Fraction(-before), lambda first, last: (first - before, last - before)
    )


def _to_space(place: Place) -> Step:
    block = int(attribute(place.node, "blocksize"))
    middle = Fraction(1 - block, 2) / block
    return Step(place.axis, Fraction(1, block), middle, lambda first, last: (first // block, last // block))


def _to_depth(place: Place) -> Step:
    block = int(attribute(place.node, "blocksize"))
    return Step(
        place.axis,
        Fraction(block),
        Fraction(block - 1, 2),
        lambda first, last: (first * block, last * block + block - 1),
    )


def _matmul(place: Place) -> Step:
    other = place.node.inputs[1 - place.index]
    summed = place.rank - 1 if place.index == 0 else place.rank - 2
    if other is None or other.const_value is None or place.axis == summed:
        raise place.refuse("multiplies over the picture")
    return _pointwise(place)


STEPS: dict[str, Callable[[Place], Step]] = {
    **dict.fromkeys((*UNARY, *BROADCAST, "PRelu", "Clip", "BatchNormalization"), _pointwise),
    **dict.fromkeys(("Conv", "MaxPool", "AveragePool", "LpPool"), _windowed),
    **dict.fromkeys(("ConvTranspose", "MaxUnpool"), _transposed),
    **dict.fromkeys(
        words("Concat Split Gather ArgMax ArgMin Softmax LogSoftmax Hardmax LpNormalization CumSum"),
        _along_other,
    ),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _layer),
    "Resize": _resized,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Slice": _slice,
    "Pad": _pad,
    "DepthToSpace": _to_space,
    "SpaceToDepth": _to_depth,
    "MatMul": _matmul,
}
for _whole in ("Trilu", "MeanVarianceNormalization"):
    del STEPS[_whole]
