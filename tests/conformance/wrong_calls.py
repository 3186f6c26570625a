"""Random calls with one argument out of its range."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from conformance.random_calls import Call, Dice

# What an argument may be replaced by. Not all of it is wrong everywhere: torch says what is.
WRONG: dict[str, tuple[Any, ...]] = {
    "kernel_size": (0, -1, 50, (2, 2, 2), (3, 0), "3", 2.5),
    "stride": (0, -2, (1, 0), (1, 2, 3), 1.5),
    "padding": (-1, (0, -1), 9, (1, 1, 1), "sane", 0.5),
    "dilation": (0, -1, (1, 0), 40),
    "output_size": (-1, (-1, 2), (2, 2, 2), (), "3"),
    "output_padding": (-1, 9, (1, 1, 1)),
    "divisor_override": (0,),
    "norm_type": (0,),
    "size": (0, -3, (3,), (3, 4, 5), (0, 4)),
    "scale_factor": (0.0, -1.0, (2.0,), (2.0, 2.0, 2.0), 0.01, math.inf, math.nan),
    "mode": ("linear", "trilinear", "cubic", "", "nearest_exact"),
    "align_corners": (True,),
    "antialias": (True, False),
    "upscale_factor": (0, -2, 7, 1.5),
    "downscale_factor": (0, -2, 7, 1.5),
    "groups": (0, -1, 5),
}


def spoiled(dice: Dice, call: Call) -> Call:
    """The call with one argument, or the image, replaced."""
    names = [name for name in call.arguments if name in WRONG]
    choice = dice.one(*names, "image", "image", "extra")
    if choice == "extra" and call.operator == "interpolate":
        extra = dice.one({"size": 3, "scale_factor": 2.0}, {"align_corners": True}, {"antialias": True})
        return replace(call, arguments=call.arguments | extra, spoiled=f"extra {extra}")
    if choice in names:
        value = dice.one(*WRONG[choice])
        if value in (9, 40) and call.rule == "convolution":
            value = -1  # padding beyond the image ends the process in torch's convolution of half types
        return replace(call, arguments=call.arguments | {choice: value}, spoiled=choice)
    x = call.x
    images = {
        "rank 2": lambda: x[0, 0] if x.dim() == 4 else x[0],
        "rank 5": lambda: x.reshape(1, 1, *x.shape) if x.dim() == 3 else x[None],
        "no batch": lambda: x[:0],
        "no channels": lambda: x[:, :0] if x.dim() == 4 else x[:0],
        "no rows": lambda: x[..., :0, :],
        "no columns": lambda: x[..., :0],
        "boolean": lambda: x > 0,
        "complex": lambda: x.to(torch.complex64),
        "16 bits": lambda: x.nan_to_num(0, 0, 0).to(torch.int16),
    }
    kind = dice.one(*images)
    return replace(call, x=images[kind](), spoiled=f"image: {kind}")
