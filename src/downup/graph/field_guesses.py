"""Nodes that see the whole picture, as if they did not: for windows that may differ from the whole."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import median

import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.field_place import Step


def guess(node: ir.Node, value: ir.Value, axis: int, facts: Facts) -> Step | None:
    """A step by which samples of the output lie above samples of an input, by their numbers; None where they do not.

    What an output sample reads is one input sample to each side of that place.
    """
    pairs = list(zip(facts.shapes(value), facts.shapes(node.outputs[0]), strict=True))
    if not pairs or any(len(before) != len(after) or after[axis] <= 1 for before, after in pairs):
        return None
    ratio = median(after[axis] / before[axis] for before, after in pairs)
    # Networks go up and down by whole factors.
    scale = Fraction(max(1, round(ratio))) if ratio >= 1 else Fraction(1, round(1 / ratio))
    if abs(math.log(ratio / scale)) > 0.1:
        return None
    if scale == 1 and node.op_type != "Resize":
        return Step(axis)
    return Step(
        axis,
        1 / scale,
        Fraction(0),
        lambda first, last: (math.floor(first / scale) - 1, math.ceil((last + 1) / scale)),
    )
