"""The selecting operators as autograd functions, for eager calls: they cost a third of a way through the dispatcher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.kernels import Window
from downup.ops import _composed
from downup.ops._native import is_native, is_transformed
from downup.ops._select_arguments import Plan
from downup.ops._select_registered import dispatch_pool_backward, dispatch_pool_take, flat_arguments
from downup.ops._select_run import run_pool, run_pool_backward, run_unpool, run_unpool_backward


def _pool_gradient(ctx: Any, grad: Tensor) -> Tensor:
    (positions,) = ctx.saved_tensors
    window, in_size = ctx.window, ctx.in_size
    if is_native(grad):
        if torch.is_grad_enabled() and grad.requires_grad:
            answer: Tensor = apply_pool_backward(grad, positions, window, in_size)
            return answer
        return run_pool_backward(grad, positions, window, in_size)
    return dispatch_pool_backward(grad, positions, window, in_size)


class PoolAlone(torch.autograd.Function):
    """The pooling of which nobody but the gradient sees the positions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Plan) -> Tensor:
        pooled, positions = run_pool(x, plan.window, plan.out_shape, plan.is_compact)
        ctx.save_for_backward(positions)
        ctx.window, ctx.in_size = plan.window, x.shape[2:]
        return pooled  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _pool_gradient(ctx, grad), None


class Pool(torch.autograd.Function):
    """The pooling with its positions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Plan, compact: bool) -> Any:
        pooled, positions = run_pool(x, plan.window, plan.out_shape, compact)
        ctx.mark_non_differentiable(positions)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(positions)
        ctx.window, ctx.in_size = plan.window, x.shape[2:]
        return pooled, positions

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:
        return None if grad is None else _pool_gradient(ctx, grad), None, None


class PoolBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.window = window
        return run_pool_backward(grad, positions, window, in_size)

    @staticmethod
    def backward(ctx: Any, values: Tensor) -> Any:
        # Through the dispatcher: third derivatives are rare, and it knows them all.
        (positions,) = ctx.saved_tensors
        return (
            dispatch_pool_take(values, positions, ctx.window),
            None,
            None,
            None,
        )


class Unpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.window = window
        return run_unpool(x, positions, window, out_size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (positions,) = ctx.saved_tensors
        if is_native(grad) and not (torch.is_grad_enabled() and grad.requires_grad):
            return run_unpool_backward(grad, positions, ctx.window), None, None, None
        if is_transformed(grad):
            return _composed.max_unpool2d_backward(grad, positions, ctx.window), None, None, None
        flat = flat_arguments(ctx.window)
        return torch.ops.downup.max_unpool2d_backward(grad, positions, *flat), None, None, None


def _apply_of(function: type[torch.autograd.Function]) -> Any:
    # The C function: `apply` itself asks about transforms first, which no tensor here is under.
    return super(torch.autograd.Function, function).apply  # type: ignore[misc]


apply_pool_alone: Any = _apply_of(PoolAlone)
apply_pool: Any = _apply_of(Pool)
apply_pool_backward: Any = _apply_of(PoolBackward)
apply_unpool: Any = _apply_of(Unpool)
