"""PyTorch's own samples of each operator, and the call of ours that each of them stands for."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from downup import ops

Rule = Literal["exact", "linear", "convolution", "norm"]

_OPINFOS = {info.full_name: info for info in op_db}
_MODULES = {info.name: info for info in module_db}


@dataclass(frozen=True)
class Suite:
    """One OpInfo of torch, or the samples of one of its modules.

    name: torch's.
    operator: ours, as in the catalog.
    ours, theirs: called with the arguments of a sample.
    rule: what has to agree. exact: bits; linear: within the roundings of a weighted sum; convolution: bits, or
        the same; norm: a root of a sum of powers.
    """

    name: str
    operator: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    rule: Rule
    types: tuple[torch.dtype, ...]

    def samples(self, dtype: torch.dtype, requires_grad: bool = False) -> Iterator[Any]:
        """Samples with `input`, `args` and `kwargs`; random, but the same on every call."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            if self.name == "nn.functional.interpolate.lanczos":
                yield from _lanczos_samples(dtype, requires_grad)
            elif self.name in _OPINFOS:
                yield from _OPINFOS[self.name].sample_inputs("cpu", dtype, requires_grad)
            else:
                yield from _module_samples(self.name, dtype, requires_grad)

    def error_samples(self) -> list[Any]:
        """What torch refuses, with the type of its exception."""
        info = _OPINFOS.get(self.name)
        return [] if info is None or info.error_inputs_func is None else list(info.error_inputs("cpu"))


@dataclass(frozen=True)
class _Sample:
    input: torch.Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def _module_samples(name: str, dtype: torch.dtype, requires_grad: bool) -> Iterator[_Sample]:
    info = _MODULES[name]
    for sample in info.module_inputs_func(info, "cpu", dtype, requires_grad, False):
        arguments = sample.constructor_input
        yield _Sample(sample.forward_input.args[0], tuple(arguments.args), dict(arguments.kwargs))


def _lanczos_samples(dtype: torch.dtype, requires_grad: bool) -> Iterator[_Sample]:
    """Torch has none of its own: those of bicubic, with the antialiasing that lanczos must have."""
    samples = _OPINFOS["nn.functional.interpolate.bicubic"].sample_inputs("cpu", dtype, requires_grad)
    for sample in samples:
        if not sample.kwargs["align_corners"]:
            kwargs = sample.kwargs | {"mode": "lanczos", "align_corners": None, "antialias": True}
            yield _Sample(sample.input, sample.args, kwargs)


def _upsample_bilinear(x: Any, size: Any = None, scale_factor: Any = None) -> Any:
    return ops.interpolate(x, size, scale_factor, "bilinear", align_corners=True)


def _upsample_nearest(x: Any, size: Any = None, scale_factor: Any = None) -> Any:
    return ops.interpolate(x, size, scale_factor, "nearest")


def _antialiased(x: Any, output_size: Any, align_corners: bool, scale_factors: Any = None) -> Any:
    """`_upsample_bilinear2d_aa`, which takes a size and, besides, scales: those samples have no call of ours."""
    return ops.interpolate(x, output_size, scale_factors, "bilinear", align_corners, antialias=True)


def _pool_gradient(x: Any, **window: Any) -> Any:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        pooled = ops.max_pool2d(x, **window)
        pooled = pooled[0] if isinstance(pooled, tuple) else pooled
        return torch.autograd.grad(pooled, x, torch.ones_like(pooled))[0]


# Torch's name of the samples, the operator, what has to agree, and the call where it is not `downup.ops.<operator>`.
_ROWS: tuple[tuple[str, str, Rule, Callable[..., Any] | None], ...] = (
    ("nn.functional.max_pool2d", "max_pool2d", "exact", None),
    ("max_pool2d_with_indices_backward", "max_pool2d", "exact", _pool_gradient),
    ("nn.functional.max_unpool2d", "max_unpool2d", "exact", None),
    ("nn.functional.max_unpool2d.grad", "max_unpool2d", "exact", None),
    ("nn.functional.adaptive_max_pool2d", "adaptive_max_pool2d", "exact", None),
    ("nn.functional.pixel_shuffle", "pixel_shuffle", "exact", None),
    ("nn.functional.pixel_unshuffle", "pixel_unshuffle", "exact", None),
    ("nn.functional.interpolate.nearest", "interpolate", "exact", None),
    ("nn.functional.interpolate.nearest-exact", "interpolate", "exact", None),
    ("nn.functional.upsample_nearest", "interpolate", "exact", _upsample_nearest),
    ("nn.functional.interpolate.linear", "interpolate", "exact", None),
    ("nn.functional.interpolate.trilinear", "interpolate", "exact", None),
    ("nn.functional.interpolate.bilinear", "interpolate", "linear", None),
    ("nn.functional.interpolate.bicubic", "interpolate", "linear", None),
    ("nn.functional.interpolate.area", "interpolate", "linear", None),
    ("nn.functional.interpolate.lanczos", "interpolate", "linear", None),
    ("nn.functional.upsample_bilinear", "interpolate", "linear", _upsample_bilinear),
    ("_upsample_bilinear2d_aa", "interpolate", "linear", _antialiased),
    ("nn.functional.avg_pool2d", "avg_pool2d", "linear", None),
    ("nn.functional.adaptive_avg_pool2d", "adaptive_avg_pool2d", "linear", None),
    ("nn.LPPool2d", "lp_pool2d", "norm", None),
    ("nn.functional.conv2d", "conv2d", "convolution", None),
    ("nn.functional.conv_transpose2d", "conv_transpose2d", "convolution", None),
)


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Torch's `upsample_*` warn that they are deprecated."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments, **options)

    return call if "upsample" in getattr(function, "__name__", "") else function


def _suite(name: str, operator: str, rule: Rule, ours: Callable[..., Any] | None) -> Suite:
    if name in _OPINFOS:
        info = _OPINFOS[name]
        theirs, types = _quiet(info.op), tuple(sorted(info.supported_dtypes("cpu"), key=str))
    else:
        theirs = {"interpolate": F.interpolate, "lp_pool2d": F.lp_pool2d}[operator]
        types = (torch.float32, torch.float64)
    # Looked up at each call, so that a test may replace it.
    return Suite(name, operator, ours or functools.partial(_call, operator), theirs, rule, types)


def _call(operator: str, *arguments: Any, **options: Any) -> Any:
    return getattr(ops, operator)(*arguments, **options)


SUITES = tuple(_suite(*row) for row in _ROWS)
