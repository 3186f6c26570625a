"""What every network shares: any size goes in, and scores of that same size come out."""

from __future__ import annotations

import abc

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn import functional as F

from downup.errors import ArgumentError
from downup.networks.config import NetworkConfig
from downup.networks.reach import Reach
from downup.networks.resnet import ResNet
from downup.networks.vgg import VGG

Encoder = VGG | ResNet


class Network(torch_nn.Module, abc.ABC):
    """A network that gives each pixel of a picture one score per class.

    Convention: a picture whose rows or columns are no multiple of `stride` is padded on the right and at the
    bottom by repeating its last pixels (which works from one pixel on, and shows the network no edge that is
    not there), and the scores are cropped to the picture. Nothing is ever resized to fit, so no sample is
    shifted.
    """

    config: NetworkConfig
    stride: int
    encoder: Encoder

    def __init__(self, config: NetworkConfig, encoder: Encoder, stride: int) -> None:
        super().__init__()
        self.config = config
        self.stride = stride
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Take pictures [n, in_channels, h, w], h and w from 1, to scores [n, classes, h, w]."""
        if x.dim() != 4 or x.shape[1] != self.config.in_channels or 0 in x.shape[-2:]:
            raise ArgumentError(
                f"x has shape {list(x.shape)}; use [batch, {self.config.in_channels}, height, width] with "
                "height and width of at least 1"
            )
        rows, columns = x.shape[-2:]
        # As multiples of the stride, so that an exported graph can tell that no pool drops a row or column.
        bottom, right = (
            (size + self.stride - 1) // self.stride * self.stride - size for size in (rows, columns)
        )
        if torch.compiler.is_exporting() or bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return self.score(x)[..., :rows, :columns]

    @abc.abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w], h and w multiples of `stride`, to scores [n, classes, h, w]."""

    @abc.abstractmethod
    def reach(self) -> Reach:
        """Follow `score`: how far each of its samples sees in the picture."""


def build_encoder(config: NetworkConfig, *, depth: int = 5) -> Encoder:
    """Make the encoder that a configuration names.

    Args:
        config: of the whole network.
        depth: how many pools VGG has, up to its five; ResNets always go down five times.
    """
    down, up = config.pair
    if config.encoder_name in ("vgg16", "vgg16_bn"):
        return VGG(
            batch_norm=config.encoder_name == "vgg16_bn",
            down=down,
            in_channels=config.in_channels,
            width=config.width,
            depth=depth,
            remembers=up == "unpool",
        )
    return ResNet(config.encoder_name, down=down, in_channels=config.in_channels, width=config.width)
