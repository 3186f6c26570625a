"""The rearranging kernels on tensors: one call each, no gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.ops._native import threads, view

# The kernels move bits: of an element they only know its size.
_BY_BYTES = {1: kernels.UINT8, 2: kernels.BFLOAT16, 4: kernels.FLOAT32, 8: kernels.INT64}
_ELEMENTS = {
    dtype: _BY_BYTES[dtype.itemsize]
    for dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float16,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bool,
    )
}
MOVABLE = frozenset(_ELEMENTS)

# Found once: a small call takes no longer than a few such looks.
_shuffle, _unshuffle, _check = kernels.lib.du_pixel_shuffle, kernels.lib.du_pixel_unshuffle, kernels.check

ORDERS = {"CRD": kernels.lib.DU_CRD, "DCR": kernels.lib.DU_DCR}


def layout_of(x: Tensor) -> torch.memory_format:
    """The layout torch gives a result of `x`, by its strides."""
    if x.dim() != 4 or x.stride(3) < x.stride(1):  # the second: channels-first, at a glance
        return torch.contiguous_format
    if x.size(1) > 1 and x.size(3) > 1 and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch._prims_common.suggest_memory_format(x)


def run_shuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    return _run(_shuffle, x, factor, order, shape)


def run_unshuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    return _run(_unshuffle, x, factor, order, shape)


def _run(function: Any, x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    layout = layout_of(x)
    if layout is torch.contiguous_format:
        out = x.new_empty(shape)
    else:
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
    if out.numel():
        images, images_out = (x, out) if x.dim() == 4 else (_as_batch(x), _as_batch(out))
        _check(
            function(view(images, _ELEMENTS), view(images_out, _ELEMENTS), factor, ORDERS[order], threads())
        )
    return out


def _as_batch(x: Tensor) -> Tensor:
    return x.unsqueeze(0) if x.dim() == 3 else x.flatten(0, -4)
