"""Operators that select: max pooling keeps one sample of each window, un-pooling puts it back where it was."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from downup import geometry, kernels
from downup.errors import ArgumentError
from downup.geometry import Padding
from downup.kernels import Window
from downup.ops import _composed
from downup.ops._native import FLOATING, is_native, packed, threads, view

_ArgumentPair = int | tuple[int, int]


def max_pool2d(
    input: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: _ArgumentPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Keep the largest sample of each window: `out = floor((in + padding - extent) / stride) + 1` along each axis.

    Convention: padding counts as minus infinity. Of equal samples the first, row by row, is taken; NaN is larger than
    everything, and the last NaN is taken.

    Args:
        input: [batch, channel, height, width] or [channel, height, width], any real type.
        kernel_size: window in samples, at least 1; a number or (rows, columns), like the three that follow.
        stride: samples from one window to the next, at least 1; the kernel size when left out.
        padding: at most half the window's extent; also ((top, bottom), (left, right)), "valid", "same", "same_lower".
        dilation: distance of neighbouring taps, at least 1.
        ceil_mode: also keep a last window that reaches beyond the padding, when it starts before it.
        return_indices: also return where each sample was, as `row * width + column` in its plane (int64), or -1 for a window
            that saw only padding.

    Returns:
        [batch, channel, out_height, out_width] of the type and layout of `input`; with `return_indices` a pair.

    Raises:
        ArgumentError: an argument outside its range, or a window larger than the padded input.

    Gradient: each sample's goes where it was taken; sums run in the order of the outputs, in float32 for bfloat16.
    Source: Ranzato et al., "Unsupervised Learning of Invariant Feature Hierarchies", CVPR 2007.

    >>> max_pool2d(torch.tensor([[[1., 5., 2., 0.], [3., 4., 8., 6.]]]), 2, return_indices=True)
    (tensor([[[5., 8.]]]), tensor([[[1, 6]]]))
    """
    # A window of more than 256 taps has no offsets; int64 positions then stand in for them.
    compact = not return_indices and _taps(kernel_size) <= 256
    pooled, positions = _pool(
        input, kernel_size, stride, padding, dilation, ceil_mode, compact, return_indices
    )
    return (pooled, positions) if return_indices else pooled


