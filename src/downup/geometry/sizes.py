"""How many samples come out along one axis, and which padding makes them so many."""

from __future__ import annotations

import math
from typing import Any, Literal

from downup.errors import ArgumentError
from downup.geometry.arguments import AXES, AxisPadding, Direction, Padding, Pair, Sides, extent, larger, pair
from downup.geometry.padding import axis_padding, resolve_padding


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
        spread = f" with dilation {dilation}" if dilation > 1 else ""
        fitting = f"kernel_size <= {(padded - 1) // dilation + 1} or " if padded > 0 else ""
        raise ArgumentError(
            f"kernel_size is {kernel_size}{spread} but the padded input has only {padded} {axis}; "
            f"use {fitting}padding >= {before + (span - padded + 1) // 2}"
        )
    return out


def adaptive_window_size(in_size: int, out_size: int) -> int:
    """Samples in the largest window of an adaptive pool, whose window i has floor(i * n / out) to ceil((i + 1) * n / out).

    >>> adaptive_window_size(8, 4), adaptive_window_size(4, 3), adaptive_window_size(5, 3)
    (2, 2, 3)
    """
    rest = in_size % out_size
    if rest == 0:
        return in_size // out_size
    # Windows start at every multiple of gcd(rest, out) / out of a sample: only where rest is that divisor does none of
    # them reach into two samples more.
    return in_size // out_size + (2 if out_size % rest else 1)


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

    Convention: "same" gives `n * stride`. `rule="keras"` knows "valid" and "same" only. Without
    `output_padding` its "valid" gives `n * stride + max(extent - stride, 0)`, so that a window shorter than
    the stride still fills the last step; with it, "valid" gives `stride * (n - 1) + extent + output_padding`
    and "same" `stride * (n - 1) + extent % 2 + output_padding`.

    Raises:
        ArgumentError: nothing is left of the output, or `output_padding` is not below stride and dilation.

    >>> transposed_out_size(5, 2, stride=3, padding="valid")
    14
    >>> transposed_out_size(5, 2, stride=3, padding="valid", rule="keras")
    15
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
            f"output_padding is {extra}; use 0 to {max(stride, dilation) - 1}, below stride or dilation"
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
            f"output_size is {out_size}; {in_size} samples with kernel_size {kernel_size}, stride {stride}, "
            f"padding {(before, after)} and dilation {dilation} can give {larger(least, 1)} to {least + most}"
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
    """The least padding (before, after) that makes a convolution give `out_size`; its transpose, for "up".

    The odd sample goes to the end, as in "same".

    Raises:
        ArgumentError: no padding does.

    >>> padding_for(225, 225, kernel_size=3)
    (1, 1)
    >>> padding_for(225, 113, kernel_size=4, stride=2, direction="up")
    (1, 2)
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
                    in_size[i], kernel[i], step[i], sides[i], extra[i], apart[i], axis=AXES[i]
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
                f"output_size is {out!r}; {in_size[i]} {AXES[i]} with stride {step[i]} and "
                f'padding="{padding}" can give {most - step[i] + 1} to {most}'
            )
    sides = resolve_padding(padding, out, kernel, step, apart)
    # A window shorter than what the last input sample has to fill leaves zeros at the end.
    rows, columns = (
        larger(out[i] - step[i] * (in_size[i] - 1) - extent(kernel[i], apart[i]), 0) for i in (0, 1)
    )
    return sides, (rows, columns)
