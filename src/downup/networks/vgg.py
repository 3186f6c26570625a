"""VGG-16, with torchvision's parameter names, and any way down in the place of its pools.

Source: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch import nn as torch_nn

from downup.networks.layers import convolution, scaled
from downup.networks.reach import Reach, follow
from downup.networks.sampling import build_down

# Convolutions in each stage, and their channels; a pool follows each stage.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))

# The dense layers that networks take over as convolutions: name in torchvision's file, name here, window,
# channels.
DENSE_LAYERS = (("classifier.0", "fc6", 7, 4096), ("classifier.3", "fc7", 1, 4096))


class Pyramid(NamedTuple):
    """The maps of an encoder, finest first.

    `skips[k]` is the last map of its size, made before the next step down; `levels[k]`, at stride 2 ** (k +
    1), is the map that a coarser decoder starts from: on VGG what each pool gives, on ResNet what each stage
    gives. `positions[k]` says where the k-th pool took each value of `levels[k]` from; empty unless the
    encoder remembers.
    """

    skips: list[Tensor]
    levels: list[Tensor]
    positions: list[Tensor]


class VGG(torch_nn.Module):
    """VGG-16's convolutions.

    Args:
        batch_norm: follow each convolution by batch norm.
        down: the operator in the place of each max pool; "strided" adds parameters there.
        in_channels: channels of the picture.
        width: factor on the channels.
        depth: how many of the five pools there are; with fewer than five, the last skip has no pool behind
        it. remembers: keep the positions of max pooling.
    """

    def __init__(
        self,
        *,
        batch_norm: bool,
        down: str,
        in_channels: int = 3,
        width: float = 1.0,
        depth: int = 5,
        remembers: bool = False,
    ) -> None:
        super().__init__()
        self.remembers = remembers
        self.channels = [scaled(channels, width) for _, channels in STAGES]
        self.skip_channels = self.channels[: depth + 1]
        self.level_channels = self.channels[:depth]
        layers: list[torch_nn.Module] = []
        self._down_indices: list[int] = []
        previous = in_channels
        for stage, (count, _) in enumerate(STAGES[: depth + 1]):
            channels = self.channels[stage]
            for _ in range(count):
                layers.append(convolution(previous, channels, 3))
                if batch_norm:
                    layers.append(torch_nn.BatchNorm2d(channels))
                layers.append(torch_nn.ReLU(inplace=True))
                previous = channels
            if stage < depth:
                self._down_indices.append(len(layers))
                layers.append(build_down(down, channels, remembers=remembers))
        self.features = torch_nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Pyramid:
        """Take [n, in_channels, h, w], h and w multiples of 2 ** depth, to the maps of all strides."""
        skips: list[Tensor] = []
        levels: list[Tensor] = []
        positions: list[Tensor] = []
        for index, layer in enumerate(self.features):
            if index not in self._down_indices:
                x = layer(x)
                continue
            skips.append(x)
            if self.remembers:
                x, taken_from = layer(x)
                positions.append(taken_from)
            else:
                x = layer(x)
            levels.append(x)
        if len(skips) < len(self.skip_channels):
            skips.append(x)
        return Pyramid(skips, levels, positions)

    def reaches(self) -> tuple[list[Reach], list[Reach]]:
        """Follow `forward`: how far each of its skips and levels sees."""
        skips: list[Reach] = []
        levels: list[Reach] = []
        reach = Reach()
        for index, layer in enumerate(self.features):
            if index in self._down_indices:
                skips.append(reach)
            reach = follow(layer, reach)
            if index in self._down_indices:
                levels.append(reach)
        if len(skips) < len(self.skip_channels):
            skips.append(reach)
        return skips, levels


def mirrored_channels(channels: list[int]) -> list[list[int]]:
    """List the channels through which each stage of a mirrored decoder goes, coarsest stage first.

    A stage has as many convolutions as VGG's, and its last one goes over to the channels of the next finer
    stage.

    >>> mirrored_channels([64, 128, 256, 512, 512])[-2:]
    [[128, 128, 64], [64, 64, 64]]
    """
    stages = []
    for stage in reversed(range(len(STAGES))):
        count, _ = STAGES[stage]
        stages.append([channels[stage]] * count + [channels[max(0, stage - 1)]])
    return stages
