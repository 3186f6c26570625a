"""Modules of the rearrange family call their functions with what they hold."""

from __future__ import annotations

import torch

from downup import nn


def test_shuffling_undoes_unshuffling() -> None:
    image = torch.randn(2, 3, 6, 4)
    down, up = nn.PixelUnshuffle(2), nn.PixelShuffle(2)
    assert down(image).shape == (2, 12, 3, 2)
    assert torch.equal(up(down(image)), image)
    assert (repr(down), repr(up)) == ("PixelUnshuffle(downscale_factor=2)", "PixelShuffle(upscale_factor=2)")