def max_pool2d_with_offsets(
    input: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: _ArgumentPair = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` that remembers each position in one byte: which tap of the window it was, counted row by row.

    Eight times less memory than `return_indices`, and independent of the image's size. `max_unpool2d` takes either.

    Args:
        input, kernel_size, stride, padding, dilation, ceil_mode: as for `max_pool2d`; at most 256 taps.

    Returns:
        The pooled samples, and their offsets `tap_row * kernel_columns + tap_column` (uint8), of the same shape.

    Raises:
        ArgumentError: as for `max_pool2d`; or a window of more than 256 taps.

    >>> max_pool2d_with_offsets(torch.tensor([[[1., 5., 2., 0.], [3., 4., 8., 6.]]]), 2)
    (tensor([[[5., 8.]]]), tensor([[[1, 2]]], dtype=torch.uint8))
    """
    if _taps(kernel_size) > 256:
        raise ArgumentError(
            f"kernel_size is {kernel_size}: more than 256 taps do not fit one byte; "
            "use a smaller window, or max_pool2d(..., return_indices=True)"
        )
    return _pool(input, kernel_size, stride, padding, dilation, ceil_mode, True, True)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: _ArgumentPair = 0,
    output_size: Any = None,
    *,
    dilation: _ArgumentPair = 1,
) -> Tensor:
    """Put each sample back where `max_pool2d` took it, in an image of zeros.

    Convention: where several samples have one position, the last of them, row by row, is kept.

    Args:
        input: [batch, channel, height, width] or [channel, height, width], the pooled samples.
        indices: their positions, of the same shape: int64 in the plane, or uint8 offsets in the window.
        kernel_size, stride, padding, dilation: as they were given to the pooling. `padding` as a number, a pair or
            ((top, bottom), (left, right)).
        output_size: (height, width) of the result, or a whole shape that ends so; by default
            `(in - 1) * stride + extent - padding`.

    Returns:
        [batch, channel, *output_size] of the type of `input`.

    Raises:
        ArgumentError: shapes that disagree, a size further than a stride from the default one, or a position outside
            the result.

    Gradient: each sample gets that of its place; one that a later sample replaced gets zero (in torch it gets it too).
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    >>> max_unpool2d(torch.tensor([[[5., 8.]]]), torch.tensor([[[1, 6]]]), 2)
    tensor([[[0., 5., 0., 0.],
             [0., 0., 8., 0.]]])
    """
    x, indices, is_single = _batched(input, indices)
    if indices.shape != x.shape:
        raise ArgumentError(
            f"indices have shape {tuple(indices.shape)} but input has {tuple(x.shape)}; give both one shape"
        )
    if indices.dtype not in (torch.int64, torch.uint8):
        raise ArgumentError(
            f"indices have dtype {indices.dtype}; use int64 (in the plane) or uint8 (in the window)"
        )
    if indices.device != x.device:
        raise ArgumentError(f"indices are on {indices.device} but input is on {x.device}; move one of them")
    size = geometry.pair("kernel_size", kernel_size, 1)
    step = size if stride is None else geometry.pair("stride", stride, 1)
    apart = geometry.pair("dilation", dilation, 1)
    if isinstance(padding, str):
        raise ArgumentError(
            f'padding is {padding!r}; give un-pooling numbers: "same" depends on the size before pooling'
        )
    sides = geometry.resolve_padding(padding, (0, 0), size, step, apart)
    window = Window(size, step, (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]), apart)
    out_size = _unpooled_size((x.shape[2], x.shape[3]), window, output_size)
    if is_native(x) and is_native_positions(indices):
        needs_graph = torch.is_grad_enabled() and x.requires_grad
        out = (
            _Unpool.apply(x, indices, window, out_size)
            if needs_graph
            else _run_unpool(x, indices, window, out_size)
        )
    else:
        out = torch.ops.downup.max_unpool2d(x, indices, out_size, *_flat_arguments(window))
    return out[0] if is_single else out  # type: ignore[no-any-return]


# ---------------------------------------------------------------- arguments


def _taps(kernel_size: Any) -> int:
    rows, columns = geometry.pair("kernel_size", kernel_size, 1)
    return rows * columns


def _batched(*tensors: Tensor) -> Any:
    """The tensors with a batch axis, and whether it was added here."""
    x = tensors[0]
    if x.dim() not in (3, 4):
        raise ArgumentError(
            f"input has shape {tuple(x.shape)}; use [batch, channel, height, width] or [channel, height, width]"
        )
    # A symbolic size is known to be positive.
    if any(isinstance(size, int) and size < 1 for size in x.shape[-3:]):
        raise ArgumentError(f"input has shape {tuple(x.shape)}; use at least 1 channel, row and column")
    if x.dim() == 4:
        return *tensors, False
    return *(t.unsqueeze(0) for t in tensors), True


@lru_cache(maxsize=4096)
def _cached_window(
    in_size: tuple[int, int], size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    return _new_window(in_size, size, stride, padding, dilation, ceil_mode)


def _new_window(in_size: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    size = geometry.pair("kernel_size", size, 1)
    stride = size if stride is None or stride == () or stride == [] else geometry.pair("stride", stride, 1)
    dilation = geometry.pair("dilation", dilation, 1)
    (top, bottom), (left, right) = geometry.pool_padding(padding, in_size, size, stride, dilation)
    # A symbolic padding, "same" of a symbolic size, is written as numbers so that both size rules read the same.
    before, after = (top, left), (bottom, right)
    rows = geometry.window_out_size(
        in_size[0], size[0], stride[0], (top, bottom), dilation[0], ceil_mode, axis="rows"
    )
    columns = geometry.window_out_size(
        in_size[1], size[1], stride[1], (left, right), dilation[1], ceil_mode, axis="columns"
    )
    return Window(size, stride, before, after, dilation, bool(ceil_mode)), (rows, columns)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _unpooled_size(in_size: Any, window: Window, output_size: Any) -> tuple[int, int]:
    default = tuple(
        (in_size[i] - 1) * window.stride[i]
        + geometry.extent(window.size[i], window.dilation[i])
        - window.pad_before[i]
        - window.pad_after[i]
        for i in (0, 1)
    )
    if output_size is None:
        if any(isinstance(size, int) and size < 1 for size in default):
            raise ArgumentError(f"the un-pooled image would be {default[0]} x {default[1]}; use less padding")
        return default[0], default[1]
    wanted = tuple(output_size)[-2:]
    if len(wanted) != 2:
        raise ArgumentError(f"output_size is {output_size!r}; use (height, width)")
    for i, axis in enumerate(("height", "width")):
        # The pooling forgot less than a stride on either side; further off, it was not this pooling's input.
        low, high = max(default[i] - window.stride[i], 0), default[i] + window.stride[i]
        if not low < wanted[i] < high:
            raise ArgumentError(
                f"output_size is {wanted} but this window makes a {axis} of {default[i]} from {in_size[i]}; "
                f"use {low + 1} to {high - 1}"
            )
    return wanted[0], wanted[1]


def _flat_arguments(window: Window) -> tuple[Any, ...]:
    """A window as the arguments of a registered operator."""
    (top, left), (bottom, right) = window.pad_before, window.pad_after
    return window.size, window.stride, (top, bottom, left, right), window.dilation, window.ceil_mode


def _window(size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Window:
    """The inverse of `_flat_arguments`."""
    top, bottom, left, right = padding
    return Window(tuple(size), tuple(stride), (top, left), (bottom, right), tuple(dilation), ceil_mode)


def is_native_positions(positions: Tensor) -> bool:
    """Whether the kernels may read `positions` directly, given that they may read the tensor they belong to."""
    return positions.is_cpu and positions.layout is torch.strided and type(positions) is Tensor


# ---------------------------------------------------------------- eager calls, without the dispatcher


def _pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    compact: bool,
    wants_positions: bool,
) -> tuple[Tensor, Tensor]:
    x, is_single = _batched(input)
    arguments = (_tuple(kernel_size), _tuple(stride), _tuple(padding), _tuple(dilation), ceil_mode)
    if is_native(x):
        window, out_size = _cached_window((x.shape[2], x.shape[3]), *arguments)
        if x.requires_grad and torch.is_grad_enabled():
            pooled, positions = _Pool.apply(x, window, out_size, compact)
        else:
            pooled, positions = _run_pool(x, window, out_size, compact, wants_positions)
    else:
        window, _ = _new_window((x.shape[2], x.shape[3]), *arguments)
        pooled, positions = torch.ops.downup.max_pool2d(x, *_flat_arguments(window), compact)
    if is_single:
        return pooled[0], positions[0] if positions is not None else positions
    return pooled, positions


def _run_pool(x: Tensor, window: Window, out_size: Any, compact: bool, wants_positions: bool = True) -> Any:
    x, layout = packed(x)
    shape = (x.shape[0], x.shape[1], *out_size)
    pooled = torch.empty(shape, dtype=x.dtype, memory_format=layout)
    positions, position_view = None, kernels.ffi.NULL
    if wants_positions:
        positions = torch.empty(shape, dtype=torch.uint8 if compact else torch.int64, memory_format=layout)
        position_view = view(positions)
    kernels.check(kernels.lib.du_max_pool2d(view(x), view(pooled), position_view, window.native, threads()))
    return pooled, positions


def _run_pool_backward(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    grad, layout = packed(grad)
    positions = positions.contiguous(memory_format=layout)
    grad_in = torch.empty((*grad.shape[:2], *in_size), dtype=grad.dtype, memory_format=layout)
    code = kernels.lib.du_max_pool2d_backward(
        view(grad), view(positions), view(grad_in), window.native, threads()
    )
    kernels.check(code)
    return grad_in


def _run_pool_take(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    values, layout = packed(values)
    positions = positions.contiguous(memory_format=layout)
    taken = torch.empty(positions.shape, dtype=values.dtype, memory_format=layout)
    code = kernels.lib.du_max_pool2d_take(
        view(values), view(positions), view(taken), window.native, threads()
    )
    kernels.check(code)
    return taken


def _run_unpool(x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    x, layout = packed(x)
    positions = positions.contiguous(memory_format=layout)
    out = torch.empty((*x.shape[:2], *out_size), dtype=x.dtype, memory_format=layout)
    kernels.check(kernels.lib.du_max_unpool2d(view(x), view(positions), view(out), window.native, threads()))
    return out


def _run_unpool_backward(grad: Tensor, positions: Tensor, window: Window) -> Tensor:
    grad, layout = packed(grad)
    positions = positions.contiguous(memory_format=layout)
    grad_in = torch.empty(positions.shape, dtype=grad.dtype, memory_format=layout)
    code = kernels.lib.du_max_unpool2d_backward(
        view(grad), view(positions), view(grad_in), window.native, threads()
    )
    kernels.check(code)
    return grad_in


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, out_size: Any, compact: bool) -> Any:  # type: ignore[override]
        pooled, positions = _run_pool(x, window, out_size, compact)
        ctx.mark_non_differentiable(positions)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(positions)
        ctx.window, ctx.in_size = window, x.shape[2:]
        return pooled, positions

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:  # type: ignore[override]
        if grad is None:
            return None, None, None, None
        (positions,) = ctx.saved_tensors
        if is_native(grad):
            run = (
                _PoolBackward.apply if torch.is_grad_enabled() and grad.requires_grad else _run_pool_backward
            )
            return run(grad, positions, ctx.window, ctx.in_size), None, None, None
        flat = _flat_arguments(ctx.window)
        return torch.ops.downup.max_pool2d_backward(grad, positions, ctx.in_size, *flat), None, None, None


class _PoolBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(positions)
        ctx.window = window
        return _run_pool_backward(grad, positions, window, in_size)

    @staticmethod
    def backward(ctx: Any, values: Tensor) -> Any:  # type: ignore[override]
        # Through the dispatcher: third derivatives are rare, and it knows them all.
        (positions,) = ctx.saved_tensors
        return (
            torch.ops.downup.max_pool2d_take(values, positions, *_flat_arguments(ctx.window)),
            None,
            None,
            None,
        )


class _Unpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(positions)
        ctx.window = window
        return _run_unpool(x, positions, window, out_size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (positions,) = ctx.saved_tensors
        if is_native(grad) and not (torch.is_grad_enabled() and grad.requires_grad):
            return _run_unpool_backward(grad, positions, ctx.window), None, None, None
        flat = _flat_arguments(ctx.window)
        return torch.ops.downup.max_unpool2d_backward(grad, positions, *flat), None, None, None


# ---------------------------------------------------------------- the operators that torch knows

_WINDOW = "int[2] size, int[2] stride, SymInt[4] padding, int[2] dilation, bool ceil_mode"
_library = torch.library.Library("downup", "DEF")
_library.define(f"max_pool2d(Tensor x, {_WINDOW}, bool compact) -> (Tensor, Tensor)")
_library.define(f"max_pool2d_backward(Tensor grad, Tensor positions, SymInt[2] in_size, {_WINDOW}) -> Tensor")
_library.define(f"max_pool2d_take(Tensor values, Tensor positions, {_WINDOW}) -> Tensor")
_library.define(f"max_unpool2d(Tensor x, Tensor positions, SymInt[2] out_size, {_WINDOW}) -> Tensor")
_library.define(f"max_unpool2d_backward(Tensor grad, Tensor positions, {_WINDOW}) -> Tensor")


def _op_max_pool2d(x: Tensor, *rest: Any) -> Any:
    window, compact = _window(*rest[:5]), rest[5]
    if x.device.type == "cpu" and x.dtype in FLOATING:
        return _run_pool(x, window, _out_size(x, window), compact)
    return _composed.max_pool2d(x, window, _out_size(x, window), compact)


def _op_max_pool2d_backward(grad: Tensor, positions: Tensor, in_size: Any, *rest: Any) -> Tensor:
    run = _run_pool_backward if _reaches_kernels(grad) else _composed.max_pool2d_backward
    return run(grad, positions, _window(*rest), tuple(in_size))


def _op_max_pool2d_take(values: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    run = _run_pool_take if _reaches_kernels(values) else _composed.max_pool2d_take
    return run(values, positions, _window(*rest))


def _op_max_unpool2d(x: Tensor, positions: Tensor, out_size: Any, *rest: Any) -> Tensor:
    run = _run_unpool if _reaches_kernels(x) else _composed.max_unpool2d
    return run(x, positions, _window(*rest), tuple(out_size))


def _op_max_unpool2d_backward(grad: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    run = _run_unpool_backward if _reaches_kernels(grad) else _composed.max_unpool2d_backward
    return run(grad, positions, _window(*rest))


def _reaches_kernels(x: Tensor) -> bool:
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


def _empty(like: Tensor, size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """What a kernel returns for `like`, without contents: another size, the same layout."""
    layout = torch._prims_common.suggest_memory_format(like)
    return like.new_empty((*like.shape[:2], *size), dtype=dtype or like.dtype).contiguous(
        memory_format=layout
    )


def _fake_max_pool2d(x: Tensor, *rest: Any) -> Any:
    size = _out_size(x, _window(*rest[:5]))
    return _empty(x, size), _empty(x, size, torch.uint8 if rest[5] else torch.int64)


def _fake_max_pool2d_backward(grad: Tensor, positions: Tensor, in_size: Any, *rest: Any) -> Tensor:
    return _empty(grad, in_size)


def _fake_max_pool2d_take(values: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    return _empty(values, positions.shape[2:])


def _fake_max_unpool2d(x: Tensor, positions: Tensor, out_size: Any, *rest: Any) -> Tensor:
    return _empty(x, out_size)


def _fake_max_unpool2d_backward(grad: Tensor, positions: Tensor, *rest: Any) -> Tensor:
    return _empty(grad, positions.shape[2:])


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
