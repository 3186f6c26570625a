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
        *,
        dilation: Any = 1,
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
        self.dilation = dilation

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
            dilation=self.dilation,
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"


class LPPool2d(Module):
    """The power average of each window; see `downup.ops.lp_pool2d`.

    >>> import torch
    >>> LPPool2d(2, 2)(torch.ones(1, 3, 4, 6)).shape
    torch.Size([1, 3, 2, 3])
    """

    def __init__(
        self,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
        *,
        padding: Padding = 0,
        dilation: Any = 1,
    ) -> None:
        super().__init__()
        pair("kernel_size", kernel_size, 1)
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode
        self.padding = padding
        self.dilation = dilation

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.lp_pool2d(
            input,
            self.norm_type,
            self.kernel_size,
            self.stride,
            self.ceil_mode,
            padding=self.padding,
            dilation=self.dilation,
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"


class AdaptiveAvgPool2d(Module):
    """Average into a given number of rows and columns; see `downup.ops.adaptive_avg_pool2d`.

    >>> import torch
    >>> AdaptiveAvgPool2d((2, None))(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 2, 6])
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, *output_size]."""
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"output_size={self.output_size}"


class GlobalAvgPool2d(Module):
    """Average each channel into one sample; see `downup.ops.global_avg_pool2d`.

    >>> import torch
    >>> GlobalAvgPool2d()(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, 1, 1]."""
        return ops.global_avg_pool2d(input)


class GlobalLPPool2d(Module):
    """The power average of each channel; see `downup.ops.global_lp_pool2d`.

    >>> import torch
    >>> GlobalLPPool2d()(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 1, 1])
    """

    def __init__(self, norm_type: float = 2) -> None:
        super().__init__()
        self.norm_type = norm_type

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, 1, 1]."""
        return ops.global_lp_pool2d(input, self.norm_type)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"norm_type={self.norm_type}"


class BlurPool2d(Module):
    """Smooth with a binomial filter, then keep every `stride`-th sample; see `downup.ops.blur_pool2d`.

    >>> import torch
    >>> BlurPool2d()(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 3, 3])
    """

    def __init__(self, taps: int = 3, stride: int = 2, edge: str = "reflect") -> None:
        super().__init__()
        pair("taps", taps, 1)
        pair("stride", stride, 1)
        self.taps = taps
        self.stride = stride
        self.edge = edge

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.blur_pool2d(input, taps=self.taps, stride=self.stride, edge=self.edge)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"taps={self.taps}, stride={self.stride}, edge={self.edge!r}"


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
        *,
        antialias: bool = False,
        coordinates: str | None = None,
        rounding: str | None = None,
        cubic_coefficient: float | None = None,
        exclude_outside: bool | None = None,
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
        self.antialias = antialias
        self.rules = {
            "coordinates": coordinates,
            "rounding": rounding,
            "cubic_coefficient": cubic_coefficient,
            "exclude_outside": exclude_outside,
        }

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, channels, new_rows, new_columns]."""
        return ops.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
            self.antialias,
            **self.rules,  # type: ignore[arg-type]
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        target = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        rules = "".join(f", {name}={value!r}" for name, value in self.rules.items() if value is not None)
        return f"{target}, mode={self.mode!r}{rules}"
