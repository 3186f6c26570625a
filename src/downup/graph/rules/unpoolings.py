"""Un-poolings that exporters spell as a scatter into zeros."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import attribute, constant, operand, replace_value, words
from downup.graph.rules.edit import insert


class _Scatter(NamedTuple):
    """What is scattered, where to, and whether the places count through all planes, or through one."""

    samples: ir.Value
    places: ir.Value
    is_flat: bool


def scatter_to_unpool(node: ir.Node, facts: Facts) -> bool:
    """torch counts positions over a plane, ONNX over all of them: exporters reckon them back and forth, and scatter.

    Where the samples go to an image of the size that was pooled, the pool's own indices say it all. Applies to the
    reshape that gives a scatter its planes, and to an un-pooling by indices that were reckoned with.
    """
    out = node.outputs[0]
    scatter = _reckoned(node) if node.op_type == "MaxUnpool" else _scatter(node, facts)
    if scatter is None:
        return False
    places = _without_planes(scatter.places, facts, out) if scatter.is_flat else scatter.places
    indices = None if places is None else _indices_behind(places, facts)
    if indices is None or indices is operand(node, 1):
        return False
    pool = indices.producer()
    assert pool is not None
    image = pool.inputs[0]
    assert image is not None
    if not _is_undone(pool, scatter.samples, image, out, facts):
        return False
    sides = {
        name: pool.attributes[name] for name in words("kernel_shape strides pads") if name in pool.attributes
    }
    shape = insert(node, "Shape", [image])
    replace_value(out, insert(node, "MaxUnpool", [scatter.samples, indices, shape], sides))
    return True


def _is_undone(pool: ir.Node, samples: ir.Value, image: ir.Value, out: ir.Value, facts: Facts) -> bool:
    """Whether there is a sample for each of the pool's, and an image of the size that was pooled, for all pictures."""
    known = facts.rank(image) == facts.rank(out) == 4
    return (
        known
        and attribute(pool, "auto_pad", "NOTSET") == "NOTSET"
        and facts.are_always_alike(samples, pool.outputs[0])
        and facts.are_always_alike(image, out)
    )


def _reckoned(node: ir.Node) -> _Scatter | None:
    samples, places = node.inputs[0], node.inputs[1]
    return None if samples is None or places is None else _Scatter(samples, places, is_flat=True)


def _scatter(node: ir.Node, facts: Facts) -> _Scatter | None:
    """The scatter into zeros of which a reshape makes planes again."""
    maker = _maker(node.inputs[0], "ScatterND", "ScatterElements") if node.op_type == "Reshape" else None
    if maker is None or attribute(maker, "reduction", "none") != "none":
        return None
    zeros, places, samples = maker.inputs
    rank = facts.rank(zeros)
    axis = attribute(maker, "axis", 0) if maker.op_type == "ScatterElements" else 0
    if rank is None or axis % rank != rank - 1 or facts.rank(node.outputs[0]) != 4 or not _is_zero(zeros):
        return None
    if rank > 1 and not _is_by_plane(maker, node.outputs[0], facts):
        return None
    samples, places = _as_planes(samples, facts), _as_planes(places, facts)
    return None if samples is None or places is None else _Scatter(samples, places, is_flat=rank == 1)


def _is_by_plane(scatter: ir.Node, out: ir.Value, facts: Facts) -> bool:
    """Whether the last axis of what is scattered into is a plane of the output, and all others are alike."""
    zeros, places = (facts.shapes(value) for value in scatter.inputs[:2])
    return all(
        into[-1] == image[2] * image[3] and into[:-1] == given[:-1]
        for into, given, image in zip(zeros, places, facts.shapes(out), strict=True)
    )


def _as_planes(value: ir.Value | None, facts: Facts) -> ir.Value | None:
    """A value as it was before its four axes were joined."""
    while value is not None and facts.rank(value) != 4:
        maker = _maker(value, *words("Reshape Unsqueeze Squeeze Flatten Identity"))
        value = None if maker is None else maker.inputs[0]
    return value


