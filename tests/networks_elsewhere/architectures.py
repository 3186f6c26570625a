"""Small networks built as other libraries build theirs: what matters is how their parts are joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(before: int, after: int, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size - 1) // 2
    layer = nn.Conv2d(before, after, size, stride, padding, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def enlarged(x: Tensor, like: Tensor, align: bool = False) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=align)


class Encoder(nn.Module):
    """Maps of 16, 16, 32 and 32 channels at strides 1, 2, 4 and 8."""

    def __init__(self) -> None:
        super().__init__()
        pairs = ((3, 16), (16, 16), (16, 32), (32, 32))
        self.stages = nn.ModuleList(conv(*pair, stride=2 if i else 1) for i, pair in enumerate(pairs))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class UNetPlusPlus(nn.Module):
    """Every map is joined with all of its row before it and the one below, and the last of each row has a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, widths = Encoder(), (16, 16, 32, 32)
        self.nodes = nn.ModuleDict()
        for depth in (1, 2, 3):
            for row in range(4 - depth):
                below = widths[row + 1]
                self.nodes[f"{row}{depth}"] = conv(depth * widths[row] + below, widths[row])
        self.heads = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        rows = [[value] for value in self.encoder(x)]
        for depth in (1, 2, 3):
            for row in range(4 - depth):
                up = F.interpolate(rows[row + 1][depth - 1], scale_factor=2, mode="nearest")
                rows[row].append(self.nodes[f"{row}{depth}"](torch.cat([*rows[row], up], 1)))
        scores = [head(value) for head, value in zip(self.heads, rows[0][1:], strict=True)]
        return (scores[0] + scores[1] + scores[2]) / 3


class PAN(nn.Module):
    """A pyramid of attention at the bottom, and gates of deep summaries on shallow maps."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.middle, self.summary = conv(32, 32, 1), conv(32, 32, 1)
        self.downs = nn.ModuleList([conv(32, 1, 7), conv(1, 1, 5), conv(1, 1, 3)])
        self.sides = nn.ModuleList([conv(1, 1, 7), conv(1, 1, 5), conv(1, 1, 3)])
        self.gate, self.shallow, self.last = (
            nn.Conv2d(32, 32, 1),
            conv(32, 32),
            nn.Conv2d(32, 4, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        _, _, shallow, deep = self.encoder(x)
        maps, value = [], deep
        for down in self.downs:
            value = down(F.max_pool2d(value, 2))
            maps.append(value)
        attention = self.sides[2](maps[2])
        for below, side in ((maps[1], self.sides[1]), (maps[0], self.sides[0])):
            attention = enlarged(attention, below, align=True) + side(below)
        deep = self.middle(deep) * enlarged(attention, deep, align=True)
        deep = deep + enlarged(self.summary(F.adaptive_avg_pool2d(deep, 1)), deep, align=True)
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(deep, 1)))
        joined = enlarged(deep, shallow, align=True) + self.shallow(shallow) * gate
        return enlarged(self.last(joined), x, align=True)


class UPerNet(nn.Module):
    """Pools to fixed numbers of places, sums from deep to shallow, and all of them joined at the finest."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(n), conv(32, 8, 1)) for n in (1, 2, 3, 6)
        )
        self.bottom = conv(32 + 4 * 8, 16)
        self.sides = nn.ModuleList(conv(before, 16, 1) for before in (16, 16, 32))
        self.smooth = nn.ModuleList(conv(16, 16) for _ in range(3))
        self.join, self.last = conv(4 * 16, 16), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        *maps, deep = self.encoder(x)
        value = self.bottom(torch.cat([deep, *(enlarged(pool(deep), deep) for pool in self.pools)], 1))
        found = [value]
        for beside, side, smooth in zip(maps[::-1], self.sides[::-1], self.smooth, strict=True):  # type: ignore[misc]
            lateral = side(beside)
            value = lateral + enlarged(value, lateral)
            found.append(smooth(value))
        return self.last(self.join(torch.cat([enlarged(value, found[-1]) for value in found[::-1]], 1)))


