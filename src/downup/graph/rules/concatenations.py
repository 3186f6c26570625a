"""A convolution over a concatenation, as a sum of convolutions over its parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import attribute, operand, replace_value
from downup.graph.rules.edit import add_like, insert, insert_like, made_by, only_reader, weight_and_bias


def sum_over_parts(
    node: ir.Node,
    facts: Facts,
    takes: Callable[[ir.Value], bool],
    convolve: Callable[[ir.Value, np.ndarray, np.ndarray | None], ir.Value],
) -> bool:
    """conv(concat(a, b)) = conv_a(a) + conv_b(b): each part that `takes` accepts by `convolve`, the others together.

    Args:
        node: a convolution of one group.
        facts: sizes that hold for all pictures.
        takes: says of a part whether it is worth a convolution of its own.
        convolve: makes it, of a part, its weight and, for one part at most, the bias.

    Returns:
        Whether there was such a concatenation, and any part was taken.
    """
    concat, numbers, like = made_by(node.inputs[0], "Concat"), weight_and_bias(node), node.inputs[1]
    if concat is None or numbers is None or like is None or attribute(concat, "axis") not in (1, -3):
        return False
    parts = [part for part in concat.inputs if part is not None]
    counts = [facts.channels(part) for part in parts]
    if any(count is None for count in counts):
        return False
    is_taken = [only_reader(part) is concat and takes(part) for part in parts]
    if not any(is_taken):
        return False
    weight, bias = numbers
    ends = np.cumsum(np.array(counts, dtype=int))
    weights = np.split(weight, ends[:-1], axis=1)
    others = [index for index, taken in enumerate(is_taken) if not taken]
    terms = []
    if others:
        rest = [parts[index] for index in others]
        x = rest[0] if len(rest) == 1 else insert_like(concat, rest)
        joined = np.concatenate([weights[index] for index in others], axis=1)
        terms.append(insert_like(node, [x, add_like(node, joined, like, "weight"), *node.inputs[2:3]]))
    for part, own, taken in zip(parts, weights, is_taken, strict=True):
        if taken:
            terms.append(convolve(part, own, None if terms or operand(node, 2) is None else bias))
    total = terms[0]
    for term in terms[1:]:
        total = insert(node, "Add", [total, term])
    replace_value(node.outputs[0], total)
    return True
