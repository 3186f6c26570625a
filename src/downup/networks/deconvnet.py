"""DeconvNet: VGG with its dense layers, and a mirror of transposed convolutions behind it.

The original turns 224x224 pixels into one vector between its halves. Here fc6 and its mirror are padded to
keep the size of the coarsest map, so that any size goes in: at 224x224 they see the same 7x7 window, at every
position.

Source: Noh, Hong, Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor
from torch import nn as torch_nn

from downup.networks.config import NetworkConfig
from downup.networks.layers import convolution, normalised, scaled, score_layer, transposed_convolution
from downup.networks.network import Network, build_encoder
from downup.networks.reach import Reach, follow
from downup.networks.sampling import Up
from downup.networks.vgg import DENSE_LAYERS, STAGES, VGG, mirrored_channels


class DeconvNet(Network):
    """VGG to its dense layers, and all the way back."""

    encoder: VGG

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, build_encoder(config), 2 ** len(STAGES))
        _, up = config.pair
        channels = self.encoder.level_channels[-1]
        self.relu = torch_nn.ReLU(inplace=True)
        for _, name, kernel_size, out_channels in DENSE_LAYERS:
            out_channels = scaled(out_channels, config.width)
            self.add_module(name, convolution(channels, out_channels, kernel_size))
            self.add_module(f"{name}_norm", torch_nn.BatchNorm2d(out_channels))
            channels = out_channels
        stages = mirrored_channels(self.encoder.channels)
        self.fc6_mirror = normalised(
            transposed_convolution(channels, stages[0][0], 7, padding=3, bias=False), stages[0][0]
        )
        self.ups = torch_nn.ModuleList(Up(up, stage[0], stage[0]) for stage in stages)
        self.stages = torch_nn.ModuleList(
            torch_nn.Sequential(
                *(
                    normalised(transposed_convolution(first, second, 3, padding=1, bias=False), second)
                    for first, second in pairwise(stage)
                )
            )
            for stage in stages
        )
        self.classifier = score_layer(stages[-1][-1], config.classes)

    def score(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w], h and w multiples of 32, to scores [n, classes, h, w]."""
        _, levels, positions = self.encoder(x)
        x = levels[-1]
        del levels
        for layer, norm in self._dense_layers():
            x = self.relu(norm(layer(x)))
        x = self.fc6_mirror(x)
        for depth, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True), start=1):
            x = stage(up(x, positions[-depth]) if positions else up(x))
        scores: Tensor = self.classifier(x)
        return scores

    def reach(self) -> Reach:
        """Follow `score`."""
        _, levels = self.encoder.reaches()
        reach = levels[-1]
        for layer, _ in self._dense_layers():
            reach = follow(layer, reach)
        reach = follow(self.fc6_mirror, reach)
        for depth, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True), start=1):
            assert isinstance(up, Up)
            reach = follow(stage, up.reach(reach, levels[-depth] if self.encoder.remembers else None))
        return follow(self.classifier, reach)

    def _dense_layers(self) -> list[tuple[torch_nn.Module, torch_nn.Module]]:
        return [
            (self.get_submodule(name), self.get_submodule(f"{name}_norm")) for _, name, _, _ in DENSE_LAYERS
        ]
