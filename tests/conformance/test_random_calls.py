"""Random calls of every operator against torch: accepted alike, refused alike, and equal."""

from __future__ import annotations

import collections
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from conformance.agreement import (
    UNIT,
    Weights,
    assert_equal_bits,
    assert_linear,
    assert_linear_gradient,
    assert_near,
    assert_norm,
    equal_bits,
    tensors,
)
from conformance.random_calls import GENERATORS, Call, Dice
from conformance.wrong_calls import spoiled
from downup import catalog, ops

SHARE_WRONG = 0.15
# ArgumentError is a ValueError; the others are what torch and Python itself raise.
REFUSALS = (ValueError, RuntimeError, TypeError, IndexError, ArithmeticError)


@dataclass(frozen=True)
class Difference:
    """Calls that torch takes and downup refuses, or the other way round.

    told: words of the row of docs/differences.md that says so.
    """

    operators: tuple[str, ...]
    who_refuses: str
    applies: Callable[[Call, Exception], bool]
    told: str


ALL = tuple(GENERATORS)
DIFFERENCES = (
    Difference(
        ALL,
        "torch",
        lambda call, refusal: isinstance(refusal, NotImplementedError),
        "an element type for which PyTorch has no kernel",
    ),
    Difference(
        ("max_pool2d",),
        "torch",
        lambda call, refusal: call.x.dtype is torch.uint8 and "input_depth" in str(refusal),
        "`max_pool2d` of channels-last bytes, more than 255 to a plane",
    ),
    Difference(
        ("interpolate",),
        "torch",
        lambda call, refusal: call.x.dtype is torch.uint8 and "unpacked_output" in str(refusal),
        "`interpolate` of three channels of bytes to one pixel",
    ),
    Difference(
        ("interpolate",),
        "torch",
        lambda call, refusal: call.arguments.get("size") == (3,),
        "`interpolate` to a `size` of one number in a tuple",
    ),
    Difference(
        ("interpolate",),
        "torch",
        lambda call, refusal: call.arguments["mode"] == "lanczos" and "Lanczos" in str(refusal),
        "`interpolate` with lanczos: `antialias` left out, or corners aligned",
    ),
    Difference(
        ("adaptive_avg_pool2d",),
        "downup",
        lambda call, refusal: call.x.dim() not in (3, 4),
        "`adaptive_avg_pool2d` of other than three or four axes, to one sample",
    ),
    Difference(
        ("interpolate",),
        "downup",
        lambda call, refusal: call.x.is_complex(),
        "`interpolate` of complex samples where no size changes",
    ),
    Difference(
        ("interpolate", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
        "downup",
        lambda call, refusal: call.spoiled in ("size", "output_size", "scale_factor"),
        "a `size` of 0",
    ),
    Difference(
        ("max_unpool2d", "conv_transpose2d"),
        "downup",
        lambda call, refusal: call.spoiled in ("kernel_size", "stride", "padding", "dilation"),
        "an argument without sense that is never looked at",
    ),
    Difference(
        ALL,
        "downup",
        lambda call, refusal: 0 in call.x.shape[-3:],
        "an image without channels, rows or columns",
    ),
)


def outcome(function: Callable[..., Any], call: Call, x: torch.Tensor) -> tuple[Any, Exception | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(x, *call.tensors, **call.arguments), None
    except REFUSALS as caught:
        return None, caught


def peer(operator: str) -> Callable[..., Any]:
    return catalog.resolve(catalog.find(operator).peer)


def check(call: Call) -> bool:
    """Whether the call was accepted by both."""
    needs_gradient = call.x.is_floating_point() and not call.x.is_complex()
    leaves = [call.x.detach().requires_grad_(needs_gradient) for _ in range(2)]
    theirs, their_refusal = outcome(peer(call.operator), call, leaves[0])
    ours, our_refusal = outcome(getattr(ops, call.operator), call, leaves[1])
    if (their_refusal is None) != (our_refusal is None):
        who = "torch" if our_refusal is None else "downup"
        is_told = any(
            call.operator in difference.operators
            and difference.who_refuses == who
            and difference.applies(call, their_refusal or our_refusal)
            for difference in DIFFERENCES
        )
        assert is_told, f"only {who} refuses {call}: {our_refusal or their_refusal!r}"
    if ours is None or theirs is None:
        return False
    if call.operator == "pixel_unshuffle" and call.x.numel() == 0:
        return True  # torch returns the image as it was: docs/differences.md
    if call.arguments.get("antialias") and ours.shape[-1] == 1:
        return True  # torch reads its buffer askew: docs/differences.md
    compare(call, ours, theirs)
    if needs_gradient:
        compare_gradients(call, leaves, tensors(ours)[0], tensors(theirs)[0])
    return True


def in_float64(call: Call) -> Callable[[torch.Tensor], torch.Tensor]:
    others = [t.double() if t is not None and t.is_floating_point() else t for t in call.tensors]
    return lambda x: peer(call.operator)(x, *others, **call.arguments)


def weights_of(call: Call) -> Weights:
    is_interpolation = call.operator == "interpolate" and call.arguments["mode"] != "area"
    return Weights(in_float64(call), tuple(call.x.shape[-2:]), is_interpolation)


def compare(call: Call, ours: Any, theirs: Any) -> None:
    x = call.x.detach()
    if call.rule == "exact" or x.is_complex() or (call.rule != "linear" and not x.is_floating_point()):
        assert_equal_bits(ours, theirs, call)
        return
    assert ours.dtype == theirs.dtype, call
    if equal_bits(ours, theirs) and not has_kernel(x):
        return  # torch's function itself
    if call.rule == "linear":
        assert_linear(ours, x, weights_of(call), call)
    elif call.rule == "norm":
        exact = in_float64(call)(x.double())
        assert_norm(ours, exact, call)
    elif not equal_bits(ours, theirs):
        exact, magnitude = in_float64(call)(x.double()), magnitudes(call, x)
        assert_near(ours, exact, magnitude, 2 * call.tensors[0][0].numel() + 4, call)


def has_kernel(x: torch.Tensor) -> bool:
    return x.dtype in (torch.float32, torch.float64, torch.bfloat16, torch.uint8)


def magnitudes(call: Call, x: torch.Tensor) -> torch.Tensor:
    others = [None if t is None else t.double().abs() for t in call.tensors]
    return peer(call.operator)(x.double().abs(), *others, **call.arguments)


def compare_gradients(call: Call, leaves: list[Any], ours: Any, theirs: Any) -> None:
    """For an upstream of small whole numbers, whose sums no order and no type rounds."""
    upstream = torch.randint(-3, 4, ours.shape).to(ours.dtype)
    if call.operator == "max_unpool2d" and has_repeats(call.tensors[0]):
        return  # docs/differences.md
    ours.backward(upstream)
    mine, other = leaves[1].grad, their_gradient(call, leaves[0], theirs, upstream)
    if call.rule == "linear":
        if has_kernel(mine) or other is None or not equal_bits(mine, other):
            assert_linear_gradient(mine, upstream, weights_of(call), call)
    elif other is None:
        return
    elif call.rule == "exact":
        assert_equal_bits(mine, other, call)
    elif not equal_bits(mine, other):
        x = leaves[1].detach().double().requires_grad_()
        (exact,) = torch.autograd.grad(in_float64(call)(x), x, upstream.double())
        largest = exact.abs().max().expand(exact.shape)
        assert_near(mine, exact, largest, 64, call, 8 * UNIT[mine.dtype] * largest)


def has_repeats(positions: torch.Tensor) -> bool:
    return bool(positions.contiguous().flatten(-2).sort(-1).values.diff(dim=-1).eq(0).any())


def their_gradient(call: Call, leaf: Any, theirs: Any, upstream: torch.Tensor) -> torch.Tensor | None:
    """torch's, or None where it has none: of some empty images, and of types its backward does not know."""
    try:
        theirs.backward(upstream)
    except RuntimeError:
        if call.operator != "max_unpool2d" or not call.x.numel():
            return None
        # It takes positions that are views on the way up, but not on the way back.
        leaf = call.x.detach().clone().requires_grad_()
        F.max_unpool2d(leaf, call.tensors[0].contiguous(), **call.arguments).backward(upstream)
    return leaf.grad


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("operator", GENERATORS)
def test_random_calls_agree_with_torch(operator, is_long, tell):
    """About one call in seven has an argument out of its range."""
    count = -(-(200_000 if is_long else 2_000) // len(GENERATORS))
    seed = secrets.randbits(48)
    mix: collections.Counter[str] = collections.Counter()
    threads = torch.get_num_threads()
    try:
        for index in range(count):
            dice = Dice.of(seed + index)
            call = GENERATORS[operator](dice)
            if dice.chance(SHARE_WRONG):
                call = spoiled(dice, call)
            torch.set_num_threads(1 + index % 2)
            try:
                is_accepted = check(call)
            except Exception as caught:
                raise AssertionError(f"seed {seed + index}: {call}") from caught
            mix.update([*call.traits, "accepted" if is_accepted else "refused"])
    finally:
        torch.set_num_threads(threads)
    assert mix["accepted"] > count / 2
    shares = ", ".join(f"{trait} {n / count:.0%}" for trait, n in mix.most_common())
    tell(f"{count} random calls of {operator} agree with torch: {shares}")


def test_every_operator_with_a_peer_in_torch_is_called():
    assert {row.name for row in catalog.OPERATORS if row.peer} <= set(GENERATORS)


def test_every_difference_is_told_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    for difference in DIFFERENCES:
        assert difference.told in page
