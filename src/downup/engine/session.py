"""A network that labels pictures, whole or in windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from downup import graph
from downup.engine.gathering import Gathering
from downup.engine.labelling import (
    as_labels,
    as_probabilities,
    count_classes,
    is_pixels,
    normalised,
    one_picture,
)
from downup.engine.network import Network
from downup.engine.plan import Found, Wants
from downup.engine.reach import Reach, TilesByName
from downup.engine.values import Array
from downup.precision import Precision

if TYPE_CHECKING:
    from downup.data import NetworkMetadata


class Session(Network):
    """Runs an ONNX network on the CPU, without the framework that made it, and labels pictures with it.

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
        super().__init__(model, threads, precision=precision)
        self.reach = Reach(self._model, self._source, approximate)

    # ------------------------------------------------------------ what the file tells

    @property
    def has_metadata(self) -> bool:
        """Whether the file says anything of itself; see `about`."""
        from downup.data import NetworkMetadata

        return NetworkMetadata.is_in(self._model.metadata_props)

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
        known = graph.shapes.infer(self._model, self._picture_shapes(64, 64))
        return count_classes(known[self.output_names[0]].shape, self._source)

    # ------------------------------------------------------------ labels

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
        return as_labels(self._found(picture, "labels"), is_pixels(picture))

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
        return as_probabilities(self._found(picture, "probabilities"), classes, is_pixels(picture))

    def labels_and_probabilities(
        self, picture: Array, classes: Sequence[int] | None = None
    ) -> tuple[Array, Array]:
        """What `labels` and `probabilities` give, of one run."""
        found, is_one = self._found(picture, "both"), is_pixels(picture)
        return as_labels(found, is_one), as_probabilities(found, classes, is_one)

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that labelling a picture of such a size takes beyond those of the picture and of what the session holds now.

        The weights are packed by this; nothing else is allocated.

        Raises:
            DataError: the network cannot work on such a size.
        """
        shapes = self._picture_shapes(rows, columns)
        plan = self.plan(shapes, "labels")
        # The normalised picture, before it is in the block.
        return plan.peak_size + 4 * sum(math.prod(shape) for shape in shapes.values())

    def reserve(self, rows: int, columns: int) -> None:
        """Have the memory ready that labels of a picture of such a size take.

        Where smaller ones come first, and larger ones later, memory is left between their blocks that neither fills.
        """
        plan = self.plan(self._picture_shapes(rows, columns), "labels")
        with self._blocks.lend(plan.block_size):
            pass

    def _found(self, picture: Array, wants: Wants) -> dict[str, Array]:
        return self._run(self._arrays(self._normalised(picture)), wants)

    def _normalised(self, picture: Array) -> Array:
        return normalised(picture, self.about) if is_pixels(picture) else picture

    def _picture_shapes(self, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        return one_picture(self.example_shapes(rows, columns), self._source)

    # ------------------------------------------------------------ windows

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
        return self.plan(self._picture_shapes(side, side), "labels").tiles

    # ------------------------------------------------------------ numbers of the whole picture

    @property
    def gathering(self) -> Gathering | None:
        """The passes that find what labels need of the whole picture, if they need any and windows shall be exact."""
        is_needed = self._known is None and not self.caveat and self.reach.levels
        return Gathering(self, self.reach.levels) if is_needed else None

    def look(self, picture: Array, names: tuple[str, ...], use: Callable[[dict[str, Array]], Found]) -> Found:
        """What `use` makes of some values on the way, by name; `picture` as `labels` takes it."""
        return self._look(self._arrays(self._normalised(picture)), names, use)

    def summary_shapes(self, level: int) -> dict[str, tuple[int, ...]]:
        """By name, the shapes of numbers of the whole picture."""
        side = 64 * self.reach.multiple
        known = graph.shapes.infer(self._model, self._picture_shapes(side, side))
        return {summary.name: known[summary.name].shape for summary in self.reach.levels[level]}
