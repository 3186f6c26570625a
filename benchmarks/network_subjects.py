"""What the engines are measured on: networks, and the pictures that each gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from downup.networks import NetworkConfig, build

Numbers = dict[str, float]


class PlainUNet(nn.Module):
    """Ronneberger's network with batch norm: widths 32 to 512, two convolutions at each size."""

    def __init__(self, up: str, widths: tuple[int, ...] = (32, 64, 128, 256, 512), classes: int = 21) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            _twice(before, after) for before, after in zip((3, *widths), widths, strict=False)
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(_up(up, *step) for step in steps)
        self.mixes = nn.ModuleList(_twice(2 * after, after) for _, after in steps)
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Any size: padded to a multiple of 16, and cropped."""
        rows, columns = x.shape[2:]
        x = nn.functional.pad(x, (0, (columns + 15) // 16 * 16 - columns, 0, (rows + 15) // 16 * 16 - rows))
        kept = []
        for down in self.downs:
            x = down(self.pool(x) if kept else x)
            kept.append(x)
        kept.pop()
        for up, mix in zip(self.ups, self.mixes, strict=True):
            x = mix(torch.cat([kept.pop(), up(x)], dim=1))
        return self.last(x)[..., :rows, :columns]


def _once(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*_once(before, after), *_once(after, after))


def _up(up: str, before: int, after: int) -> nn.Module:
    if up == "transposed":
        return nn.ConvTranspose2d(before, after, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2), *_once(before, after))


class DilatedFCN(nn.Module):
    """ResNet-50 at stride 8, its last two stages dilated, and a head of 3x3 and 1x1, enlarged bilinearly."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks, before = [], 64
        for count, middle, stride, dilation in (
            (3, 64, 1, 1),
            (4, 128, 2, 1),
            (6, 256, 1, 2),
            (3, 512, 1, 4),
        ):
            for index in range(count):
                blocks.append(_Bottleneck(before, middle, stride if index == 0 else 1, dilation))
                before = 4 * middle
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_once(2048, 512), nn.Conv2d(512, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Any size."""
        scores = self.head(self.blocks(self.stem(x)))
        return nn.functional.interpolate(scores, size=x.shape[2:], mode="bilinear")


class _Bottleneck(nn.Module):
    def __init__(self, before: int, middle: int, stride: int, dilation: int) -> None:
        super().__init__()
        after = 4 * middle
        self.main = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.beside: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.beside = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.beside(x)).relu()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "U-Net nearest": lambda: PlainUNet("nearest"),
    "U-Net transposed": lambda: PlainUNet("transposed"),
    "SegNet-VGG16": lambda: build(NetworkConfig(model="segnet", classes=21)),
    "U-Net on ResNet-18": lambda: build(NetworkConfig(model="unet", classes=21, up="nearest")),
    "dilated FCN-ResNet50": DilatedFCN,
    # A channel more than whole vectors hold, all the way.
    "U-Net nearest, odd": lambda: PlainUNet("nearest", (33, 65, 129, 257, 513)),
}
ODD = {"U-Net nearest, odd": "U-Net nearest"}
FIVE = [name for name in NETWORKS if name not in ODD]


def enlivened(network: nn.Module) -> nn.Module:
    """He's weights, random biases and statistics of batch norm, always the same."""
    torch.manual_seed(0)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    part.bias.normal_(0, 0.1)
            elif isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


@dataclass(frozen=True)
class Case:
    """One network on one picture: "time", "compiled" time, "avx2" time, time to "load", "memory" or "error"."""

    kind: str
    network: str
    rows: int
    columns: int
    threads: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.network}, {self.columns}x{self.rows}, {self.threads}"


U_NETS = ("U-Net nearest", "U-Net transposed")
UNPOOLING = "SegNet-VGG16"
TRAINED = "U-Net of `downup demo`"


def cases() -> Iterator[Case]:
    """All that is measured, the most telling first, so that a run that ends early has those."""
    for network in FIVE:
        yield Case("time", network, 512, 512, 2)
    for network in (*U_NETS, "SegNet-VGG16"):
        yield Case("memory", network, 1024, 1024, 2)
    for network in FIVE:
        yield (
            Case("error", network, 131, 195, 2)
            if network != UNPOOLING
            else Case("error", network, 128, 192, 2)
        )
    yield Case("error", TRAINED, 261, 389, 2)
    for network in FIVE:
        yield Case("time", network, 387, 509, 1)
    for network in FIVE:
        yield Case("load", network, 128, 128, 2)
    for network in ODD:
        yield Case("time", network, 512, 512, 2)
    for network in FIVE:
        yield Case("avx2", network, 512, 512, 2)
    for network in (*U_NETS, "U-Net on ResNet-18"):
        yield Case("time", network, 1024, 1024, 2)
    for network in FIVE:
        yield Case("time", network, 512, 512, 1)
    for network in U_NETS:
        yield Case("compiled", network, 512, 512, 2)
    for network in FIVE:
        yield Case("memory", network, 512, 512, 2)
    for network in ("SegNet-VGG16", "dilated FCN-ResNet50"):
        yield Case("time", network, 1024, 1024, 2)
