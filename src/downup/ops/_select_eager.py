"""The selecting operators as autograd functions, for eager calls: they cost a third of a way through the dispatcher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.kernels import Window
from downup.ops._native import is_native
from downup.ops._select_registered import flat_arguments
from downup.ops._select_run import run_pool, run_pool_backward, run_unpool, run_unpool_backward


class Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, out_size: Any, compact: bool) -> Any:
        pooled, positions = run_pool(x, window, out_size, compact)
        ctx.mark_non_differentiable(positions)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(positions)
        ctx.window, ctx.in_size = window, x.shape[2:]
        return pooled, positions

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:
        if grad is None:
            return None, None, None, None
        (positions,) = ctx.saved_tensors
        if is_native(grad):
            run: Any = (
                PoolBackward.apply if torch.is_grad_enabled() and grad.requires_grad else run_pool_backward
            )
            return run(grad, positions, ctx.window, ctx.in_size), None, None, None
        flat = flat_arguments(ctx.window)
        return torch.ops.downup.max_pool2d_backward(grad, positions, ctx.in_size, *flat), None, None, None


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
            torch.ops.downup.max_pool2d_take(values, positions, *flat_arguments(ctx.window)),
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
        flat = flat_arguments(ctx.window)
        return torch.ops.downup.max_unpool2d_backward(grad, positions, *flat), None, None, None


# torch does not say what these take.
apply_pool: Any = Pool.apply
apply_unpool: Any = Unpool.apply
