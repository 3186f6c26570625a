"""From a torch network to an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from downup.errors import ArgumentError
from downup.files import replace_file
from downup.networks.export.exporter import first_error, first_line, forget_origin, quiet
from downup.networks.export.translations import translation_table
from downup.networks.export.unpooling import tell_positions_by_taps

OPSET = 18
INPUT, OUTPUT = "pictures", "scores"
_OPEN_AXES = (0, 2, 3)


@dataclass(frozen=True)
class Exported:
    """The same network twice: as the graph that torch traced, and in ONNX."""

    program: ExportedProgram
    model: ir.Model

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the ONNX file, whole or not at all."""
        replace_file(Path(path), lambda temporary: ir.save(self.model, temporary))


def export_onnx(
    module: nn.Module,
    example: Tensor,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a torch network as an ONNX file that takes any batch, height and width.

    Convention: standard operators of opset 18 alone, which ONNX Runtime and OpenVINO run; un-pooling is told by taps
    where windows tile the plane, and by a scatter of positions elsewhere.

    Args:
        module: any network from one picture tensor to one tensor; exported as in evaluation.
        example: [batch, channels, height, width] on the network's device, each open size at least 2; its numbers do not
            matter.
        path: the file.
        metadata: written into the file, words by words.

    Returns:
        What was written, for whoever wants to look at it.

    Raises:
        ArgumentError: the network ties its graph to the size of the example, or holds what ONNX cannot say.
    """
    exported = trace(module, example)
    exported.model.metadata_props.update(metadata or {})
    exported.write(path)
    return exported


def trace(module: nn.Module, example: Tensor) -> Exported:
    """`export_onnx` without a file."""
    if example.dim() != 4 or min(example.shape[axis] for axis in _OPEN_AXES) < 2:
        raise ArgumentError(
            f"example has shape {list(example.shape)}; use [batch, channels, height, width] with at least 2 of each open "
            "size, since torch takes a size of 1 for fixed"
        )
    open_sizes = dict.fromkeys(_OPEN_AXES, torch.export.Dim.DYNAMIC)
    with _evaluating(module), quiet(), torch.no_grad():
        try:
            program = torch.export.export(module, (example,), dynamic_shapes=(open_sizes,), strict=False)
        except Exception as error:  # torch raises whatever its own parts and the network's code do
            raise _refusal("cannot be traced for all sizes at once", error) from error
        tell_positions_by_taps(program)
        try:
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                custom_translation_table=translation_table(),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise _refusal("holds what ONNX cannot say", error) from error
    assert made is not None
    forget_origin(made.model)
    return Exported(program, made.model)


def _refusal(what: str, error: BaseException) -> ArgumentError:
    reason = first_error(error)
    if isinstance(reason, ArgumentError):
        return ArgumentError(f"module {what}: {reason}")
    return ArgumentError(
        f"module {what} ({first_line(reason)}); write it without branches on sizes or values"
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
