"""Sizes and positions: every rule that says how large an output is, and where its samples lie.

Pure integers, no framework. A size may also be a symbol (`torch.SymInt`, a SymPy integer): then the answer is
an expression of it, without a branch, and what can only be known of a number is left unchecked. Kernel sizes,
strides and dilations are always numbers.

Words: a window of `kernel_size` samples, `dilation` apart, has the *extent*
`dilation * (kernel_size - 1) + 1`.
"""

from downup.geometry.arguments import (
    AxisPadding,
    DataFormat,
    Direction,
    Padding,
    Pair,
    Sides,
    extent,
    larger,
    pair,
    whole,
)
from downup.geometry.field import Field, Step, receptive_field
from downup.geometry.padding import axis_padding, pool_padding, resolve_padding
from downup.geometry.shapes import (
    conv_shape,
    conv_transpose_shape,
    pool_shape,
    shuffle_shape,
    upsample_shape,
)
from downup.geometry.sizes import (
    adaptive_window_size,
    output_padding_for,
    padding_for,
    repeat_out_size,
    resolve_transposed_padding,
    transposed_out_size,
    window_out_size,
)

__all__ = [
    "AxisPadding",
    "DataFormat",
    "Direction",
    "Field",
    "Padding",
    "Pair",
    "Sides",
    "Step",
    "adaptive_window_size",
    "axis_padding",
    "conv_shape",
    "conv_transpose_shape",
    "extent",
    "larger",
    "output_padding_for",
    "padding_for",
    "pair",
    "pool_padding",
    "pool_shape",
    "receptive_field",
    "repeat_out_size",
    "resolve_padding",
    "resolve_transposed_padding",
    "shuffle_shape",
    "transposed_out_size",
    "upsample_shape",
    "whole",
    "window_out_size",
]
