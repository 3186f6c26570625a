"""The selecting operators as torch knows them: traced, compiled, faked and transformed calls come this way.

Each has a kernel for every device (native on the CPU, composed elsewhere), a fake that says shapes and layouts only, and
a gradient that is another of these operators.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup import geometry
from downup.kernels import Window
from downup.ops import _composed
from downup.ops._forms import packed
from downup.ops._native import FLOATING, is_transformed
from downup.ops._select_run import (
    pooling_of,
    run_pool,
    run_pool_backward,
    run_pool_take,
    run_unpool,
    run_unpool_backward,
    unpooling_of,
)

_WINDOW = "int[2] size, int[2] stride, SymInt[4] padding, int[2] dilation, bool ceil_mode"
_library = torch.library.Library("downup", "DEF")
_library.define(f"max_pool2d(Tensor x, {_WINDOW}, bool compact) -> (Tensor, Tensor)")
_library.define(f"max_pool2d_backward(Tensor grad, Tensor positions, SymInt[2] in_size, {_WINDOW}) -> Tensor")
_library.define(f"max_pool2d_take(Tensor values, Tensor positions, {_WINDOW}) -> Tensor")
_library.define(f"max_unpool2d(Tensor x, Tensor positions, SymInt[2] out_size, {_WINDOW}) -> Tensor")
_library.define(f"max_unpool2d_backward(Tensor grad, Tensor positions, {_WINDOW}) -> Tensor")


def flat_arguments(window: Window) -> tuple[Any, ...]:
    """A window as the arguments of a registered operator."""
    (top, left), (bottom, right) = window.pad_before, window.pad_after
    return window.size, window.stride, (top, bottom, left, right), window.dilation, window.ceil_mode


def window_of(size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Window:
    """The inverse of `flat_arguments`."""
    top, bottom, left, right = padding
    return Window(tuple(size), tuple(stride), (top, left), (bottom, right), tuple(dilation), ceil_mode)


def run_by_window(x: Tensor, window: Window, out_size: Any, compact: bool) -> tuple[Tensor, Tensor]:
    """The kernel of the pooling on any tensor; these five answer in the layout of their first tensor."""
    x, form = packed(x)
    return run_pool(x, pooling_of(form, window, out_size), compact)


def run_backward_by_window(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    """That of its gradient."""
    grad, form = packed(grad)
    return run_pool_backward(grad, positions, unpooling_of(form, window, in_size))


def run_take_by_window(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    """That of its gradient's gradient."""
    values, form = packed(values)
    return run_pool_take(values, positions, pooling_of(form, window, positions.shape[2:]))


