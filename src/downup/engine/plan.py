"""A plan: what a network does for inputs of given shapes, as a list of steps over one block of memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np
import onnx_ir as ir

from downup import kernels
from downup.engine.lower import LOWERINGS, Lowering, UnsupportedError, unpooling
from downup.engine.lower.reduce import label, soften
from downup.engine.lower.resample import label_resized
from downup.engine.memory import Block, Blocks, new_block, place, set_lifetimes, share_in_place
from downup.engine.steps import ArrayStep, Call, Step
from downup.engine.values import Array, Buffer, Value, array_of, memory_order
from downup.engine.weights import Weights
from downup.errors import DataError
from downup.graph import Tiles, shapes
from downup.graph.nodes import name_node

Wants = Literal["outputs", "labels", "probabilities", "both"] | tuple[str, ...]
"""What a run gives: the outputs; of the first one the number of the largest channel, the share of certainty of each, or
both; or some values by name."""


Found = TypeVar("Found")


@dataclass(eq=False)
class Plan:
    """The steps for inputs of given shapes.

    inputs, outputs: by name, in the order of the network.
    block_size: bytes that a run works in.
    tiles: what convolutions compute together, of rows and of columns, by the name of the node's output.
    """

    steps: list[Step]
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    block_size: int
    threads: int
    tiles: dict[str, list[tuple[Tiles, Tiles]]]

    def run(self, inputs: Mapping[str, Array], blocks: Blocks) -> dict[str, Array]:
        """Run in a block of memory that no other thread works in meanwhile."""
        with blocks.lend(self.block_size) as block:
            found: dict[str, Array] = block.bound(self, Run)(inputs)
            return found

    def look(
        self, inputs: Mapping[str, Array], blocks: Blocks, use: Callable[[dict[str, Array]], Found]
    ) -> Found:
        """Run, and return what `use` makes of the outputs as they lie in the block: none of them is copied."""
        with blocks.lend(self.block_size) as block:
            run: Run = block.bound(self, Run)
            return use(run.look(inputs))

    @property
    def peak_size(self) -> int:
        """Bytes that a run takes: those of `look_size`, and the outputs."""
        outputs = {value.buffer: value.buffer.size for value in self.outputs.values()}
        return self.look_size + sum(outputs.values())

    @property
    def look_size(self) -> int:
        """Bytes that a look takes: the block, and what NumPy returns before it is stored there."""
        arrays = (
            sum(value.size * value.dtype.itemsize for value in step.writes)
            for step in self.steps
            if isinstance(step, ArrayStep) and not step.is_into
        )
        return self.block_size + max(arrays, default=0)

    def timed(self, inputs: Mapping[str, Array], blocks: Blocks, clock: Callable[[], float]) -> list[float]:
        """Seconds of each step in one run."""
        with blocks.lend(self.block_size) as block:
            times: list[float] = block.bound(self, Run).timed(inputs, clock)
            return times


class Run:
    """A plan and the block of memory that it works in: every call is ready to be made."""

    def __init__(self, plan: Plan, block: Block) -> None:
        self._plan = plan
        self._block = block.memory
        self._block_address = self._block.ctypes.data
        # Views of what the caller gets: they move to a new array before each run.
        self._moving: dict[Buffer, list[tuple[Any, int, int]]] = {}
        self._results: dict[Buffer, Array] = {}
        for value in plan.outputs.values():
            if value.buffer.home == "output":
                self._moving.setdefault(value.buffer, [])
        self._inputs = {name: self.array(value) for name, value in plan.inputs.items()}
        self._calls: list[Call] = [step.bind(self, plan.threads) for step in plan.steps]

    # ------------------------------------------------------------ what steps ask for

    def address(self, value: Value) -> int:
        """The address of a value's first element."""
        if value.buffer.array is not None:
            return int(value.buffer.array.ctypes.data) + value.offset
        return self._block_address + value.buffer.offset + value.offset

    def view(self, value: Value, dtype: int) -> Any:
        """A `du_view` of a value of four axes."""
        return self.views((value,), dtype)

    def views(self, values: Sequence[Value], dtype: int) -> Any:
        """The same of several values, side by side."""
        made = kernels.ffi.new("du_view[]", len(values))
        for index, value in enumerate(values):
            is_moving = value.buffer.home == "output"
            strides = [stride // value.dtype.itemsize for stride in value.strides]
            made[index] = kernels.view(0 if is_moving else self.address(value), value.shape, strides, dtype)[
                0
            ]
            if is_moving:
                self._moving[value.buffer].append((made, index, value.offset))
        return made

    def array(self, value: Value) -> Array:
        """A value as a NumPy array."""
        if value.buffer.array is not None:
            return array_of(value, value.buffer.array)
        start = value.buffer.offset
        return array_of(value, self._block[start : start + value.buffer.size])

    # ------------------------------------------------------------ running

    def prepare(self, inputs: Mapping[str, Array]) -> None:
        """Copy the inputs into the block, and make room for the results."""
        for name, to in self._inputs.items():
            to[...] = inputs[name]
        for buffer, views in self._moving.items():
            memory = self._results[buffer] = new_block(buffer.size)
            address = memory.ctypes.data
            for made, index, offset in views:
                made[index].data = kernels.ffi.cast("void *", address + offset)

    def look(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run all steps of a plan whose outputs are in the block; they are what the next run writes over."""
        self._compute(inputs)
        return {name: self.array(value) for name, value in self._plan.outputs.items()}

    def _compute(self, inputs: Mapping[str, Array]) -> None:
        self.prepare(inputs)
        for call in self._calls:
            code = call()
            if code:
                kernels.check(code)

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run all steps."""
        self._compute(inputs)
        found = {}
        for name, value in self._plan.outputs.items():
            memory = self._results.get(value.buffer)
            found[name] = self.array(value).copy() if memory is None else array_of(value, memory)
        self._results.clear()
        return found

    def timed(self, inputs: Mapping[str, Array], clock: Callable[[], float]) -> list[float]:
        """Seconds of each step."""
        self.prepare(inputs)
        times = [clock()]
        for call in self._calls:
            kernels.check(call())
            times.append(clock())
        self._results.clear()
        return [after - before for before, after in pairwise(times)]


def make_plan(
    model: ir.Model,
    sizes: Mapping[str, Sequence[int]],
    weights: Weights,
    threads: int,
    wants: Wants = "outputs",
    given: Sequence[str] = (),
) -> Plan:
    """Plan a network for inputs of given shapes.

    Args:
        model: as `downup.graph.read` returns it, perhaps rewritten.
        sizes: the shape of each input, by name.
        weights: those that are packed already, kept from plan to plan.
        threads: the most that a step may use.
        wants: labels are [n, 1, h, w], uint8 or of more than 256 classes int64, probabilities [n, c, h, w].
        given: values that are inputs too; what they would be made of is not done for them.

    Raises:
        DataError: nodes that no step does; the message lists them all.
    """
    graph = model.graph
    known = shapes.infer(model, sizes)
    lowering = Lowering(graph, known, weights, threads, wants == "labels")
    unpooling.find(lowering)
    inputs = {}
    for value in graph.inputs:
        if value.name not in graph.initializers:
            made = lowering.new(value)
            made.buffer.home = "block"
            inputs[value.name or ""] = made
    values = {value.name: value for node in graph for value in node.outputs}
    for name in given:
        made = inputs[name] = lowering.new(values[name])
        made.buffer.home = "block"
    wanted = [values.get(name) for name in wants] if isinstance(wants, tuple) else list(graph.outputs)
    needed = _needed(graph, wanted, given)
    unsupported = []
    for node in graph:
        if node not in needed or node in lowering.absorbed or lowering.is_folded(node):
            continue
        lower = LOWERINGS.get(node.op_type)
        try:
            if lower is None:
                raise UnsupportedError(name_node(node))
            lower(lowering, node)
        except UnsupportedError as error:
            unsupported.append(str(error))
            for out in node.outputs:
                if out.name and not lowering.is_ready(out):
                    lowering.new(out)
    if unsupported:
        raise DataError(f"the engine does not run these nodes: {'; '.join(unsupported)}")
    if wants == "labels":
        outputs = {"labels": _add_labels(lowering)}
    elif wants in ("probabilities", "both"):
        outputs = {"labels": _add_labels(lowering)} if wants == "both" else {}
        outputs["probabilities"] = _add_probabilities(lowering)
    elif isinstance(wants, tuple):
        outputs = {name: inputs[name] if name in inputs else lowering.value(values[name]) for name in wants}
    else:
        outputs = {value.name or "": lowering.value(value) for value in graph.outputs}
    return _finish(lowering, inputs, outputs)


def _needed(graph: ir.Graph, wanted: Sequence[ir.Value | None], given: Sequence[str]) -> set[ir.Node]:
    """The nodes that some values are made by, where others are given."""
    found: set[ir.Node] = set()
    values = set(wanted)
    for node in reversed(graph):
        if any(value in values and value.name not in given for value in node.outputs):
            found.add(node)
            values.update(node.inputs)
    return found


def _add_labels(lowering: Lowering) -> Value:
    """The last step of a network that is asked for labels: [n, 1, h, w], in bytes."""
    out = lowering.graph.outputs[0]
    shape = _scores_shape(lowering)
    if shape[1] > 1 << 16:
        raise DataError(f"the output {out.name!r} has {shape[1]} channels; labels tell {1 << 16} apart")
    dtype = np.uint8 if shape[1] <= 256 else np.int64
    labels = lowering.temporary("labels", (shape[0], 1, *shape[2:]), dtype)
    labels.buffer.home = "output"
    if out.name in lowering.resized:
        label_resized(lowering, out.name, labels, "Resize+labels")
        return labels
    label(lowering, _scores(lowering), labels, labels, "labels")
    return labels


def _add_probabilities(lowering: Lowering) -> Value:
    """The last step of a network that is asked for probabilities: [n, c, h, w]."""
    out = lowering.graph.outputs[0]
    maker = out.producer()
    _scores_shape(lowering)
    scores = _scores(lowering)
    if maker is not None and maker.op_type in ("Softmax", "Sigmoid"):
        return scores  # it says so itself
    found = lowering.temporary("probabilities", scores.shape, order=memory_order(scores))
    found.buffer.home = "output"
    soften(lowering, scores, found, "probabilities")
    return found


def _scores_shape(lowering: Lowering) -> tuple[int, ...]:
    out = lowering.graph.outputs[0]
    shape = lowering.shape(out)
    if len(shape) != 4:
        raise DataError(
            f"the output {out.name!r} has shape {list(shape)}; labels need scores [n, classes, rows, columns]"
        )
    return shape


def _scores(lowering: Lowering) -> Value:
    """The first output, which stays in the block: only what is made of it goes out."""
    out = lowering.graph.outputs[0]
    scores = lowering.value(out)
    scores.buffer.home = "constant" if scores.constant is not None else "block"
    if not scores.is_float:
        raise DataError(f"the output {out.name!r} is of type {scores.dtype}; labels need float32 scores")
    return scores


def _finish(lowering: Lowering, inputs: dict[str, Value], outputs: dict[str, Value]) -> Plan:
    """Decide where everything lies."""
    steps = lowering.steps
    whole = {value.buffer for value in outputs.values()}
    for step in steps:
        for value in (*step.reads, *step.writes):
            # NumPy's arrays do not move; and what is no output of its own is copied when the run ends.
            if value.buffer.home == "output" and (isinstance(step, ArrayStep) or value.buffer not in whole):
                value.buffer.home = "block"
    set_lifetimes(steps, inputs.values(), outputs.values())
    stands_for = share_in_place(steps)
    buffers = {value.buffer for step in steps for value in (*step.reads, *step.writes, *step.scratch)} | {
        value.buffer for value in (*inputs.values(), *outputs.values())
    }
    block_size = place(b for b in buffers if b.home == "block" and b not in stands_for)
    for gone, kept in stands_for.items():
        gone.offset = kept.offset
    return Plan(steps, inputs, outputs, block_size, lowering.threads, lowering.tiles)
