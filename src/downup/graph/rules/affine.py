"""Scales and shifts of channels go into the convolution next to them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import attribute, constant, operand, remove_if_dead, replace_value
from downup.graph.rules.edit import add_like, insert, insert_like, made_by, only_reader, weight_and_bias

CONVOLUTIONS = ("Conv", "ConvTranspose")


def affine_of(node: ir.Node, facts: Facts) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Return (input, scale, shift) of a node that computes scale * x + shift with constants for each channel.

    `input` is the index of x among the node's inputs; scale and shift have one number for each channel, or one
    for all.
    """
    if node.op_type == "BatchNormalization":
        numbers = [constant(operand(node, index)) for index in range(1, 5)]
        if any(array is None for array in numbers) or attribute(node, "training_mode", 0):
            return None
        scale, bias, mean, variance = (np.asarray(array, dtype=np.float64) for array in numbers)
        spread = variance + attribute(node, "epsilon", 1e-5)
        if not np.all(spread > 0):
            return None
        factor = scale / np.sqrt(spread)
        return 0, factor, bias - mean * factor
    if node.op_type not in ("Mul", "Add", "Sub", "Div") or len(node.inputs) != 2:
        return None
    index = 0 if constant(node.inputs[0]) is None else 1
    numbers_given = _per_channel(node, 1 - index, facts)
    if numbers_given is None:
        return None
    one, zero = np.ones(1), np.zeros(1)
    match node.op_type, index:
        case "Mul", _:
            return index, numbers_given, zero
        case "Add", _:
            return index, one, numbers_given
        case "Sub", 0:
            return index, one, -numbers_given
        case "Sub", 1:
            return index, -one, numbers_given
        case "Div", 0 if np.all(numbers_given != 0):
            return index, 1 / numbers_given, zero
    return None


def _per_channel(node: ir.Node, index: int, facts: Facts) -> np.ndarray | None:
    """The constant of a binary node as one number for each channel, if it says no more than that."""
    array, x = constant(operand(node, index)), operand(node, 1 - index)
    rank = facts.rank(x)
    if array is None or rank is None or array.dtype.kind != "f" or array.ndim > rank or rank < 2:
        return None
    if facts.rank(node.outputs[0]) != rank or facts.shapes(x) != facts.shapes(node.outputs[0]):
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(length != 1 for axis, length in enumerate(shape) if axis != 1):
        return None
    return array.astype(np.float64).reshape(-1)


def scale_after(node: ir.Node, facts: Facts) -> bool:
    """A batch norm, scale or shift behind a convolution goes into its weights and bias: a pass over memory less."""
    affine = affine_of(node, facts)
    if affine is None:
        return False
    index, scale, shift = affine
    maker = made_by(node.inputs[index], *CONVOLUTIONS)
    numbers = weight_and_bias(maker) if maker is not None else None
    if maker is None or numbers is None:
        return False
    weight, bias = numbers
    scale, shift = np.broadcast_to(scale, bias.shape), np.broadcast_to(shift, bias.shape)
    if maker.op_type == "Conv":
        weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    else:
        group = attribute(maker, "group", 1)
        grouped = weight.reshape(group, -1, *weight.shape[1:])
        weight = (grouped * scale.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))).reshape(weight.shape)
    return _put(node, maker, weight, bias * scale + shift)


def scale_before(node: ir.Node, facts: Facts) -> bool:
    """A scale in front of a convolution goes into its weights; a shift too, where no padding adds zeros unshifted."""
    affine = affine_of(node, facts)
    reader = only_reader(node.outputs[0])
    if (
        affine is None
        or reader is None
        or reader.op_type not in CONVOLUTIONS
        or reader.inputs[0] is not node.outputs[0]
    ):
        return False
    index, scale, shift = affine
    numbers = weight_and_bias(reader)
    channels = facts.channels(node.inputs[index])
    if (
        numbers is None
        or channels is None
        or attribute(reader, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    ):
        return False
    if np.any(shift) and (reader.op_type == "ConvTranspose" or any(attribute(reader, "pads", ()))):
        return False
    weight, bias = numbers
    scale, shift = np.broadcast_to(scale, (channels,)), np.broadcast_to(shift, (channels,))
    if reader.op_type == "Conv":
        group = attribute(reader, "group", 1)
        # [group, out, in, ...]: each group of filters reads its own channels.
        grouped = weight.reshape(group, -1, *weight.shape[1:])
        ones = (1,) * (weight.ndim - 2)
        bias = bias + (grouped * shift.reshape(group, 1, -1, *ones)).reshape(bias.size, -1).sum(axis=1)
        weight = (grouped * scale.reshape(group, 1, -1, *ones)).reshape(weight.shape)
    else:
        weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return _put(reader, reader, weight, bias, x=node.inputs[index])


def _put(
    node: ir.Node, convolution: ir.Node, weight: np.ndarray, bias: np.ndarray, x: ir.Value | None = None
) -> bool:
    """Replace `node` by the convolution with other weights, unless these overflow."""
    like = convolution.inputs[1]
    assert like is not None
    assert like.dtype is not None
    most = np.finfo(like.dtype.numpy()).max
    if not (np.all(np.abs(weight) <= most) and np.all(np.abs(bias) <= most)):
        return False
    inputs = [
        convolution.inputs[0] if x is None else x,
        add_like(node, weight, like, "weight"),
        add_like(node, bias, like, "bias") if operand(convolution, 2) is not None or np.any(bias) else None,
    ]
    while inputs[-1] is None:
        inputs.pop()
    replace_value(node.outputs[0], insert(node, convolution.op_type, inputs, dict(convolution.attributes)))
    remove_if_dead(node)
    return True


def pad_into_convolution(node: ir.Node, facts: Facts) -> bool:
    """Zeros around a picture that only a convolution reads are that convolution's own padding."""
    pad = node.inputs[0].producer() if node.op_type == "Conv" and node.inputs[0] is not None else None
    if pad is None or pad.op_type != "Pad" or attribute(pad, "mode", "constant") != "constant":
        return False
    sides, value = constant(operand(pad, 1)), operand(pad, 2)
    filling = np.zeros(1) if value is None else constant(value)
    rank = facts.rank(pad.inputs[0])
    if sides is None or filling is None or np.any(filling) or rank is None or np.any(sides < 0):
        return False
    axes = constant(operand(pad, 3)) if operand(pad, 3) is not None else np.arange(rank)
    if axes is None or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    before, after = np.zeros(rank, dtype=int), np.zeros(rank, dtype=int)
    before[axes], after[axes] = sides[: len(axes)], sides[len(axes) :]
    if np.any(before[:2]) or np.any(after[:2]):
        return False
    own = np.array(attribute(node, "pads", (0,) * (2 * (rank - 2))))
    total = own + np.concatenate([before[2:], after[2:]])
    inputs = [pad.inputs[0], *node.inputs[1:]]
    replace_value(
        node.outputs[0], insert_like(node, inputs, pads=tuple(int(side) for side in total), auto_pad=None)
    )
    return True
