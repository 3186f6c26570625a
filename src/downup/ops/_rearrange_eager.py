"""Which way a rearranging call takes: straight to the kernel, through torch's registry, or composed of torch's views."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.ops import _rearrange_composed as composed
from downup.ops import _rearrange_registered  # noqa: F401  torch.ops.downup.pixel_shuffle
from downup.ops._native import is_native, is_transformed
from downup.ops._rearrange_run import MOVABLE, run_shuffle, run_unshuffle

_is_grad_enabled = torch.is_grad_enabled


def shuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    """`pixel_shuffle` to this shape, of arguments that were checked."""
    if is_native(x, MOVABLE):
        if x.requires_grad and _is_grad_enabled():
            return _apply_shuffle(x, (factor, order, shape))  # type: ignore[no-any-return]
        return run_shuffle(x, factor, order, shape)
    if is_transformed(x):
        return composed.pixel_shuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_shuffle(x, factor, order)  # type: ignore[no-any-return]


def unshuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    """`pixel_unshuffle` to this shape, of arguments that were checked."""
    if is_native(x, MOVABLE):
        if x.requires_grad and _is_grad_enabled():
            return _apply_unshuffle(x, (factor, order, shape))  # type: ignore[no-any-return]
        return run_unshuffle(x, factor, order, shape)
    if is_transformed(x):
        return composed.pixel_unshuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_unshuffle(x, factor, order)  # type: ignore[no-any-return]


def _back(usual: Any, in_views: Any, grad: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    if is_transformed(grad):
        return in_views(grad, factor, order, torch.contiguous_format)  # type: ignore[no-any-return]
    return usual(grad, factor, order, shape)  # type: ignore[no-any-return]


class _Shuffle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, arguments: tuple[int, str, Any]) -> Tensor:
        ctx.back = *arguments[:2], x.shape
        return run_shuffle(x, *arguments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _back(unshuffle, composed.pixel_unshuffle, grad, *ctx.back), None


class _Unshuffle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, arguments: tuple[int, str, Any]) -> Tensor:
        ctx.back = *arguments[:2], x.shape
        return run_unshuffle(x, *arguments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _back(shuffle, composed.pixel_shuffle, grad, *ctx.back), None


# torch does not say what these take.
_apply_shuffle: Any = _Shuffle.apply
_apply_unshuffle: Any = _Unshuffle.apply
