"""The suites of this folder catch the bugs that such operators have had: each is planted, and has to be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from conformance import test_onnx
from conformance.bugs import BUGS
from conformance.opinfo_calls import SUITES
from conformance.planted import planted
from conformance.random_calls import GENERATORS, Dice
from conformance.test_opinfo import check_sample, skip_for
from conformance.test_random_calls import check
from ops import test_select

Step = Callable[[], object]

NODES = {
    "max_pool2d": ("MaxPool",),
    "max_unpool2d": ("MaxUnpool",),
    "avg_pool2d": ("AveragePool",),
    "interpolate": ("Resize", "Upsample"),
    "pixel_shuffle": ("DepthToSpace",),
    "conv2d": ("Conv",),
    "conv_transpose2d": ("ConvTranspose",),
}


def random_steps(operator: str) -> Iterator[Step]:
    """The same sixty calls every time."""
    for seed in range(60):
        yield lambda seed=seed: check(GENERATORS[operator](Dice.of(seed)))


def opinfo_steps(operator: str) -> Iterator[Step]:
    for suite in SUITES:
        if suite.operator == operator and suite.name != "max_pool2d_with_indices_backward":
            samples = [s for s in suite.samples(torch.float32) if skip_for(suite, s) is None]
            for sample in samples[:: max(len(samples) // 20, 1)]:
                has_gradient = suite.name != "nn.functional.max_unpool2d"
                yield lambda suite=suite, sample=sample, g=has_gradient: check_sample(suite, sample, g)


def onnx_steps(operator: str) -> Iterator[Step]:
    for case in test_onnx.CASES.values():
        if case.model.graph.node[0].op_type in NODES.get(operator, ()) and test_onnx.skip_for(case) is None:
            yield lambda case=case: test_onnx.run_case(case)


def example_steps(operator: str) -> Iterator[Step]:
    """Worked examples, for what torch leaves open."""
    if operator == "max_unpool2d":
        yield test_select.test_of_repeated_positions_the_last_is_kept_and_only_it_gets_the_gradient


CHECKS = {"random": random_steps, "OpInfo": opinfo_steps, "ONNX": onnx_steps, "example": example_steps}


def catching(operator: str) -> list[str]:
    """The checks that fail for this operator; each stops at its first failure."""
    found = []
    for name, steps in CHECKS.items():
        for step in steps(operator):
            try:
                step()
            except Exception:
                found.append(name)
                break
    return found


@pytest.mark.parametrize("operator", sorted({bug.operator for bug in BUGS}))
def test_without_a_bug_every_check_passes(operator):
    assert catching(operator) == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.operator}: {bug.what}")
def test_a_planted_bug_is_caught(bug):
    with planted(bug):
        assert catching(bug.operator), "every check passes with the bug"
