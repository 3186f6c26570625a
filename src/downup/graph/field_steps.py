"""Which samples of its input each operator reads, along one axis: the rules behind `downup.graph.field`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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
from downup.graph.shapes.site import Shape
from downup.graph.shapes.windows import Window, window_of

Interval = tuple[int, int]


class WholePictureError(DataError):
    """A node whose output depends on the whole picture, or on where in it a sample lies."""


@dataclass(frozen=True)
class Flat:
    """Rows and columns laid out as one axis: how long the followed one was, for each size tried, and which it was."""

    lengths: tuple[int, ...]
    is_last: bool


@dataclass(frozen=True)
class Step:
    """How an operator goes along one axis.

    axis: which axis of its output that is.
    stride: input samples from one output sample to the next.
    centre: where the centre of output sample 0 lies, in input samples.
    reads: from the first and last output sample of interest, the first and last input sample that they read, far from
    the edges.
    flat: set where that axis holds rows and columns, behind a reshape.
    """

    axis: int
    stride: Fraction = Fraction(1)
    centre: Fraction = Fraction(0)
    reads: Callable[[int, int], Interval] = lambda first, last: (first, last)
    flat: Flat | None = None


@dataclass(frozen=True)
class Place:
    """A node, the input whose samples are followed, and the axis along which they are."""

    node: ir.Node
    index: int
    axis: int
    facts: Facts
    flat: Flat | None = None

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
    """Other axes may be split and joined; rows and columns may become one axis, and two again."""
    pairs = list(zip(place.facts.shapes(place.value), place.facts.shapes(place.node.outputs[0]), strict=True))
    if place.flat is None:
        whole = _common(_matching(before, after, place.axis, before[place.axis]) for before, after in pairs)
        if whole is not None:
            return Step(whole)
        first = place.rank - 2
        flat = _common(_matching(before, after, first, math.prod(before[first:])) for before, after in pairs)
        if place.axis >= first and flat is not None:
            lengths = tuple(before[place.axis] for before, _ in pairs)
            return Step(flat, flat=Flat(lengths, is_last=place.axis > first))
        raise place.refuse("mixes the rows or columns of the picture")
    whole = _common(_matching(before, after, place.axis, before[place.axis]) for before, after in pairs)
    if whole is not None:
        return Step(whole, flat=place.flat)
    apart = _common(
        {
            axis
            for axis in range(len(after) - 1)
            if math.prod(after[:axis]) == math.prod(before[: place.axis])
            and after[axis] * after[axis + 1] == before[place.axis]
            and after[axis + place.flat.is_last] == length
        }
        for (before, after), length in zip(pairs, place.flat.lengths, strict=True)
    )
    if apart is None:
        raise place.refuse("mixes the rows or columns of the picture")
    return Step(apart + place.flat.is_last)


def _matching(before: Shape, after: Shape, axis: int, length: int) -> set[int]:
    """The axes of a new shape that hold what `length` samples from `axis` on held."""
    ahead = math.prod(before[:axis])
    return {new for new, size in enumerate(after) if size == length and math.prod(after[:new]) == ahead}


def _common(found: Iterable[set[int]]) -> int | None:
    """The axis that fits for all sizes tried."""
    axes = set.intersection(*found)
    return max(axes) if axes else None


def _entry(place: Place, index: int, axes_index: int, per_axis: int = 1) -> int | None:
    """Where in a list of numbers, one for each axis that another input names, the number of the followed axis stands."""
    axes = operand(place.node, axes_index)
    named = constant(axes)
    if axes is not None and named is None:
        raise place.refuse("works along axes that depend on the size of the picture")
    shapes = place.facts.shapes(place.node.inputs[index])
    numbered = (
        range(shapes[0][0] // per_axis) if named is None else [int(axis) % place.rank for axis in named]
    )
    return list(numbered).index(place.axis) if place.axis in numbered else None


def _slice(place: Place) -> Step:
    """Where a cut ends does not matter: samples behind it are asked for by nobody."""
    entry = _entry(place, 1, 3)
    if entry is None:
        return Step(place.axis)
    start = place.facts.numbers(operand(place.node, 1), entry)
    step = 1 if operand(place.node, 4) is None else place.facts.numbers(operand(place.node, 4), entry)
    if start is None or step is None or start < 0 or step < 1:
        raise place.refuse("cuts at a place that depends on the size of the picture")
    return Step(
        place.axis,
        Fraction(step),
        Fraction(start),
        lambda first, last: (start + first * step, start + last * step),
    )


def _pad(place: Place) -> Step:
    """How much is added at the end does not matter: it moves no sample."""
    entry = _entry(place, 1, 3, per_axis=2)
    if entry is None:
        return Step(place.axis)
    before = place.facts.numbers(operand(place.node, 1), entry)
    if before is None:
        raise place.refuse("pads by an amount that depends on the size of the picture")
    if attribute(place.node, "mode", "constant") == "wrap":
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


RESHAPES = words("Reshape Flatten Squeeze Unsqueeze")

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
    **dict.fromkeys(RESHAPES, _reshape),
    "Slice": _slice,
    "Pad": _pad,
    "DepthToSpace": _to_space,
    "SpaceToDepth": _to_depth,
    "MatMul": _matmul,
}
for _whole in ("Trilu", "MeanVarianceNormalization"):
    del STEPS[_whole]

# What may be done to rows and columns that are one axis: nothing that looks at neighbours.
FLAT = frozenset(STEPS) - set(
    words(
        "Conv ConvTranspose MaxPool AveragePool LpPool MaxUnpool Resize Slice Pad DepthToSpace SpaceToDepth"
    )
)