def _without_planes(places: ir.Value, facts: Facts, out: ir.Value) -> ir.Value | None:
    """Of places that count through all planes, those in each plane."""
    add = _maker(places, "Add")
    for side in (0, 1) if add is not None else ():
        assert add is not None
        starts, inner = add.inputs[side], add.inputs[1 - side]
        if starts is not None and inner is not None and _is_start_of_planes(starts, out, facts):
            return inner
    return None


def _is_start_of_planes(value: ir.Value, image: ir.Value, facts: Facts) -> bool:
    """Whether a value is [n, c, 1, 1]: of each plane of an image, the number of its first sample."""
    known = zip(facts.values(value), facts.shapes(image), strict=True)
    return all(
        array is not None
        and array.shape == (*shape[:2], 1, 1)
        and np.array_equal(array.reshape(-1), np.arange(array.size) * (shape[2] * shape[3]))
        for array, shape in known
    )


def _indices_behind(places: ir.Value, facts: Facts) -> ir.Value | None:
    """The indices of the pool that was asked for them, of which `places` are those in each plane."""
    reckoned = _maker(places, "Sub", "Mod")
    if reckoned is None:
        return None
    indices, other = (_uncast(value) for value in reckoned.inputs)
    pool = _maker(indices, "MaxPool")
    if indices is None or other is None or pool is None or indices is not pool.outputs[1]:
        return None
    image = pool.inputs[0]
    assert image is not None
    if attribute(pool, "storage_order", 0) or facts.rank(image) != 4:
        return None
    if reckoned.op_type == "Mod":
        planes = zip(facts.values(other), facts.shapes(image), strict=True)
        is_right = all(
            array is not None and array.size == 1 and array.item() == shape[2] * shape[3]
            for array, shape in planes
        )
    else:
        is_right = _is_start_of_planes(other, image, facts) or _is_first_of_planes(other, image)
    return indices if is_right else None


def _is_first_of_planes(value: ir.Value, image: ir.Value) -> bool:
    """Whether a value is the index of the first sample of each plane, asked of a pool of windows of one sample."""
    cut = _maker(value, "Slice")
    pool = _maker(cut.inputs[0], "MaxPool") if cut is not None else None
    if cut is None or pool is None or len(pool.outputs) < 2 or cut.inputs[0] is not pool.outputs[1]:
        return False
    starts, ends, axes, steps = (constant(operand(cut, index)) for index in (1, 2, 3, 4))
    if starts is None or ends is None or axes is None or (operand(cut, 4) is not None and steps is None):
        return False
    is_corner = (
        not starts.any() and (ends == 1).all() and sorted(axis % 4 for axis in axes.tolist()) == [2, 3]
    )
    is_each = set(attribute(pool, "kernel_shape")) == set(attribute(pool, "strides", (1,))) == {1}
    is_bare = not any(attribute(pool, "pads", ())) and not attribute(pool, "storage_order", 0)
    return bool(is_corner) and is_each and is_bare and pool.inputs[0] is image


def _is_zero(value: ir.Value | None) -> bool:
    numbers = constant(value)
    if numbers is not None:
        return not numbers.any()
    maker = _maker(value, *words("ConstantOfShape Expand Reshape Unsqueeze Squeeze Identity"))
    if maker is None:
        return False
    if maker.op_type != "ConstantOfShape":
        return _is_zero(maker.inputs[0])
    filling = attribute(maker, "value")
    return filling is None or not filling.numpy().any()


def _maker(value: ir.Value | None, *operators: str) -> ir.Node | None:
    maker = value.producer() if value is not None else None
    return maker if maker is not None and maker.op_type in operators else None


def _uncast(value: ir.Value | None) -> ir.Value | None:
    while (maker := _maker(value, "Identity", "Cast")) is not None:
        value = maker.inputs[0]
    return value
