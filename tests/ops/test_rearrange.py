"""Space into channels and back, against the formula of each."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from downup import ops
from downup.errors import ArgumentError


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_each_sample_goes_where_the_formula_says(factor: int, batch: tuple[int, ...]) -> None:
    image = torch.arange(float(torch.tensor([*batch, 2, 4 * factor, 3 * factor]).prod()))
    image = image.view(*batch, 2, 4 * factor, 3 * factor)
    down = ops.pixel_unshuffle(image, factor)
    assert down.shape == (*batch, 2 * factor**2, 4, 3)
    for c in range(2):
        for y in range(factor):
            for x in range(factor):
                block = image[..., c, y::factor, x::factor]
                assert torch.equal(down[..., (c * factor + y) * factor + x, :, :], block)
    assert torch.equal(ops.pixel_shuffle(down, factor), image)


def test_gradients_equal_finite_differences() -> None:
    image = torch.randn(1, 4, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ops.pixel_shuffle(x, 2), (image,))
    assert torch.autograd.gradcheck(lambda x: ops.pixel_unshuffle(x, 2), (image,))


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    refused: list[tuple[Any, str]] = [
        (lambda: ops.pixel_shuffle(torch.ones(1, 6, 2, 2), 2), "multiple of 4 channels"),
        (lambda: ops.pixel_shuffle(torch.ones(1, 4, 2, 2), 0), "upscale_factor >= 1"),
        (lambda: ops.pixel_unshuffle(torch.ones(1, 4, 5, 6), 2), "5 rows do not divide by it; pad to 6"),
        (lambda: ops.pixel_unshuffle(torch.ones(1, 4, 6, 5), 2), "5 columns"),
        (lambda: ops.pixel_unshuffle(torch.ones(4, 4), 2), "channels, rows and columns"),
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()
