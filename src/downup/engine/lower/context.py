"""What the lowering of every operator works with: the values so far, new ones, and the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.joining import find_claims, find_parts
from downup.engine.steps import ArrayStep, KernelStep, Step
from downup.engine.values import (
    CHANNELS_LAST,
    Array,
    Buffer,
    Value,
    constant_value,
    memory_order,
    packed_strides,
)
from downup.engine.weights import Weights, weights_of
from downup.graph import Tiles
from downup.graph.nodes import constant, is_constant, name_node
from downup.graph.shapes import Known, Site, site_of
from downup.kernels import lib

# The element types that the copying kernel knows by their size.
_COPIED = {np.dtype(t) for t in (np.float32, np.float64, np.uint8, np.int64)}


class UnsupportedError(Exception):
    """A node says what no step does; the message says why."""


class Lowering:
    """A network on its way to becoming a plan.

    known: shape, type and perhaps numbers of every value, for inputs of given sizes.
    weights: what is packed of them once for all plans.
    threads: the most that a step may use.
    wants_labels: the first output is wanted as the number of its largest channel, in a byte.
    """

    def __init__(
        self,
        graph: ir.Graph,
        known: dict[str, Known],
        weights: Weights,
        threads: int,
        wants_labels: bool,
    ) -> None:
        self.graph = graph
        self.known = known
        self.weights = weights
        self.threads = threads
        self.wants_labels = wants_labels
        self.steps: list[Step] = []
        self.absorbed: set[ir.Node] = set()
        # A nearest upsampling that the convolution after it does: (what it reads, factors).
        self.upsampled: dict[str, tuple[ir.Value, tuple[int, int]]] = {}
        # A last resizing that only the labels need: (what it reads, taps of rows and columns).
        self.resized: dict[str, tuple[Value, Any, Any]] = {}
        # Concatenations that exist nowhere: the convolutions after them read part by part.
        self.in_parts = find_parts(self)
        # Poolings and un-poolings by the number of a tap, at the node where each begins or ends.
        self.tap_pools: dict[ir.Node, Any] = {}
        self.tap_unpools: dict[ir.Node, Any] = {}
        # What convolutions compute together, of rows and of columns, by the name of the node's output.
        self.tiles: dict[str, list[tuple[Tiles, Tiles]]] = {}
        self._values: dict[str, Value] = {}
        self._claims = find_claims(self)

    # ------------------------------------------------------------ looking at the graph

    def site(self, node: ir.Node) -> Site:
        """A node with what is known of its inputs."""
        return site_of(node, self.known)

    def is_folded(self, node: ir.Node) -> bool:
        """Whether all that a node gives follows from the sizes of the inputs."""
        return all(self.is_known(value) for value in node.outputs if value.name)

    def is_known(self, value: ir.Value | None) -> bool:
        """Whether the numbers of a value follow from weights and the sizes of the inputs."""
        return value is not None and self.known[value.name or ""].value is not None

    def consumers(self, value: ir.Value) -> list[ir.Node]:
        """The nodes that read a value when the plan runs, once for each reading."""
        return [use.node for use in value.uses() if not self.is_folded(use.node)]

    def is_output(self, value: ir.Value) -> bool:
        """Whether the caller gets a value."""
        return value.is_graph_output()

    def only_consumer(self, value: ir.Value) -> ir.Node | None:
        """The one node that reads a value, if nobody else does."""
        found = self.consumers(value)
        return found[0] if len(found) == 1 and not self.is_output(value) else None

    def shape(self, value: ir.Value | None) -> tuple[int, ...]:
        """The shape of a value."""
        assert value is not None
        return self.known[value.name or ""].shape

    def constant(self, value: ir.Value | None) -> Array | None:
        """The numbers of a value that follows from sizes and weights.

        Of a weight that was let go only shape and type are right, but where `kept` packs it.
        """
        return None if value is None else self.known[value.name or ""].value

    def kept(self, node: ir.Node, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` packs of a node's weights: once for all plans; anew where they follow from the picture's size.

        key: whatever else differs from plan to plan, such as padding that the size decides.
        """
        if not all(value is None or is_constant(value) for value in node.inputs[1:]):
            return make()
        weights = weights_of(node)

        def make_of_numbers() -> Any:
            self._look_at(weights)
            return make()

        found = self.weights.packed((node.outputs[0].name, key), weights, make_of_numbers)
        self._look_at(weights)
        return found

    def _look_at(self, weights: Sequence[ir.Value]) -> None:
        """Know of weights what they are by now."""
        for value in weights:
            known, array = self.known[value.name or ""], constant(value)
            self.known[value.name or ""] = replace(known, value=array)

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """The element type of a value."""
        return np.dtype(self.known[value.name or ""].dtype.numpy())

    # ------------------------------------------------------------ values

    def value(self, value: ir.Value | None) -> Value:
        """What was lowered so far, or a weight."""
        assert value is not None
        name = value.name or ""
        if name not in self._values:
            if is_constant(value):
                self.weights.bring_back(value)
                self._look_at([value])
            array = self.known[name].value
            if array is None:
                raise UnsupportedError(f"its input {name!r} is read before it is computed")
            self._values[name] = constant_value(name, array)
        return self._values[name]

    def is_ready(self, value: ir.Value | None) -> bool:
        """Whether a value was lowered already, or is a weight."""
        return value is not None and (value.name in self._values or self.is_known(value))

    def set(self, value: ir.Value, lowered: Value) -> None:
        """Note what a value of the graph became."""
        self._values[value.name or ""] = replace(lowered, name=value.name or "")

    def new(self, value: ir.Value, like: Value | None = None, packed: bool = False) -> Value:
        """Memory for a value of the graph, to be written by the next step.

        Pictures have their channels side by side, other arrays lie as C has them; `like` gives the order of another value
        of the same rank.
        """
        name = value.name or ""
        if name in self._values:
            return self._values[name]
        shape, dtype = self.shape(value), self.dtype(value)
        if name in self._claims:
            whole, axis, start = self._claims[name]
            made = replace(self.new(whole).sliced(axis, start, shape[axis]), name=name)
        else:
            order = None
            if like is not None and like.rank == len(shape) and 0 not in like.strides:
                order = memory_order(like)
            elif len(shape) == 4 and not packed:
                order = list(CHANNELS_LAST)
            made = self.temporary(name, shape, dtype, order)
            if self.is_output(value):
                made.buffer.home = "output"
        self._values[name] = made
        return made

    def temporary(
        self, name: str, shape: Sequence[int], dtype: Any = np.float32, order: Sequence[int] | None = None
    ) -> Value:
        """Memory for an array that only steps know."""
        dtype = np.dtype(dtype)
        buffer = Buffer(name, math.prod(shape) * dtype.itemsize)
        return Value(name, tuple(shape), dtype, packed_strides(shape, dtype.itemsize, order), buffer)

    def scratch(self, name: str, size: int) -> Value:
        """Bytes that a step needs while it runs."""
        return self.temporary(name, (size,), np.uint8)

    # ------------------------------------------------------------ steps

    def kernel(
        self,
        function: Any,
        arguments: Sequence[Any],
        *,
        reads: Sequence[Value],
        writes: Sequence[Value],
        operator: str,
        algorithm: str = "kernel",
        **more: Any,
    ) -> None:
        """Add a call of the native library."""
        self.steps.append(
            KernelStep(
                name=writes[0].name,
                operator=operator,
                algorithm=algorithm,
                reads=tuple(reads),
                writes=tuple(writes),
                function=function,
                arguments=arguments,
                **more,
            )
        )

    def compute(
        self,
        operator: str,
        compute: Callable[..., Any],
        reads: Sequence[Value],
        writes: Sequence[Value],
        is_into: bool = False,
    ) -> None:
        """Add a call of NumPy on arrays; with `is_into` the function takes the arrays it writes, too."""
        self.steps.append(
            ArrayStep(
                name=writes[0].name,
                operator=operator,
                algorithm="numpy",
                reads=tuple(reads),
                writes=tuple(writes),
                compute=compute,
                is_into=is_into,
            )
        )

    def copy(self, value: Value, to: Value, operator: str) -> None:
        """Add a copy, whatever the strides of both."""
        if value.size == 0:
            return
        shape, groups = to.shape, [value.strides, to.strides]
        merged = _merged(shape, groups)
        if len(merged) <= 4 and to.dtype in _COPIED and all(n < 1 << 31 for n, _ in merged):
            sizes = [n for n, _ in merged]
            source, target = (
                view.with_axes(sizes, [s[i] for _, s in merged]).padded()
                for i, view in enumerate((value, to))
            )
            self.kernel(
                lib.du_pixel_shuffle,
                [source, target, 1, lib.DU_CRD],
                reads=[value],
                writes=[to],
                operator=operator,
                algorithm="copy",
            )
        else:
            self.compute(operator, lambda array: array, [value], [to])

    def channels_last(self, value: Value) -> Value:
        """The value itself if a pixel's channels lie side by side, else a copy of which that is true."""
        if value.has_adjacent_channels and value.buffer.home != "constant":
            return value
        made = self.temporary(f"{value.name} by channel", value.shape, value.dtype, CHANNELS_LAST)
        self.copy(value, made, "Transpose")
        return made

    def packed(self, value: Value) -> Value:
        """The value itself if it lies in memory as C has it, else a copy that does."""
        strides = packed_strides(value.shape, value.dtype.itemsize)
        if all(a == b or n == 1 for a, b, n in zip(strides, value.strides, value.shape, strict=True)):
            return value
        made = self.temporary(f"{value.name} packed", value.shape, value.dtype)
        self.copy(value, made, "Transpose")
        return made


def _merged(shape: Sequence[int], groups: Sequence[Sequence[int]]) -> list[tuple[int, tuple[int, ...]]]:
    """Axes of more than one sample with their strides in each group, merged where one can stand for two."""
    found: list[tuple[int, tuple[int, ...]]] = []
    for n, *strides in zip(shape, *groups, strict=True):
        if n == 1:
            continue
        if found and all(outer == inner * n for outer, inner in zip(found[-1][1], strides, strict=True)):
            found[-1] = (found[-1][0] * n, tuple(strides))
        else:
            found.append((n, tuple(strides)))
    return found or [(1, tuple(0 for _ in groups))]


def refuse(node: ir.Node, why: str) -> UnsupportedError:
    """The error that names a node."""
    return UnsupportedError(f"{name_node(node)}: {why}")
