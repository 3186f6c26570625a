"""Weights are packed once for all plans, and let go then: a packed one takes up to four times the memory already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import onnx_ir as ir

from downup import graph
from downup.errors import DataError
from downup.graph.nodes import is_constant
from downup.precision import Precision

Load = Callable[[], ir.Model]

# Less is not worth reading a file again.
_LEAST_BYTES = 1 << 12


class Weights:
    """What kernels hold of a network's weights.

    precision: what they are packed for.
    load: gives the network once more, with all its weights; None if they must stay where they are.
    """

    def __init__(self, precision: Precision, load: Load | None = None) -> None:
        self.precision = precision
        self._load = load
        self._packed: dict[Any, Any] = {}
        self._away: set[str] = set()
        self._loaded: ir.Model | None = None

    def packed(self, key: Any, values: Iterable[ir.Value], make: Callable[[], Any]) -> Any:
        """What `make` makes of weights, the first time that it is asked for under this key."""
        if key not in self._packed:
            for value in values:
                self.bring_back(value)
            self._packed[key] = make()
            for value in values:
                self._let_go(value)
        return self._packed[key]

    def bring_back(self, value: ir.Value) -> None:
        """See that a weight has its numbers, which may have been let go.

        Raises:
            DataError: they cannot be read again.
        """
        name = value.name or ""
        if name not in self._away:
            return
        assert self._load is not None
        self._loaded = self._loaded or self._load()
        value.const_value = self._loaded.graph.initializers[name].const_value
        self._away.remove(name)

    def settle(self) -> None:
        """A plan is made: nothing more is brought back for now."""
        self._loaded = None

    def _let_go(self, value: ir.Value) -> None:
        tensor = value.const_value
        is_needed = len(value.uses()) != 1 or value.is_graph_output()
        if self._load is None or is_needed or tensor is None or tensor.nbytes < _LEAST_BYTES:
            return
        # One number in memory, of the same shape and type for all who look at those; none, should one count with it.
        stand_in = np.broadcast_to(np.full((), np.nan, tensor.dtype.numpy()), tuple(tensor.shape.numpy()))
        value.const_value = ir.Tensor(stand_in, dtype=tensor.dtype, name=value.name)
        self._away.add(value.name or "")


class ModelFile:
    """A file that is held open, so that it can be read again when its name is gone or another file has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finalize(self, os.close, self._descriptor)
        self._state = self._look()

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def read(self) -> ir.Model:
        """The network in the file, as `downup.graph.read` returns it.

        Raises:
            DataError: something else was written into the file.
        """
        content = bytearray()
        # Not by a file object: its place in the file would be shared with forked processes.
        while piece := os.pread(self._descriptor, 1 << 30, len(content)):
            content += piece
        if self._look() != self._state:
            raise DataError(
                f"{self._path}: was written into since it was loaded, and is needed again for another size of picture; "
                f"load it again, and replace such files as a whole (write beside, then rename)"
            )
        return graph.read(self._path, bytes(content))


def weights_of(node: ir.Node) -> list[ir.Value]:
    """The inputs of a node but for the first, if they are weights."""
    return [value for value in node.inputs[1:] if value is not None and is_constant(value)]
