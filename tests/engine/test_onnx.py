"""The node tests of the ONNX standard, run by the engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from downup.engine.lower import FOLDED, LOWERINGS
from engine.models import as_weights, session_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    CASES = {
        case.name: case
        for case in collect_testcases(None)
        if all(node.op_type in LOWERINGS or node.op_type in FOLDED for node in case.model.graph.node)
        and not case.model.functions
        and all(value.type.HasField("tensor_type") for value in case.model.graph.input)
    }


@dataclass(frozen=True)
class Skip:
    reason: str
    applies: Callable[[Any], bool]


def inputs_of(case):
    return [array for given, _ in case.data_sets for array in given]


def operator_of(case):
    return case.model.graph.node[0].op_type


def attribute_of(case, name):
    return next((a for node in case.model.graph.node for a in node.attribute if a.name == name), None)


def is_plain(array):
    return isinstance(array, (np.ndarray, np.generic)) and (
        array.dtype.kind in "fiub" or array.dtype.name == "bfloat16"
    )


def arrays_of(case):
    return [array for data_set in case.data_sets for arrays in data_set for array in arrays]


WINDOWS = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "MaxUnpool"}

SKIPS = (
    Skip("numbers of a type that NumPy does not have", lambda case: not all(map(is_plain, arrays_of(case)))),
    Skip(
        "an array without elements",
        lambda case: any(
            np.size(given[0]) == 0 for given, _ in case.data_sets if given and is_plain(given[0])
        ),
    ),
    Skip(
        "pictures of three dimensions",
        lambda case: operator_of(case) in WINDOWS and inputs_of(case)[0].ndim > 4,
    ),
    Skip(
        "pools of whole numbers",
        lambda case: operator_of(case) in WINDOWS and inputs_of(case)[0].dtype.kind in "iu",
    ),
    Skip("a region of interest that is cut out and resized in one", lambda case: "tf_crop" in case.name),
    Skip(
        "sizes that are computed from the picture: here the first input",
        lambda case: operator_of(case) in ("ConstantOfShape", "Range"),
    ),
    Skip(
        "corners aligned at the unrounded size, 2.4 samples: torch's and downup's corners are those of the image",
        lambda case: "downsample_scales" in case.name and "align_corners" in case.name,
    ),
    Skip(
        "positions that count in a smaller image than is asked for: exporters count in the image itself",
        lambda case: case.name == "test_maxunpool_export_with_output_shape",
    ),
    Skip("weights that are NaN are refused", lambda case: "mod_float_edge_cases" in case.name),
    Skip("in training mode", lambda case: attribute_of(case, "training_mode") is not None),
)


def skip_for(case):
    return next((skip for skip in SKIPS if skip.applies(case)), None)


def run_case(case):
    names = [value.name for value in case.model.graph.input]
    for given, expected in case.data_sets:
        arrays = dict(zip(names, map(np.asarray, given), strict=True))
        # What an exported network has as a weight is an input here; all but the first may be.
        session = session_of(as_weights(case.model, arrays, names[1:]))
        found = session.run({names[0]: arrays[names[0]]} if names else {})
        outputs = list(found.values()) if isinstance(found, dict) else [found]
        for ours, theirs in zip(outputs, expected, strict=True):
            theirs = np.asarray(theirs)
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=case.rtol, atol=case.atol)


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
