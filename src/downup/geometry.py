"""Sizes and positions: every rule that says how large an output is, and where its samples lie.

Pure integers, no framework. A size may also be a symbol (`torch.SymInt`, a SymPy integer): then the answer is an
expression of it, without a branch, and what can only be known of a number is left unchecked. Kernel sizes,
strides and dilations are always numbers.

Words: a window of `kernel_size` samples, `dilation` apart, has the *extent* `dilation * (kernel_size - 1) + 1`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from downup.errors import ArgumentError

Pair: TypeAlias = tuple[int, int]
Sides: TypeAlias = tuple[Pair, Pair]
Padding: TypeAlias = int | Pair | Sides | Literal["valid", "same", "same_lower"]
AxisPadding: TypeAlias = int | Pair | Literal["valid", "same", "same_lower"]
DataFormat: TypeAlias = Literal["channels_first", "channels_last"]
Direction: TypeAlias = Literal["down", "up"]

_SIDES_HELP = '0, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower"'


# ---------------------------------------------------------------- arguments


def pair(name: str, value: Any, minimum: int = 0) -> Pair:
    """Read an argument that is one whole number, or one for rows and one for columns.

    Raises:
        ArgumentError: not one or two whole numbers, or one below `minimum`.

    >>> pair("stride", 2, 1), pair("stride", (2, 3), 1)
    ((2, 2), (2, 3))
    """
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return pair(name, value[0], minimum)
        if len(value) == 2:
            return _whole(name, value[0], minimum, value), _whole(name, value[1], minimum, value)
        raise ArgumentError(f"{name} is {value!r}; use one number, or a pair (rows, columns)")
    number = _whole(name, value, minimum, value)
    return number, number


def _whole(name: str, value: Any, minimum: int, shown: Any) -> int:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = int(value)
        if value < minimum:
            raise ArgumentError(f"{name} is {shown!r}; use {name} >= {minimum}")
    elif not (hasattr(value, "__sym_max__") or getattr(value, "is_integer", None) is True):
        raise ArgumentError(f"{name} is {shown!r}; use whole numbers, at least {minimum}")
    return value  # type: ignore[no-any-return]


def larger(a: int, b: int) -> int:
    """`max` that does not branch on a symbol.

    >>> larger(2, 5)
    5
    """
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    if hasattr(a, "__sym_max__"):
        return a.__sym_max__(b)  # type: ignore[no-any-return]
    return (a + b + abs(a - b)) // 2


def extent(kernel_size: int, dilation: int = 1) -> int:
    """How many input samples a window spans, from its first to its last.

    >>> extent(3), extent(3, dilation=2)
    (3, 5)
    """
    return dilation * (kernel_size - 1) + 1


# ---------------------------------------------------------------- padding


def axis_padding(
    padding: AxisPadding, in_size: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> Pair:
    """Padding before and after one axis.

    Convention: "same" gives `ceil(in_size / stride)` outputs with `max((out - 1) * stride + extent - in_size, 0)`
    samples of padding; an odd one goes to the end ("same": TensorFlow, Keras, ONNX SAME_UPPER) or to the
    start ("same_lower").

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
            nested = f"(({padding[0]}, {padding[1]}), ({padding[2]}, {padding[3]}))"
            raise ArgumentError(
                f"padding is {padding!r}; write four sides as ((top, bottom), (left, right)), such as {nested}"
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
    """`resolve_padding` for a pool: no side may exceed half the window, so that no window lies in padding alone.

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
                    f"{_AXES[axis]}; use padding <= {most}, half the window"
                )
    return sides


# ---------------------------------------------------------------- sizes along one axis

_AXES = ("rows", "columns")


def window_out_size(
    in_size: int,
    kernel_size: int,
    stride: int = 1,
    padding: AxisPadding = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
    *,
    axis: str = "samples",
) -> int:
    """Number of windows of a convolution or pool: floor((n + before + after - extent) / stride) + 1.

    With `ceil_mode` the division rounds up, but the last window must start inside the input or the padding
    before it.

    Raises:
        ArgumentError: not even one window fits.

    >>> window_out_size(7, 3, stride=2), window_out_size(6, 3, 2), window_out_size(6, 3, 2, ceil_mode=True)
    (3, 2, 3)
    """
    before, after = axis_padding(padding, in_size, kernel_size, stride, dilation)
    span = extent(kernel_size, dilation)
    padded = in_size + before + after
    if ceil_mode:
        out = -((span - padded) // stride) + 1
        # Windows that start in time number ceil((n + before) / stride); they can only be fewer when:
        if not isinstance(padding, str) and span - after < stride:
            out = -larger(-out, (-in_size - before) // stride)
    else:
        out = (padded - span) // stride + 1
    if isinstance(out, int) and out < 1:
        raise ArgumentError(
            f"kernel_size is {kernel_size}{f' with dilation {dilation}' if dilation > 1 else ''} but the padded "
            f"input has only {padded} {axis}; use kernel_size <= {larger((padded - 1) // dilation + 1, 0)} "
            f"or padding >= {before + (span - padded + 1) // 2}"
        )
    return out


def transposed_out_size(
    in_size: int,
    kernel_size: int,
    stride: int = 1,
    padding: AxisPadding = (0, 0),
    output_padding: int | None = None,
    dilation: int = 1,
    rule: Literal["torch", "keras"] = "torch",
    *,
    axis: str = "samples",
) -> int:
    """Output size of a transposed convolution: stride * (n - 1) + extent - before - after + output_padding.

    Convention: "same" gives `n * stride`. `rule="keras"` knows "valid" and "same" only. Without `output_padding`
    its "valid" gives `n * stride + max(extent - stride, 0)`, so that a window shorter than the stride still fills
    the last step; with it, "valid" gives `stride * (n - 1) + extent + output_padding` and "same"
    `stride * (n - 1) + extent % 2 + output_padding`.

    >>> transposed_out_size(5, 2, stride=3), transposed_out_size(5, 2, stride=3, padding="valid", rule="keras")
    (14, 15)
    """
    span, spread = extent(kernel_size, dilation), stride * (in_size - 1)
    if rule == "keras":
        if padding not in ("valid", "same"):
            raise ArgumentError(f'padding is {padding!r}; the rule "keras" knows "valid" and "same"')
        if output_padding is None:
            return in_size * stride + (max(span - stride, 0) if padding == "valid" else 0)
        return spread + output_padding + (span if padding == "valid" else span % 2)
    if rule != "torch":
        raise ArgumentError(f'rule is {rule!r}; use "torch" or "keras"')
    if isinstance(padding, str) and padding != "valid":
        axis_padding(padding, in_size, kernel_size, stride, dilation)  # refuses unknown words
        if output_padding:
            raise ArgumentError(f'output_padding is {output_padding}; with padding="{padding}" leave it 0')
        return in_size * stride
    before, after = axis_padding(padding, in_size, kernel_size)
    extra = output_padding or 0
    if not 0 <= extra < max(stride, dilation):
        raise ArgumentError(
            f"output_padding is {extra}; use 0 to {max(stride, dilation) - 1}: below the stride or the dilation"
        )
    out = spread + span - before - after + extra
    if isinstance(out, int) and out < 1:
        raise ArgumentError(
            f"padding is {(before, after)} but the unpadded output has only {spread + span} {axis}; "
            f"use less padding or more output_padding"
        )
    return out


def repeat_out_size(in_size: int, factor: int | float) -> int:
    """Output size of repetition, or of interpolation by a factor: floor(n * factor).

    >>> repeat_out_size(5, 2), repeat_out_size(5, 1.5)
    (10, 7)
    """
    if not (isinstance(factor, (int, float)) and math.isfinite(factor) and factor > 0):
        raise ArgumentError(f"scale_factor is {factor!r}; use a number above 0")
    return in_size * factor if isinstance(factor, int) else math.floor(in_size * factor)


# ---------------------------------------------------------------- the question backwards


def output_padding_for(
    out_size: int,
    in_size: int,
    kernel_size: int,
    stride: int = 1,
    padding: AxisPadding = (0, 0),
    dilation: int = 1,
) -> int:
    """Which output_padding makes a transposed convolution give `out_size`.

    Raises:
        ArgumentError: none does; the message says which sizes can be had.

    >>> output_padding_for(225, 113, kernel_size=3, stride=2, padding=1)
    0
    """
    before, after = axis_padding(padding, in_size, kernel_size, stride, dilation)
    least = stride * (in_size - 1) + extent(kernel_size, dilation) - before - after
    answer, most = out_size - least, max(stride, dilation) - 1
    if isinstance(answer, int) and not 0 <= answer <= most:
        raise ArgumentError(
            f"output_size is {out_size}; {in_size} samples with kernel_size {kernel_size}, stride {stride}, padding "
            f"{(before, after)} and dilation {dilation} can give {larger(least, 1)} to {least + most}"
        )
    return answer


def padding_for(
    out_size: int,
    in_size: int,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    direction: Direction = "down",
) -> Pair:
    """The least padding (before, after) with which a convolution ("down") or its transpose ("up") gives `out_size`.

    The odd sample goes to the end, as in "same".

    Raises:
        ArgumentError: no padding does.

    >>> padding_for(225, 225, kernel_size=3), padding_for(225, 113, kernel_size=4, stride=2, direction="up")
    ((1, 1), (1, 2))
    """
    span = extent(kernel_size, dilation)
    if direction == "up":
        total = stride * (in_size - 1) + span - out_size
        if isinstance(total, int) and total < 0:
            raise ArgumentError(
                f"output_size is {out_size} but without padding it is {out_size + total}; "
                f"use output_padding, a larger kernel_size or a larger stride"
            )
    else:
        most = (in_size - span) // stride + 1  # without padding
        if isinstance(most, int) and out_size < most:
            raise ArgumentError(
                f"output_size is {out_size} but without padding it is {most}; use a larger stride"
            )
        total = larger(stride * (out_size - 1) + span - in_size, 0)
    return total // 2, total - total // 2


def resolve_transposed_padding(
    padding: Padding,
    in_size: Pair,
    kernel_size: Any,
    stride: Any = 1,
    dilation: Any = 1,
    output_padding: Any = 0,
    output_size: Any = None,
) -> tuple[Sides, Pair]:
    """Padding ((top, bottom), (left, right)) and output_padding (rows, columns) of a transposed convolution.

    With "same", the answer is the transpose of a "same" convolution whose input has the asked `output_size`
    (`in_size * stride` if none is asked); with any other padding, `output_size` is met by output_padding.

    >>> resolve_transposed_padding("same", (4, 4), 3, stride=2, output_size=(7, 8))
    (((1, 1), (0, 1)), (0, 0))
    """
    kernel, step = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
    apart, extra = pair("dilation", dilation, 1), pair("output_padding", output_padding)
    if output_size is not None:
        if extra != (0, 0):
            raise ArgumentError(
                f"output_padding is {output_padding!r} and output_size {output_size!r}; use one of them"
            )
        output_size = pair("output_size", output_size, 1)
    if not (isinstance(padding, str) and padding != "valid"):
        sides = resolve_padding(padding, in_size, kernel, step, apart)
        for i in (0, 1):
            if output_size is None:
                transposed_out_size(
                    in_size[i], kernel[i], step[i], sides[i], extra[i], apart[i], axis=_AXES[i]
                )
        if output_size is not None:
            rows, columns = (
                output_padding_for(output_size[i], in_size[i], kernel[i], step[i], sides[i], apart[i])
                for i in (0, 1)
            )
            extra = rows, columns
        return sides, extra
    if extra != (0, 0):
        raise ArgumentError(f'output_padding is {output_padding!r}; with padding="{padding}" use output_size')
    out = output_size or (in_size[0] * step[0], in_size[1] * step[1])
    for i in (0, 1):
        most = in_size[i] * step[i]
        if isinstance(out[i], int) and isinstance(most, int) and not most - step[i] < out[i] <= most:
            raise ArgumentError(
                f"output_size is {out!r}; {in_size[i]} {_AXES[i]} with stride {step[i]} and "
                f'padding="{padding}" can give {most - step[i] + 1} to {most}'
            )
    sides = resolve_padding(padding, out, kernel, step, apart)
    # A window shorter than what the last input sample has to fill leaves zeros at the end.
    rows, columns = (
        larger(out[i] - step[i] * (in_size[i] - 1) - extent(kernel[i], apart[i]), 0) for i in (0, 1)
    )
    return sides, (rows, columns)


# ---------------------------------------------------------------- whole shapes


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

    >>> pool_shape((2, 16, 9, 8), 2, ceil_mode=True), pool_shape((2, 9, 8, 16), 2, data_format="channels_last")
    ((2, 16, 5, 4), (2, 4, 4, 16))
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
        window_out_size(size[i], kernel[i], step[i], sides[i], apart[i], ceil_mode, axis=_AXES[i])
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
        transposed_out_size(size[i], kernel[i], step[i], sides[i], extra[i], apart[i], rule, axis=_AXES[i])
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
    factor = _whole(name, factor, 1, factor)
    if direction == "up":
        if isinstance(channels, int) and channels % factor**2:
            raise ArgumentError(
                f"{name} is {factor} but {channels} channels do not divide by {factor**2}; "
                f"use a multiple of {factor**2} channels"
            )
        return _join(batch, channels // factor**2, (rows * factor, columns * factor), data_format)
    for axis, length in zip(_AXES, (rows, columns), strict=True):
        if isinstance(length, int) and length % factor:
            raise ArgumentError(
                f"{name} is {factor} but {length} {axis} do not divide by it; pad to {-(-length // factor) * factor}"
            )
    return _join(batch, channels * factor**2, (rows // factor, columns // factor), data_format)


# ---------------------------------------------------------------- what an output sample sees


@dataclass(frozen=True)
class Step:
    """One layer along one axis, as far as positions go; `padding` is the padding before the first sample.

    A "down" step is a convolution or pool; an "up" step is the transpose of one.
    """

    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    direction: Direction = "down"

    @property
    def extent(self) -> int:
        """Samples from the first to the last of a window."""
        return extent(self.kernel_size, self.dilation)

    @staticmethod
    def upsample(factor: int, mode: Literal["nearest", "bilinear", "bicubic"] = "nearest") -> Step:
        """Interpolation by a whole factor (corners not aligned), as the transposed convolution that it is.

        >>> Step.upsample(2, "bilinear")
        Step(kernel_size=4, stride=2, padding=1, dilation=1, direction='up')
        """
        reach = {"nearest": 1, "bilinear": 2, "bicubic": 4}[mode]  # input samples that an output sample reads
        kernel = reach * factor - (factor % 2 if reach > 1 else 0)
        return Step(kernel, factor, (kernel - factor) // 2, direction="up")


@dataclass(frozen=True)
class Field:
    """What one output sample of a chain sees, in input samples.

    size: most input samples that one output sample can depend on, from the first to the last.
    stride: input samples from one output sample to the next; a fraction where the chain ends above the input.
    offset: where the centre of output sample 0 lies; 0 is the centre of input sample 0.
    """

    size: int
    stride: Fraction
    offset: Fraction


def receptive_field(steps: Sequence[Step]) -> Field:
    """Receptive field of a chain of layers, from the input on, away from the borders.

    >>> receptive_field([Step(3, padding=1), Step(2, stride=2), Step.upsample(2)])
    Field(size=4, stride=Fraction(1, 1), offset=Fraction(0, 1))
    """
    stride, offset, period = Fraction(1), Fraction(0), 1
    for step in steps:
        centre = Fraction(step.extent - 1, 2) - step.padding
        if step.direction == "down":
            offset += centre * stride
            stride *= step.stride
        else:
            stride /= step.stride
            offset -= centre * stride
            period *= step.stride
    # Above an up step the samples see differently many inputs by turns: look at one whole turn.
    size = 0
    for phase in range(period):
        first = last = phase
        for step in reversed(steps):
            if step.direction == "down":
                first = first * step.stride - step.padding
                last = last * step.stride - step.padding + step.extent - 1
            else:
                first = -((step.extent - 1 - step.padding - first) // step.stride)
                last = (last + step.padding) // step.stride
        size = max(size, last - first + 1)
    return Field(size, stride, offset)
