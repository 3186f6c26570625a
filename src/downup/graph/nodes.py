"""Small questions to a node, and small changes of a graph, that everything here is written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text; a table of operators reads better without a quote around each.

    >>> words("Add Sub")
    ('Add', 'Sub')
    """
    return tuple(text.split())


def name_node(node: ir.Node) -> str:
    """Return what messages call a node: its type, and its name or that of its first output.

    >>> name_node(ir.node("Relu", [ir.Value(name="x")], name="encoder/relu"))
    "Relu 'encoder/relu'"
    """
    return f"{node.op_type} {node.name or next((value.name for value in node.outputs), '')!r}"


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """Return an attribute's value; words as text, lists as tuples."""
    found = node.attributes.get(name)
    if found is None:
        return default
    return (
        tuple(found.value)
        if isinstance(found.value, Sequence) and not isinstance(found.value, str)
        else found.value
    )


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input, or None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def is_constant(value: ir.Value | None) -> bool:
    """Say whether a value is a weight that no caller can replace."""
    return value is not None and value.const_value is not None and not value.is_graph_input()


def constant(value: ir.Value | None) -> np.ndarray | None:
    """Return the numbers of a constant, or None of anything else."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


_NAMES = "downup.names"


def collect_names(graph: ir.Graph) -> None:
    """Note the names of all values of a graph, before new ones are given."""
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    graph.meta[_NAMES] = taken | {value.name for node in graph for value in node.outputs}


def fresh_name(graph: ir.Graph, stem: str) -> str:
    """Return `stem`, or `stem` with a number, whichever no value of the graph is called yet."""
    if _NAMES not in graph.meta:
        collect_names(graph)
    taken, name, number = graph.meta[_NAMES], stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name)
    return name


def add_constant(graph: ir.Graph, array: Any, stem: str) -> ir.Value:
    """Give the graph one weight more."""
    numbers = np.ascontiguousarray(array).reshape(
        np.shape(array)
    )  # ascontiguousarray makes scalars lists of one
    value = ir.Value(name=fresh_name(graph, stem))
    value.const_value = ir.tensor(numbers, name=value.name)
    value.dtype = value.const_value.dtype
    value.shape = ir.Shape(numbers.shape)
    graph.register_initializer(value)
    return value


def insert_before(
    place: ir.Node,
    operator: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    stem: str | None = None,
    dtype: ir.DataType | None = None,
) -> ir.Value:
    """Put a node with one output in front of another; return its output."""
    graph = place.graph
    assert isinstance(graph, ir.Graph)
    name = fresh_name(graph, stem or f"{place.outputs[0].name}_{operator.lower()}")
    node = ir.node(operator, inputs, attributes or {}, name=name)
    node.outputs[0].name = name
    if dtype is not None:
        node.outputs[0].dtype = dtype
    graph.insert_before(place, node)
    return node.outputs[0]


def replace_value(old: ir.Value, new: ir.Value) -> None:
    """Let all that read `old` read `new`; an output of the graph keeps its name.

    The node that made `old` is left, dead, for `remove_dead_ends`.
    """
    if old.is_graph_output():
        graph = old.graph
        assert isinstance(graph, ir.Graph)
        if new.producer() is None or new.is_graph_output():
            # A name can belong to one value only: an input, weight or other output is passed on by a node.
            maker = old.producer()
            assert maker is not None
            new = insert_before(maker, "Identity", [new], dtype=new.dtype)
        name = old.name
        old.name = fresh_name(graph, f"{name}_before")
        new.name = name
        if new.shape is None:
            new.shape = old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def remove_dead_ends(graph: ir.Graph) -> int:
    """Remove the nodes and weights that no output needs; return how many nodes went."""
    count = 0
    outputs = set(graph.outputs)
    for node in reversed(graph):
        if not any(value.uses() or value in outputs for value in node.outputs):
            graph.remove(node, safe=True)
            count += 1
    for name in [
        name for name, value in graph.initializers.items() if not value.uses() and value not in outputs
    ]:
        del graph.initializers[name]
    return count


def remove_if_dead(node: ir.Node) -> None:
    """Remove a node that nobody needs, and those before it that only it needed."""
    waiting: list[ir.Node | None] = [node]
    while waiting:
        found = waiting.pop()
        if found is None or found.graph is None:
            continue
        if not any(value.uses() or value.is_graph_output() for value in found.outputs):
            makers = [value.producer() for value in found.inputs if value is not None]
            found.graph.remove(found, safe=True)
            waiting += makers
