"""The selecting kernels on tensors: one call each, no gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.kernels import Window
from downup.ops._forms import Form, form_of, laid, resized, three_views, two_views
from downup.ops._native import threads
from downup.ops._select_arguments import is_compact

# Found once: a small call takes no longer than a few such looks.
_NULL = kernels.ffi.NULL
_max_pool2d = kernels.lib.du_max_pool2d
_max_pool2d_backward = kernels.lib.du_max_pool2d_backward
_max_pool2d_take = kernels.lib.du_max_pool2d_take
_max_unpool2d = kernels.lib.du_max_unpool2d
_max_unpool2d_backward = kernels.lib.du_max_unpool2d_backward


class Pooling:
    """A window over planes that lie alike, with samples and positions of the same layout: what all its calls share."""

    __slots__ = ("flat", "is_compact", "offsets", "plane", "samples", "window")

    def __init__(self, window: Window, plane: Form, samples: Form) -> None:
        self.window, self.plane, self.samples = window, plane, samples
        self.offsets = resized(samples, samples.size, torch.uint8)
        self.flat = resized(samples, samples.size, torch.int64)
        self.is_compact = is_compact(window)


def pooling_of(plane: Form, window: Window, out_size: Any) -> Pooling:
    """The pooling of planes in one of the two layouts."""
    return Pooling(window, plane, resized(plane, tuple(out_size)))


def unpooling_of(samples: Form, window: Window, out_size: Any) -> Pooling:
    """The un-pooling of samples in one of the two layouts."""
    return Pooling(window, resized(samples, tuple(out_size)), samples)


def run_pool(x: Tensor, pooling: Pooling, compact: bool) -> tuple[Tensor, Tensor]:
    """The samples of a plane that lies as the pooling says, and their positions."""
    samples_form = pooling.samples
    positions_form = pooling.offsets if compact else pooling.flat
    samples, positions = samples_form.empty(), positions_form.empty()
    views = three_views(x, pooling.plane.rest, samples, samples_form.rest, positions, positions_form.rest)
    code = _max_pool2d(*views, pooling.window.native, threads())
    if code:
        kernels.check(code)
    return samples, positions


def run_pool_alone(x: Tensor, pooling: Pooling) -> Tensor:
    """The samples of a plane that lies as the pooling says."""
    form = pooling.samples
    samples = form.empty()
    views = two_views(x, pooling.plane.rest, samples, form.rest)
    code = _max_pool2d(*views, _NULL, pooling.window.native, threads())
    if code:
        kernels.check(code)
    return samples


def _run(function: Any, x: Tensor, form: Form, positions: Tensor, pooling: Pooling, out_form: Form) -> Tensor:
    """One of the calls that read positions."""
    x = laid("gradient", x, form)
    positions_form = form_of(positions)
    if positions_form is not pooling.offsets and positions_form is not pooling.flat:
        positions_form = pooling.offsets if positions.dtype == torch.uint8 else pooling.flat
        positions = laid("tensor of positions", positions, positions_form)
    out = out_form.empty()
    views = three_views(x, form.rest, positions, positions_form.rest, out, out_form.rest)
    code = function(*views, pooling.window.native, threads())
    if code:
        kernels.check(code)
    return out


def run_pool_backward(grad: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
    """Samples to the plane, added where they meet."""
    return _run(_max_pool2d_backward, grad, pooling.samples, positions, pooling, pooling.plane)


def run_pool_take(values: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
    """Samples of the plane, at the positions of the pool."""
    return _run(_max_pool2d_take, values, pooling.plane, positions, pooling, pooling.samples)


def run_unpool(x: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
    """Samples to the plane, the last where they meet."""
    return _run(_max_unpool2d, x, pooling.samples, positions, pooling, pooling.plane)


def run_unpool_backward(grad: Tensor, positions: Tensor, pooling: Pooling) -> Tensor:
    """Samples of the plane, zero for those that a later one replaced."""
    return _run(_max_unpool2d_backward, grad, pooling.plane, positions, pooling, pooling.samples)
