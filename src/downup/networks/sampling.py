"""One step down and one step up, by name: the one place where networks meet the operators."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn as torch_nn

from downup import nn
from downup.networks.layers import (
    convolution,
    start_as_kernel_per_channel,
    transposed_convolution,
)
from downup.networks.reach import Reach, follow


def build_down(down: str, channels: int, *, remembers: bool = False) -> torch_nn.Module:
    """Make the module that halves rows and columns.

    Args:
        down: "strided" (3x3 convolution, ReLU), "max", "avg" (2x2 windows) or "blur" (binomial, 3 taps).
        channels: of the map; the same come out.
        remembers: give back (map, positions) for unpooling; for "max" only.
    """
    if down == "max":
        return nn.MaxPool2dWithOffsets(2) if remembers else nn.MaxPool2d(2)
    if down == "avg":
        return nn.AvgPool2d(2)
    if down == "blur":
        return nn.BlurPool2d(taps=3, stride=2)
    made = convolution(channels, channels, 3, stride=2)
    # It starts as the blur, so that what trained layers around it expect passes through.
    line = torch.tensor([1.0, 2.0, 1.0])
    start_as_kernel_per_channel(made.weight, line[:, None] * line[None, :] / 16)
    return torch_nn.Sequential(made, torch_nn.ReLU(inplace=True))


class Up(torch_nn.Module):
    """One step up: `factor` times the rows and columns, and another number of channels.

    nearest, bilinear and unpool change the channels by a 1x1 convolution first: it commutes with the resize
    and costs a fraction before it. shuffle is a 3x3 convolution to factor² times the channels that starts
    as nearest; transposed has a window of `factor`, so that no two outputs overlap.
    """

    def __init__(self, up: str, in_channels: int, out_channels: int, factor: int = 2) -> None:
        super().__init__()
        self.convolution: torch_nn.Module = torch_nn.Identity()
        self.resize: torch_nn.Module
        if up == "transposed":
            self.resize = transposed_convolution(in_channels, out_channels, factor, stride=factor)
            return
        if up == "shuffle":
            self.convolution = _shuffle_convolution(in_channels, out_channels, factor, kernel_size=3)
            self.resize = nn.PixelShuffle(factor)
            return
        if in_channels != out_channels:
            self.convolution = convolution(in_channels, out_channels, 1)
        if up == "unpool":
            self.resize = nn.MaxUnpool2d(factor)
        else:
            self.resize = _upsample(up, factor)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Take [n, in_channels, h, w] to [n, out_channels, factor * h, factor * w]; unpool by positions."""
        x = self.convolution(x)
        result: Tensor = self.resize(x) if positions is None else self.resize(x, positions)
        return result

    def reach(self, reach: Reach, positions: Reach | None = None) -> Reach:
        """Follow `forward`."""
        reach = follow(self.convolution, reach)
        if positions is None:
            return follow(self.resize, reach)
        return reach.joined(positions).refined(2, lambda phase: (0, 0))


def build_score_up(up: str, classes: int, factor: int) -> torch_nn.Module:
    """Make the module that enlarges a map of class scores, as in an FCN.

    "transposed" has a window of twice the factor and starts as bilinear interpolation of each class;
    "shuffle" is a 1x1 convolution to factor² times the classes that starts as nearest.
    """
    if up == "transposed":
        made = transposed_convolution(
            classes, classes, 2 * factor, stride=factor, padding=factor // 2, bias=False
        )
        nn.bilinear_weight_(made.weight)
        return made
    if up == "shuffle":
        shuffle = _shuffle_convolution(classes, classes, factor, kernel_size=1)
        return torch_nn.Sequential(shuffle, nn.PixelShuffle(factor))
    return _upsample(up, factor)


def _upsample(mode: str, factor: int) -> nn.Upsample:
    return nn.Upsample(scale_factor=factor, mode=mode, align_corners=False if mode == "bilinear" else None)


def _shuffle_convolution(in_channels: int, out_channels: int, factor: int, kernel_size: int) -> nn.Conv2d:
    """Make a convolution whose factor² outputs per channel start equal: nearest upsampling, once shuffled.

    Source: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017.
    """
    made = convolution(in_channels, out_channels * factor**2, kernel_size)
    one = convolution(in_channels, out_channels, kernel_size)
    if kernel_size == 1 and in_channels == out_channels:
        start_as_kernel_per_channel(one.weight, torch.ones(1, 1))
    with torch.no_grad():
        made.weight.copy_(one.weight.repeat_interleave(factor**2, dim=0))
    return made
