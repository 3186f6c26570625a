"""Small ONNX models for the tests, and ONNX Runtime to judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Builder:
    """Collects nodes and weights; `model` makes them one model with the input `x`."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, array: object, dtype: object = np.float32) -> str:
        """Adds a weight; returns its name."""
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, dtype=dtype), name))
        return name

    def ints(self, *numbers: int) -> str:
        return self.weight(numbers, np.int64)

    def normal(self, *shape: int) -> str:
        """Adds a weight of normal random numbers, scaled as trained ones are."""
        fan = max(1, int(np.prod(shape[1:])))
        return self.weight(self.random.standard_normal(shape) / np.sqrt(fan))

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """Adds a node; returns the name of its first output (the next are `name:1` and so on)."""
        first = f"{operator.lower()}{len(self.nodes)}"
        names = [first] + [f"{first}:{number}" for number in range(1, outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=f"n_{first}", **attributes))
        return first

    def conv(self, x: str, into: int, out: int, size: int = 3, **attributes: object) -> str:
        """Adds a convolution with a bias that keeps the size, unless `attributes` say otherwise."""
        group = int(attributes.get("group", 1))  # type: ignore[call-overload]
        attributes.setdefault("pads", [size // 2] * 4)
        return self.node(
            "Conv", x, self.normal(out, into // group, size, size), self.normal(out), **attributes
        )

    def batch_norm(self, x: str, channels: int) -> str:
        scale, spread = self.random.uniform(0.5, 2, (2, channels))
        return self.node(
            "BatchNormalization", x, self.weight(scale), self.normal(channels), self.normal(channels),
            self.weight(spread),
        )  # fmt: skip

    def model(
        self,
        *outputs: str,
        shape: Sequence[int | str] = ("n", 3, "h", "w"),
        opset: int = 17,
        dtype: int = FLOAT,
        domains: Sequence[str] = (),
        functions: Sequence[onnx.FunctionProto] = (),
    ) -> onnx.ModelProto:
        """The model of all nodes so far; its outputs are the last node's unless named."""
        names = outputs or (self.nodes[-1].output[0],)
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", dtype, shape)],
            [helper.make_empty_tensor_value_info(name) for name in names],
            self.weights,
        )
        versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=10, functions=functions)
        # The outputs' types and ranks, which a file must state.
        inferred = onnx.shape_inference.infer_shapes(model)
        del model.graph.output[:]
        model.graph.output.extend(inferred.graph.output)
        return model


def run_onnx(model: onnx.ModelProto | str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model in ONNX Runtime, its own rewriting switched off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    given = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))
