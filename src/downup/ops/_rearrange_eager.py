"""Which way a rearranging call takes: straight to the kernel, through torch's registry, or composed of torch's views."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.geometry import shuffle_shape
from downup.ops import _rearrange_composed as composed
from downup.ops import _rearrange_registered  # noqa: F401  torch.ops.downup.pixel_shuffle
from downup.ops._forms import form_of
from downup.ops._native import is_native, is_transformed
from downup.ops._rearrange_run import (
    MOVABLE,
    Plan,
    run_shuffle,
    run_unshuffle,
    shuffle_plan,
    unshuffle_plan,
)

_is_grad_enabled = torch.is_grad_enabled


def shuffle(x: Tensor, factor: Any, order: str) -> Tensor:
    """`pixel_shuffle`, of an order that was checked."""
    if is_native(x, MOVABLE):
        plan = shuffle_plan(form_of(x), factor, order)
        if x.requires_grad and _is_grad_enabled():
            return _apply_shuffle(x, plan)  # type: ignore[no-any-return]
        return run_shuffle(x, plan)
    shuffle_shape(x.shape, factor, "up")
    factor = int(factor)
    if is_transformed(x):
        return composed.pixel_shuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_shuffle(x, factor, order)  # type: ignore[no-any-return]


def unshuffle(x: Tensor, factor: Any, order: str) -> Tensor:
    """`pixel_unshuffle`, of an order that was checked."""
    if is_native(x, MOVABLE):
        plan = unshuffle_plan(form_of(x), factor, order)
        if x.requires_grad and _is_grad_enabled():
            return _apply_unshuffle(x, plan)  # type: ignore[no-any-return]
        return run_unshuffle(x, plan)
    shuffle_shape(x.shape, factor, "down")
    factor = int(factor)
    if is_transformed(x):
        return composed.pixel_unshuffle(x, factor, order, torch.contiguous_format)
    return torch.ops.downup.pixel_unshuffle(x, factor, order)  # type: ignore[no-any-return]


class _Shuffle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Plan) -> Tensor:
        ctx.plan = plan
        return run_shuffle(x, plan)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return unshuffle(grad, ctx.plan.factor, ctx.plan.order), None


class _Unshuffle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Plan) -> Tensor:
        ctx.plan = plan
        return run_unshuffle(x, plan)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return shuffle(grad, ctx.plan.factor, ctx.plan.order), None


# The C function: `apply` itself asks about transforms first, which no tensor that comes here is under.
_apply_shuffle: Any = super(torch.autograd.Function, _Shuffle).apply
_apply_unshuffle: Any = super(torch.autograd.Function, _Unshuffle).apply
