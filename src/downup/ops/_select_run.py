"""The selecting kernels on tensors: one call each, no gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.kernels import Window
from downup.ops._native import empty, packed, threads, view


def run_pool(x: Tensor, window: Window, out_shape: Any, compact: bool, wants_positions: bool = True) -> Any:
    x, layout = packed(x)
    pooled = empty(out_shape, x.dtype, layout)
    positions, position_view = None, kernels.ffi.NULL
    if wants_positions:
        positions = empty(out_shape, torch.uint8 if compact else torch.int64, layout)
        position_view = view(positions)
    code = kernels.lib.du_max_pool2d(view(x), view(pooled), position_view, window.native, threads())
    if code:
        kernels.check(code)
    return pooled, positions


def _run(function: Any, given: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    """One of the calls that read positions."""
    given, layout = packed(given)
    positions = positions.contiguous(memory_format=layout)
    shape = given.shape
    out = empty((shape[0], shape[1], *out_size), given.dtype, layout)
    code = function(view(given), view(positions), view(out), window.native, threads())
    if code:
        kernels.check(code)
    return out


def run_pool_backward(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    return _run(kernels.lib.du_max_pool2d_backward, grad, positions, window, in_size)


def run_pool_take(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    return _run(kernels.lib.du_max_pool2d_take, values, positions, window, positions.shape[2:])


def run_unpool(x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    return _run(kernels.lib.du_max_unpool2d, x, positions, window, out_size)


def run_unpool_backward(grad: Tensor, positions: Tensor, window: Window) -> Tensor:
    return _run(kernels.lib.du_max_unpool2d_backward, grad, positions, window, positions.shape[2:])
