"""The resampling kernel on tensors, and resampling written as torch's matrix products for where the kernel does not run."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from downup import kernels
from downup.ops._forms import Form, Layout, packed_form, readable, two_views
from downup.ops._native import threads
from downup.taps import Taps

_resample2d = kernels.lib.du_resample2d
RESAMPLED = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.uint8})


def run_resample(x: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """[n, c, rows.in_size, columns.in_size] -> [n, c, rows.out_size, columns.out_size], no gradient."""
    x, form, layout = readable(x)
    out_form = _resized(form, layout, rows.out_size, columns.out_size)
    out = out_form.empty()
    views = two_views(x, form.rest, out, out_form.rest)
    code = _resample2d(*views, rows.native, columns.native, threads())
    if code:
        kernels.check(code)
    return out


@lru_cache(maxsize=4096)
def _resized(form: Form, layout: Layout, rows: int, columns: int) -> Form:
    return packed_form((*form.shape[:2], rows, columns), form.dtype, layout)


def compose_resample(x: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """The same on any device, in any type."""
    exact = torch.float64 if x.dtype == torch.float64 else torch.float32
    left, right = (_matrix(taps, x.device, exact) for taps in (rows, columns))
    out = left @ x.to(exact) @ right.T
    if not x.dtype.is_floating_point:
        limits = torch.iinfo(x.dtype)
        out = out.round().clamp(limits.min, limits.max)
    return out.to(x.dtype).contiguous(memory_format=torch._prims_common.suggest_memory_format(x))


@lru_cache(maxsize=64)
def _matrix(taps: Taps, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(taps.dense()).to(device=device, dtype=dtype)
