"""Resampling as torch knows it: traced, compiled, faked and transformed calls; and eager calls that record gradients.

One operator, whose gradient is itself with the taps transposed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from downup.ops._arguments import Kept, check_image, check_shape, remembered
from downup.ops._forms import Form, form_of
from downup.ops._native import is_native, is_transformed
from downup.ops._resample_plan import MOST_BYTES, AxisPlan, bytes_of, make_taps
from downup.ops._resample_run import RESAMPLED, compose_resample, run_resample
from downup.taps import Taps

_AXIS = "int {0}_kind, SymInt {0}_in, SymInt {0}_out, SymInt[] {0}_whole, float[] {0}_other"
_library = torch.library.Library("downup", "FRAGMENT")
_library.define(
    f"resample2d(Tensor x, {_AXIS.format('row')}, {_AXIS.format('column')}, bool transposed) -> Tensor"
)
_FIELDS = len(AxisPlan._fields)
_is_grad_enabled = torch.is_grad_enabled


def _plans(arguments: Any) -> tuple[AxisPlan, AxisPlan]:
    return tuple(  # type: ignore[return-value]
        AxisPlan(kind, in_size, out_size, tuple(whole), tuple(other))
        for kind, in_size, out_size, whole, other in (arguments[:_FIELDS], arguments[_FIELDS : 2 * _FIELDS])
    )


def _resample2d(x: Tensor, *arguments: Any) -> Tensor:
    rows, columns = map(make_taps, _plans(arguments))
    if arguments[-1]:
        rows, columns = rows.transposed, columns.transposed
    run = run_resample if x.device.type == "cpu" and x.dtype in RESAMPLED else compose_resample
    return run(x, rows, columns)


def _fake_resample2d(x: Tensor, *arguments: Any) -> Tensor:
    rows, columns = _plans(arguments)
    size = (rows.in_size, columns.in_size) if arguments[-1] else (rows.out_size, columns.out_size)
    layout = torch._prims_common.suggest_memory_format(x)
    return x.new_empty((*x.shape[:2], *size)).contiguous(memory_format=layout)


def _set_up(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.arguments = inputs[1:]


def _gradient(ctx: Any, grad: Tensor) -> Any:
    *plans, transposed = ctx.arguments
    return torch.ops.downup.resample2d(grad, *plans, not transposed), *(None,) * len(ctx.arguments)


_library.impl("resample2d", _resample2d, "CompositeExplicitAutograd")
torch.library.register_fake("downup::resample2d", _fake_resample2d, lib=_library)
torch.library.register_autograd("downup::resample2d", _gradient, setup_context=_set_up, lib=_library)


class _Resample(torch.autograd.Function):
    """An eager call that records: it costs a third of a way through the dispatcher."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Taps, columns: Taps) -> Tensor:
        ctx.taps = rows, columns
        return run_resample(x, rows, columns)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        rows, columns = ctx.taps
        run = _run_eagerly if is_native(grad, RESAMPLED) else compose_resample
        return run(grad, rows.transposed, columns.transposed), None, None


# The C function: `apply` itself asks about transforms first, which no tensor that comes here is under.
_apply: Any = super(torch.autograd.Function, _Resample).apply


def _run_eagerly(x: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """A call outside all tracing, recorded where gradients are wanted."""
    if x.requires_grad and _is_grad_enabled():
        return _apply(x, rows, columns)  # type: ignore[no-any-return]
    return run_resample(x, rows, columns)


# Of all resamplings together. They hold their tables, so that these are counted here as well.
_pairs_of_tables = Kept(MOST_BYTES, lambda pair: bytes_of(*pair))
Plans = Callable[..., tuple[AxisPlan, AxisPlan]]
Resample = Callable[..., Tensor]


def resampling(plans: Plans, composed: Resample, may_be_single: bool = True) -> Resample:
    """The function of an image and arguments that resamples by the two plans `plans((h, w), *arguments)`, with gradients.

    `composed(x, *arguments)` does it for devices and types without a kernel, always of [n, c, h, w].
    """

    def make_both(form: Form, *arguments: Any) -> tuple[Taps, Taps]:
        check_shape(form.shape, may_be_single)
        rows, columns = plans(form.shape[2:], *arguments)
        return make_taps(rows), make_taps(columns)

    taps_for = remembered(make_both, _pairs_of_tables)

    def resample(x: Tensor, *arguments: Any) -> Tensor:
        if may_be_single and x.dim() == 3:
            check_image(x)
            return resample(x.unsqueeze(0), *arguments)[0]
        if is_native(x, RESAMPLED):
            return _run_eagerly(x, *taps_for(form_of(x), *arguments))
        check_image(x, may_be_single)
        if x.device.type in ("cpu", "meta") and x.dtype in RESAMPLED and not is_transformed(x):
            row_plan, column_plan = plans((x.shape[2], x.shape[3]), *arguments)
            return torch.ops.downup.resample2d(x, *row_plan, *column_plan, False)  # type: ignore[no-any-return]
        return composed(x, *arguments)

    return resample
