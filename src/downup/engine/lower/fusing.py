"""Activations that the step before them applies to what it writes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup.engine.activation import IDENTITY, IN_CONVOLUTIONS, Activation, activation_of
from downup.engine.lower.context import Lowering
from downup.graph.nodes import attribute
from downup.kernels import lib

Absorbed = tuple[Activation, ir.Value, str]
"""The activation, the value that then is written, and "+operator" for each node."""


def absorb(lowering: Lowering, value: ir.Value) -> Absorbed:
    """The activation after a value, if the step that makes it may apply it; else the identity and the value itself."""
    channels = lowering.shape(value)[1] if len(lowering.shape(value)) == 4 else None
    if (swish := _swish(lowering, value)) is not None:
        return swish
    node = lowering.only_consumer(value)
    if node is None or node in lowering.absorbed or node.inputs[0] is not value:
        return IDENTITY, value, ""
    found = activation_of(node, channels)
    if found is None or found.kind not in IN_CONVOLUTIONS or lowering.dtype(value) != np.float32:
        return IDENTITY, value, ""
    lowering.absorbed.add(node)
    return found, node.outputs[0], f"+{node.op_type}"


def _swish(lowering: Lowering, value: ir.Value) -> Absorbed | None:
    """x * sigmoid(x) and x * hard_sigmoid(x), as exporters write them."""
    nodes = lowering.consumers(value)
    if len(nodes) != 2 or lowering.is_output(value):
        return None
    gate = next((node for node in nodes if node.op_type in ("Sigmoid", "HardSigmoid")), None)
    product = next((node for node in nodes if node.op_type == "Mul"), None)
    if gate is None or product is None or {gate, product} & lowering.absorbed:
        return None
    gated = gate.outputs[0]
    if lowering.only_consumer(gated) is not product or set(product.inputs) != {value, gated}:
        return None
    numbers = attribute(gate, "alpha", 0.2), attribute(gate, "beta", 0.5)
    if gate.op_type == "HardSigmoid" and not np.allclose(numbers, (1 / 6, 0.5), rtol=1e-6):
        return None
    lowering.absorbed |= {gate, product}
    kind = lib.DU_SILU if gate.op_type == "Sigmoid" else lib.DU_HARD_SWISH
    return Activation(kind), product.outputs[0], f"+{gate.op_type}+Mul"