class ENetBlock(nn.Module):
    """Narrow, any convolution, wide again; the other way a pool with positions, or an un-pooling, or nothing."""

    def __init__(self, before: int, after: int, kind: str) -> None:
        super().__init__()
        self.kind, self.more = kind, after - before
        first = nn.Conv2d(before, 8, 2, 2) if kind == "down" else nn.Conv2d(before, 8, 1)
        middle: nn.Module = nn.Conv2d(8, 8, 3, padding=1)
        if kind == "dilated":
            middle = nn.Conv2d(8, 8, 3, padding=4, dilation=4)
        elif kind == "asymmetric":
            middle = nn.Sequential(
                nn.Conv2d(8, 8, (5, 1), padding=(2, 0)), nn.Conv2d(8, 8, (1, 5), padding=(0, 2))
            )
        elif kind == "up":
            middle = nn.ConvTranspose2d(8, 8, 3, 2, 1, 1)
        self.main = nn.Sequential(
            first, nn.PReLU(8), middle, nn.BatchNorm2d(8), nn.PReLU(8), nn.Conv2d(8, after, 1)
        )
        self.beside = nn.Conv2d(before, after, 1) if kind == "up" else nn.Identity()
        self.pool, self.unpool, self.last = (
            nn.MaxPool2d(2, 2, return_indices=True),
            nn.MaxUnpool2d(2),
            nn.PReLU(after),
        )

    def forward(self, x: Tensor, positions: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        beside = self.beside(x)
        if self.kind == "down":
            beside, positions = self.pool(x)
            beside = F.pad(beside, (0, 0, 0, 0, 0, self.more))
        elif self.kind == "up":
            beside = self.unpool(beside, positions)
        return self.last(self.main(x) + beside), positions


class ENet(nn.Module):
    """Downs whose other way is a pool with zeros for the channels it lacks; ups by its positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 13, 3, 2, 1)
        self.down, self.up = ENetBlock(16, 32, "down"), ENetBlock(32, 16, "up")
        self.middle = nn.ModuleList(ENetBlock(32, 32, kind) for kind in ("plain", "dilated", "asymmetric"))
        self.last = nn.ConvTranspose2d(16, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.first(x), F.max_pool2d(x, 2)], 1)
        x, positions = self.down(x)
        for block in self.middle:
            x, _ = block(x)
        return self.last(self.up(x, positions)[0])


class Gate(nn.Module):
    """Channels weighed by a summary of the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.mul(x, self.layers(x).sigmoid())


class BiSeNet(nn.Module):
    """A shallow path of detail and a deep one of context with a summary of all, joined and weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = nn.Sequential(conv(3, 16, 7, 2), conv(16, 16, 3, 2), conv(16, 16, 1))
        self.encoder = Encoder()
        self.gates, self.summary = nn.ModuleList([Gate(32), Gate(32)]), conv(32, 32, 1)
        self.join, self.gate, self.last = conv(16 + 32, 32, 1), Gate(32), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, _, shallow, deep = self.encoder(x)
        summary = self.summary(torch.mean(deep, dim=(2, 3), keepdim=True))
        deep = self.gates[0](deep) + F.interpolate(summary, size=deep.shape[2:], mode="nearest")
        context = self.gates[1](shallow) + F.interpolate(deep, size=shallow.shape[2:], mode="nearest")
        joined = self.join(torch.cat([self.detail(x), context], dim=1))
        return enlarged(self.last(joined + self.gate(joined)), x)


class DDRNet(nn.Module):
    """Two resolutions that exchange what they know, and a pyramid of pools each added to the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.high, self.low = conv(3, 16, 3, 2), conv(16, 16), conv(16, 32, 3, 2)
        self.up = nn.Sequential(nn.Conv2d(32, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32))
        self.first = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 8, 1, bias=False))
        self.scales = nn.ModuleList(
            nn.Sequential(pool, nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 8, 1, bias=False))
            for pool in (nn.AvgPool2d(5, 2, 2), nn.AvgPool2d(9, 4, 4), nn.AdaptiveAvgPool2d(1))
        )
        self.processes = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, bias=False))
            for _ in range(3)
        )
        self.squeeze = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 1, bias=False))
        self.shortcut = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 1, bias=False))
        self.head = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        high, low = self.high(stem), self.low(stem)
        high, low = F.relu(high + enlarged(self.up(low), high)), F.relu(low + self.down(high))
        found = [self.first(low)]
        for scale, process in zip(self.scales, self.processes, strict=True):
            found.append(process(enlarged(scale(low), low) + found[-1]))
        low = self.squeeze(torch.cat(found, 1)) + self.shortcut(low)
        return enlarged(self.head(high + enlarged(low, high)), x)


class DenseNet(nn.Module):
    """Norm and activation ahead of each convolution, whose output joins all before it; transitions by average pools."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(self._layer(16 + 8 * i, 8) for i in range(3))
        self.transition = self._layer(40, 24, size=1)
        self.deep = nn.ModuleList(self._layer(24 + 8 * i, 8) for i in range(2))
        self.mix, self.last = conv(40 + 40, 16), nn.Conv2d(16, 4, 1)

    @staticmethod
    def _layer(before: int, after: int, size: int = 3) -> nn.Sequential:
        return nn.Sequential(
            nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, size, padding=size // 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        value = self.stem(x)
        for layer in self.layers:
            value = torch.cat([value, layer(value)], 1)
        skip, value = value, F.avg_pool2d(self.transition(value), 2)
        for layer in self.deep:
            value = torch.cat([value, layer(value)], 1)
        return self.last(self.mix(torch.cat([enlarged(value, skip), skip], 1)))
