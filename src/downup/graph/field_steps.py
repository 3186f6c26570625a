"""Which samples of its input each operator reads, along one axis: the rules behind `downup.graph.field`."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from downup.geometry import extent
from downup.graph import field_layouts
from downup.graph.field_place import Interval, Place, Step
from downup.graph.nodes import attribute, constant, operand, words
from downup.graph.shapes.others import REDUCTIONS
from downup.graph.shapes.pointwise import BROADCAST, UNARY
from downup.graph.shapes.windows import Window, window_of


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
        window = _pool_window(place)
    stride, before, span = window.stride[i], window.pads[i][0], extent(window.size[i], window.dilation[i])
    return Step(
        place.axis,
        Fraction(1, stride),
        -(Fraction(span - 1, 2) - before) / stride,
        lambda first, last: (-((span - 1 - before - first) // stride), (last + before) // stride),
    )


def _pool_window(place: Place) -> Window:
    """The window of the pool whose positions an un-pooling uses, followed through what was done to them."""
    value = place.node.inputs[1]
    while value is not None and (maker := value.producer()) is not None:
        if maker.op_type == "MaxPool":
            pooled, unpooled = (place.facts.shapes(item) for item in (maker.inputs[0], place.node.outputs[0]))
            if [shape[2:] for shape in pooled] != [shape[2:] for shape in unpooled]:
                raise place.refuse("un-pools to another size than was pooled")
            return window_of(maker, pooled[0])
        value = next((item for item in maker.inputs if item is not None and item.const_value is None), None)
    raise place.refuse("un-pools by positions that no pool gives")


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
        if mode == "linear":
            return math.floor(position(first)), math.ceil(position(last))
        # A cubic on a sample weighs no other, so that one nearer to the middle may read further.
        ends = range(min(last - first, math.ceil(scale)) + 1)
        lows = (_cubic(position(first + i))[0] for i in ends)
        highs = (_cubic(position(last - i))[1] for i in ends)
        return min(lows), max(highs)

    return Step(axis, 1 / scale, position(0), reads)


def _cubic(at: Fraction) -> Interval:
    between = at.denominator != 1
    return math.floor(at) - between, math.ceil(at) + between


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
        field_layouts.along_other,
    ),
    **dict.fromkeys(REDUCTIONS, field_layouts.reduced),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), field_layouts.layer),
    "Resize": _resized,
    "Transpose": field_layouts.transpose,
    **dict.fromkeys(RESHAPES, field_layouts.reshape),
    "Slice": field_layouts.cut,
    "Pad": field_layouts.pad,
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
