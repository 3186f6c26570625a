"""Networks with the graph idioms of other libraries give in downup's engine what they give in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from downup.engine import Session
from downup.networks import export_onnx
from engine.windowed import assert_equal_in_windows, assert_refused_by_name
from networks.export.engines import enliven, run_onnxruntime

SIZES = ((2, 64, 64), (1, 67, 45))


def block(
    before: int, after: int, stride: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, 1, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), act())


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.less, self.more = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.more(F.silu(self.less(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """MobileNet's and EfficientNet's block: wide, depthwise, squeezed, narrow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.parts = nn.Sequential(
            nn.Conv2d(channels, wide, 1), nn.Hardswish(), block(wide, wide, groups=wide, act=nn.SiLU),
            SqueezeExcite(wide), nn.Conv2d(wide, channels, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.parts(x)


class Encoder(nn.Module):
    """Maps at strides 1, 2, 4 and 8; odd sizes are rounded up on the way."""

    def __init__(self, middle: Callable[[int], nn.Module]) -> None:
        super().__init__()
        pairs = ((3, 8), (8, 12), (12, 16), (16, 24))
        self.stages = nn.ModuleList(
            nn.Sequential(block(*pair, stride=2 if index else 1), middle(pair[1]))
            for index, pair in enumerate(pairs)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """Up by computed sizes, laid beside (U-Net) or added (LinkNet, FPN)."""

    def __init__(
        self, middle: Callable[[int], nn.Module], *, adds: bool = False, crops: bool = False
    ) -> None:
        super().__init__()
        self.encoder, self.adds, self.crops = Encoder(middle), adds, crops
        before = 24
        self.ups, self.mixes = nn.ModuleList(), nn.ModuleList()
        for after in (16, 12, 8):
            self.ups.append(
                nn.ConvTranspose2d(before, after, 3, 2, 1, 1) if crops else nn.Conv2d(before, after, 1)
            )
            self.mixes.append(block(after if adds else 2 * after, after, act=nn.LeakyReLU))
            before = after
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.encoder(x)
        x = maps.pop()
        for up, mix in zip(self.ups, self.mixes, strict=True):
            beside = maps.pop()
            x = up(x)
            if self.crops:
                x = x[:, :, : beside.shape[2], : beside.shape[3]]
            else:
                x = F.interpolate(x, size=beside.shape[2:], mode="nearest")
            x = mix(x + beside if self.adds else torch.cat([x, beside], 1))
        return self.last(x)


class Pyramid(nn.Module):
    """PSPNet's pooling to fixed numbers, DeepLab's dilated branches and its global one, and a head of an auxiliary scale."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(lambda channels: nn.Identity())
        self.dilated = nn.ModuleList(nn.Conv2d(24, 8, 3, padding=rate, dilation=rate) for rate in (1, 2, 4))
        self.pooled = nn.ModuleList(nn.Conv2d(24, 4, 1) for _ in range(3))
        self.mix, self.last = block(3 * 8 + 3 * 4, 16), nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.encoder(x)[-1]
        parts = [layer(deep) for layer in self.dilated]
        for layer, count in zip(self.pooled, (1, 2, 3), strict=True):
            small = layer(F.adaptive_avg_pool2d(deep, count))
            parts.append(F.interpolate(small, size=deep.shape[2:], mode="bilinear"))
        return F.interpolate(self.last(self.mix(torch.cat(parts, 1))), size=x.shape[2:], mode="bilinear")


class Attention(nn.Module):
    """MA-Net's and PAN's attention over all places, by products of matrices and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(lambda channels: nn.Identity())
        self.query, self.key, self.value = (nn.Conv2d(24, 8, 1) for _ in range(3))
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.encoder(x)[-1]
        query, key, value = (layer(deep).flatten(2) for layer in (self.query, self.key, self.value))
        weight = torch.softmax(query.transpose(1, 2) @ key / 8**0.5, dim=-1)
        seen = (value @ weight.transpose(1, 2)).view(deep.shape[0], 8, deep.shape[2], deep.shape[3])
        return F.interpolate(self.last(seen), scale_factor=8, mode="bilinear", align_corners=False)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "U-Net on MobileNet": lambda: Decoder(Inverted),
    "LinkNet, added and cropped": lambda: Decoder(lambda channels: nn.Identity(), adds=True, crops=True),
    "U-Net on ResNeXt": lambda: Decoder(lambda channels: block(channels, channels, groups=4, act=nn.GELU)),
    "FPN on squeeze-and-excite": lambda: Decoder(SqueezeExcite, adds=True),
    "PSPNet and DeepLab": Pyramid,
    "MA-Net": Attention,
}

WITHOUT_SUMMARY = ("LinkNet, added and cropped", "U-Net on ResNeXt")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_elsewhere_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    network, path = enliven(NETWORKS[name]()), tmp_path / "model.onnx"
    export_onnx(network, torch.zeros(2, 3, 64, 64), path)
    session = Session(path, threads=2)
    for batch, rows, columns in SIZES:
        pictures = np.random.default_rng(rows).standard_normal((batch, 3, rows, columns), dtype=np.float32)
        wanted = run_onnxruntime(path, pictures)
        scores = session.run(pictures)
        assert scores.shape == wanted.shape
        assert np.abs(scores - wanted).max() <= 2e-5 * np.abs(wanted).max()
    if name in WITHOUT_SUMMARY:
        assert_equal_in_windows(session)
    else:
        assert_refused_by_name(session)
