"""Which way a rearranging call takes: straight to the kernel, through torch's registry, or composed of torch's views."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from downup.ops import _rearrange_composed as composed
from downup.ops import _rearrange_registered  # noqa: F401  torch.ops.downup.pixel_shuffle
from downup.ops._native import is_native
from downup.ops._rearrange_run import MOVABLE, run_shuffle, run_unshuffle

_is_grad_enabled = torch.is_grad_enabled
_is_many = torch._C._functorch.is_legacy_batchedtensor
_transforms = torch._C._functorch.peek_interpreter_stack


def shuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    """`pixel_shuffle` to this shape, of arguments that were checked."""
    if is_native(x, MOVABLE) and forward_ad._current_level < 0:
        if x.requires_grad and _is_grad_enabled():
            return _apply_shuffle(x, (factor, order, shape))  # type: ignore[no-any-return]
        return run_shuffle(x, factor, order, shape)
    if _is_transformed():
        return composed.pixel_shuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_shuffle(x, factor, order)  # type: ignore[no-any-return]


def unshuffle(x: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    """`pixel_unshuffle` to this shape, of arguments that were checked."""
    if is_native(x, MOVABLE) and forward_ad._current_level < 0:
        if x.requires_grad and _is_grad_enabled():
            return _apply_unshuffle(x, (factor, order, shape))  # type: ignore[no-any-return]
        return run_unshuffle(x, factor, order, shape)
    if _is_transformed():
        return composed.pixel_unshuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_unshuffle(x, factor, order)  # type: ignore[no-any-return]


def _is_transformed() -> bool:
    """Whether torch.func or forward derivatives are at work: they know torch's own functions in every respect."""
    return not torch.compiler.is_compiling() and (forward_ad._current_level >= 0 or _transforms() is not None)


def _back(usual: Any, in_views: Any, grad: Tensor, factor: int, order: str, shape: Any) -> Tensor:
    # Many gradients at once (is_grads_batched) are one tensor without memory, which looks plain.
    if _is_many(grad):
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
