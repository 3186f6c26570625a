"""Learned ways down and up, as modules; parameters are named and initialised as torch does."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from downup import ops
from downup.errors import ArgumentError
from downup.geometry import Padding, pair, resolve_padding

_PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


def _plain(padding: Padding) -> Any:
    """Padding as torch's module stores it where it can, else as it was written."""
    resolve_padding(padding, (1, 1), 1)  # refuses what is no padding, before the first image comes
    return (padding, padding) if isinstance(padding, int) else padding


class Conv2d(torch.nn.Conv2d):
    """Strided convolution: `torch.nn.Conv2d` with every padding of `downup.ops.conv2d`.

    >>> Conv2d(3, 8, 3, stride=2, padding="same")(torch.ones(1, 3, 5, 6)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Padding = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: _PaddingMode = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        kernel, step = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        apart = pair("dilation", dilation, 1)
        super().__init__(
            in_channels, out_channels, kernel, step, 0, apart, groups, bias, padding_mode, device, dtype
        )
        self.padding: Any = _plain(padding)

    def forward(self, input: Tensor) -> Tensor:
        """[batch, in_channels, rows, columns] -> [batch, out_channels, new_rows, new_columns]."""
        return ops.conv2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            padding_mode=self.padding_mode,
        )


class ConvTranspose2d(torch.nn.ConvTranspose2d):
    """Transposed convolution: `torch.nn.ConvTranspose2d` with every padding of `downup.ops.conv_transpose2d`.

    >>> up = ConvTranspose2d(8, 3, 4, stride=2, padding="same")
    >>> up(torch.ones(1, 8, 3, 3)).shape, up(torch.ones(1, 8, 3, 3), output_size=(5, 6)).shape
    (torch.Size([1, 3, 6, 6]), torch.Size([1, 3, 5, 6]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Padding = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: Literal["zeros"] = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(
                f'padding_mode is {padding_mode!r}; a transposed convolution knows only "zeros"'
            )
        kernel, step = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        extra, apart = pair("output_padding", output_padding), pair("dilation", dilation, 1)
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            step,
            0,
            extra,
            groups,
            bias,
            apart,
            padding_mode,
            device,
            dtype,
        )
        self.padding: Any = _plain(padding)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """[batch, in_channels, rows, columns] -> [batch, out_channels, new_rows, new_columns].

        `output_size`: (rows, columns) asked for, or the whole shape, as torch takes it.
        """
        if output_size is not None:
            output_size = tuple(output_size)[-2:]
        return ops.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding if output_size is None else 0,
            self.groups,
            self.dilation,
            output_size=output_size,
        )


class ResizeConv2d(Conv2d):
    """Enlarge by interpolation, then convolve; see `downup.ops.resize_conv2d`.

    >>> ResizeConv2d(8, 3, 3)(torch.ones(1, 8, 3, 3)).shape
    torch.Size([1, 3, 6, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        scale_factor: Any = 2,
        mode: str = "nearest",
        *,
        padding: Padding = "same",
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, 1, padding, dilation, groups, bias, "zeros", device, dtype
        )
        self.scale_factor = scale_factor
        self.mode = mode

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """[batch, in_channels, rows, columns] -> [batch, out_channels, rows * factor, columns * factor]."""
        return ops.resize_conv2d(
            input,
            self.weight,
            self.bias,
            scale_factor=self.scale_factor,
            mode=self.mode,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            output_size=output_size,
        )

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        convolution: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{convolution}, scale_factor={self.scale_factor}, mode={self.mode!r}"


def bilinear_weight_(weight: Tensor) -> Tensor:
    """Fill the weight of a transposed convolution so that it interpolates each channel bilinearly.

    Convention: exact away from the borders for kernel 2 * stride - stride % 2 with "same" padding.

    Args:
        weight: [channels, channels, rows, columns], or [channels, 1, rows, columns] with groups=channels.

    Returns:
        `weight` itself.

    Raises:
        ArgumentError: any other shape.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015.

    >>> bilinear_weight_(torch.empty(1, 1, 1, 4)).flatten()
    tensor([0.2500, 0.7500, 0.7500, 0.2500])
    """
    if weight.dim() != 4 or weight.shape[1] not in (1, weight.shape[0]):
        raise ArgumentError(
            f"weight has shape {tuple(weight.shape)}; use [channels, channels, rows, columns] or "
            f"[channels, 1, rows, columns]"
        )
    lines = []
    for length in weight.shape[2:]:
        reach = (length + 1) // 2
        distance = (torch.arange(length, dtype=torch.float64) - (length - 1) / 2).abs()
        lines.append(1 - distance / reach)
    with torch.no_grad():
        weight.zero_()
        channel = torch.arange(weight.shape[0])
        target = channel if weight.shape[1] > 1 else torch.zeros_like(channel)
        weight[channel, target] = (lines[0][:, None] * lines[1]).to(weight)
    return weight
