"""A network with un-pooling whose pools take the positions that float64 takes.

Rounding can move a position, whoever rounds, and then scores differ by more than rounding. To compare how engines round,
each pool becomes a sum of the four samples of its window with weights 0 and 1, each un-pooling a nearest resize times the
same weights.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from downup.networks.segnet import SegNet


class _HeldPool(nn.Module):
    def __init__(self, masks: list[Tensor]) -> None:
        super().__init__()
        self.masks = masks

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]
        kept = [part * mask.to(x.dtype) for part, mask in zip(parts, self.masks, strict=True)]
        return torch.stack(kept).sum(0), torch.zeros(1, dtype=x.dtype)


class _HeldUnpool(nn.Module):
    def __init__(self, masks: list[Tensor]) -> None:
        super().__init__()
        self.mask = torch.zeros([*masks[0].shape[:2], *(2 * side for side in masks[0].shape[2:])])
        for place, mask in enumerate(masks):
            self.mask[:, :, place // 2 :: 2, place % 2 :: 2] = mask

    def forward(self, x: Tensor, _: Tensor | None = None) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2, mode="nearest") * self.mask.to(x.dtype)


def hold(network: SegNet, x: Tensor) -> SegNet:
    """The network with the positions that it takes in float64 for the picture `x`, whose sides are multiples of 32."""
    double, seen = copy.deepcopy(network).double(), list[Tensor]()
    downs = network.encoder._down_indices
    for index in downs:
        double.encoder.features[index].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.inference_mode():
        double(x.double())
    held = copy.deepcopy(network)
    for index, given, up in zip(downs, seen, reversed(held.ups), strict=True):
        best = torch.stack([given[:, :, i::2, j::2] for i in range(2) for j in range(2)]).argmax(0)
        masks = [(best == place).float() for place in range(4)]
        held.encoder.features[index] = _HeldPool(masks)
        up.resize = _HeldUnpool(masks)
    return held


def export(network: nn.Module, x: Tensor, path: Path) -> None:
    """Write the network for pictures of the size of `x` alone."""
    torch.onnx.export(network, (x,), str(path), dynamo=False, opset_version=17)
