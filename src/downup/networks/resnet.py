"""ResNet-18, 34 and 50, with torchvision's parameter names, and any way down where a stage halves its map.

Where a stage begins, torchvision's 3x3 convolution has stride 2, and so has the 1x1 convolution of the
shortcut. With another `down` both have stride 1: the operator follows the 3x3 convolution's ReLU, which then
costs four times as much, and goes ahead of the shortcut's convolution, where it costs nothing. It also takes
the place of the max pool in the stem. The stem's 7x7 convolution keeps its stride: at every pixel it would be
the dearest layer of all.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the placement of the operators
follows Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.
"""

from __future__ import annotations

from torch import Tensor
from torch import nn as torch_nn

from downup import nn
from downup.networks.layers import convolution, scaled
from downup.networks.reach import Reach, follow
from downup.networks.sampling import build_down
from downup.networks.vgg import Pyramid

# Blocks in each of the four stages, and whether a block is a bottleneck.
_VARIANTS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}
_STAGE_CHANNELS = (64, 128, 256, 512)
_BOTTLENECK_EXPANSION = 4


class BasicBlock(torch_nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_channels: int, channels: int, out_channels: int, down: str | None) -> None:
        super().__init__()
        stride = 2 if down == "strided" else 1
        self.conv1 = convolution(in_channels, channels, 3, stride=stride, bias=False)
        self.bn1 = torch_nn.BatchNorm2d(channels)
        self.relu = torch_nn.ReLU(inplace=True)
        self.down = _follower(down, channels)
        self.conv2 = convolution(channels, out_channels, 3, bias=False)
        self.bn2 = torch_nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, down)

    def forward(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w] to [n, out_channels, h, w], or half the rows and columns."""
        out = self.down(self.relu(self.bn1(self.conv1(x))))
        out = self.bn2(self.conv2(out))
        result: Tensor = self.relu(out.add_(self.downsample(self.down(x))))
        return result

    def reach(self, reach: Reach) -> Reach:
        """Follow `forward`."""
        main = follow(self.conv2, follow(self.down, follow(self.conv1, reach)))
        return main.joined(follow(self.downsample, follow(self.down, reach)))


class Bottleneck(torch_nn.Module):
    """A 1x1 convolution to fewer channels, a 3x3, and a 1x1 back, beside a shortcut."""

    def __init__(self, in_channels: int, channels: int, out_channels: int, down: str | None) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, channels, 1, bias=False)
        self.bn1 = torch_nn.BatchNorm2d(channels)
        self.conv2 = convolution(channels, channels, 3, stride=2 if down == "strided" else 1, bias=False)
        self.bn2 = torch_nn.BatchNorm2d(channels)
        self.relu = torch_nn.ReLU(inplace=True)
        self.down = _follower(down, channels)
        self.conv3 = convolution(channels, out_channels, 1, bias=False)
        self.bn3 = torch_nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, down)

    def forward(self, x: Tensor) -> Tensor:
        """Take [n, in_channels, h, w] to [n, out_channels, h, w], or half the rows and columns."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.down(self.relu(self.bn2(self.conv2(out))))
        out = self.bn3(self.conv3(out))
        result: Tensor = self.relu(out.add_(self.downsample(self.down(x))))
        return result

    def reach(self, reach: Reach) -> Reach:
        """Follow `forward`."""
        main = follow(self.down, follow(self.conv2, reach))
        return main.joined(follow(self.downsample, follow(self.down, reach)))


class ResNet(torch_nn.Module):
    """A residual encoder.

    Args:
        name: "resnet18", "resnet34" or "resnet50".
        down: the way down; "strided" is the original.
        in_channels: channels of the picture.
        width: factor on the channels.
    """

    def __init__(self, name: str, *, down: str, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        counts, is_bottleneck = _VARIANTS[name]
        expansion = _BOTTLENECK_EXPANSION if is_bottleneck else 1
        stages = [scaled(channels, width) for channels in _STAGE_CHANNELS]
        self.skip_channels = [stages[0], *(channels * expansion for channels in stages)]
        self.level_channels = self.skip_channels
        self.conv1 = convolution(in_channels, stages[0], 7, stride=2, bias=False)
        self.bn1 = torch_nn.BatchNorm2d(stages[0])
        self.relu = torch_nn.ReLU(inplace=True)
        # The original's pool overlaps its neighbours, 3x3; it stays where the way down is the original's or
        # max.
        is_original = down in ("strided", "max")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if is_original else build_down(down, stages[0])
        block = Bottleneck if is_bottleneck else BasicBlock
        previous = stages[0]
        made: list[torch_nn.Module] = []
        for stage, (count, channels) in enumerate(zip(counts, stages, strict=True)):
            blocks = []
            for index in range(count):
                is_down = stage > 0 and index == 0
                blocks.append(block(previous, channels, channels * expansion, down if is_down else None))
                previous = channels * expansion
            made.append(torch_nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = made

    def forward(self, x: Tensor) -> Pyramid:
        """Take [n, in_channels, h, w], h and w multiples of 32, to the maps at strides 2, 4, 8, 16 and 32."""
        x = self.relu(self.bn1(self.conv1(x)))
        maps = [x]
        x = self.maxpool(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return Pyramid(skips=maps, levels=maps, positions=[])

    def reaches(self) -> tuple[list[Reach], list[Reach]]:
        """Follow `forward`: how far each of its skips and levels sees."""
        reach = follow(self.conv1, Reach())
        found = [reach]
        reach = follow(self.maxpool, reach)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            reach = follow(layer, reach)
            found.append(reach)
        return found, found


def _follower(down: str | None, channels: int) -> torch_nn.Module:
    if down is None or down == "strided":
        return torch_nn.Identity()
    return build_down(down, channels)


def _shortcut(in_channels: int, out_channels: int, down: str | None) -> torch_nn.Module:
    if down is None and in_channels == out_channels:
        return torch_nn.Identity()
    stride = 2 if down == "strided" else 1
    project = convolution(in_channels, out_channels, 1, stride=stride, bias=False)
    return torch_nn.Sequential(project, torch_nn.BatchNorm2d(out_channels))
