"""One row per operator: what it is called, where it lives, what it does to a size, what it costs.

Functions are named as strings, so that the table is read where torch is not installed. The name of an
operator is also its name in `downup.ops`, and in `downup.kernels.reference` where it has a native kernel.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from downup.errors import ArgumentError

Family = Literal["resample", "select", "rearrange", "convolve"]

FAMILIES: dict[Family, str] = {
    "resample": "fixed weights",
    "select": "the position taken from each window",
    "rearrange": "a permutation",
    "convolve": "learned weights",
}


@dataclass(frozen=True)
class Operator:
    """A row of the catalog.

    name: in `downup.ops`.
    family: the file it lives in.
    direction: whether it makes fewer samples or more.
    module: its class in `downup.nn`.
    peer: the function that it stands in for, same names, order and defaults; None where torch has none.
    partner: the operator that undoes its movement.
    size: output rows or columns for n input ones, a formula in the names of `SIZE_WORDS`.
    types: element types on which it is tested.
    cost: arithmetic per output sample.
    """

    name: str
    family: Family
    direction: Literal["down", "up"]
    module: str
    peer: str | None
    partner: str
    size: str
    types: tuple[str, ...]
    cost: str

    @property
    def function(self) -> str:
        """Where its function is found.

        >>> find("max_pool2d").function
        'downup.ops:max_pool2d'
        """
        return f"downup.ops:{self.name}"


SIZE_WORDS: dict[str, str] = {
    "n": "input rows or columns",
    "p": "padding before and after together",
    "e": "extent of the window: dilation * (kernel_size - 1) + 1",
    "s": "stride",
    "f": "scale factor",
    "o": "output_padding",
}

_FLOATS = ("float32", "float64", "bfloat16", "float16")
_PICTURES = (*_FLOATS, "uint8")
_WINDOWS = "floor((n + p - e) / s) + 1"

OPERATORS: tuple[Operator, ...] = (
    Operator(
        name="avg_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:AvgPool2d",
        peer="torch.nn.functional:avg_pool2d",
        partner="interpolate",
        size=_WINDOWS,
        types=_PICTURES,
        cost="one addition per sample of the window",
    ),
    Operator(
        name="lp_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:LPPool2d",
        peer="torch.nn.functional:lp_pool2d",
        partner="interpolate",
        size=_WINDOWS,
        types=_FLOATS,
        cost="two powers, and one addition per sample of the window",
    ),
    Operator(
        name="adaptive_avg_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:AdaptiveAvgPool2d",
        peer="torch.nn.functional:adaptive_avg_pool2d",
        partner="interpolate",
        size="n / s",
        types=_PICTURES,
        cost="one addition per sample of the window",
    ),
    Operator(
        name="global_avg_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:GlobalAvgPool2d",
        peer=None,
        partner="interpolate",
        size="1",
        types=_PICTURES,
        cost="one addition per sample of the image",
    ),
    Operator(
        name="global_lp_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:GlobalLPPool2d",
        peer=None,
        partner="interpolate",
        size="1",
        types=_FLOATS,
        cost="one power and one addition per sample of the image",
    ),
    Operator(
        name="blur_pool2d",
        family="resample",
        direction="down",
        module="downup.nn:BlurPool2d",
        peer=None,
        partner="interpolate",
        size="ceil(n / s)",
        types=_PICTURES,
        cost="one multiply-add per tap, taps * taps of them",
    ),
    Operator(
        name="interpolate",
        family="resample",
        direction="up",
        module="downup.nn:Upsample",
        peer="torch.nn.functional:interpolate",
        partner="avg_pool2d",
        size="floor(n * f)",
        types=_PICTURES,
        cost="nearest 0, bilinear 4, bicubic 16 multiply-adds",
    ),
    Operator(
        name="max_pool2d",
        family="select",
        direction="down",
        module="downup.nn:MaxPool2d",
        peer="torch.nn.functional:max_pool2d",
        partner="max_unpool2d",
        size=_WINDOWS,
        types=_FLOATS,
        cost="one comparison per sample of the window",
    ),
    Operator(
        name="max_pool2d_with_offsets",
        family="select",
        direction="down",
        module="downup.nn:MaxPool2dWithOffsets",
        peer=None,
        partner="max_unpool2d",
        size=_WINDOWS,
        types=_FLOATS,
        cost="one comparison per sample of the window",
    ),
    Operator(
        name="max_unpool2d",
        family="select",
        direction="up",
        module="downup.nn:MaxUnpool2d",
        peer="torch.nn.functional:max_unpool2d",
        partner="max_pool2d",
        size="s * (n - 1) + e - p",
        types=_FLOATS,
        cost="one write, and one more per input sample",
    ),
    Operator(
        name="pixel_unshuffle",
        family="rearrange",
        direction="down",
        module="downup.nn:PixelUnshuffle",
        peer="torch.nn.functional:pixel_unshuffle",
        partner="pixel_shuffle",
        size="n / s",
        types=_FLOATS,
        cost="one copy",
    ),
    Operator(
        name="pixel_shuffle",
        family="rearrange",
        direction="up",
        module="downup.nn:PixelShuffle",
        peer="torch.nn.functional:pixel_shuffle",
        partner="pixel_unshuffle",
        size="n * s",
        types=_FLOATS,
        cost="one copy",
    ),
    Operator(
        name="conv2d",
        family="convolve",
        direction="down",
        module="downup.nn:Conv2d",
        peer="torch.nn.functional:conv2d",
        partner="conv_transpose2d",
        size=_WINDOWS,
        types=_FLOATS,
        cost="one multiply-add per weight of a filter",
    ),
    Operator(
        name="conv_transpose2d",
        family="convolve",
        direction="up",
        module="downup.nn:ConvTranspose2d",
        peer="torch.nn.functional:conv_transpose2d",
        partner="conv2d",
        size="s * (n - 1) + e - p + o",
        types=_FLOATS,
        cost="one multiply-add per weight of a filter, over s * s",
    ),
    Operator(
        name="resize_conv2d",
        family="convolve",
        direction="up",
        module="downup.nn:ResizeConv2d",
        peer=None,
        partner="conv2d",
        size="floor(n * f)",
        types=_FLOATS,
        cost="one multiply-add per weight of a filter, after interpolate",
    ),
)


def find(name: str) -> Operator:
    """The row of an operator.

    Raises:
        ArgumentError: no operator has this name.

    >>> find("pixel_shuffle").partner
    'pixel_unshuffle'
    """
    for operator in OPERATORS:
        if operator.name == name:
            return operator
    raise ArgumentError(f"name is {name!r}; use one of {', '.join(row.name for row in OPERATORS)}")


def resolve(path: str) -> Any:
    """The function or class that a string of the catalog names; imports what it has to.

    >>> resolve("downup.catalog:find") is find
    True
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
