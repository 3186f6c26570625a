"""A network that is ready to run: plans for the sizes used last, weights packed once, memory that runs borrow."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, Literal, Self

import numpy as np
import onnx_ir as ir

from downup import graph
from downup.engine.lower import FOLDED, LOWERINGS
from downup.engine.memory import Blocks
from downup.engine.plan import Found, Plan, Wants, make_plan
from downup.engine.values import Array
from downup.engine.weights import ModelFile, Weights
from downup.errors import ArgumentError, DataError
from downup.geometry import whole
from downup.graph.nodes import name_node
from downup.precision import PRECISIONS, Precision

Layout = Literal["nchw", "nhwc"]

# What these rules spare other engines costs nothing here: a convolution takes a nearest upsampling before it and an
# activation after it along, in fewer multiplications than the rewritten network has.
DONE_BY_KERNELS = frozenset({"nearest-convolution", "pool-before-activation"})

# Of the sizes used last: windows of a picture have nine, first, middle and last ones along both axes.
_MOST_PLANS = 12


@dataclass(frozen=True)
class StepInfo:
    """What `Session.steps` tells of a step.

    operators: those of ONNX that it stands for.
    algorithm: how it is done.
    reads, writes: shapes.
    bytes: read and written.
    """

    name: str
    operators: str
    algorithm: str
    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    multiply_adds: int
    bytes: int


class Network:
    """Runs an ONNX network, whatever it computes; its arguments are those of `downup.engine.Session`."""

    def __init__(self, model: str | Path | ir.Model, threads: int | None, *, precision: Precision) -> None:
        if precision not in PRECISIONS:
            raise ArgumentError(f"precision is {precision!r}; use {' or '.join(map(repr, PRECISIONS))}")
        self._source = "" if isinstance(model, ir.Model) else f"{model}: "
        if isinstance(model, ir.Model):
            # A model that was given stays as it is.
            self._model = _rewritten(model.clone())
            self._weights = Weights(precision)
        else:
            file = ModelFile(Path(model))
            self._model = _rewritten(graph.read(model), self._source)
            has_external = self._model.meta[graph.HAS_EXTERNAL]
            load = None if has_external else lambda: _rewritten(file.read())
            self._weights = Weights(precision, load)
        self.threads = (
            len(os.sched_getaffinity(0)) if threads is None else whole("threads", threads, 1, threads)
        )
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._blocks = Blocks()
        self._lock = Lock()
        self._known: dict[str, Array] | None = None
        unknown = [
            name_node(node)
            for node in self._model.graph
            if node.op_type not in LOWERINGS and node.op_type not in FOLDED
        ]
        if unknown:
            raise DataError(f"{self._source}the engine does not run these nodes: {'; '.join(unknown)}")
        self._inputs = {
            value.name or "": value
            for value in self._model.graph.inputs
            if value.name not in self._model.graph.initializers
        }

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return list(self._inputs)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return [value.name or "" for value in self._model.graph.outputs]

    def example_shapes(self, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        """A shape for each input, with such a picture where the network leaves its size open."""
        return graph.example_shapes(self._model, rows, columns)

    def input_type(self, name: str) -> np.dtype[Any]:
        """The element type of an input."""
        dtype = self._inputs[name].dtype
        return np.dtype(np.float32 if dtype is None else dtype.numpy())

    def run(self, x: Array | Mapping[str, Array], layout: Layout = "nchw") -> Any:
        """Compute the outputs for some inputs.

        Args:
            x: an array, or for several inputs a dictionary of arrays by name.
            layout: "nhwc" if arrays of four axes have their channels last, also those that come back.

        Returns:
            An array [batch, channel, row, column] (its channels lie side by side in memory), or [batch, row, column,
            channel] for "nhwc"; a dictionary by name if the network has several outputs.

        Raises:
            ArgumentError: an input is missing, or has another shape or type than the network takes.
            DataError: the network cannot work on such a size.
        """
        if layout not in ("nchw", "nhwc"):
            raise ArgumentError(f"layout is {layout!r}; use 'nchw' or 'nhwc'")
        found = self._run(self._arrays(x, layout), "outputs")
        if layout == "nhwc":
            found = {name: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for name, a in found.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def steps(self, x: Array | Mapping[str, Array]) -> list[StepInfo]:
        """What is done for inputs of the shapes of `x`, step by step."""
        plan = self._plan(self._arrays(x))
        return [
            StepInfo(
                step.name,
                step.operator,
                step.algorithm,
                tuple(value.shape for value in step.reads),
                tuple(value.shape for value in step.writes),
                step.multiply_adds,
                step.bytes,
            )
            for step in plan.steps
        ]

    def times(self, x: Array | Mapping[str, Array]) -> list[float]:
        """Seconds that each step takes, in the order of `steps`, in one run."""
        inputs = self._arrays(x)
        return self._plan(inputs).timed(inputs, self._blocks, perf_counter)

    def memory(self, x: Array | Mapping[str, Array]) -> int:
        """Bytes of the block that a run on inputs of such shapes works in; weights and outputs are not among them."""
        return self._plan(self._arrays(x)).block_size

    def knowing(self, known: Mapping[str, Array]) -> Self:
        """The same network for windows of one picture; weights, plans and memory are shared.

        known: numbers of the whole picture, by the name of their value; as `Session.gathering` finds them.
        """
        found = copy.copy(self)
        found._known = dict(known)
        return found

    # ------------------------------------------------------------ plans

    def plan(self, shapes: Mapping[str, tuple[int, ...]], wants: Wants) -> Plan:
        """A plan that is not kept."""
        with self._lock:
            return self._made(shapes, wants)

    def _run(self, inputs: Mapping[str, Array], wants: Wants) -> dict[str, Array]:
        return self._plan(inputs, wants).run({**inputs, **(self._known or {})}, self._blocks)

    def _look(
        self, inputs: Mapping[str, Array], names: tuple[str, ...], use: Callable[[dict[str, Array]], Found]
    ) -> Found:
        return self._plan(inputs, names).look({**inputs, **(self._known or {})}, self._blocks, use)

    def _plan(self, inputs: Mapping[str, Array], wants: Wants = "outputs") -> Plan:
        key = (wants, tuple(self._known or ()), *((name, array.shape) for name, array in inputs.items()))
        with self._lock:
            plan = self._plans.get(key)
            if plan is None:
                shapes = {name: array.shape for name, array in inputs.items()}
                plan = self._plans[key] = self._made(shapes, wants)
                while len(self._plans) > _MOST_PLANS:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(key)
        return plan

    def _made(self, shapes: Mapping[str, tuple[int, ...]], wants: Wants = "outputs") -> Plan:
        """A new plan; the lock is held."""
        try:
            return make_plan(
                self._model, shapes, self._weights, self.threads, wants, tuple(self._known or ())
            )
        except DataError as error:
            # Of a file that is read again the message begins so already.
            raise DataError(self._source + str(error).removeprefix(self._source)) from None
        finally:
            self._weights.settle()

    def _arrays(self, x: Array | Mapping[str, Array], layout: Layout = "nchw") -> dict[str, Array]:
        """The inputs by name, channels first; only what the network takes comes through."""
        names = list(self._inputs)
        if not isinstance(x, Mapping):
            if len(names) != 1:
                raise ArgumentError(
                    f"x is one array but the network has the inputs {names}; give a dictionary"
                )
            x = {names[0]: x}
        if set(x) != set(names):
            raise ArgumentError(f"x has the inputs {sorted(x)} but the network has {sorted(names)}")
        found = {}
        for name, value in self._inputs.items():
            array = x[name]
            if not isinstance(array, np.ndarray):
                raise ArgumentError(f"input {name!r} is a {type(array).__name__}; give a NumPy array")
            wanted = None if value.dtype is None else np.dtype(value.dtype.numpy())
            if wanted is not None and array.dtype != wanted:
                raise ArgumentError(f"input {name!r} is of type {array.dtype}; the network takes {wanted}")
            if layout == "nhwc" and array.ndim == 4:
                array = array.transpose(0, 3, 1, 2)
            if array.size == 0:
                raise ArgumentError(
                    f"input {name!r} has shape {list(array.shape)}; it must have at least one element"
                )
            found[name] = array
        return found


def _rewritten(model: ir.Model, source: str = "") -> ir.Model:
    try:
        graph.rewrite(model, [rule for rule in graph.RULES if rule not in DONE_BY_KERNELS])
    except DataError as error:
        raise DataError(f"{source}{error}") from error
    return model
