"""Averages, binomial smoothing and interpolation, as modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Module

from downup import ops
from downup.errors import ArgumentError
from downup.geometry import Padding, pair


class AvgPool2d(Module):
    """Average each window of each channel; see `downup.ops.avg_pool2d`.

    >>> import torch
    >>> AvgPool2d(2)(torch.ones(1, 3, 4, 6)).shape
    torch.Size([1, 3, 2, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        pair("kernel_size", kernel_size, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        pair("stride", self.stride, 1)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"


class BlurPool2d(Module):
    """Smooth with a binomial filter, then keep every `stride`-th sample; see `downup.ops.blur_pool2d`.

    >>> import torch
    >>> BlurPool2d()(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 3, 3])
    """

    def __init__(self, taps: int = 3, stride: int = 2) -> None:
        super().__init__()
        pair("taps", taps, 1)
        pair("stride", stride, 1)
        self.taps = taps
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.blur_pool2d(input, taps=self.taps, stride=self.stride)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"taps={self.taps}, stride={self.stride}"


class Upsample(Module):
    """Resize by reading between the samples; see `downup.ops.interpolate`.

    >>> import torch
    >>> Upsample(scale_factor=2, mode="bilinear")(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 10, 12])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"size is {size!r} and scale_factor {scale_factor!r}; give exactly one of them"
            )
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        target = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        return f"{target}, mode={self.mode!r}"
