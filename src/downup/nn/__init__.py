"""Down and up as modules: each holds the arguments of its function in `downup.ops`, and calls it."""

from downup.nn.convolve import Conv2d, ConvTranspose2d, ResizeConv2d, bilinear_weight_
from downup.nn.rearrange import PixelShuffle, PixelUnshuffle
from downup.nn.resample import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BlurPool2d,
    GlobalAvgPool2d,
    GlobalLPPool2d,
    LPPool2d,
    Upsample,
)
from downup.nn.select import MaxPool2d, MaxPool2dWithOffsets, MaxUnpool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BlurPool2d",
    "Conv2d",
    "ConvTranspose2d",
    "GlobalAvgPool2d",
    "GlobalLPPool2d",
    "LPPool2d",
    "MaxPool2d",
    "MaxPool2dWithOffsets",
    "MaxUnpool2d",
    "PixelShuffle",
    "PixelUnshuffle",
    "ResizeConv2d",
    "Upsample",
    "bilinear_weight_",
]
