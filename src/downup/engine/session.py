"""A network that is ready to run."""

from __future__ import annotations

import copy
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx_ir as ir

from downup import graph
from downup.engine.gathering import Gathering
from downup.engine.labelling import count_classes, normalised, one_picture
from downup.engine.lower import FOLDED, LOWERINGS
from downup.engine.memory import Blocks
from downup.engine.plan import Found, Plan, Wants, make_plan
from downup.engine.reach import Reach, TilesByName
from downup.engine.values import Array
from downup.engine.weights import ModelFile, Weights
from downup.errors import ArgumentError, DataError
from downup.geometry import whole
from downup.graph.nodes import name_node
from downup.precision import PRECISIONS, Precision

if TYPE_CHECKING:
    from downup.data import NetworkMetadata

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


class Session:
    """Runs an ONNX network on the CPU, without the framework that made it.

    Args:
        model: an ONNX file, or a model as `downup.graph.read` returns it.
        threads: how many threads a run may use; None for all that this process may run on.
        precision: "fast" computes 3x3 convolutions with fewer multiplications, which rounds a little more; "exact"
            multiplies every weight with its sample; "bfloat16" is fast, and rounds inputs and weights to bfloat16 before it
            multiplies them, in convolutions that take less time so. All else stays float32, sums and results too. On a
            processor without instructions for such products it is "fast".
        approximate: let windows be cut of a network whose labels depend on the whole picture (`whole_picture_nodes`); their
            labels then are not those of the whole.

    Raises:
        DataError: the file cannot be used, or holds nodes that the engine does not run; all are named.
        ArgumentError: `threads` is below 1, or there is no such precision.
    """

    def __init__(
        self,
        model: str | Path | ir.Model,
        threads: int | None = None,
        *,
        precision: Precision = "fast",
        approximate: bool = False,
    ) -> None:
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
        self.reach = Reach(self._model, self._source, approximate)
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
        inputs = self._arrays(x, layout)
        found = self._run(inputs, "outputs")
        if layout == "nhwc":
            found = {name: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for name, a in found.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def steps(self, x: Array | Mapping[str, Array]) -> list[StepInfo]:
        """What is done for inputs of the shapes of `x`, step by step."""
        plan = self._plan(self._arrays(x, "nchw"))
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
        inputs = self._arrays(x, "nchw")
        return self._plan(inputs).timed(inputs, self._blocks, perf_counter)

    def memory(self, x: Array | Mapping[str, Array]) -> int:
        """Bytes of the block that a run on inputs of such shapes works in; weights and outputs are not among them."""
        return self._plan(self._arrays(x, "nchw")).block_size

    # ------------------------------------------------------------ labels

    @cached_property
    def about(self) -> NetworkMetadata:
        """What the file says of classes, colours and normalisation.

        Raises:
            DataError: it says nothing.
        """
        from downup.data import NetworkMetadata  # with all that reads pictures: only where it is asked for

        return NetworkMetadata.from_properties(
            self._model.metadata_props, self._source.removesuffix(": ") or "model"
        )

    @property
    def class_count(self) -> int:
        """Labels run from 0 to this number less one.

        Raises:
            DataError: neither the file's metadata nor its graph tells it.
        """
        if self.has_metadata:
            return len(self.about.classes)
        shapes = one_picture(self.example_shapes(64, 64), self._source)
        return count_classes(
            graph.shapes.infer(self._model, shapes)[self.output_names[0]].shape, self._source
        )

    @property
    def fields(self) -> dict[str, tuple[graph.Field, graph.Field]]:
        """For each output that is a picture, what its samples depend on along rows and columns; found in the graph.

        Raises:
            DataError: an output depends on the whole picture; the nodes are named.
        """
        return self.reach.fields

    @property
    def whole_picture_nodes(self) -> tuple[str, ...]:
        """The nodes by which labels depend on the whole picture, each with the reason; none where windows are exact."""
        return self.reach.whole_picture_nodes

    @property
    def caveat(self) -> str:
        """What is to be said of labels that are made in windows; "" where they are those of the whole picture."""
        return self.reach.caveat

    @cached_property
    def margins(self) -> tuple[graph.Margin, graph.Margin]:
        """How windows must lie along rows and columns, so that their labels have the bits of the whole picture's.

        Raises:
            DataError: labels depend on the whole picture, or there is none for each pixel.
        """
        return self.reach.margins(self.tiles, self._known is not None)

    @property
    def halo(self) -> int:
        """Pixels to read on each side of those that a window keeps: the most of `margins`.

        Raises:
            DataError: labels depend on the whole picture, or there is none for each pixel.
        """
        return max(side for margin in self.margins for side in (margin.before, margin.after))

    @property
    def stride(self) -> int:
        """Windows, and what they keep, begin and end at multiples of so many pixels: the period of `margins`, for both axes.

        Raises:
            DataError: labels depend on the whole picture, or there is none for each pixel.
        """
        return math.lcm(*(margin.period for margin in self.margins))

    @property
    def multiple(self) -> int:
        """Only pictures of a multiple of so many rows and columns have windows that are exact; 1 for nearly all networks."""
        return self.reach.multiple

    def tiles(self, side: int) -> TilesByName:
        """What kernels compute together of a picture of a side."""
        shapes = one_picture(self.example_shapes(side, side), self._source)
        with self._lock:
            return self._made(shapes, "labels").tiles

    # ------------------------------------------------------------ numbers of the whole picture

    @property
    def gathering(self) -> Gathering | None:
        """The passes that find what labels need of the whole picture, if they need any and windows shall be exact."""
        is_needed = self._known is None and not self.caveat and self.reach.levels
        return Gathering(self, self.reach.levels) if is_needed else None

    def knowing(self, known: Mapping[str, Array]) -> Session:
        """The same network in windows of one picture.

        known: numbers of the whole picture, by the name of their value; as `gathering` finds them.
        """
        found = copy.copy(self)
        found._known = dict(known)
        return found

    def look(self, picture: Array, names: tuple[str, ...], use: Callable[[dict[str, Array]], Found]) -> Found:
        """What `use` makes of some values on the way, by name; `picture` as `labels` takes it."""
        inputs = self._arrays(self._normalised(picture), "nchw")
        return self._plan(inputs, names).look({**inputs, **(self._known or {})}, self._blocks, use)

    def summary_shapes(self, level: int) -> dict[str, tuple[int, ...]]:
        """By name, the shapes of numbers of the whole picture."""
        side = 64 * self.reach.multiple
        known = graph.shapes.infer(self._model, one_picture(self.example_shapes(side, side), self._source))
        return {summary.name: known[summary.name].shape for summary in self.reach.levels[level]}

    @property
    def has_metadata(self) -> bool:
        """Whether the file says anything of itself; see `about`."""
        from downup.data import NetworkMetadata

        return NetworkMetadata.is_in(self._model.metadata_props)

    def labels(self, picture: Array) -> Array:
        """The number of the largest score of each pixel.

        Args:
            picture: uint8 [rows, columns, channels] of a network whose file tells its normalisation; or what `run` takes,
                [batch, channel, row, column].

        Returns:
            uint8 [rows, columns], or [batch, row, column]; uint16 of more than 256 classes.

        Raises:
            ArgumentError: the picture has another shape or type than the network takes.
            DataError: the file does not tell how pixels are normalised.
        """
        return _labels(self._last(picture, "labels"), _is_picture(picture))

    def probabilities(self, picture: Array, classes: Sequence[int] | None = None) -> Array:
        """How sure the network is of some classes at each pixel.

        Args:
            picture: as `labels` takes it.
            classes: which ones, by number; None for all.

        Returns:
            float32 [rows, columns, class], or [batch, row, column, class]: e^score over its sum; where the network
            itself ends in a softmax or a sigmoid, what that gives.

        Raises:
            ArgumentError: a class that there is not, or a picture of another shape or type than the network takes.
            DataError: the file does not tell how pixels are normalised.
        """
        found = self._last(picture, "probabilities")["probabilities"]
        return self._chosen(found, classes, _is_picture(picture))

    def labels_and_probabilities(
        self, picture: Array, classes: Sequence[int] | None = None
    ) -> tuple[Array, Array]:
        """What `labels` and `probabilities` give, of one run."""
        found, is_picture = self._last(picture, "both"), _is_picture(picture)
        return _labels(found, is_picture), self._chosen(found["probabilities"], classes, is_picture)

    @staticmethod
    def _chosen(found: Array, classes: Sequence[int] | None, is_picture: bool) -> Array:
        chosen = range(found.shape[1]) if classes is None else classes
        wrong = [label for label in chosen if not 0 <= label < found.shape[1]]
        if wrong:
            raise ArgumentError(f"classes names {wrong[0]}; use numbers from 0 to {found.shape[1] - 1}")
        shares = np.ascontiguousarray(found[:, list(chosen)].transpose(0, 2, 3, 1))
        return shares[0] if is_picture else shares

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that labelling a picture of such a size takes beyond those of the picture and of what the session holds now.

        The weights are packed by this; nothing else is allocated.

        Raises:
            DataError: the network cannot work on such a size.
        """
        shapes = one_picture(self.example_shapes(rows, columns), self._source)
        plan = self.plan(shapes, "labels")
        # The normalised picture, before it is in the block.
        return plan.peak_size + 4 * sum(math.prod(shape) for shape in shapes.values())

    def reserve(self, rows: int, columns: int) -> None:
        """Have the memory ready that labels of a picture of such a size take.

        Where smaller ones come first, and larger ones later, memory is left between their blocks that neither fills.
        """
        plan = self.plan(one_picture(self.example_shapes(rows, columns), self._source), "labels")
        with self._blocks.lend(plan.block_size):
            pass

    def _last(self, picture: Array, wants: Wants) -> dict[str, Array]:
        return self._run(self._arrays(self._normalised(picture), "nchw"), wants)

    def _normalised(self, picture: Array) -> Array:
        return normalised(picture, self.about) if _is_picture(picture) else picture

    # ------------------------------------------------------------ the parts

    def plan(self, shapes: Mapping[str, tuple[int, ...]], wants: Wants) -> Plan:
        """A plan that is not kept."""
        with self._lock:
            return self._made(shapes, wants)

    def _run(self, inputs: Mapping[str, Array], wants: Wants) -> dict[str, Array]:
        return self._plan(inputs, wants).run({**inputs, **(self._known or {})}, self._blocks)

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

    def _arrays(self, x: Array | Mapping[str, Array], layout: Layout) -> dict[str, Array]:
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


def _labels(found: Mapping[str, Array], is_picture: bool) -> Array:
    labels = found["labels"][:, 0]
    labels = labels if labels.dtype == np.uint8 else labels.astype(np.uint16)
    return labels[0] if is_picture else labels


def _is_picture(x: object) -> bool:
    return isinstance(x, np.ndarray) and x.ndim == 3 and x.dtype == np.uint8


def _rewritten(model: ir.Model, source: str = "") -> ir.Model:
    try:
        graph.rewrite(model, [rule for rule in graph.RULES if rule not in DONE_BY_KERNELS])
    except DataError as error:
        raise DataError(f"{source}{error}") from error
    return model
