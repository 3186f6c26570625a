"""PyTorch's own samples and error inputs (OpInfo), run through downup's operators."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from conformance.agreement import (
    Weights,
    assert_equal_bits,
    assert_linear,
    assert_linear_gradient,
    assert_near,
    assert_norm,
    equal_bits,
    layouts,
    tensors,
)
from conformance.opinfo_calls import SUITES, Suite
from downup import catalog

# torch tells that "same" padding of an even window costs it a copy.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")

BY_NAME = {suite.name: suite for suite in SUITES}
# Samples of windows that overlap: of one position twice, torch gives each its gradient, and downup the one that was
# kept. The samples of "max_unpool2d.grad" have none. The other suite is a gradient itself.
OVERLAPPING = ("nn.functional.max_unpool2d", "max_pool2d_with_indices_backward")


def named(suite: Suite) -> Any:
    return pytest.param(suite, id=suite.name.removeprefix("nn.functional."))


CASES = [
    pytest.param(suite, dtype, id=f"{suite.name.removeprefix('nn.functional.')}-{str(dtype)[6:]}")
    for suite in SUITES
    for dtype in suite.types
]


@dataclass(frozen=True)
class Skip:
    """Samples that are not run: of these suites, where `applies` to the sample."""

    names: tuple[str, ...]
    reason: str
    applies: Callable[[Any], bool]


SKIPS = (
    Skip(
        ("_upsample_bilinear2d_aa",),
        "scales besides an output size: no call of interpolate says both",
        lambda sample: "scales_h" in sample.kwargs,
    ),
)


def skip_for(suite: Suite, sample: Any) -> Skip | None:
    return next((skip for skip in SKIPS if suite.name in skip.names and skip.applies(sample)), None)


def with_types(sample: Any, dtype: torch.dtype) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a sample after its input, floating tensors in another type."""

    def turned(value: Any) -> Any:
        is_floating = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(dtype) if is_floating else value

    return [turned(v) for v in sample.args], {k: turned(v) for k, v in sample.kwargs.items()}


def check_sample(suite: Suite, sample: Any, with_gradient: bool = False) -> None:
    """Every layout of one sample against torch, and the gradients of the first."""
    about = f"{suite.name} of {sample.input.dtype} {tuple(sample.input.shape)} {sample.args} {sample.kwargs}"
    for layout, x in layouts(sample.input):
        with torch.no_grad():
            ours = suite.ours(x, *sample.args, **sample.kwargs)
            compare(suite, ours, x, sample, f"{layout}, {about}")
    if with_gradient and sample.input.dtype.is_floating_point:
        check_gradient(suite, sample, about)


def compare(suite: Suite, ours: Any, x: torch.Tensor, sample: Any, about: str) -> None:
    if x.dtype is torch.float16 and is_torchs(ours, suite.theirs(x, *sample.args, **sample.kwargs)):
        return
    args64, kwargs64 = with_types(sample, torch.float64)
    is_plane = x.dim() == 4 or (x.dim() == 3 and "interpolate" not in suite.operator)
    is_sum = x.is_floating_point() or x.dtype is torch.uint8
    if suite.rule == "linear" and is_plane and is_sum:
        assert ours.dtype is x.dtype, about
        assert_linear(ours, x, weights_of(suite, sample), about)
    elif suite.rule == "norm":
        exact = suite.theirs(x.double(), *args64, **kwargs64)
        assert_norm(ours, exact, about)
    elif suite.rule == "convolution" and x.is_floating_point():
        if equal_bits(ours, suite.theirs(x, *sample.args, **sample.kwargs)):
            return
        exact = suite.theirs(x.double(), *args64, **kwargs64)
        weight, *bias = (None if a is None else a.abs() for a in args64)
        kwargs64 |= {k: v.abs() for k, v in kwargs64.items() if isinstance(v, torch.Tensor)}
        magnitude = suite.theirs(x.double().abs(), weight, *bias, **kwargs64)
        assert_near(ours, exact, magnitude, 2 * weight[0].numel() + 4, about)
    else:
        assert_equal_bits(ours, suite.theirs(x, *sample.args, **sample.kwargs), about)


def is_torchs(ours: Any, theirs: Any) -> bool:
    """Bits of torch's own function, which does the work in types without a kernel."""
    return all(map(equal_bits, tensors(ours), tensors(theirs)))


