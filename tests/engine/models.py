"""Small ONNX models, written in memory and run by the engine and by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from downup import engine, graph

OPSET = 20


def model_of(nodes, inputs, outputs, weights=None, opset=OPSET):
    """A model of `nodes`; inputs are arrays by name, outputs names; sizes are left open."""
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"{name}{i}" for i in range(array.ndim)]
        )
        for name, array in inputs.items()
    ]
    found = [helper.make_empty_tensor_value_info(name) for name in outputs]
    for info in found:
        info.type.tensor_type.elem_type = TensorProto.FLOAT
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()]
    made = helper.make_graph(nodes, "test", given, found, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def session_of(model, threads=1):
    return engine.Session(graph.prepare(ir.from_proto(model)), threads=threads)


def run_peer(model, inputs):
    """ONNX Runtime's outputs, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_engine(model, inputs, threads=1):
    found = session_of(model, threads).run(dict(inputs))
    return found if isinstance(found, dict) else {model.graph.output[0].name: found}


def as_weights(model, arrays, names):
    """The same model with some of its inputs as weights."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value in list(changed.graph.input):
        if value.name in names:
            changed.graph.input.remove(value)
            changed.graph.initializer.append(
                numpy_helper.from_array(np.asarray(arrays[value.name]), value.name)
            )
    return changed
