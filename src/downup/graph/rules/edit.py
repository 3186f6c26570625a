"""How the rules change a graph: new nodes, with the types of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.graph.nodes import add_constant, constant, insert_before, operand
from downup.graph.types import set_types


def insert(
    place: ir.Node,
    operator: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
) -> ir.Value:
    """Put a node in front of another; return its output."""
    value = insert_before(place, operator, inputs, attributes)
    maker, graph = value.producer(), place.graph
    assert maker is not None
    assert isinstance(graph, ir.Graph)
    set_types(maker, graph.opset_imports[""])
    return value


def insert_like(node: ir.Node, inputs: Sequence[ir.Value | None], **changed: Any) -> ir.Value:
    """Put a copy of a node, with other inputs and some other attributes, in front of it; None leaves one out."""
    attributes: dict[str, Any] = {name: item for name, item in node.attributes.items() if name not in changed}
    attributes |= {name: item for name, item in changed.items() if item is not None}
    return insert(node, node.op_type, inputs, attributes)


def add_like(node: ir.Node, array: np.ndarray, like: ir.Value, stem: str) -> ir.Value:
    """Give the graph a weight of the type of another one, that a node will read."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    assert like.dtype is not None
    return add_constant(graph, array.astype(like.dtype.numpy()), f"{node.outputs[0].name}_{stem}")


def only_reader(value: ir.Value | None) -> ir.Node | None:
    """Return the one node that reads a value, if there is no other and the value is no output of the graph."""
    if value is None or value.is_graph_output() or len(value.uses()) != 1:
        return None
    return next(iter(value.uses())).node


def made_by(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """Return the node that makes a value for one reader alone, if it is one of these operators."""
    maker = value.producer() if value is not None else None
    if maker is None or maker.op_type not in operators or value is None or only_reader(value) is None:
        return None
    return maker


def weight_and_bias(node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weight and bias (zeros where there is none) of a convolution in float64, if they are constants."""
    weight = constant(operand(node, 1))
    if weight is None or weight.dtype.kind != "f":
        return None
    count = weight.shape[0]
    if node.op_type == "ConvTranspose":
        group = node.attributes.get("group")
        count = weight.shape[1] * (1 if group is None else int(group.value))
    bias = np.zeros(count) if operand(node, 2) is None else constant(operand(node, 2))
    return None if bias is None else (weight.astype(np.float64), bias.astype(np.float64))
