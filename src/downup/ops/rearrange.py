"""Down and up without losing a sample: space moved into channels and back."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from downup.errors import ArgumentError
from downup.ops._rearrange_eager import shuffle, unshuffle
from downup.ops._rearrange_run import ORDERS


def pixel_unshuffle(input: Tensor, downscale_factor: int, *, order: str = "CRD") -> Tensor:
    """Move each block of r x r pixels into r * r channels: a way down that keeps every sample.

    out[..., (c * r + y) * r + x, i, j] = input[..., c, i * r + y, j * r + x] in the order "CRD" (PyTorch);
    in "DCR" (TensorFlow's space_to_depth, ONNX's SpaceToDepth) the new channel is (y * r + x) * channels + c.

    Args:
        input: [..., channels, rows, columns], rows and columns multiples of `downscale_factor`.
        downscale_factor: r, at least 1.
        order: "CRD" or "DCR", how the new channels are counted.

    Returns:
        [..., channels * r * r, rows / r, columns / r], dtype and layout of `input`, bit for bit.

    Raises:
        ArgumentError: rows or columns do not divide by `downscale_factor`, or no such order.

    Gradient: `pixel_shuffle`, which is its inverse and its transpose.
    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution ...", CVPR 2016.

    >>> import torch
    >>> pixel_unshuffle(torch.arange(4.0).view(1, 1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    return unshuffle(input, downscale_factor, checked_order(order))


def pixel_shuffle(input: Tensor, upscale_factor: int, *, order: str = "CRD") -> Tensor:
    """Lay r * r channels out as a block of r x r pixels: a way up in which the network paints every pixel.

    out[..., c, i * r + y, j * r + x] = input[..., (c * r + y) * r + x, i, j] in the order "CRD" (PyTorch);
    in "DCR" (TensorFlow's depth_to_space, ONNX's DepthToSpace unless told otherwise) the channel is
    (y * r + x) * channels / (r * r) + c.

    Args:
        input: [..., channels, rows, columns], channels a multiple of `upscale_factor` squared.
        upscale_factor: r, at least 1.
        order: "CRD" or "DCR", how the channels are counted.

    Returns:
        [..., channels / (r * r), rows * r, columns * r], dtype and layout of `input`, bit for bit.

    Raises:
        ArgumentError: channels do not divide by `upscale_factor` squared, or no such order.

    Gradient: `pixel_unshuffle`, which is its inverse and its transpose.
    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution ...", CVPR 2016.

    >>> import torch
    >>> pixel_shuffle(torch.arange(4.).view(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    return shuffle(input, upscale_factor, checked_order(order))


def checked_order(order: Any) -> str:
    """`order` if it is one."""
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentError(f'order is {order!r}; use "CRD" (PyTorch) or "DCR" (TensorFlow, ONNX)')
    return order
