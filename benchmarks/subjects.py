"""What is measured: each operator, what torch has for the same purpose, and the feature maps it meets in networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from downup import ops

Shape = tuple[int, int, int, int]
One = Callable[[Tensor], Any]

# Typed loosely: the stubs know no call with unpacked arguments.
_torch_pool: Any = F.max_pool2d
_torch_unpool: Any = F.max_unpool2d
_torch_resize: Any = F.interpolate


@dataclass(frozen=True)
class Subject:
    """An operator with its arguments.

    prepare: from a feature map, the tensor that both sides read, the two sides, and the bytes of positions read or written.
    shapes: those it is measured on; the first is large, 64 MB of float32 on one side or the other.
    """

    name: str
    prepare: Callable[[Tensor], tuple[Tensor, One, One, int]]
    shapes: tuple[Shape, ...]


def _simple(ours: One, peer: One) -> Callable[[Tensor], tuple[Tensor, One, One, int]]:
    return lambda x: (x, ours, peer, 0)


def _pool(form: str, *window: int) -> Callable[[Tensor], tuple[Tensor, One, One, int]]:
    def prepare(x: Tensor) -> tuple[Tensor, One, One, int]:
        samples = ops.max_pool2d(x, *window).numel()
        if form == "offsets":
            return (
                x,
                lambda x: ops.max_pool2d_with_offsets(x, *window),
                lambda x: _torch_pool(x, *window),
                samples,
            )
        positions = form == "int64"
        return (
            x,
            lambda x: ops.max_pool2d(x, *window, return_indices=positions),
            lambda x: _torch_pool(x, *window, return_indices=positions),
            8 * samples if positions else 0,
        )

    return prepare


def _unpool(form: str, *window: int) -> Callable[[Tensor], tuple[Tensor, One, One, int]]:
    def prepare(plane: Tensor) -> tuple[Tensor, One, One, int]:
        size = list(plane.shape[2:])
        x, flat = ops.max_pool2d(plane, *window, return_indices=True)
        positions = ops.max_pool2d_with_offsets(plane, *window)[1] if form == "offsets" else flat
        return (
            x,
            lambda x: ops.max_unpool2d(x, positions, *window, output_size=size),
            lambda x: _torch_unpool(x, flat, *window, output_size=size),
            positions.numel() * positions.element_size(),
        )

    return prepare


def _torch_blur(x: Tensor) -> Tensor:
    """Three taps in torch's own functions: reflected edges, then one depthwise convolution."""
    line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype)
    weight = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, stride=2, groups=x.shape[1])


def _resize(factor: float, **options: Any) -> Callable[[Tensor], tuple[Tensor, One, One, int]]:
    return _simple(
        lambda x: ops.interpolate(x, scale_factor=factor, **options),
        lambda x: _torch_resize(x, scale_factor=factor, **options),
    )


# First pool of a U-Net, stem of a ResNet, an odd size, a batch deep in a VGG, a decoder's classes.
DOWN: tuple[Shape, ...] = (
    (4, 64, 256, 256),
    (4, 64, 112, 112),
    (2, 32, 257, 193),
    (8, 512, 14, 14),
    (4, 21, 128, 128),
)
UP: tuple[Shape, ...] = (
    (4, 64, 128, 128),
    (4, 64, 56, 56),
    (2, 32, 129, 97),
    (8, 512, 14, 14),
    (4, 21, 64, 64),
)

SUBJECTS = (
    Subject("max_pool2d 2x2", _pool("none", 2, 2), DOWN),
    Subject("max_pool2d 2x2, offsets", _pool("offsets", 2, 2), DOWN),
    Subject("max_pool2d 2x2, int64", _pool("int64", 2, 2), DOWN),
    Subject("max_pool2d 3x3/2+1", _pool("none", 3, 2, 1), DOWN),
    Subject("max_unpool2d 2x2, offsets", _unpool("offsets", 2, 2), DOWN),
    Subject("max_unpool2d 2x2, int64", _unpool("int64", 2, 2), DOWN),
    Subject("max_unpool2d 3x3/2+1, offsets", _unpool("offsets", 3, 2, 1), DOWN),
    Subject(
        "adaptive_max_pool2d 7x7",
        _simple(lambda x: ops.adaptive_max_pool2d(x, 7), lambda x: F.adaptive_max_pool2d(x, 7)),
        DOWN,
    ),
    Subject(
        "max_blur_pool2d",
        _simple(
            lambda x: ops.max_blur_pool2d(x),
            lambda x: _torch_blur(F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 2, 1)),
        ),
        DOWN,
    ),
    Subject("avg_pool2d 2x2", _simple(lambda x: ops.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)), DOWN),
    Subject(
        "avg_pool2d 3x3/2+1",
        _simple(lambda x: ops.avg_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1)),
        DOWN,
    ),
    Subject("lp_pool2d 2x2", _simple(lambda x: ops.lp_pool2d(x, 2, 2), lambda x: F.lp_pool2d(x, 2, 2)), DOWN),
    Subject(
        "adaptive_avg_pool2d 7x7",
        _simple(lambda x: ops.adaptive_avg_pool2d(x, 7), lambda x: F.adaptive_avg_pool2d(x, 7)),
        DOWN,
    ),
    Subject("global_avg_pool2d", _simple(ops.global_avg_pool2d, lambda x: F.adaptive_avg_pool2d(x, 1)), DOWN),
    Subject("blur_pool2d", _simple(ops.blur_pool2d, _torch_blur), DOWN),
    Subject("bilinear / 2.5, antialiased", _resize(0.4, mode="bilinear", antialias=True), DOWN),
    Subject("nearest x 2", _resize(2), UP),
    Subject("nearest-exact x 1.5", _resize(1.5, mode="nearest-exact"), UP),
    Subject("bilinear x 2", _resize(2, mode="bilinear"), UP),
    Subject("bilinear x 2, align_corners", _resize(2, mode="bilinear", align_corners=True), UP),
    Subject("bilinear x 4", _resize(4, mode="bilinear"), tuple((n, c, h // 2, w // 2) for n, c, h, w in UP)),
    Subject("bicubic x 2", _resize(2, mode="bicubic"), UP),
    Subject(
        "pixel_unshuffle 2",
        _simple(lambda x: ops.pixel_unshuffle(x, 2), lambda x: F.pixel_unshuffle(x, 2)),
        tuple((n, c, h // 2 * 2, w // 2 * 2) for n, c, h, w in DOWN),
    ),
    Subject(
        "pixel_shuffle 2",
        _simple(lambda x: ops.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2)),
        tuple((n, max(c // 4, 1) * 4, h, w) for n, c, h, w in DOWN),
    ),
)
SMALL: tuple[Shape, ...] = ((1, 4, 8, 8), (1, 16, 32, 32), (2, 64, 28, 28))


def subjects(shapes: str) -> Iterator[tuple[Subject, Shape]]:
    """Each operator on its feature maps: the "large" one, the "usual" others, or "small" ones."""
    for subject in SUBJECTS:
        chosen = {"large": subject.shapes[:1], "usual": subject.shapes[1:], "small": SMALL}[shapes]
        for shape in chosen:
            yield subject, shape
