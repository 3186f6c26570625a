"""Steps over operators that work along axes of their own, or lay the axes of a picture out anew."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from downup.graph.field_place import Flat, Place, Step
from downup.graph.nodes import attribute, constant, operand
from downup.graph.shapes.site import Shape


def along_other(place: Place) -> Step:
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


def reduced(place: Place) -> Step:
    """An operator that sums over axes: others than the one followed."""
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


def layer(place: Place) -> Step:
    """A normalisation over the last axes."""
    if attribute(place.node, "axis", -1) % place.rank <= place.axis:
        raise place.refuse("normalises over the picture")
    return Step(place.axis)


def transpose(place: Place) -> Step:
    """The axis is another one afterwards."""
    order = attribute(place.node, "perm", tuple(reversed(range(place.rank))))
    return Step(order.index(place.axis))


def reshape(place: Place) -> Step:
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


def cut(place: Place) -> Step:
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


def pad(place: Place) -> Step:
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
        place.axis,
        Fraction(1),
        Fraction(-before),
        lambda first, last: (first - before, last - before),
        mirrored=_mirrored(place, before),
    )


def _mirrored(place: Place, before: int) -> int:
    if attribute(place.node, "mode", "constant") != "reflect":
        return 0
    lengths = zip(place.facts.shapes(place.value), place.facts.shapes(place.node.outputs[0]), strict=True)
    return max(before, *(after[place.axis] - length[place.axis] - before for length, after in lengths))
