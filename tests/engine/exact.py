"""A model computed in float64, node by node, by torch: what every engine's error is measured against."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper

from conformance.onnx_calls import run_node


def _clip(attributes, x, low=None, high=None):
    return x.clamp(None if low is None else low.item(), None if high is None else high.item())


def _unpool(attributes, x, positions, shape):
    out = torch.zeros(tuple(shape.tolist()), dtype=x.dtype)
    out.view(-1)[positions.reshape(-1)] = x.reshape(-1)
    return out


def _norm(attributes, x, scale, bias, mean, variance):
    return F.batch_norm(x, mean, variance, scale, bias, False, 0, attributes.get("epsilon", 1e-5))


POINTWISE = {
    "Relu": lambda a, x: x.relu(),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Sigmoid": lambda a, x: x.sigmoid(),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "HardSwish": lambda a, x: F.hardswish(x),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "Tanh": lambda a, x: x.tanh(),
    "Gelu": lambda a, x: F.gelu(x),
    "PRelu": lambda a, x, slope: torch.where(x < 0, slope * x, x),
    "Clip": _clip,
    "Add": lambda a, x, y: x + y,
    "Mul": lambda a, x, y: x * y,
    "BatchNormalization": _norm,
    "MaxUnpool": _unpool,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
}


def run_exactly(model, inputs):
    """The outputs by name, and every value on the way."""
    values = {name: torch.from_numpy(array) for name, array in inputs.items()}
    values |= {w.name: torch.from_numpy(np.array(numpy_helper.to_array(w))) for w in model.graph.initializer}
    values = {name: x.double() if x.dtype == torch.float32 else x for name, x in values.items()}
    for node in model.graph.node:
        given = [values[name] if name else None for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in POINTWISE:
            words = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
            outputs = [POINTWISE[node.op_type](words, *given)]
        else:
            outputs = run_node(node.op_type, attributes, given)
        values |= dict(zip(node.output, outputs, strict=False))
    return {output.name: values[output.name].numpy() for output in model.graph.output}


def relative_error(found, exact):
    """The norm of the difference over that of the exact answer."""
    return float(np.linalg.norm(found.astype(np.float64) - exact) / max(np.linalg.norm(exact), 1e-30))
