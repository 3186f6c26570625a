"""The operators in torch's own functions, as its exporter to ONNX knows them; exported layers take these."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from downup import taps
from downup.geometry import resolve_padding
from downup.ops import _rearrange_composed, _resample_composed, conv2d, conv_transpose2d

__all__ = [
    "avg_pool2d",
    "blur_pool2d",
    "conv2d",
    "conv_transpose2d",
    "interpolate",
    "max_pool2d",
    "max_unpool2d",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def max_pool2d(x: Tensor, size: Any, stride: Any, padding: Any, *, return_indices: bool = False) -> Any:
    """`downup.ops.max_pool2d`; the translation to ONNX turns its positions over the tensor into those over the plane."""
    (top, bottom), (left, right) = sides = resolve_padding(padding, (x.shape[2], x.shape[3]), size, stride)
    columns = x.shape[3]
    is_even = top == bottom and left == right
    if not is_even:
        x = functional.pad(x, (left, right, top, bottom), value=-torch.inf)
    border = tuple(side[0] for side in sides) if is_even else 0
    pooled: Any = functional.max_pool2d(  # type: ignore[call-overload]
        x, size, stride, border, return_indices=return_indices
    )
    if not return_indices or is_even:
        return pooled
    values, places = pooled
    width = x.shape[3]
    y, at = torch.div(places, width, rounding_mode="floor") - top, places % width - left
    return values, y * columns + at


def max_unpool2d(x: Tensor, places: Tensor, size: Any, stride: Any, padding: Any, out_size: Any) -> Tensor:
    """`downup.ops.max_unpool2d`: a scatter in each plane, in the order of the samples, so that the last of several stays."""
    planes = x.shape[:2]
    image = x.new_zeros((*planes, out_size[0] * out_size[1]))
    return image.scatter(2, places.flatten(2), x.flatten(2)).view(*planes, *out_size)


def avg_pool2d(x: Tensor, size: Any, stride: Any, padding: Any, *, count_include_pad: bool) -> Tensor:
    """`downup.ops.avg_pool2d` that counts the samples of the image alone."""
    (top, bottom), (left, right) = resolve_padding(padding, (x.shape[2], x.shape[3]), size, stride)
    if top == bottom and left == right:
        return functional.avg_pool2d(x, size, stride, (top, left), count_include_pad=count_include_pad)

    def padded_average(image: Tensor) -> Tensor:
        return functional.avg_pool2d(functional.pad(image, (left, right, top, bottom)), size, stride)

    return padded_average(x) / padded_average(x.new_ones((1, 1, x.shape[2], x.shape[3])))


def blur_pool2d(x: Tensor, *, taps: int, stride: tuple[int, int], edge: str) -> Tensor:
    """`downup.ops.blur_pool2d` as padding and one convolution."""
    return _resample_composed.blur(x, taps, stride, edge)


def interpolate(x: Tensor, size: Any, *, mode: str, **rule: Any) -> Tensor:
    """`downup.ops.interpolate`; what ONNX has no word for becomes two products with matrices, which fix the size."""
    if not rule and mode in ("nearest", "bilinear", "bicubic"):
        return functional.interpolate(x, tuple(size), mode=mode)
    name: taps.Filter = "cubic" if mode == "bicubic" else mode  # type: ignore[assignment]
    rows, columns = (
        torch.tensor(
            taps.sampled_taps(
                int(x.shape[2 + i]), int(size[i]), name, exclude_outside=True, cubic_coefficient=-0.5
            ).dense(),
            dtype=x.dtype,
        )
        for i in (0, 1)
    )
    return rows @ x @ columns.T


def pixel_shuffle(x: Tensor, factor: int, *, order: str) -> Tensor:
    """`downup.ops.pixel_shuffle` in views."""
    return _rearrange_composed.pixel_shuffle(x, factor, order, torch.contiguous_format)


def pixel_unshuffle(x: Tensor, factor: int, *, order: str) -> Tensor:
    """`downup.ops.pixel_unshuffle` in views."""
    return _rearrange_composed.pixel_unshuffle(x, factor, order, torch.contiguous_format)
