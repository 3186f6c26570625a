"""The catalog against what it names: functions, modules, signatures, sizes, types, and its page."""

from __future__ import annotations

import importlib.util
import inspect
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from downup import catalog, geometry, nn, ops
from downup.catalog import OPERATORS, Operator
from downup.errors import ArgumentError

ROOT = Path(__file__).resolve().parent.parent
by_name = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)

# As torch.nn.functional documents them; several are built in and tell nothing by themselves.
SIGNATURES = {
    "avg_pool2d": "input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
    "divisor_override=None",
    "adaptive_avg_pool2d": "input, output_size",
    "lp_pool2d": "input, norm_type, kernel_size, stride=None, ceil_mode=False",
    "conv2d": "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1",
    "conv_transpose2d": "input, weight, bias=None, stride=1, padding=0, output_padding=0, "
    "groups=1, dilation=1",
    "interpolate": "input, size=None, scale_factor=None, mode='nearest', align_corners=None, "
    "recompute_scale_factor=None, antialias=False",
    "max_pool2d": "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "
    "return_indices=False",
    "max_unpool2d": "input, indices, kernel_size, stride=None, padding=0, output_size=None",
    "pixel_shuffle": "input, upscale_factor",
    "pixel_unshuffle": "input, downscale_factor",
}

# One call of each operator that shows its size rule, on 12 x 12 images: options, and the words of the rule.
CALLS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "avg_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"p": 2, "e": 3, "s": 2}),
    "lp_pool2d": ({"norm_type": 2, "kernel_size": 3, "stride": 2, "padding": 1}, {"p": 2, "e": 3, "s": 2}),
    "adaptive_avg_pool2d": ({"output_size": 4}, {"s": 3}),
    "global_avg_pool2d": ({}, {}),
    "global_lp_pool2d": ({}, {}),
    "blur_pool2d": ({"taps": 5, "stride": 5}, {"s": 5}),
    "interpolate": ({"scale_factor": 1.3}, {"f": 1.3}),
    "max_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"p": 2, "e": 3, "s": 2}),
    "max_pool2d_with_offsets": ({"kernel_size": 3, "dilation": 2, "stride": 2}, {"p": 0, "e": 5, "s": 2}),
    "max_unpool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"p": 2, "e": 3, "s": 2}),
    "pixel_unshuffle": ({"downscale_factor": 3}, {"s": 3}),
    "pixel_shuffle": ({"upscale_factor": 2}, {"s": 2}),
    "conv2d": ({"stride": 2, "padding": 1}, {"p": 2, "e": 3, "s": 2}),
    "conv_transpose2d": ({"stride": 2, "padding": 1, "output_padding": 1}, {"p": 2, "e": 3, "s": 2, "o": 1}),
    "resize_conv2d": ({"scale_factor": 2}, {"f": 2}),
}


def _call(operator: Operator, dtype: torch.dtype) -> Tensor:
    """One call on a 12 x 12 image of 4 channels."""
    answer: Tensor | tuple[Tensor, ...]
    function, (options, _) = catalog.resolve(operator.function), CALLS[operator.name]
    image = torch.arange(4.0 * 144).view(1, 4, 12, 12).to(dtype).requires_grad_(dtype.is_floating_point)
    if operator.family == "convolve":
        options = {"weight": torch.ones(4, 4, 3, 3, dtype=dtype), **options}
    elif operator.name == "max_unpool2d":
        options = {"indices": torch.arange(144).view(1, 1, 12, 12).expand(1, 4, 12, 12), **options}
    answer = function(image, **options)
    return answer[0] if isinstance(answer, tuple) else answer


def test_every_function_and_module_has_its_row() -> None:
    assert sorted(operator.name for operator in OPERATORS) == sorted(ops.__all__)
    modules = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert {operator.module.partition(":")[2] for operator in OPERATORS} == modules
    assert len(fields(Operator)) <= 9


@by_name
def test_names_lead_to_what_they_say(operator: Operator) -> None:
    function = catalog.resolve(operator.function)
    assert function.__name__ == operator.name
    assert function.__module__ == f"downup.ops.{operator.family}"
    module = catalog.resolve(operator.module)
    assert issubclass(module, torch.nn.Module)
    assert module.__module__ == f"downup.nn.{operator.family}"
    partner = catalog.find(operator.partner)
    assert {partner.direction, operator.direction} == {"down", "up"}
    if operator.peer is not None:
        assert callable(catalog.resolve(operator.peer))


@by_name
def test_signatures_begin_as_those_of_torch(operator: Operator) -> None:
    assert (operator.peer is None) == (operator.name not in SIGNATURES)
    if operator.peer is None:
        return
    parameters = inspect.signature(catalog.resolve(operator.function)).parameters.values()
    ours = [
        name if default is inspect.Parameter.empty else f"{name}={default!r}"
        for name, default in ((parameter.name, parameter.default) for parameter in parameters)
    ]
    theirs = SIGNATURES[operator.name].split(", ")
    assert ours[: len(theirs)] == theirs
    # What downup adds has a default and a name, so that no call of torch's means something else.
    added = list(parameters)[len(theirs) :]
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in added)


@by_name
def test_the_size_rule_gives_the_size(operator: Operator) -> None:
    words = {"n": 12, "o": 0, **CALLS[operator.name][1], "floor": math.floor, "ceil": math.ceil}
    assert _call(operator, torch.float32).shape[-1] == eval(operator.size, {"__builtins__": {}}, words)


@by_name
def test_every_type_of_the_row_works_both_ways(operator: Operator) -> None:
    for name in operator.types:
        dtype = getattr(torch, name)
        answer = _call(operator, dtype)
        assert answer.dtype == dtype
        if dtype.is_floating_point:
            (answer.sum() * 0).backward()  # type: ignore[no-untyped-call]


@by_name
def test_geometry_knows_the_shape(operator: Operator) -> None:
    options, shape = dict(CALLS[operator.name][0]), (1, 4, 12, 12)
    if operator.family == "rearrange":
        expected = geometry.shuffle_shape(shape, next(iter(options.values())), operator.direction)
    elif operator.name == "conv_transpose2d":
        expected = geometry.conv_transpose_shape(shape, 4, 3, **options)
    elif operator.name == "conv2d":
        expected = geometry.conv_shape(shape, 4, 3, **options)
    elif "scale_factor" in options:
        expected = geometry.upsample_shape(shape, **options)
    elif operator.name.startswith("global_"):
        expected = (1, 4, 1, 1)
    elif operator.name.startswith("adaptive_"):
        expected = (1, 4, options["output_size"], options["output_size"])
    elif operator.name == "blur_pool2d":
        expected = geometry.pool_shape(shape, options["taps"], options["stride"], "same")
    elif operator.direction == "down":
        options.pop("norm_type", None)
        expected = geometry.pool_shape(shape, **options)
    else:
        expected = geometry.conv_transpose_shape(shape, 4, **options)
    assert tuple(_call(operator, torch.float32).shape) == expected


def test_a_name_that_is_not_in_the_catalog_is_refused_with_those_that_are() -> None:
    with pytest.raises(ArgumentError, match="avg_pool2d, lp_pool2d"):
        catalog.find("median_pool2d")


def test_the_page_is_the_one_that_the_catalog_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TARGET.read_text(encoding="utf-8") == script.operators_page(), "run scripts/make_docs.py"
