"""The rearranging operators in torch's own views, for devices and types that the kernels do not know."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_shuffle(x: Tensor, factor: int, order: str, layout: torch.memory_format) -> Tensor:
    """[..., channels * factor * factor, rows, columns] -> [..., channels, rows * factor, columns * factor]."""
    *batch, blocks, rows, columns = x.shape
    channels, at = blocks // (factor * factor), len(batch)
    if order == "CRD":
        split, c, y = x.reshape(*batch, channels, factor, factor, rows, columns), at, at + 1
    else:
        split, c, y = x.reshape(*batch, factor, factor, channels, rows, columns), at + 2, at
    moved = split.permute(*range(at), c, at + 3, y, at + 4, y + 1)
    return _packed(moved, (*batch, channels, rows * factor, columns * factor), layout)


def pixel_unshuffle(x: Tensor, factor: int, order: str, layout: torch.memory_format) -> Tensor:
    """[..., channels, rows * factor, columns * factor] -> [..., channels * factor * factor, rows, columns]."""
    *batch, channels, large_rows, large_columns = x.shape
    rows, columns, at = large_rows // factor, large_columns // factor, len(batch)
    split = x.reshape(*batch, channels, rows, factor, columns, factor)
    inside = (at, at + 2, at + 4) if order == "CRD" else (at + 2, at + 4, at)
    moved = split.permute(*range(at), *inside, at + 1, at + 3)
    return _packed(moved, (*batch, channels * factor * factor, rows, columns), layout)


def _packed(moved: Tensor, shape: tuple[int, ...], layout: torch.memory_format) -> Tensor:
    # A copy even where a view would do: an operator must not return its input.
    packed = moved.clone(memory_format=torch.contiguous_format).view(shape)
    return packed if layout is torch.contiguous_format else packed.contiguous(memory_format=layout)
