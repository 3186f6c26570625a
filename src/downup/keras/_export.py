"""From a Keras model to an ONNX file, un-pooling included.

Run as a program, `python -m downup.keras._export MODEL.keras FILE.onnx`: how a model of another backend gets there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from downup.errors import ArgumentError, DownupError, MissingPackageError
from downup.files import replace_file
from downup.keras._backend import IS_TORCH

OPSET = 18
# Sizes to trace with, where a model leaves them open: torch takes 1 for fixed.
_BATCH, _SIZE = 2, 64


def export(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model as an ONNX file of standard operators, which ONNX Runtime and others run.

    Convention: inputs and outputs have the model's own shapes and data format; those that it leaves open stay open. On
    another backend than torch the model is saved, and a process of its own with the torch backend exports it.

    Args:
        model: a functional or sequential model, or any whose `inputs` are known.
        path: the file.

    Raises:
        ArgumentError: the model has no known inputs, or does what ONNX cannot say.
        MissingPackageError: torch or onnxscript is not installed.
    """
    for package in ("torch", "onnxscript"):
        if find_spec(package) is None:
            raise MissingPackageError(
                f"exporting a Keras model needs {package}; run: pip install 'downup[train]'"
            )
    if not getattr(model, "inputs", None):
        raise ArgumentError(
            f"model {getattr(model, 'name', model)!r} does not know its inputs; build it from keras.Input, or call it as "
            "a part of a model that is"
        )
    target = Path(path)
    if IS_TORCH:
        _export_on_torch(model, target)
    else:
        _export_elsewhere(model, target)


def _export_elsewhere(model: Any, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        command = [sys.executable, "-m", "downup.keras._export", str(saved), str(target.absolute())]
        environment = {**os.environ, "KERAS_BACKEND": "torch"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise DownupError(
            f"the torch backend could not export model {model.name!r} ({lines[-1] if lines else 'no reason given'}); "
            "save it, and export it in a program with KERAS_BACKEND=torch that knows all its layers"
        )


def _export_on_torch(model: Any, target: Path) -> None:
    import onnx_ir as ir
    import torch

    from downup.networks.export.exporter import first_error, first_line, forget_origin, quiet

    class _Flat(torch.nn.Module):
        """The model, called on its inputs one by one."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            packed = keras.tree.pack_sequence_as(self.model.input, inputs)
            return tuple(keras.tree.flatten(self.model(packed, training=False)))

    # The batch has one name everywhere; of other open sizes torch finds out itself what they must be multiples of.
    batch, other = torch.export.Dim("batch"), torch.export.Dim.DYNAMIC
    examples, open_axes = [], []
    for tensor in model.inputs:
        sizes = [(_SIZE if axis else _BATCH) if n is None else n for axis, n in enumerate(tensor.shape)]
        examples.append(torch.ones(sizes, dtype=getattr(torch, tensor.dtype)))
        open_axes.append({axis: other if axis else batch for axis, n in enumerate(tensor.shape) if n is None})
    names = [tensor.name for tensor in model.inputs]
    with quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                _Flat().eval(), tuple(examples), dynamic_shapes=(tuple(open_axes),), strict=False
            )
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                verbose=False,
            )
        except Exception as error:  # whatever torch's parts and the model's own layers raise
            raise _refusal(model, first_line(first_error(error))) from error
    assert made is not None
    forget_origin(made.model)
    _name_outputs(made.model.graph, [str(name) for name in model.output_names])
    replace_file(target, lambda temporary: ir.save(made.model, temporary))


def _name_outputs(graph: Any, names: list[str]) -> None:
    """Outputs by the names of their layers, which values inside the graph may have taken."""
    for node in graph:
        for value in node.outputs:
            if value.name in names:
                value.name = f"{value.name}_within"
    for value, name in zip(graph.outputs, names, strict=True):
        value.name = name


def _refusal(model: Any, reason: str) -> ArgumentError:
    return ArgumentError(
        f"model {model.name!r} cannot be exported ({reason}); fix the sizes of its keras.Input where they are open, and "
        "leave out what depends on values"
    )


if __name__ == "__main__":
    export(keras.models.load_model(sys.argv[1]), sys.argv[2])
