"""Adaptive max pooling as torch knows it: like the poolings of `_select_registered`, with sizes in place of a window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.ops import _composed
from downup.ops._select_arguments import adaptive_window
from downup.ops._select_registered import (
    empty_like,
    reaches_kernels,
    run_backward_by_window,
    run_by_window,
    run_take_by_window,
)

_library = torch.library.Library("downup", "FRAGMENT")
_library.define("adaptive_max_pool2d(Tensor x, SymInt[2] out_size, bool compact) -> (Tensor, Tensor)")
_library.define("adaptive_max_pool2d_backward(Tensor grad, Tensor positions, SymInt[2] in_size) -> Tensor")
_library.define("adaptive_max_pool2d_take(Tensor values, Tensor positions) -> Tensor")


def _op_pool(x: Tensor, out_size: Any, compact: bool) -> Any:
    out_size = tuple(out_size)
    window = adaptive_window(x.shape[2:], out_size)
    run = run_by_window if reaches_kernels(x) else _composed.adaptive_max_pool2d
    return run(x, window, out_size, compact)


def _op_backward(grad: Tensor, positions: Tensor, in_size: Any) -> Tensor:
    run = run_backward_by_window if reaches_kernels(grad) else _composed.max_pool2d_backward
    return run(grad, positions, adaptive_window(in_size, grad.shape[2:]), tuple(in_size))


def _op_take(values: Tensor, positions: Tensor) -> Tensor:
    run = run_take_by_window if reaches_kernels(values) else _composed.max_pool2d_take
    return run(values, positions, adaptive_window(values.shape[2:], positions.shape[2:]))


def _fake_pool(x: Tensor, out_size: Any, compact: bool) -> Any:
    return empty_like(x, out_size), empty_like(x, out_size, torch.uint8 if compact else torch.int64)


def _fake_backward(grad: Tensor, positions: Tensor, in_size: Any) -> Tensor:
    return empty_like(grad, in_size)


def _fake_take(values: Tensor, positions: Tensor) -> Tensor:
    return empty_like(values, positions.shape[2:])


def _set_up_pool(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.in_size = inputs[0].shape[2:]


def _pool_gradient(ctx: Any, grad: Tensor | None, _: Any) -> Any:
    if grad is None:
        return None, None, None
    return torch.ops.downup.adaptive_max_pool2d_backward(grad, *ctx.saved_tensors, ctx.in_size), None, None


def _set_up_backward(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_gradient(ctx: Any, values: Tensor) -> Any:
    return torch.ops.downup.adaptive_max_pool2d_take(values, *ctx.saved_tensors), None, None


def _set_up_take(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.in_size = inputs[0].shape[2:]


def _take_gradient(ctx: Any, grad: Tensor) -> Any:
    return torch.ops.downup.adaptive_max_pool2d_backward(grad, *ctx.saved_tensors, ctx.in_size), None


for _name, _run, _fake, _gradient, _set_up in (
    ("adaptive_max_pool2d", _op_pool, _fake_pool, _pool_gradient, _set_up_pool),
    ("adaptive_max_pool2d_backward", _op_backward, _fake_backward, _backward_gradient, _set_up_backward),
    ("adaptive_max_pool2d_take", _op_take, _fake_take, _take_gradient, _set_up_take),
):
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"downup::{_name}", _fake, lib=_library)
    torch.library.register_autograd(f"downup::{_name}", _gradient, setup_context=_set_up, lib=_library)
