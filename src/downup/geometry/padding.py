"""How many samples of padding go on each side, however that was asked for."""

from __future__ import annotations

from typing import Any

from downup.errors import ArgumentError
from downup.geometry.arguments import AXES, AxisPadding, Padding, Pair, Sides, extent, larger, pair

_SIDES_HELP = '0, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower"'


def axis_padding(
    padding: AxisPadding, in_size: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> Pair:
    """Padding before and after one axis.

    Convention: "same" makes `out = ceil(in_size / stride)`, which takes
    `max((out - 1) * stride + extent - in_size, 0)` samples of padding; an odd one goes to the end ("same":
    TensorFlow, Keras, ONNX SAME_UPPER) or to the start ("same_lower").

    >>> axis_padding("same", 4, 3, stride=2), axis_padding("same_lower", 4, 3, stride=2)
    ((0, 1), (1, 0))
    """
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0
        if padding not in ("same", "same_lower"):
            raise ArgumentError(f"padding is {padding!r}; use {_SIDES_HELP}")
        # (out - 1) * stride - in_size equals (-in_size) % stride - stride: no division of a symbol.
        total = extent(kernel_size, dilation) - stride
        if stride > 1:
            total = total + (-in_size) % stride
            if extent(kernel_size, dilation) < stride:
                total = larger(total, 0)
        less = total // 2
        return (less, total - less) if padding == "same" else (total - less, less)
    return pair("padding", padding)


def resolve_padding(
    padding: Padding, in_size: Pair, kernel_size: Any, stride: Any = 1, dilation: Any = 1
) -> Sides:
    """Padding of an image as ((top, bottom), (left, right)), however it was written.

    Args:
        padding: a number, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower".
        in_size: (rows, columns) of the image; used by "same" and "same_lower".
        kernel_size, stride, dilation: a number or a pair.

    Raises:
        ArgumentError: anything else; four flat numbers too, since frameworks disagree about their order.

    >>> resolve_padding((1, 2), (8, 8), 3), resolve_padding("same", (8, 9), 3, stride=2)
    (((1, 1), (2, 2)), ((0, 1), (1, 1)))
    """
    if isinstance(padding, str):
        kernel, step = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        apart = pair("dilation", dilation, 1)
        rows = axis_padding(padding, in_size[0], kernel[0], step[0], apart[0])
        return rows, axis_padding(padding, in_size[1], kernel[1], step[1], apart[1])
    if isinstance(padding, (tuple, list)):
        if len(padding) == 4:
            raise ArgumentError(
                f"padding is {padding!r}; write four sides as ((top, bottom), (left, right)): "
                f"frameworks disagree about the order of four flat numbers"
            )
        if len(padding) == 2 and all(isinstance(side, (tuple, list)) and len(side) == 2 for side in padding):
            return pair("padding", padding[0]), pair("padding", padding[1])
        if any(isinstance(side, (tuple, list)) for side in padding):
            raise ArgumentError(f"padding is {padding!r}; use {_SIDES_HELP}")
    rows_columns = pair("padding", padding)
    return (rows_columns[0], rows_columns[0]), (rows_columns[1], rows_columns[1])


def pool_padding(
    padding: Padding, in_size: Pair, kernel_size: Any, stride: Any = 1, dilation: Any = 1
) -> Sides:
    """`resolve_padding` for a pool, where no side may exceed half the window: none lies in padding alone.

    >>> pool_padding(1, (8, 8), 3)
    ((1, 1), (1, 1))
    """
    sides = resolve_padding(padding, in_size, kernel_size, stride, dilation)
    if not isinstance(padding, str):  # "same" never exceeds it
        kernel, apart = pair("kernel_size", kernel_size, 1), pair("dilation", dilation, 1)
        for axis in (0, 1):
            most = extent(kernel[axis], apart[axis]) // 2
            if max(sides[axis]) > most:
                raise ArgumentError(
                    f"padding is {padding!r} but the window spans {extent(kernel[axis], apart[axis])} "
                    f"{AXES[axis]}; use padding <= {most}, half the window"
                )
    return sides