def _run_unpool(x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    x, form = packed(x)
    return run_unpool(x, positions, unpooling_of(form, window, out_size))


def _run_unpool_backward(grad: Tensor, positions: Tensor, window: Window) -> Tensor:
    grad, form = packed(grad)
    return run_unpool_backward(grad, positions, pooling_of(form, window, positions.shape[2:]))


def _op_max_pool2d(x: Tensor, *rest: Any) -> Any:
    window, compact = window_of(*rest[:5]), rest[5]
    run = run_by_window if reaches_kernels(x) else _composed.max_pool2d
    return run(x, window, _out_size(x, window), compact)


def _op_max_pool2d_backward(grad: Tensor, positions: Tensor, in_size: Any, *rest: Any) -> Tensor:
    run = run_backward_by_window if reaches_kernels(grad) else _composed.max_pool2d_backward
    return run(grad, positions, window_of(*rest), tuple(in_size))


def _op_max_pool2d_take(values: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    run = run_take_by_window if reaches_kernels(values) else _composed.max_pool2d_take
    return run(values, positions, window_of(*rest))


def _op_max_unpool2d(x: Tensor, positions: Tensor, out_size: Any, *rest: Any) -> Tensor:
    run = _run_unpool if reaches_kernels(x) else _composed.max_unpool2d
    return run(x, positions, window_of(*rest), tuple(out_size))


def _op_max_unpool2d_backward(grad: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    run = _run_unpool_backward if reaches_kernels(grad) else _composed.max_unpool2d_backward
    return run(grad, positions, window_of(*rest))


def reaches_kernels(x: Tensor) -> bool:
    """Whether there is a kernel for this device and type."""
    return x.device.type == "cpu" and x.dtype in FLOATING


def _out_size(x: Tensor, window: Window) -> tuple[int, int]:
    return tuple(  # type: ignore[return-value]
        geometry.window_out_size(
            x.shape[2 + i],
            window.size[i],
            window.stride[i],
            (window.pad_before[i], window.pad_after[i]),
            window.dilation[i],
            window.ceil_mode,
            axis=("rows", "columns")[i],
        )
        for i in (0, 1)
    )


def empty_like(like: Tensor, size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """What a kernel returns for `like`, without contents: another size, the same layout."""
    layout = torch._prims_common.suggest_memory_format(like)
    return like.new_empty((*like.shape[:2], *size), dtype=dtype or like.dtype).contiguous(
        memory_format=layout
    )


def _fake_max_pool2d(x: Tensor, *rest: Any) -> Any:
    size = _out_size(x, window_of(*rest[:5]))
    return empty_like(x, size), empty_like(x, size, torch.uint8 if rest[5] else torch.int64)


def _fake_max_pool2d_backward(grad: Tensor, positions: Tensor, in_size: Any, *rest: Any) -> Tensor:
    return empty_like(grad, in_size)


def _fake_max_pool2d_take(values: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    return empty_like(values, positions.shape[2:])


def _fake_max_unpool2d(x: Tensor, positions: Tensor, out_size: Any, *rest: Any) -> Tensor:
    return empty_like(x, out_size)


def _fake_max_unpool2d_backward(grad: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    return empty_like(grad, positions.shape[2:])


def _set_up_pool(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.in_size, ctx.window = inputs[0].shape[2:], inputs[1:6]


def _pool_gradient(ctx: Any, grad: Tensor | None, _: Any) -> Any:
    if grad is None:
        return (None,) * 7
    (positions,) = ctx.saved_tensors
    return torch.ops.downup.max_pool2d_backward(grad, positions, ctx.in_size, *ctx.window), *(None,) * 6


def _set_up_pool_backward(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.window = inputs[3:]


def _pool_backward_gradient(ctx: Any, values: Tensor) -> Any:
    return torch.ops.downup.max_pool2d_take(values, *ctx.saved_tensors, *ctx.window), *(None,) * 7


def _set_up_pool_take(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.in_size, ctx.window = inputs[0].shape[2:], inputs[2:]


def _pool_take_gradient(ctx: Any, grad: Tensor) -> Any:
    return torch.ops.downup.max_pool2d_backward(grad, *ctx.saved_tensors, ctx.in_size, *ctx.window), *(
        None,
    ) * 6


def _set_up_unpool(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.window = inputs[3:]


def _unpool_gradient(ctx: Any, grad: Tensor) -> Any:
    return torch.ops.downup.max_unpool2d_backward(grad, *ctx.saved_tensors, *ctx.window), *(None,) * 7


def _set_up_unpool_backward(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.out_size, ctx.window = inputs[0].shape[2:], inputs[2:]


def _unpool_backward_gradient(ctx: Any, values: Tensor) -> Any:
    return torch.ops.downup.max_unpool2d(values, *ctx.saved_tensors, ctx.out_size, *ctx.window), *(None,) * 6


def dispatch_pool_backward(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    """The gradient of a pooling by the registered operator of its window."""
    if is_transformed(grad):
        return _composed.max_pool2d_backward(grad, positions, window, in_size)
    if window.adaptive:
        return torch.ops.downup.adaptive_max_pool2d_backward(grad, positions, in_size)  # type: ignore[no-any-return]
    return torch.ops.downup.max_pool2d_backward(grad, positions, in_size, *flat_arguments(window))  # type: ignore[no-any-return]


def dispatch_pool_take(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    """The transpose of that."""
    if is_transformed(values):
        return _composed.max_pool2d_take(values, positions, window)
    if window.adaptive:
        return torch.ops.downup.adaptive_max_pool2d_take(values, positions)  # type: ignore[no-any-return]
    return torch.ops.downup.max_pool2d_take(values, positions, *flat_arguments(window))  # type: ignore[no-any-return]


for _name, _run, _fake, _gradient, _set_up in (
    ("max_pool2d", _op_max_pool2d, _fake_max_pool2d, _pool_gradient, _set_up_pool),
    (
        "max_pool2d_backward",
        _op_max_pool2d_backward,
        _fake_max_pool2d_backward,
        _pool_backward_gradient,
        _set_up_pool_backward,
    ),
    ("max_pool2d_take", _op_max_pool2d_take, _fake_max_pool2d_take, _pool_take_gradient, _set_up_pool_take),
    ("max_unpool2d", _op_max_unpool2d, _fake_max_unpool2d, _unpool_gradient, _set_up_unpool),
    (
        "max_unpool2d_backward",
        _op_max_unpool2d_backward,
        _fake_max_unpool2d_backward,
        _unpool_backward_gradient,
        _set_up_unpool_backward,
    ),
):
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"downup::{_name}", _fake, lib=_library)
    torch.library.register_autograd(f"downup::{_name}", _gradient, setup_context=_set_up, lib=_library)
