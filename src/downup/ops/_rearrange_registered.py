"""The rearranging operators as torch knows them: traced, compiled and faked calls come this way.

Each is the other's gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.geometry import shuffle_shape
from downup.ops import _rearrange_composed as composed
from downup.ops._forms import form_of
from downup.ops._rearrange_run import MOVABLE, run_shuffle, run_unshuffle, shuffle_plan, unshuffle_plan

_library = torch.library.Library("downup", "FRAGMENT")
_library.define("pixel_shuffle(Tensor x, int factor, str order) -> Tensor")
_library.define("pixel_unshuffle(Tensor x, int factor, str order) -> Tensor")


def _op_pixel_shuffle(x: Tensor, factor: int, order: str) -> Tensor:
    if _reaches_kernels(x):
        return run_shuffle(x, shuffle_plan(form_of(x), factor, order))
    return composed.pixel_shuffle(x, factor, order, torch._prims_common.suggest_memory_format(x))


def _op_pixel_unshuffle(x: Tensor, factor: int, order: str) -> Tensor:
    if _reaches_kernels(x):
        return run_unshuffle(x, unshuffle_plan(form_of(x), factor, order))
    return composed.pixel_unshuffle(x, factor, order, torch._prims_common.suggest_memory_format(x))


def _reaches_kernels(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in MOVABLE and x.layout is torch.strided


def _fake_pixel_shuffle(x: Tensor, factor: int, order: str) -> Tensor:
    return _empty(x, shuffle_shape(x.shape, factor, "up"))


def _fake_pixel_unshuffle(x: Tensor, factor: int, order: str) -> Tensor:
    return _empty(x, shuffle_shape(x.shape, factor, "down"))


def _empty(like: Tensor, shape: Any) -> Tensor:
    layout = torch._prims_common.suggest_memory_format(like)
    return like.new_empty(shape).contiguous(memory_format=layout)


def _set_up(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.factor, ctx.order = inputs[1:]


def _shuffle_gradient(ctx: Any, grad: Tensor) -> Any:
    return torch.ops.downup.pixel_unshuffle(grad, ctx.factor, ctx.order), None, None


def _unshuffle_gradient(ctx: Any, grad: Tensor) -> Any:
    return torch.ops.downup.pixel_shuffle(grad, ctx.factor, ctx.order), None, None


for _name, _run, _fake, _gradient in (
    ("pixel_shuffle", _op_pixel_shuffle, _fake_pixel_shuffle, _shuffle_gradient),
    ("pixel_unshuffle", _op_pixel_unshuffle, _fake_pixel_unshuffle, _unshuffle_gradient),
):
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"downup::{_name}", _fake, lib=_library)
    torch.library.register_autograd(f"downup::{_name}", _gradient, setup_context=_set_up, lib=_library)
