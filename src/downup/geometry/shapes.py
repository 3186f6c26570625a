"""Whole output shapes, for channels first and channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from downup.errors import ArgumentError
from downup.geometry.arguments import AXES, DataFormat, Direction, Padding, Pair, pair, whole
from downup.geometry.padding import pool_padding, resolve_padding
from downup.geometry.sizes import repeat_out_size, transposed_out_size, window_out_size


def _split(shape: Sequence[int], data_format: DataFormat) -> tuple[tuple[int, ...], int, Pair]:
    """Batch shape, channels, (rows, columns)."""
    if data_format not in ("channels_first", "channels_last"):
        raise ArgumentError(f'data_format is {data_format!r}; use "channels_first" or "channels_last"')
    if len(shape) < 3:
        raise ArgumentError(f"shape is {tuple(shape)}; it needs channels, rows and columns")
    *batch, a, b, c = shape
    return (tuple(batch), a, (b, c)) if data_format == "channels_first" else (tuple(batch), c, (a, b))


def _join(batch: tuple[int, ...], channels: int, size: Pair, data_format: DataFormat) -> tuple[int, ...]:
    return (*batch, channels, *size) if data_format == "channels_first" else (*batch, *size, channels)


def pool_shape(
    shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Padding = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    data_format: DataFormat = "channels_first",
) -> tuple[int, ...]:
    """Whole output shape of a pool; `stride` is `kernel_size` unless given.

    >>> pool_shape((2, 16, 9, 8), 2, ceil_mode=True)
    (2, 16, 5, 4)
    >>> pool_shape((2, 9, 8, 16), 2, data_format="channels_last")
    (2, 4, 4, 16)
    """
    batch, channels, size = _split(shape, data_format)
    stride = kernel_size if stride is None else stride
    pool_padding(padding, size, kernel_size, stride, dilation)
    return _join(
        batch, channels, _window_size(size, kernel_size, stride, padding, dilation, ceil_mode), data_format
    )


def conv_shape(
    shape: Sequence[int],
    filters: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: Padding = 0,
    dilation: Any = 1,
    data_format: DataFormat = "channels_first",
) -> tuple[int, ...]:
    """Whole output shape of a convolution; channels-last: batch_shape + (new_rows, new_cols, filters).

    >>> conv_shape((4, 28, 28, 3), 2, 3, padding="same", stride=2, data_format="channels_last")
    (4, 14, 14, 2)
    """
    batch, _, size = _split(shape, data_format)
    return _join(
        batch, filters, _window_size(size, kernel_size, stride, padding, dilation, False), data_format
    )


def _window_size(
    size: Pair, kernel_size: Any, stride: Any, padding: Padding, dilation: Any, ceil_mode: bool
) -> Pair:
    kernel, step = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
    apart, sides = (
        pair("dilation", dilation, 1),
        resolve_padding(padding, size, kernel_size, stride, dilation),
    )
    rows, columns = (
        window_out_size(size[i], kernel[i], step[i], sides[i], apart[i], ceil_mode, axis=AXES[i])
        for i in (0, 1)
    )
    return rows, columns


def conv_transpose_shape(
    shape: Sequence[int],
    filters: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: Padding = 0,
    output_padding: Any = None,
    dilation: Any = 1,
    rule: Literal["torch", "keras"] = "torch",
    data_format: DataFormat = "channels_first",
) -> tuple[int, ...]:
    """Whole output shape of a transposed convolution; see `transposed_out_size` for the two rules.

    >>> conv_transpose_shape((4, 10, 8, 128), 32, 2, 2, "valid", rule="keras", data_format="channels_last")
    (4, 20, 16, 32)
    """
    batch, _, size = _split(shape, data_format)
    kernel, step, apart = (
        pair("kernel_size", kernel_size, 1),
        pair("stride", stride, 1),
        pair("dilation", dilation, 1),
    )
    extra = (None, None) if output_padding is None else pair("output_padding", output_padding)
    sides: Any = (
        (padding, padding)
        if isinstance(padding, str)
        else resolve_padding(padding, size, kernel, step, apart)
    )
    rows, columns = (
        transposed_out_size(size[i], kernel[i], step[i], sides[i], extra[i], apart[i], rule, axis=AXES[i])
        for i in (0, 1)
    )
    return _join(batch, filters, (rows, columns), data_format)


def upsample_shape(
    shape: Sequence[int],
    size: Any = None,
    scale_factor: Any = None,
    data_format: DataFormat = "channels_first",
) -> tuple[int, ...]:
    """Whole output shape of an interpolation to a `size`, or by a `scale_factor` (a number or a pair).

    >>> upsample_shape((2, 16, 5, 7), scale_factor=2), upsample_shape((2, 16, 5, 7), size=(9, 9))
    ((2, 16, 10, 14), (2, 16, 9, 9))
    """
    batch, channels, old = _split(shape, data_format)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"size is {size!r} and scale_factor {scale_factor!r}; give exactly one of them")
    if size is not None:
        return _join(batch, channels, pair("size", size, 1), data_format)
    factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
    if len(factors) != 2:
        raise ArgumentError(f"scale_factor is {scale_factor!r}; use one number, or a pair (rows, columns)")
    new = repeat_out_size(old[0], factors[0]), repeat_out_size(old[1], factors[1])
    if any(isinstance(n, int) and n < 1 for n in new):
        raise ArgumentError(f"scale_factor is {scale_factor!r} but the input is {old}: nothing would be left")
    return _join(batch, channels, new, data_format)


def shuffle_shape(
    shape: Sequence[int], factor: int, direction: Direction, data_format: DataFormat = "channels_first"
) -> tuple[int, ...]:
    """Whole output shape of pixel_shuffle ("up") or pixel_unshuffle ("down") by a whole factor.

    >>> shuffle_shape((1, 8, 3, 4), 2, "up"), shuffle_shape((1, 2, 6, 8), 2, "down")
    ((1, 2, 6, 8), (1, 8, 3, 4))
    """
    name = "upscale_factor" if direction == "up" else "downscale_factor"
    batch, channels, (rows, columns) = _split(shape, data_format)
    factor = whole(name, factor, 1, factor)
    if direction == "up":
        if isinstance(channels, int) and channels % factor**2:
            raise ArgumentError(
                f"{name} is {factor} but {channels} channels do not divide by {factor**2}; "
                f"use a multiple of {factor**2} channels"
            )
        return _join(batch, channels // factor**2, (rows * factor, columns * factor), data_format)
    for axis, length in zip(AXES, (rows, columns), strict=True):
        if isinstance(length, int) and length % factor:
            raise ArgumentError(
                f"{name} is {factor} but {length} {axis} do not divide by it; "
                f"pad to {-(-length // factor) * factor}"
            )
    return _join(batch, channels * factor**2, (rows // factor, columns // factor), data_format)
