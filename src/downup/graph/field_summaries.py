"""Numbers that a network makes of a whole picture, such as the mean of each channel, and what becomes of them.

Sums and maxima of parts are put together to those of the whole. So windows can have the bits of the whole picture if
these numbers are known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.field_place import WholePictureError
from downup.graph.nodes import attribute, constant, name_node, operand, words
from downup.graph.shapes.pointwise import BROADCAST, UNARY

_POOLS = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}
_REDUCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max"}

# What treats each sample of a number spread over a picture alike.
_ALIKE = frozenset((*UNARY, *BROADCAST, *words("PRelu Clip BatchNormalization Concat Softmax")))


def summary_of(node: ir.Node, facts: Facts) -> str | None:
    """Which number of each channel of a whole picture a node gives: "mean", "sum" or "max"; None for any other node."""
    if (node.op_type not in _POOLS and node.op_type not in _REDUCTIONS) or facts.rank(node.inputs[0]) != 4:
        return None
    if node.op_type in _REDUCTIONS:
        axes = constant(operand(node, 1))
        if axes is None or {int(axis) % 4 for axis in axes.reshape(-1)} != {2, 3}:
            return None
        return _REDUCTIONS[node.op_type]
    return _POOLS.get(node.op_type)


def check_summary(
    node: ir.Node, summaries: Sequence[ir.Value], sizes: Sequence[ir.Value], facts: Facts
) -> None:
    """Refuse what gives other numbers in a window than in the whole, where all that is read was made of the whole picture.

    Args:
        node: what reads them.
        summaries: numbers of the whole picture, perhaps spread over one.
        sizes: numbers that follow from the size of the picture.
        facts: sizes of all values.

    Raises:
        WholePictureError: names the node.
    """
    given_varies = any(_varies(value, facts) for value in summaries)
    if node.op_type in ("Resize", "Expand") and not given_varies:
        # From one sample, all places get the same.
        spread = [
            axis
            for axis in range(2, facts.rank(node.outputs[0]) or 0)
            if any(shape[axis] != 1 for shape in facts.shapes(node.outputs[0]))
        ]
        first = facts.shapes(summaries[0])[0]
        is_cropped = attribute(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize"
        if not _varies(node.outputs[0], facts) or (
            not is_cropped
            and len(first) == facts.rank(node.outputs[0])
            and all(first[axis] == 1 for axis in spread)
        ):
            return
        raise WholePictureError(f"{name_node(node)} (spreads more than one number over the picture)")
    if node.op_type in BROADCAST and sizes:
        raise WholePictureError(f"{name_node(node)} (what it does depends on the size of the picture)")
    if not given_varies and not _varies(node.outputs[0], facts):
        return
    if node.op_type in _ALIKE and not (node.op_type == "Concat" and attribute(node, "axis") % 4 != 1):
        return
    if node.op_type == "Conv" and _is_of_one_sample(node):
        return
    raise WholePictureError(
        f"{name_node(node)} (what it makes of numbers of the whole picture depends on the place)"
    )


def _varies(value: ir.Value, facts: Facts) -> bool:
    """Whether a value grows with the picture."""
    return len({shape[1:] for shape in facts.shapes(value)}) > 1


def _is_of_one_sample(node: ir.Node) -> bool:
    weight = constant(operand(node, 1))
    has_no_pads = not any(attribute(node, "pads", (0,)))
    return (
        weight is not None
        and set(weight.shape[2:]) == {1}
        and has_no_pads
        and set(attribute(node, "strides", (1,))) == {1}
    )


@dataclass(frozen=True)
class Summary:
    """A number of each channel of a whole picture.

    node: what gives it.
    kind: "mean", "sum" or "max".
    """

    node: ir.Node
    kind: str

    @property
    def source(self) -> ir.Value:
        """What it is made of."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def name(self) -> str:
        """Of the value that it is."""
        return self.node.outputs[0].name or ""


def find_levels(model: ir.Model, summaries: Mapping[ir.Node, str]) -> tuple[tuple[Summary, ...], ...]:
    """The summaries that the first output is made of, in the order in which they can be known.

    Args:
        model: the network.
        summaries: as `Paths` has them.

    Returns:
        first those that need the picture alone; then those that need these, too; and so on.
    """
    needed = {model.graph.outputs[0]}
    for node in reversed(model.graph):
        if needed.intersection(node.outputs):
            needed.update(value for value in node.inputs if value is not None)
    depths: dict[ir.Value, int] = {}
    levels: list[list[Summary]] = []
    for node in model.graph:
        depth = max((depths.get(value, 0) for value in node.inputs if value is not None), default=0)
        if node in summaries and needed.intersection(node.outputs):
            while len(levels) <= depth:
                levels.append([])
            levels[depth].append(Summary(node, summaries[node]))
            depth += 1
        depths.update(dict.fromkeys(node.outputs, depth))
    return tuple(map(tuple, levels))
