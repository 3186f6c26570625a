"""Activations: which of them stands at a node, and how the kernels are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.values import Array
from downup.graph.nodes import attribute, constant, operand
from downup.kernels import ffi, lib


@dataclass(frozen=True, eq=False)
class Activation:
    """A function of one number that a kernel applies to what it writes.

    slopes: of a PReLU, one for each channel.
    """

    kind: int = lib.DU_IDENTITY
    alpha: float = 0.0
    beta: float = 0.0
    slopes: Array | None = None

    @cached_property
    def native(self) -> Any:
        """The `du_activation` that the C functions read."""
        slopes = ffi.NULL if self.slopes is None else ffi.cast("float *", self.slopes.ctypes.data)
        return ffi.new("du_activation *", (self.kind, self.alpha, self.beta, slopes))

    def __bool__(self) -> bool:
        return bool(self.kind != lib.DU_IDENTITY)


IDENTITY = Activation()


def _clip(node: ir.Node, channels: int | None) -> Activation | None:
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        value = operand(node, index)
        number = constant(value)
        if value is not None and number is None:
            return None
        bounds.append(default if number is None else float(number.item()))
    return Activation(lib.DU_CLIP, bounds[0], bounds[1])


def _prelu(node: ir.Node, channels: int | None) -> Activation | None:
    slopes = constant(operand(node, 1))
    if slopes is None or channels is None or slopes.dtype != np.float32:
        return None
    # One for all, or one for each channel of a picture: [channels, 1, 1].
    if slopes.size == 1:
        return Activation(lib.DU_LEAKY_RELU, float(slopes.item()))
    if slopes.size != channels or slopes.ndim < 3 or slopes.shape[-3] != channels:
        return None
    return Activation(lib.DU_PRELU, slopes=np.ascontiguousarray(slopes.reshape(-1)))


def _gelu(node: ir.Node, channels: int | None) -> Activation | None:
    return Activation(lib.DU_GELU_TANH if attribute(node, "approximate", "none") == "tanh" else lib.DU_GELU)


def _of(kind: int, **defaults: float) -> Callable[[ir.Node, int | None], Activation]:
    def make(node: ir.Node, channels: int | None) -> Activation:
        numbers = {name: float(attribute(node, name, default)) for name, default in defaults.items()}
        return Activation(kind, numbers.get("alpha", 0.0), numbers.get("beta", 0.0))

    return make


_ACTIVATIONS: dict[str, Callable[[ir.Node, int | None], Activation | None]] = {
    "Relu": _of(lib.DU_RELU),
    "LeakyRelu": _of(lib.DU_LEAKY_RELU, alpha=0.01),
    "PRelu": _prelu,
    "Clip": _clip,
    "Sigmoid": _of(lib.DU_SIGMOID),
    "HardSigmoid": _of(lib.DU_HARD_SIGMOID, alpha=0.2, beta=0.5),
    "HardSwish": _of(lib.DU_HARD_SWISH),
    "Gelu": _gelu,
    "Elu": _of(lib.DU_ELU, alpha=1.0),
    "Tanh": _of(lib.DU_TANH),
    "Exp": _of(lib.DU_EXP),
    "Erf": _of(lib.DU_ERF),
    "Sqrt": _of(lib.DU_SQRT),
    "Abs": _of(lib.DU_ABS),
}
ACTIVATIONS = frozenset(_ACTIVATIONS)

# Those that a convolution applies to what it writes.
IN_CONVOLUTIONS = frozenset(range(lib.DU_IDENTITY, lib.DU_TANH + 1))


def activation_of(node: ir.Node, channels: int | None) -> Activation | None:
    """The activation at a node, or None where it is none that the kernels know.

    channels: of the value it is applied to, if that is a picture.
    """
    return _ACTIVATIONS[node.op_type](node, channels) if node.op_type in _ACTIVATIONS else None
