"""On random networks: shapes are those of ONNX Runtime, and what was rewritten computes the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from downup import graph
from graph.builders import run_onnx
from graph.random_networks import RandomNetwork


def test_shapes_of_all_values_are_those_of_onnx_runtime(is_long):
    for seed in range(300 if is_long else 25):
        model = RandomNetwork(seed).make()
        prepared = graph.prepare(ir.from_proto(model))
        random = np.random.default_rng(seed)
        x = random.standard_normal((random.integers(1, 3), 3, *random.integers(20, 40, 2))).astype(np.float32)
        known = graph.shapes.infer(prepared, {"x": x.shape})
        proto = ir.to_proto(prepared)
        names = [name for node in proto.graph.node for name in node.output if name]
        del proto.graph.output[:]
        proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
        for name, array in zip(names, run_onnx(proto, {"x": x}), strict=True):
            assert known[name].shape == array.shape, f"seed {seed}: {name}"
            assert known[name].dtype.numpy() == array.dtype, f"seed {seed}: {name}"
            if known[name].value is not None:
                np.testing.assert_array_equal(known[name].value, array, err_msg=f"seed {seed}: {name}")


def test_rewritten_networks_compute_the_same(is_long):
    applied: dict[str, int] = {}
    count, moved = 1000 if is_long else 40, 0
    for seed in range(1000, 1000 + count):
        model = RandomNetwork(seed).make()
        ours = graph.prepare(ir.from_proto(model))
        for change in graph.rewrite(ours):
            applied[change.rule] = applied.get(change.rule, 0) + 1
        proto = ir.to_proto(ours)
        random = np.random.default_rng(seed)
        for batch in (1, 2):
            x = random.standard_normal((batch, 3, *random.integers(20, 50, 2))).astype(np.float32)
            (a,), (b,) = run_onnx(proto, {"x": x}), run_onnx(model, {"x": x})
            assert a.shape == b.shape, f"seed {seed}"
            error = np.linalg.norm(a - b) / np.linalg.norm(b)
            # Rounding may move the position of a maximum, and what is un-pooled there with it.
            has_positions = any(node.op_type == "MaxUnpool" for node in model.graph.node)
            assert error < (0.2 if has_positions else 2e-6), f"seed {seed}: {error}"
            moved += error >= 2e-6
    assert moved <= count * 0.05
    # What exporters make of un-pooling is no standard spelling: test_unpoolings.py has theirs.
    expected = set(graph.RULES) - {"scatter-to-unpool"}
    assert set(applied) == expected, f"never applied: {expected - set(applied)}"
