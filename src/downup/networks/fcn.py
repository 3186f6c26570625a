"""FCN-32s, 16s and 8s: scores from coarse maps, enlarged, and joined by the scores of finer maps.

On VGG, its dense layers run as convolutions fc6 and fc7 over the coarsest map; fc6 is padded to keep the
size, in the place of the original's 100 pixels around the picture. On ResNet the coarsest map is scored
directly. Weights of the scoring layers start small and not at zero, so that the encoder learns from the first
step.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
"""

from __future__ import annotations

from torch import Tensor
from torch import nn as torch_nn

from downup.networks.config import NetworkConfig
from downup.networks.layers import convolution, scaled, score_layer
from downup.networks.network import Network, build_encoder
from downup.networks.reach import Reach, follow
from downup.networks.sampling import build_score_up
from downup.networks.vgg import DENSE_LAYERS, VGG

# Strides of the maps that are scored, coarsest first. The last map's scores are enlarged by its whole stride.
_SCORED_STRIDES = {"fcn32s": (32,), "fcn16s": (32, 16), "fcn8s": (32, 16, 8)}
_COARSEST_STRIDE = 32


class FCN(Network):
    """A fully convolutional network that adds the scores of one, two or three maps."""

    def __init__(self, config: NetworkConfig) -> None:
        encoder = build_encoder(config)
        super().__init__(config, encoder, _COARSEST_STRIDE)
        _, up = config.pair
        channels = encoder.level_channels[-1]
        self.dropout = torch_nn.Dropout(0.5)
        self.relu = torch_nn.ReLU(inplace=True)
        self.has_dense_layers = isinstance(encoder, VGG)
        if self.has_dense_layers:
            for _, name, kernel_size, out_channels in DENSE_LAYERS:
                out_channels = scaled(out_channels, config.width)
                self.add_module(name, convolution(channels, out_channels, kernel_size))
                channels = out_channels
        self._levels = [stride.bit_length() - 2 for stride in _SCORED_STRIDES[config.model]]
        inputs = [channels, *(encoder.level_channels[level] for level in self._levels[1:])]
        self.scores = torch_nn.ModuleList(score_layer(count, config.classes) for count in inputs)
        factors = [2] * (len(self._levels) - 1) + [_SCORED_STRIDES[config.model][-1]]
        self.ups = torch_nn.ModuleList(build_score_up(up, config.classes, factor) for factor in factors)

    def score(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w], h and w multiples of 32, to scores [n, classes, h, w]."""
        levels = self.encoder(x).levels
        head = levels[-1]
        for layer in self._dense_layers():
            head = self.dropout(self.relu(layer(head)))
        scores: Tensor = self.scores[0](head)
        for level, layer, up in zip(self._levels[1:], self.scores[1:], self.ups[:-1], strict=True):
            scores = up(scores) + layer(levels[level])
        result: Tensor = self.ups[-1](scores)
        return result

    def reach(self) -> Reach:
        """Follow `score`."""
        _, levels = self.encoder.reaches()
        reach = levels[-1]
        for layer in self._dense_layers():
            reach = follow(layer, reach)
        reach = follow(self.scores[0], reach)
        for level, layer, up in zip(self._levels[1:], self.scores[1:], self.ups[:-1], strict=True):
            reach = follow(up, reach).joined(follow(layer, levels[level]))
        return follow(self.ups[-1], reach)

    def _dense_layers(self) -> list[torch_nn.Module]:
        return [self.get_submodule(name) for _, name, _, _ in DENSE_LAYERS] if self.has_dense_layers else []
