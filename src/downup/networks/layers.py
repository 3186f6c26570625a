"""Convolutions as the networks use them: channels scaled to a width, weights started as He et al. advise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import nn as torch_nn

from downup import nn

# Vectors of eight floats or more run through every channel count; fewer channels also learn too little.
_CHANNEL_MULTIPLE = 8


def scaled(channels: int, width: float) -> int:
    """Scale a number of channels, to a multiple of 8 and at least 8; width 1.0 changes nothing.

    >>> scaled(64, 1.0), scaled(64, 0.3), scaled(64, 0.01)
    (64, 16, 8)
    """
    if width == 1.0:
        return channels
    return max(1, round(channels * width / _CHANNEL_MULTIPLE)) * _CHANNEL_MULTIPLE


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, bias: bool = True
) -> nn.Conv2d:
    """Make a convolution that keeps the size (at stride 1), with He's weights and biases of zero.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2 (forward case).
    """
    made = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride=stride, padding=(kernel_size - 1) // 2, bias=bias
    )
    torch_nn.init.kaiming_normal_(made.weight, mode="fan_in", nonlinearity="relu")
    if made.bias is not None:
        torch_nn.init.zeros_(made.bias)
    return made


def transposed_convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
) -> nn.ConvTranspose2d:
    """Make a transposed convolution with He's weights, counting the taps that meet in one output sample."""
    made = nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=bias
    )
    taps = in_channels * kernel_size**2 / stride**2
    torch_nn.init.normal_(made.weight, std=math.sqrt(2 / taps))
    if made.bias is not None:
        torch_nn.init.zeros_(made.bias)
    return made


def normalised(convolution: torch_nn.Module, channels: int) -> torch_nn.Sequential:
    """Follow a convolution by batch norm and ReLU."""
    return torch_nn.Sequential(convolution, torch_nn.BatchNorm2d(channels), torch_nn.ReLU(inplace=True))


def score_layer(in_channels: int, classes: int, kernel_size: int = 1) -> nn.Conv2d:
    """Make the convolution that ends in one score per class.

    Its weights start small, so that the first loss is close to that of a guess, log(classes), while gradients
    already pass.
    """
    made = convolution(in_channels, classes, kernel_size)
    torch_nn.init.normal_(made.weight, std=0.01)
    return made


@torch.no_grad()
def start_as_kernel_per_channel(weight: Tensor, kernel: Tensor) -> None:
    """Set a weight [a, b, rows, columns] to `kernel` from each channel to itself, and to zero elsewhere."""
    weight.zero_()
    channels = torch.arange(min(weight.shape[:2]))
    weight[channels, channels] = kernel.to(weight.dtype)
