"""Convolutions and products with weights: bias, residual, activation and a nearest upsampling before them in one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.convolution import ConvolutionStep, prepare, tiles_of
from downup.engine.lower.context import Lowering, refuse
from downup.engine.lower.fusing import absorb
from downup.engine.lower.pointwise import combine
from downup.engine.values import CHANNELS_LAST, Array, Value, constant_value
from downup.graph.nodes import constant, operand
from downup.graph.shapes import Window, window_of
from downup.kernels import lib
from downup.kernels.convolve import Convolution


def lower_convolution(lowering: Lowering, node: ir.Node) -> None:
    """Conv and ConvTranspose."""
    given, upsample = node.inputs[0], (1, 1)
    assert given is not None
    concat = given.producer()
    if (
        concat is not None
        and concat.op_type == "Concat"
        and any(v.name in lowering.upsampled for v in concat.inputs if v)
    ):
        _lower_parts(lowering, node, concat)
        return
    if given.name in lowering.upsampled:
        given, upsample = lowering.upsampled[given.name]
    _need_weights(lowering, node)
    is_transposed = node.op_type == "ConvTranspose"
    window = window_of(node, lowering.shape(node.inputs[0]), lowering.shape(node.inputs[1])[2:])
    parts = concat.inputs if concat is not None and given in lowering.in_parts else [given]
    values = [lowering.value(part) for part in parts]
    is_row = values[0].rank == 3
    if is_row:
        values, window = [_row(values[0])], _row_window(window)
    if values[0].rank != 4 or not values[0].is_float:
        found = f"{values[0].rank} axes of type {values[0].dtype}"
        raise refuse(node, f"its input has {found}; use float32 pictures")
    out = node.outputs[0]
    residual, out, added = (None, out, "") if is_transposed else _residual(lowering, node)
    activation, out, applied = absorb(lowering, out)
    groups = lowering.site(node).get("group", 1)

    def pack() -> Convolution:
        weight, bias = _weights(lowering, node)
        return prepare(
            weight[:, :, None] if is_row else weight,
            bias,
            window,
            precision=lowering.weights.precision,
            groups=groups,
            is_transposed=is_transposed,
            upsample=upsample,
            activation=activation,
        )

    convolution = lowering.kept(node, (out.name, upsample, window), pack)
    lowering.tiles[node.outputs[0].name or ""] = tiles_of(convolution)
    operator = ("Resize+" if upsample != (1, 1) else "") + node.op_type + added + applied
    add_convolution(lowering, convolution, values, residual, out, operator)


def _lower_parts(lowering: Lowering, node: ir.Node, concat: ir.Node) -> None:
    """A convolution over an upsampled part and another one: each by its own, the second added to the first."""
    _need_weights(lowering, node)
    window = window_of(node, lowering.shape(node.inputs[0]), lowering.shape(node.inputs[1])[2:])
    residual, out, added = _residual(lowering, node)
    activation, out, applied = absorb(lowering, out)
    channels, start = {}, 0
    for value in concat.inputs:
        assert value is not None
        channels[value] = slice(start, start := start + lowering.shape(value)[1])
    (grown,) = (value for value in channels if value.name in lowering.upsampled)
    (other,) = (value for value in channels if value is not grown)
    low, upsample = lowering.upsampled[grown.name or ""]

    def pack() -> tuple[Convolution, Convolution]:
        weight, bias = _weights(lowering, node)
        pack_part = partial(prepare, precision=lowering.weights.precision)
        return (
            pack_part(weight[:, channels[grown]], None, window, upsample=upsample),
            pack_part(weight[:, channels[other]], bias, window, activation=activation),
        )

    first, second = lowering.kept(node, (out.name, grown.name, upsample, window), pack)
    lowering.tiles[node.outputs[0].name or ""] = tiles_of(first) + tiles_of(second)
    shape = lowering.shape(node.outputs[0])
    so_far = lowering.temporary(f"{node.outputs[0].name} of one part", shape, order=CHANNELS_LAST)
    residual = None if residual is None else lowering.channels_last(residual)
    small = lowering.channels_last(lowering.value(low))
    lowering.steps.append(
        ConvolutionStep.of(
            first, [small], residual, so_far, f"Resize+Conv{added}", lowering.scratch, lowering.threads
        )
    )
    add_convolution(lowering, second, [lowering.value(other)], so_far, out, f"Conv{applied}")


def add_convolution(
    lowering: Lowering,
    convolution: Convolution,
    values: Sequence[Value],
    residual: Value | None,
    out: ir.Value,
    operator: str,
) -> None:
    """Add the step of a prepared convolution."""
    made = lowering.new(out)
    to = _row(made) if made.rank == 3 else made
    parts = [lowering.channels_last(value) for value in values]
    if residual is not None:
        residual = lowering.channels_last(residual)
    # A kernel writes the channels of a pixel side by side.
    target = to if to.has_adjacent_channels else lowering.temporary(to.name, to.shape, order=(0, 2, 3, 1))
    lowering.steps.append(
        ConvolutionStep.of(convolution, parts, residual, target, operator, lowering.scratch, lowering.threads)
    )
    if target is not to:
        lowering.copy(target, to, "Transpose")


def _need_weights(lowering: Lowering, node: ir.Node) -> None:
    if any(value is not None and lowering.constant(value) is None for value in node.inputs[1:]):
        raise refuse(node, "its weights are computed from the picture; only constant ones are supported")


def _weights(lowering: Lowering, node: ir.Node) -> tuple[Array, Array | None]:
    """Of a node that is being packed."""
    weight = lowering.constant(node.inputs[1])
    assert weight is not None
    return weight, lowering.constant(operand(node, 2))


def _row(value: Value) -> Value:
    """[batch, channel, sample] as a picture of one row."""
    (batch, channels, length), (a, b, c) = value.shape, value.strides
    return value.with_axes((batch, channels, 1, length), (a, b, 0, c))


def _row_window(window: Window) -> Window:
    return Window(
        (1, *window.size),
        (1, *window.stride),
        (1, *window.dilation),
        ((0, 0), *window.pads),
        window.ceil_mode,
        (0, *(window.output_padding or (0,))),
    )


def _residual(lowering: Lowering, node: ir.Node) -> tuple[Value | None, ir.Value, str]:
    """What is added to the output of a convolution, if that is ready."""
    out = node.outputs[0]
    add = lowering.only_consumer(out)
    if add is None or add.op_type != "Add" or add in lowering.absorbed:
        return None, out, ""
    other = add.inputs[1] if add.inputs[0] is out else add.inputs[0]
    if (
        other is None
        or other is out
        or lowering.constant(other) is not None
        or not lowering.is_ready(other)
        or lowering.shape(other) != lowering.shape(out)
        or len(lowering.shape(out)) != 4
    ):
        return None, out, ""
    lowering.absorbed.add(add)
    return lowering.value(other), add.outputs[0], "+Add"


# ---------------------------------------------------------------- products with a constant matrix


def lower_gemm(lowering: Lowering, node: ir.Node) -> None:
    """alpha A B + beta C."""
    site = lowering.site(node)
    alpha, beta = site.get("alpha", 1.0), site.get("beta", 1.0)
    left = lowering.value(node.inputs[0])
    left = left.transposed((1, 0)) if site.get("transA", 0) else left
    right, bias = lowering.constant(node.inputs[1]), lowering.constant(operand(node, 2))
    has_bias = operand(node, 2) is not None
    if right is None or (has_bias and bias is None) or not left.is_float:
        raise refuse(node, "only products of float32 with constant matrices are supported")
    is_transposed = bool(site.get("transB", 0))
    columns = right.shape[0 if is_transposed else 1]

    def matrix() -> Array:
        found = lowering.constant(node.inputs[1])
        assert found is not None
        return (found if is_transposed else found.T) * np.float32(alpha)

    if bias is None or bias.size == 1 or (bias.size == columns and bias.shape[-1] == columns):

        def row() -> Array:
            found = lowering.constant(operand(node, 2))
            assert found is not None
            return np.broadcast_to(found.reshape(-1), columns) * np.float32(beta)

        _multiply(lowering, node, left, columns, matrix, row if has_bias else None, node.outputs[0])
        return
    product = lowering.temporary(f"product of {node.outputs[0].name}", (left.shape[0], columns))
    _multiply_matrices(lowering, node, left, constant_value("right", matrix().T), product)
    added = constant_value("bias", bias * np.float32(beta))
    combine(lowering, product, added, lowering.new(node.outputs[0]), lib.DU_ADD, operator=node.op_type)


def lower_matmul(lowering: Lowering, node: ir.Node) -> None:
    """Products of matrices; those with a constant matrix are convolutions of one pixel."""
    left, right, matrix = lowering.value(node.inputs[0]), node.inputs[1], lowering.constant(node.inputs[1])
    assert right is not None
    if not left.is_float or lowering.dtype(right) != np.float32:
        raise refuse(node, f"is of type {left.dtype}; use float32")
    if matrix is None or matrix.ndim != 2 or left.rank < 2:
        _multiply_any(lowering, node, left, lowering.value(right))
        return

    def weight() -> Array:
        found = lowering.constant(right)
        assert found is not None
        return found.T

    _multiply(lowering, node, left, matrix.shape[1], weight, None, node.outputs[0])


def _multiply(
    lowering: Lowering,
    node: ir.Node,
    left: Value,
    columns: int,
    weight: Callable[[], Array],
    bias: Callable[[], Array] | None,
    out: ir.Value,
) -> None:
    """Rows [..., inner] by a weight [columns, inner]: each row is a pixel."""
    added = ""
    if bias is None:
        bias, out, added = _row_bias(lowering, out, columns)
    activation, out, applied = absorb(lowering, out)
    if activation.kind == lib.DU_PRELU:
        raise refuse(node, "a PReLU after a product of matrices is not supported")
    one = Window((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)))

    def pack() -> Convolution:
        numbers = None if bias is None else bias()
        precision = lowering.weights.precision
        return prepare(weight()[:, :, None, None], numbers, one, precision=precision, activation=activation)

    convolution = lowering.kept(node, out.name, pack)
    rows, inner = math.prod(left.shape[:-1]), left.shape[-1]
    pixels = _pixels(lowering.packed(left), rows, inner)
    made = lowering.new(out, packed=True)
    whole = made.reshaped((rows, columns))
    target = (
        made if whole is not None and made.strides[-1] == 4 else lowering.temporary(made.name, made.shape)
    )
    lowering.steps.append(
        ConvolutionStep.of(
            convolution,
            [pixels],
            None,
            _pixels(target, rows, columns),
            node.op_type + added + applied,
            lowering.scratch,
            lowering.threads,
        )
    )
    if target is not made:
        lowering.copy(target, made, "Transpose")


def _pixels(value: Value, rows: int, inner: int) -> Value:
    flat = value.reshaped((rows, inner))
    assert flat is not None
    return flat.with_axes((1, inner, 1, rows), (0, flat.strides[1], 0, flat.strides[0]))


def _row_bias(
    lowering: Lowering, out: ir.Value, columns: int
) -> tuple[Callable[[], Array] | None, ir.Value, str]:
    add = lowering.only_consumer(out)
    if add is None or add.op_type != "Add" or add in lowering.absorbed:
        return None, out, ""
    other = add.inputs[1] if add.inputs[0] is out else add.inputs[0]
    bias = constant(other)
    if bias is None or bias.size != columns or bias.shape[-1:] != (columns,):
        return None, out, ""
    lowering.absorbed.add(add)
    return lambda: bias.reshape(-1), add.outputs[0], "+Add"


def _multiply_any(lowering: Lowering, node: ir.Node, left: Value, right: Value) -> None:
    out = lowering.new(node.outputs[0], packed=True)
    if max(left.rank, right.rank) > 4:
        lowering.compute(node.op_type, np.matmul, [left, right], [out])
        return
    _multiply_matrices(lowering, node, left, right, out)


def _multiply_matrices(lowering: Lowering, node: ir.Node, left: Value, right: Value, out: Value) -> None:
    """Matrices, or lists of numbers that stand for a row on the left and a column on the right."""
    a = left if left.rank > 1 else left.with_axes((1, *left.shape), (0, *left.strides))
    b = right if right.rank > 1 else right.with_axes((*right.shape, 1), (*right.strides, 0))
    to = out
    if right.rank == 1:
        to = to.with_axes((*to.shape, 1), (*to.strides, 0))
    if left.rank == 1:
        to = to.with_axes((*to.shape[:-1], 1, to.shape[-1]), (*to.strides[:-1], 0, to.strides[-1]))
    lowering.kernel(
        lib.du_matmul,
        [value.padded() for value in (a, b, to)],
        reads=[left, right],
        writes=[out],
        operator=node.op_type,
        algorithm="matmul",
        multiply_adds=math.prod(to.shape) * a.shape[-1],
    )


LOWERINGS: dict[str, Any] = {
    "Conv": lower_convolution,
    "ConvTranspose": lower_convolution,
    "Gemm": lower_gemm,
    "MatMul": lower_matmul,
}
