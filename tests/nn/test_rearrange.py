"""Modules of the rearrange family call their functions with what they hold."""

from __future__ import annotations

import pytest
import torch

from downup import nn, ops
from downup.errors import ArgumentError


def test_shuffling_undoes_unshuffling() -> None:
    image = torch.randn(2, 3, 6, 4)
    down, up = nn.PixelUnshuffle(2), nn.PixelShuffle(2)
    assert down(image).shape == (2, 12, 3, 2)
    assert torch.equal(up(down(image)), image)
    assert (repr(down), repr(up)) == ("PixelUnshuffle(downscale_factor=2)", "PixelShuffle(upscale_factor=2)")


def test_modules_hold_the_order_of_the_channels() -> None:
    image = torch.randn(2, 3, 6, 4)
    down, up = nn.PixelUnshuffle(2, order="DCR"), nn.PixelShuffle(2, order="DCR")
    assert torch.equal(down(image), ops.pixel_unshuffle(image, 2, order="DCR"))
    assert torch.equal(up(down(image)), image)
    assert repr(up) == "PixelShuffle(upscale_factor=2, order='DCR')"
    with pytest.raises(ArgumentError, match='use "CRD"'):
        nn.PixelShuffle(2, order="crd")