def weights_of(suite: Suite, sample: Any) -> Weights:
    args, kwargs = with_types(sample, torch.float64)

    def call(x: torch.Tensor) -> torch.Tensor:
        return suite.theirs(x, *args, **kwargs)

    is_interpolation = suite.operator == "interpolate" and kwargs.get("mode") != "area"
    return Weights(call, tuple(sample.input.shape[-2:]), is_interpolation)


def check_gradient(suite: Suite, sample: Any, about: str) -> None:
    """Against torch's, for an upstream of small whole numbers: their sums are the same in every type and order."""
    x = sample.input.detach()
    leaves = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    mine = tensors(suite.ours(leaves[0], *sample.args, **sample.kwargs))[0]
    theirs = tensors(suite.theirs(leaves[1], *sample.args, **sample.kwargs))[0]
    upstream = torch.randint(-3, 4, mine.shape).to(mine.dtype)
    mine.backward(upstream)
    if x.dtype is torch.float16 or suite.rule == "exact":
        theirs.backward(upstream)
        if suite.rule == "exact":
            assert_equal_bits(leaves[0].grad, leaves[1].grad, about)
    if suite.rule == "linear" and (x.dim() == 4 or suite.operator != "interpolate"):
        if x.dtype is torch.float16 and equal_bits(leaves[0].grad, leaves[1].grad):
            return
        assert_linear_gradient(leaves[0].grad, upstream, weights_of(suite, sample), about)


@pytest.mark.parametrize(("suite", "dtype"), CASES)
def test_every_sample_equals_torch(suite, dtype, is_long):
    """In a quick run one in thirteen of the 1,440 samples of max_pool2d."""
    samples = [sample for sample in suite.samples(dtype) if skip_for(suite, sample) is None]
    assert samples
    for sample in samples[:: 13 if len(samples) > 1000 and not is_long else 1]:
        check_sample(suite, sample, suite.name not in OVERLAPPING)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", [named(s) for s in SUITES if s.name not in OVERLAPPING])
def test_first_and_second_gradients_agree_with_finite_differences(suite, is_long):
    """Those of every tensor that torch gives a gradient, for 8 samples spread out; 100 and each direction in a long run."""
    samples = [s for s in suite.samples(torch.float64, True) if skip_for(suite, s) is None]
    for sample in samples[:: max(len(samples) // (100 if is_long else 8), 1)]:
        x = sample.input
        if suite.rule == "norm":
            x = x.detach().abs().requires_grad_()  # a root of a negative number is NaN
        inputs = [x, *sample.args]
        leaves = [v for v in inputs if isinstance(v, torch.Tensor) and v.requires_grad]

        def call(*leaves: Any, sample: Any = sample, inputs: Any = inputs) -> Any:
            remaining = iter(leaves)
            given = [
                next(remaining) if isinstance(v, torch.Tensor) and v.requires_grad else v for v in inputs
            ]
            return tensors(suite.ours(*given, **sample.kwargs))[0]

        torch.autograd.gradcheck(call, leaves, fast_mode=not is_long)
        torch.autograd.gradgradcheck(call, leaves, fast_mode=not is_long)


@pytest.mark.parametrize("suite", [named(s) for s in SUITES if s.error_samples()])
def test_what_torch_refuses_is_refused_with_a_fitting_type(suite):
    for error in suite.error_samples():
        sample = error.sample_input
        refused = f"{tuple(sample.input.shape)} {sample.args} {sample.kwargs} ({error.error_regex})"
        try:
            suite.ours(sample.input, *sample.args, **sample.kwargs)
        except error.error_type:
            continue
        except Exception as caught:
            pytest.fail(f"{refused}: {caught!r} is no {error.error_type}")
        pytest.fail(f"{refused} was taken")


@pytest.mark.parametrize("skip", SKIPS, ids=lambda skip: skip.reason)
def test_every_skip_is_needed(skip):
    failures = 0
    for name in skip.names:
        suite = BY_NAME[name]
        for sample in itertools.chain(*(suite.samples(dtype) for dtype in suite.types)):
            if skip.applies(sample):
                try:
                    check_sample(suite, sample, True)
                except Exception:
                    failures += 1
    assert failures, f"nothing fails without it: {skip.reason}"


def test_every_operator_with_a_peer_in_torch_has_samples():
    assert {row.name for row in catalog.OPERATORS if row.peer} <= {suite.operator for suite in SUITES}
