"""SegNet: VGG's convolutions down, the same convolutions in the mirror up.

Only positions go from the encoder to the decoder: each unpooling puts values back where the pool of the same
size took its maxima.

Source: Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", TPAMI 2017.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor
from torch import nn as torch_nn

from downup.networks.config import NetworkConfig
from downup.networks.layers import convolution, normalised, score_layer
from downup.networks.network import Network, build_encoder
from downup.networks.reach import Reach, follow
from downup.networks.sampling import Up
from downup.networks.vgg import STAGES, VGG, mirrored_channels


class SegNet(Network):
    """A mirror of VGG behind VGG."""

    encoder: VGG

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, build_encoder(config), 2 ** len(STAGES))
        _, up = config.pair
        stages = mirrored_channels(self.encoder.channels)
        # The finest stage's last convolution is the one that scores.
        stages[-1] = stages[-1][:-1]
        self.ups = torch_nn.ModuleList(Up(up, stage[0], stage[0]) for stage in stages)
        self.stages = torch_nn.ModuleList(
            torch_nn.Sequential(
                *(
                    normalised(convolution(first, second, 3, bias=False), second)
                    for first, second in pairwise(stage)
                )
            )
            for stage in stages
        )
        self.classifier = score_layer(stages[-1][-1], config.classes, 3)

    def score(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w], h and w multiples of 32, to scores [n, classes, h, w]."""
        _, levels, positions = self.encoder(x)
        x = levels[-1]
        del levels
        for depth, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True), start=1):
            x = stage(up(x, positions[-depth]) if positions else up(x))
        scores: Tensor = self.classifier(x)
        return scores

    def reach(self) -> Reach:
        """Follow `score`."""
        _, levels = self.encoder.reaches()
        reach = levels[-1]
        for depth, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True), start=1):
            assert isinstance(up, Up)
            reach = follow(stage, up.reach(reach, levels[-depth] if self.encoder.remembers else None))
        return follow(self.classifier, reach)
