"""Shapes of every value of a network for given sizes of its inputs, and what is computed from shapes.

One small function per operator says the shape of its outputs: `RULES`. An operator that has none is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from downup.errors import ArgumentError, DataError
from downup.graph.shapes import others, pointwise, rearrange, windows
from downup.graph.shapes.evaluation import EVALUABLE, evaluate
from downup.graph.shapes.rearrange import pads_of, slices_of
from downup.graph.shapes.site import MOST_ELEMENTS, Known, Rule, Shape, Site
from downup.graph.shapes.windows import Window, window_of

__all__ = [
    "RULES",
    "Known",
    "Shape",
    "Site",
    "Window",
    "infer",
    "infer_node",
    "pads_of",
    "site_of",
    "slices_of",
    "window_of",
]

RULES: dict[str, Rule] = {**windows.RULES, **pointwise.RULES, **rearrange.RULES, **others.RULES}

# Larger tensors are left for the run: shapes, grids and positions of planes are far below it.
_MOST_EVALUATED = 1 << 16


def infer(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> dict[str, Known]:
    """Return what is known of every value, by name, for inputs of the given shapes.

    Args:
        model: as `downup.graph.read` returns it.
        shapes: the shape of each input, by name.

    Returns:
        For every input, weight and output of a node: its shape, its element type, and its numbers where these follow
        from the sizes alone.

    Raises:
        ArgumentError: an input is missing, or its shape is none that the model declares.
        DataError: a node cannot work on such sizes; the message names it.
    """
    known = {value.name or "": _given(value, shapes) for value in model.graph.inputs}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        assert tensor is not None
        known.setdefault(name, Known(tuple(tensor.shape.numpy()), tensor.dtype, tensor.numpy()))
    opset = model.graph.opset_imports[""]
    for node in model.graph:
        for value, found in zip(node.outputs, infer_node(site_of(node, known), opset), strict=False):
            if value.name:
                known[value.name] = found
    return known


def site_of(node: ir.Node, known: Mapping[str, Known]) -> Site:
    """Return a node together with what is known of its inputs."""
    return Site(node, [None if value is None else known[value.name or ""] for value in node.inputs])


def infer_node(site: Site, opset: int) -> list[Known]:
    """Return what is known of the outputs of one node.

    Raises:
        DataError: the node cannot work on such inputs.
    """
    node = site.node
    shapes = RULES[node.op_type](site)
    for shape in shapes:
        if math.prod(shape) > MOST_ELEMENTS:
            raise site.refuse(f"its output has the shape {list(shape)}, which no machine holds")
    values = _values(site, shapes, opset)
    found = []
    for index, output in enumerate(node.outputs):
        if index >= len(shapes):
            raise site.refuse(f"has {len(node.outputs)} outputs; {len(shapes)} are supported")
        dtype = output.dtype
        if dtype is None:
            raise site.refuse(f"nothing says the type of its output {output.name!r}")
        value = values[index] if values is not None else None
        if value is not None and value.shape != shapes[index]:
            raise site.refuse(f"gave {list(value.shape)} where {list(shapes[index])} was expected")
        found.append(Known(shapes[index], dtype, value))
    return found


def _values(site: Site, shapes: list[Shape], opset: int) -> Sequence[np.ndarray] | None:
    """The numbers of the outputs, where they follow from the sizes alone."""
    operator = site.node.op_type
    if operator == "Shape":
        part = slice(site.get("start", 0), site.get("end"))
        return [np.array(site.shape(0)[part], dtype=np.int64)]
    if operator == "Size":
        return [np.array(site.known(0).size, dtype=np.int64)]
    if operator not in EVALUABLE or any(item is not None and item.value is None for item in site.inputs):
        return None
    weight = sum(item.size for item in site.inputs if item is not None)
    if sum(math.prod(shape) for shape in shapes) > max(_MOST_EVALUATED, 2 * weight):
        return None
    return evaluate(site, shapes, opset)


def _given(value: ir.Value, shapes: Mapping[str, Sequence[int]]) -> Known:
    """The input that the caller describes; it must be one that the model takes."""
    name = value.name or ""
    if name not in shapes:
        raise ArgumentError(f"the shape of input {name!r} is not given")
    shape = tuple(int(length) for length in shapes[name])
    declared = None if value.shape is None else value.shape.dims
    fits = declared is None or (
        len(declared) == len(shape)
        and all(
            wanted == length
            for wanted, length in zip(declared, shape, strict=True)
            if isinstance(wanted, int)
        )
    )
    if not fits or any(length < 0 for length in shape) or math.prod(shape) > MOST_ELEMENTS:
        wanted = "any shape" if declared is None else [str(item) for item in declared or ()]
        raise ArgumentError(f"input {name!r} has shape {list(shape)}; the network takes {wanted}")
    if value.dtype is None:
        raise DataError(f"input {name!r} has no element type")
    return Known(shape, value.dtype)
