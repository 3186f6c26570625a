"""The selecting operators as autograd functions, for eager calls: they cost a third of a way through the dispatcher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.ops import _composed
from downup.ops._arguments import check_shape, remembered
from downup.ops._forms import Form
from downup.ops._native import is_native, is_transformed
from downup.ops._select_arguments import adaptive_plan, pool_plan, unpool_plan
from downup.ops._select_registered import dispatch_pool_backward, dispatch_pool_take, flat_arguments
from downup.ops._select_run import (
    Pooling,
    pooling_of,
    run_pool,
    run_pool_alone,
    run_pool_backward,
    run_unpool,
    run_unpool_backward,
    unpooling_of,
)

_is_grad_enabled = torch.is_grad_enabled


@remembered
def sliding(form: Form, *arguments: Any) -> Pooling:
    """The pooling by `pool_plan`."""
    check_shape(form.shape)
    return pooling_of(form, *pool_plan(form.shape, *arguments))


@remembered
def adaptive(form: Form, output_size: Any) -> Pooling:
    """The pooling by `adaptive_plan`."""
    check_shape(form.shape)
    return pooling_of(form, *adaptive_plan(form.shape, output_size))


@remembered
def unpooling(form: Form, *arguments: Any) -> Pooling:
    """The un-pooling by `unpool_plan`."""
    check_shape(form.shape)
    return unpooling_of(form, *unpool_plan(form.shape, *arguments))


def pool_alone(x: Tensor, pooling: Pooling) -> Tensor:
    """The pooled samples, of which nobody but the gradient needs the positions."""
    if x.requires_grad and _is_grad_enabled():
        return _apply_pool_alone(x, pooling)  # type: ignore[no-any-return]
    return run_pool_alone(x, pooling)


def pool(x: Tensor, pooling: Pooling, compact: bool) -> tuple[Tensor, Tensor]:
    """The pooled samples and their positions."""
    if x.requires_grad and _is_grad_enabled():
        return _apply_pool(x, pooling, compact)  # type: ignore[no-any-return]
    return run_pool(x, pooling, compact)


def unpool(x: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
    """The samples put back at their positions."""
    if x.requires_grad and _is_grad_enabled():
        return _apply_unpool(x, positions, pooling)  # type: ignore[no-any-return]
    return run_unpool(x, positions, pooling)


def _pool_gradient(ctx: Any, grad: Tensor) -> Tensor:
    (positions,) = ctx.saved_tensors
    pooling: Pooling = ctx.pooling
    if is_native(grad):
        if grad.requires_grad and _is_grad_enabled():
            return _apply_pool_backward(grad, positions, pooling)  # type: ignore[no-any-return]
        return run_pool_backward(grad, positions, pooling)
    return dispatch_pool_backward(grad, positions, pooling.window, pooling.plane.size)


class _PoolAlone(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pooling: Pooling) -> Tensor:
        ctx.pooling = pooling
        samples, positions = run_pool(x, pooling, pooling.is_compact)
        ctx.save_for_backward(positions)
        return samples

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _pool_gradient(ctx, grad), None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pooling: Pooling, compact: bool) -> Any:
        ctx.pooling = pooling
        samples, positions = run_pool(x, pooling, compact)
        ctx.mark_non_differentiable(positions)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(positions)
        return samples, positions

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:
        return None if grad is None else _pool_gradient(ctx, grad), None, None


class _PoolBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
        ctx.pooling = pooling
        ctx.save_for_backward(positions)
        return run_pool_backward(grad, positions, pooling)

    @staticmethod
    def backward(ctx: Any, values: Tensor) -> Any:
        # Through the dispatcher: third derivatives are rare, and it knows them all.
        (positions,) = ctx.saved_tensors
        return dispatch_pool_take(values, positions, ctx.pooling.window), None, None


class _Unpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
        ctx.pooling = pooling
        ctx.save_for_backward(positions)
        return run_unpool(x, positions, pooling)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (positions,) = ctx.saved_tensors
        pooling: Pooling = ctx.pooling
        if is_native(grad) and not (grad.requires_grad and _is_grad_enabled()):
            return run_unpool_backward(grad, positions, pooling), None, None
        if is_transformed(grad):
            return _composed.max_unpool2d_backward(grad, positions, pooling.window), None, None
        flat = flat_arguments(pooling.window)
        return torch.ops.downup.max_unpool2d_backward(grad, positions, *flat), None, None


def _apply_of(function: type[torch.autograd.Function]) -> Any:
    # The C function: `apply` itself asks about transforms first, which no tensor here is under.
    return super(torch.autograd.Function, function).apply  # type: ignore[misc]


_apply_pool_alone: Any = _apply_of(_PoolAlone)
_apply_pool: Any = _apply_of(_Pool)
_apply_pool_backward: Any = _apply_of(_PoolBackward)
_apply_unpool: Any = _apply_of(_Unpool)
