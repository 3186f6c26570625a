"""The node tests of the ONNX standard: inputs, attributes and expected outputs, written by others."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from conformance.onnx_calls import NODES, run_node

with warnings.catch_warnings():
    # The cases are computed when their module is imported; those of other operators overflow on purpose.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    # Graphs of one node: the other Convs are parts of a one-dimensional operator that ONNX spells out.
    CASES = {
        case.name: case
        for case in collect_testcases(None)
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in NODES
    }


@dataclass(frozen=True)
class Skip:
    reason: str
    applies: Callable[[Any], bool]


def images(case: Any) -> np.ndarray:
    return case.data_sets[0][0][0]


SKIPS = (
    Skip("one or three dimensions: downup's are two", lambda case: images(case).ndim != 4),
    Skip(
        "corners aligned at the unrounded size, 2.4 samples: torch's and downup's corners are those of the image",
        lambda case: "downsample_scales" in case.name and "align_corners" in case.name,
    ),
    Skip("a region of interest that is cut out and resized in one", lambda case: "tf_crop" in case.name),
)


def run_case(case: Any) -> None:
    node = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for given, expected in case.data_sets:
        arrays = iter(given)
        inputs = [torch.from_numpy(np.array(next(arrays))) if name else None for name in node.input]
        outputs = run_node(node.op_type, attributes, inputs)
        # A pool may be asked for its samples without their positions.
        for ours, theirs in zip(outputs[: len(expected)], expected, strict=True):
            assert ours.numpy().dtype == theirs.dtype
            assert tuple(ours.shape) == theirs.shape
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=case.rtol, atol=case.atol)


def skip_for(case: Any) -> Skip | None:
    return next((skip for skip in SKIPS if skip.applies(case)), None)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if skip_for(case) is None])
def test_node_gives_the_expected_output(name):
    run_case(CASES[name])


@pytest.mark.parametrize("skip", SKIPS, ids=lambda skip: skip.reason)
def test_every_skip_is_needed(skip):
    skipped = [case for case in CASES.values() if skip.applies(case)]
    assert skipped
    for case in skipped:
        try:
            run_case(case)
        except Exception:
            continue
        pytest.fail(f"{case.name} passes: it need not be skipped")


def test_every_operator_has_cases():
    counts = dict.fromkeys(NODES, 0)
    for case in CASES.values():
        counts[case.model.graph.node[0].op_type] += skip_for(case) is None
    # ONNX has no case of its own for this one.
    assert [operator for operator, count in counts.items() if count == 0] == ["GlobalLpPool"]
