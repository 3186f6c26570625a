"""Down and up without losing a sample: space moved into channels and back."""

from __future__ import annotations

from torch import Tensor

# Bound here, not looked up in torch.nn.functional at run time: see the package's docstring.
from torch import pixel_shuffle as _pixel_shuffle
from torch import pixel_unshuffle as _pixel_unshuffle

from downup.geometry import shuffle_shape


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Move each block of r x r pixels into r * r channels: a way down that keeps every sample.

    out[..., (c * r + y) * r + x, i, j] = input[..., c, i * r + y, j * r + x].

    Args:
        input: [..., channels, rows, columns], rows and columns multiples of `downscale_factor`.
        downscale_factor: r, at least 1.

    Returns:
        [..., channels * r * r, rows / r, columns / r], dtype of `input`.

    Raises:
        ArgumentError: rows or columns do not divide by `downscale_factor`.

    Gradient: `pixel_shuffle`, which is its inverse and its transpose.
    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution ...", CVPR 2016.

    >>> import torch
    >>> pixel_unshuffle(torch.arange(4.0).view(1, 1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    shuffle_shape(input.shape, downscale_factor, "down")
    return _pixel_unshuffle(input, downscale_factor)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Lay r * r channels out as a block of r x r pixels: a way up in which the network paints every pixel.

    out[..., c, i * r + y, j * r + x] = input[..., (c * r + y) * r + x, i, j].

    Args:
        input: [..., channels, rows, columns], channels a multiple of `upscale_factor` squared.
        upscale_factor: r, at least 1.

    Returns:
        [..., channels / (r * r), rows * r, columns * r], dtype of `input`.

    Raises:
        ArgumentError: channels do not divide by `upscale_factor` squared.

    Gradient: `pixel_unshuffle`, which is its inverse and its transpose.
    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution ...", CVPR 2016.

    >>> import torch
    >>> pixel_shuffle(torch.arange(4.).view(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    shuffle_shape(input.shape, upscale_factor, "up")
    return _pixel_shuffle(input, upscale_factor)
