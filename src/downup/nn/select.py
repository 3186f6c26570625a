"""Modules that select: max pooling, with or without remembered positions, and un-pooling."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from downup import ops
from downup.geometry import Padding

_ArgumentPair = int | tuple[int, int]


class MaxPool2d(nn.Module):
    """Keep the largest sample of each window: `downup.ops.max_pool2d` with these arguments.

    >>> import torch
    >>> MaxPool2d(2)(torch.tensor([[[1., 5.], [3., 4.]]]))
    tensor([[[5.]]])
    """

    def __init__(
        self,
        kernel_size: _ArgumentPair,
        stride: _ArgumentPair | None = None,
        padding: Padding = 0,
        dilation: _ArgumentPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        """[batch, channel, height, width] -> the pooled samples, with positions (int64) if `return_indices`."""
        return ops.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool2dWithOffsets(MaxPool2d):
    """`MaxPool2d` that returns the samples and one byte each for where they were: `downup.ops.max_pool2d_with_offsets`."""

    def __init__(
        self,
        kernel_size: _ArgumentPair,
        stride: _ArgumentPair | None = None,
        padding: Padding = 0,
        dilation: _ArgumentPair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, True, ceil_mode)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, channel, height, width] -> the pooled samples and their offsets (uint8)."""
        return ops.max_pool2d_with_offsets(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class AdaptiveMaxPool2d(nn.Module):
    """Keep the largest sample of each of so many windows: `downup.ops.adaptive_max_pool2d` with these arguments.

    >>> import torch
    >>> AdaptiveMaxPool2d((1, 2))(torch.tensor([[[1., 5., 2., 0., 3.]]]))
    tensor([[[5., 3.]]])
    """

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Any:
        """[batch, channel, height, width] -> [batch, channel, *output_size], with positions if `return_indices`."""
        return ops.adaptive_max_pool2d(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"output_size={self.output_size}"


class GlobalMaxPool2d(nn.Module):
    """Keep the largest sample of each channel: `downup.ops.global_max_pool2d`.

    >>> import torch
    >>> GlobalMaxPool2d()(torch.tensor([[[1., 5.], [3., 4.]]]))
    tensor([[[5.]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channel, height, width] -> [batch, channel, 1, 1]."""
        return ops.global_max_pool2d(x)


class MaxBlurPool2d(nn.Module):
    """Max pooling that moves with the image: `downup.ops.max_blur_pool2d` with these arguments.

    >>> import torch
    >>> MaxBlurPool2d()(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 3, 3, 3])
    """

    def __init__(
        self,
        kernel_size: _ArgumentPair = 2,
        *,
        taps: int = 3,
        stride: int = 2,
        edge: str = "reflect",
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.taps = taps
        self.stride = stride
        self.edge = edge

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channel, height, width] -> [batch, channel, ceil(height / stride), ceil(width / stride)]."""
        return ops.max_blur_pool2d(x, self.kernel_size, taps=self.taps, stride=self.stride, edge=self.edge)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"kernel_size={self.kernel_size}, taps={self.taps}, stride={self.stride}, edge={self.edge!r}"


class MaxUnpool2d(nn.Module):
    """Put samples back where a pooling of the same arguments took them: `downup.ops.max_unpool2d`.

    >>> import torch
    >>> pooled, offsets = MaxPool2dWithOffsets(2)(torch.tensor([[[1., 5.], [3., 4.]]]))
    >>> MaxUnpool2d(2)(pooled, offsets)
    tensor([[[0., 5.],
             [0., 0.]]])
    """

    def __init__(
        self,
        kernel_size: _ArgumentPair,
        stride: _ArgumentPair | None = None,
        padding: Padding = 0,
        dilation: _ArgumentPair = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation

    def forward(self, x: Tensor, positions: Tensor, output_size: Any = None) -> Tensor:
        """Samples and their positions [batch, channel, height, width] -> [batch, channel, *output_size]."""
        return ops.max_unpool2d(
            x, positions, self.kernel_size, self.stride, self.padding, output_size, dilation=self.dilation
        )

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}, dilation={self.dilation}"
