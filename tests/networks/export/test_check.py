"""The check of an exported network against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

from downup.networks import NetworkConfig, build
from downup.networks.export import Exported, check_against_onnxruntime
from downup.networks.export.writer import trace
from networks.export.engines import enliven


@pytest.fixture(scope="module")
def segnet() -> Exported:
    network = enliven(build(NetworkConfig(model="segnet", classes=3, width=0.01)))
    return trace(network, torch.zeros(2, 3, 64, 64))


def test_an_exported_network_agrees_at_five_sizes(segnet: Exported) -> None:
    found = list(check_against_onnxruntime(segnet, 3))
    assert len(found) == 5
    assert all(agreement.is_close for agreement in found)
    assert max(agreement.difference for agreement in found) > 0


def test_another_weight_in_the_file_is_found(segnet: Exported) -> None:
    weight = next(value for value in segnet.model.graph.initializers.values() if len(value.shape or ()) == 4)
    before = weight.const_value
    assert before is not None
    numbers = before.numpy().copy()
    numbers[0, 0, 1, 1] += 0.05
    weight.const_value = ir.tensor(numbers)
    try:
        assert not all(agreement.is_close for agreement in check_against_onnxruntime(segnet, 3))
    finally:
        weight.const_value = before


def test_positions_that_rounding_moved_are_counted_and_held(segnet: Exported) -> None:
    """Pictures of one value leave all samples of a window equal but for rounding."""
    assert all(agreement.moved >= 0 for agreement in check_against_onnxruntime(segnet, 3, [(1, 64, 64)]))
    argmax = next(node for node in segnet.model.graph if node.op_type == "ArgMax")
    argmax.attributes["select_last_index"] = ir.AttrInt64("select_last_index", 1)
    try:
        (agreement,) = check_against_onnxruntime(segnet, 3, [(1, 64, 64)])
    finally:
        del argmax.attributes["select_last_index"]
    # Zeros after ReLU tie, so the last of them is another; with the positions held, the scores are the same.
    assert agreement.moved > 0
    assert agreement.difference < 1e-5
    assert np.isfinite(agreement.same)
