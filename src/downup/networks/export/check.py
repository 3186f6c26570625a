"""Whether ONNX Runtime, an engine of others, computes from the file what torch computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from downup.errors import MissingPackageError
from downup.networks.export.unpooling import POOL_TAPS
from downup.networks.export.writer import Exported

SIZES = ((1, 64, 64), (2, 97, 131), (1, 33, 47), (1, 160, 90), (3, 1, 5))
# float32 in another order of sums, through the deepest networks here, differs by a few millionths of the largest score.
MOST_DIFFERENCE = 1e-4
LEAST_SAME = 0.9999
_TINY = 1e-30  # scores that are all zero


@dataclass(frozen=True)
class Agreement:
    """How two engines agree at one size.

    Args:
        size: batch, rows and columns of the pictures.
        difference: the largest between two scores, as a share of the largest score; of un-pooled ones with the positions
            held to those that ONNX Runtime took.
        same: share of the pixels with equal labels, each engine by itself.
        moved: how many positions of max pools differ, which rounding can bring about.
    """

    size: tuple[int, int, int]
    difference: float
    same: float
    moved: int

    @property
    def is_close(self) -> bool:
        """Whether both are within the bounds."""
        return self.difference <= MOST_DIFFERENCE and self.same >= LEAST_SAME


def check_against_onnxruntime(
    exported: Exported, channels: int, sizes: Sequence[tuple[int, int, int]] = SIZES
) -> Iterator[Agreement]:
    """Run random pictures of each size through torch and ONNX Runtime.

    Args:
        exported: what `export_onnx` wrote.
        channels: of the pictures.
        sizes: batch, rows and columns of each.

    Raises:
        MissingPackageError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingPackageError(
            "checking an ONNX file needs ONNX Runtime; install it with: pip install onnxruntime"
        ) from error
    model, tap_count = _with_taps(exported.model)
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    network = exported.program.module(check_guards=False)
    generator = torch.Generator().manual_seed(0)
    device = next(network.parameters()).device
    for size in sizes:
        pictures = torch.randn((size[0], channels, *size[1:]), generator=generator)
        scores, *taken = session.run(None, {session.get_inputs()[0].name: pictures.numpy()})
        with torch.no_grad():
            free = _Held(network, None)
            wanted = free.run(pictures.to(device)).cpu().numpy()
            held = wanted
            if tap_count:
                held = _Held(network, taken).run(pictures.to(device)).cpu().numpy()
        moved = sum(int((own != other).sum()) for own, other in zip(free.taken, taken, strict=True))
        largest = max(float(np.abs(held).max()), _TINY)
        yield Agreement(
            size,
            difference=float(np.abs(scores - held).max()) / largest,
            same=float((scores.argmax(1) == wanted.argmax(1)).mean()),
            moved=moved,
        )


def _with_taps(model: ir.Model) -> tuple[ir.Model, int]:
    """The model with the positions of its un-pooling as further outputs."""
    model = ir.from_proto(ir.to_proto(model))
    found = [
        reshape.outputs[0]
        for node in model.graph
        if node.op_type == "ArgMax"
        for reshape in node.outputs[0].consumers()
    ]
    for value in found:
        value.type = ir.TensorType(ir.DataType.INT64)
    model.graph.outputs.extend(found)
    return model, len(found)


class _Held(torch.fx.Interpreter):
    """Runs a traced network, and takes given positions in its pools."""

    def __init__(self, network: torch.fx.GraphModule, given: Sequence[NDArray[np.int64]] | None) -> None:
        super().__init__(network)
        self.given = given
        self.taken: list[NDArray[np.int64]] = []

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is not POOL_TAPS:
            return super().call_function(target, args, kwargs)
        taken: Tensor = target(*args, **kwargs)
        if self.given is not None:
            taken = torch.from_numpy(self.given[len(self.taken)]).to(taken.device)
        self.taken.append(taken.cpu().numpy())
        return taken
