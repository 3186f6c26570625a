"""The rearranging kernels on tensors: one call each, no gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.geometry import Direction, shuffle_shape
from downup.ops._arguments import remembered
from downup.ops._forms import Form, form_of, packed_form, rest_of_view, two_views
from downup.ops._native import threads

# The kernels move bits: of an element they only know its size.
_BY_BYTES = {1: kernels.UINT8, 2: kernels.BFLOAT16, 4: kernels.FLOAT32, 8: kernels.INT64}
_ELEMENTS = {
    dtype: _BY_BYTES[dtype.itemsize]
    for dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float16,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bool,
    )
}
MOVABLE = frozenset(_ELEMENTS)
ORDERS = {"CRD": kernels.lib.DU_CRD, "DCR": kernels.lib.DU_DCR}
_shuffle, _unshuffle = kernels.lib.du_pixel_shuffle, kernels.lib.du_pixel_unshuffle


@dataclass(frozen=True, slots=True)
class Plan:
    """A rearrangement of images that lie alike: its arguments, how the result lies, the rests of both views."""

    factor: int
    order: str
    result: Form
    rest: bytes
    result_rest: bytes


def _plan(form: Form, factor: Any, order: str, direction: Direction) -> Plan:
    shape = shuffle_shape(form.shape, factor, direction)
    like = torch.empty_strided(form.shape, form.strides, device="meta")
    result = packed_form(shape, form.dtype, torch._prims_common.suggest_memory_format(like))
    rests = (rest_of_view(one, _ELEMENTS[form.dtype]) for one in (form, result))
    return Plan(int(factor), order, result, *rests)


shuffle_plan = remembered(lambda form, factor, order: _plan(form, factor, order, "up"))
unshuffle_plan = remembered(lambda form, factor, order: _plan(form, factor, order, "down"))


def run_shuffle(x: Tensor, plan: Plan) -> Tensor:
    return _run(_shuffle, x, plan)


def run_unshuffle(x: Tensor, plan: Plan) -> Tensor:
    return _run(_unshuffle, x, plan)


def _run(function: Any, x: Tensor, plan: Plan) -> Tensor:
    out = plan.result.empty()
    if not out.numel():
        return out
    if x.dim() == 4:
        views = two_views(x, plan.rest, out, plan.result_rest)
    else:
        images, images_out = _as_batch(x), _as_batch(out)  # named, so that they live as long as their views
        views = two_views(images, _rest(images), images_out, _rest(images_out))
    code = function(*views, plan.factor, ORDERS[plan.order], threads())
    if code:
        kernels.check(code)
    return out


def _as_batch(x: Tensor) -> Tensor:
    """[..., c, h, w] as [n, c, h, w]."""
    return x.unsqueeze(0) if x.dim() == 3 else x.flatten(0, -4)


def _rest(x: Tensor) -> bytes:
    return rest_of_view(form_of(x), _ELEMENTS[x.dtype])
