"""The selecting kernels on tensors: one call each, no gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.kernels import Window
from downup.ops._native import packed, threads, view


def run_pool(x: Tensor, window: Window, out_size: Any, compact: bool, wants_positions: bool = True) -> Any:
    x, layout = packed(x)
    shape = (x.shape[0], x.shape[1], *out_size)
    pooled = torch.empty(shape, dtype=x.dtype, memory_format=layout)
    positions, position_view = None, kernels.ffi.NULL
    if wants_positions:
        positions = torch.empty(shape, dtype=torch.uint8 if compact else torch.int64, memory_format=layout)
        position_view = view(positions)
    kernels.check(kernels.lib.du_max_pool2d(view(x), view(pooled), position_view, window.native, threads()))
    return pooled, positions


def run_pool_backward(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    grad, layout = packed(grad)
    positions = positions.contiguous(memory_format=layout)
    grad_in = torch.empty((*grad.shape[:2], *in_size), dtype=grad.dtype, memory_format=layout)
    code = kernels.lib.du_max_pool2d_backward(
        view(grad), view(positions), view(grad_in), window.native, threads()
    )
    kernels.check(code)
    return grad_in


def run_pool_take(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    values, layout = packed(values)
    positions = positions.contiguous(memory_format=layout)
    taken = torch.empty(positions.shape, dtype=values.dtype, memory_format=layout)
    code = kernels.lib.du_max_pool2d_take(
        view(values), view(positions), view(taken), window.native, threads()
    )
    kernels.check(code)
    return taken


def run_unpool(x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    x, layout = packed(x)
    positions = positions.contiguous(memory_format=layout)
    out = torch.empty((*x.shape[:2], *out_size), dtype=x.dtype, memory_format=layout)
    kernels.check(kernels.lib.du_max_unpool2d(view(x), view(positions), view(out), window.native, threads()))
    return out


def run_unpool_backward(grad: Tensor, positions: Tensor, window: Window) -> Tensor:
    grad, layout = packed(grad)
    positions = positions.contiguous(memory_format=layout)
    grad_in = torch.empty(positions.shape, dtype=grad.dtype, memory_format=layout)
    code = kernels.lib.du_max_unpool2d_backward(
        view(grad), view(positions), view(grad_in), window.native, threads()
    )
    kernels.check(code)
    return grad_in
