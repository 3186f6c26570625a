"""U-Net: at each size on the way up, the map from the way down is laid beside and two convolutions mix them.

On VGG it goes down four times, from a first map of the picture's own size, as the original does; VGG's fifth
pool and its dense layers have no place. On ResNet it goes down five times, and the last step up has no map to
meet.

Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
2015.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn as torch_nn

from downup.networks.config import NetworkConfig
from downup.networks.layers import convolution, normalised, scaled, score_layer
from downup.networks.network import Network, build_encoder
from downup.networks.reach import Reach, follow
from downup.networks.sampling import Up
from downup.networks.vgg import VGG

_VGG_DOWNS = 4
# Channels on the way up on ResNet, at strides 16, 8, 4, 2 and 1: those of the maps that ResNet-18 lays
# beside, and 32 at full size, where channels are dearest. (On VGG they are those of the map beside.)
_RESNET_CHANNELS = (256, 128, 64, 64, 32)


class UNet(Network):
    """An encoder and a decoder, joined at every size."""

    def __init__(self, config: NetworkConfig) -> None:
        encoder = build_encoder(config, depth=_VGG_DOWNS)
        skips = encoder.skip_channels[-2::-1]
        if isinstance(encoder, VGG):
            channels = skips
        else:
            channels = [scaled(count, config.width) for count in _RESNET_CHANNELS]
            skips = [*skips, 0]
        super().__init__(config, encoder, 2 ** len(channels))
        _, up = config.pair
        coarser = [encoder.skip_channels[-1], *channels[:-1]]
        self.ups = torch_nn.ModuleList(Up(up, *pair) for pair in zip(coarser, channels, strict=True))
        self.stages = torch_nn.ModuleList(
            torch_nn.Sequential(
                normalised(convolution(count + skip, count, 3, bias=False), count),
                normalised(convolution(count, count, 3, bias=False), count),
            )
            for count, skip in zip(channels, skips, strict=True)
        )
        self.classifier = score_layer(channels[-1], config.classes)

    def score(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w], h and w multiples of `stride`, to scores [n, classes, h, w]."""
        skips, _, positions = self.encoder(x)
        x = skips.pop()
        for up, stage in zip(self.ups, self.stages, strict=True):
            x = up(x, positions.pop()) if positions else up(x)
            x = stage(torch.cat([x, skips.pop()], dim=1) if skips else x)
        scores: Tensor = self.classifier(x)
        return scores

    def reach(self) -> Reach:
        """Follow `score`."""
        skips, levels = (list(reaches) for reaches in self.encoder.reaches())
        remembers = isinstance(self.encoder, VGG) and self.encoder.remembers
        reach = skips.pop()
        for up, stage in zip(self.ups, self.stages, strict=True):
            assert isinstance(up, Up)
            reach = up.reach(reach, levels.pop() if remembers else None)
            reach = follow(stage, reach.joined(skips.pop()) if skips else reach)
        return follow(self.classifier, reach)
