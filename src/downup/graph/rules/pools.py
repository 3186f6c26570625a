"""Pointwise functions and max pools."""

from __future__ import annotations

import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import attribute, replace_value, words
from downup.graph.rules.edit import insert, insert_like, made_by

# What convolutions of every engine compute along with themselves, at no cost.
_FUSED = words("Relu Clip LeakyRelu")
NON_DECREASING = {
    *_FUSED,
    *words("Sigmoid HardSigmoid Tanh Elu Selu Softplus Softsign Exp Erf Floor Ceil Round Atan"),
}


def pool_before_activation(node: ir.Node, facts: Facts) -> bool:
    """A non-decreasing function of a maximum is the maximum of its values: computed behind the pool, it costs a quarter.

    Not where the pool's positions are used (equal values have other positions before the function), and not where
    the function comes for nothing with the convolution before it.
    """
    if node.op_type != "MaxPool" or (
        len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    ):
        return False
    function = made_by(node.inputs[0], *NON_DECREASING)
    if function is None or not is_non_decreasing(function):
        return False
    x = function.inputs[0]
    before = x.producer() if x is not None else None
    if (
        function.op_type in _FUSED
        and before is not None
        and before.op_type in ("Conv", "ConvTranspose", "Add")
    ):
        return False
    pooled = insert_like(node, [x])
    replace_value(node.outputs[0], _insert_copy(node, function, pooled))
    return True


def is_non_decreasing(function: ir.Node) -> bool:
    """Say whether a pointwise function never falls, with the attributes that it has."""
    if function.op_type in ("LeakyRelu", "HardSigmoid", "Elu"):
        return bool(attribute(function, "alpha", 0.01) >= 0)
    if function.op_type == "Selu":
        return bool(attribute(function, "gamma", 1.0) >= 0 and attribute(function, "alpha", 1.0) >= 0)
    return function.op_type in NON_DECREASING


def _insert_copy(place: ir.Node, function: ir.Node, x: ir.Value) -> ir.Value:
    """Put a copy of a pointwise function, of `x`, in front of `place`."""
    return insert(place, function.op_type, [x, *function.inputs[1:]], dict(function.attributes))
