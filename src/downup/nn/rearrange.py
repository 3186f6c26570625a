"""Space into channels and back, as modules."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module

from downup import ops
from downup.geometry import pair
from downup.ops.rearrange import checked_order


class PixelUnshuffle(Module):
    """Move each block of r x r pixels into r * r channels; see `downup.ops.pixel_unshuffle`.

    >>> import torch
    >>> PixelUnshuffle(2)(torch.ones(1, 3, 4, 6)).shape
    torch.Size([1, 12, 2, 3])
    """

    def __init__(self, downscale_factor: int, *, order: str = "CRD") -> None:
        super().__init__()
        pair("downscale_factor", downscale_factor, 1)
        self.downscale_factor = downscale_factor
        self.order = checked_order(order)

    def forward(self, input: Tensor) -> Tensor:
        """[..., channels, rows, columns] -> [..., channels * r * r, rows / r, columns / r]."""
        return ops.pixel_unshuffle(input, self.downscale_factor, order=self.order)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"downscale_factor={self.downscale_factor}" + _shown(self.order)


class PixelShuffle(Module):
    """Lay r * r channels out as a block of r x r pixels; see `downup.ops.pixel_shuffle`.

    >>> import torch
    >>> PixelShuffle(2)(torch.ones(1, 12, 2, 3)).shape
    torch.Size([1, 3, 4, 6])
    """

    def __init__(self, upscale_factor: int, *, order: str = "CRD") -> None:
        super().__init__()
        pair("upscale_factor", upscale_factor, 1)
        self.upscale_factor = upscale_factor
        self.order = checked_order(order)

    def forward(self, input: Tensor) -> Tensor:
        """[..., channels, rows, columns] -> [..., channels / (r * r), rows * r, columns * r]."""
        return ops.pixel_shuffle(input, self.upscale_factor, order=self.order)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"upscale_factor={self.upscale_factor}" + _shown(self.order)


def _shown(order: str) -> str:
    """Nothing in the order of torch, whose modules print the same."""
    return "" if order == "CRD" else f", order={order!r}"
