"""How far labels see, and how windows of a picture must lie so that theirs are those of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property

import onnx_ir as ir

from downup import graph
from downup.errors import DataError
from downup.graph.nodes import name_node

Shape = tuple[int, ...]
TilesByName = Mapping[str, Sequence[tuple[graph.Tiles, graph.Tiles]]]

# Tiles are those of a picture of about this side; they are the same for all.
_EXAMPLE_SIDE = 256


class Reach:
    """What is found in a graph, and asked of the plan only for the tiles that its kernels work in.

    source: begins a message.
    is_approximate: go on where labels depend on the whole picture, as if each saw what lies below it.
    """

    def __init__(self, model: ir.Model, source: str, is_approximate: bool) -> None:
        self._model, self._source, self._is_approximate = model, source, is_approximate

    @cached_property
    def _paths(self) -> graph.Paths:
        try:
            return graph.find_paths(self._model)
        except DataError as error:
            raise DataError(f"{self._source}{error}") from None

    @cached_property
    def fields(self) -> dict[str, tuple[graph.Field, graph.Field]]:
        """By output, what its samples depend on along rows and columns."""
        try:
            return graph.find_fields(self._model, self._paths)
        except DataError as error:
            raise DataError(f"{self._source}{error}") from None

    @cached_property
    def levels(self) -> tuple[tuple[graph.Summary, ...], ...]:
        """The numbers of the whole picture that labels need, in the order in which they can be known."""
        return () if self._paths.refused else graph.find_levels(self._model, self._paths.summaries)

    @property
    def whole_picture_nodes(self) -> tuple[str, ...]:
        """The nodes by which labels depend on the whole picture, each with the reason."""
        summaries = (summary for level in self.levels for summary in level)
        return self._paths.refused or tuple(
            f"{name_node(summary.node)} ({summary.kind} of the whole picture)" for summary in summaries
        )

    @property
    def caveat(self) -> str:
        """What is to be said of windows that are not exact."""
        whole = self.whole_picture_nodes
        if not (self._is_approximate and whole):
            return ""
        return f"approximate: made in windows, though labels depend on the whole picture: {', '.join(whole)}"

    @property
    def multiple(self) -> int:
        """Pictures of a multiple of so many rows and columns can be cut into windows."""
        return 1 if self._is_approximate and self._paths.refused else self._paths.multiple

    def margins(
        self, tiles_of: Callable[[int], TilesByName], is_known: bool = False
    ) -> tuple[graph.Margin, graph.Margin]:
        """How windows lie along rows and columns.

        tiles_of: the tiles of a plan for a picture of a side.
        is_known: whether the numbers of the whole picture in `levels` are given to windows.
        """
        whole = self._paths.refused if is_known else self.whole_picture_nodes
        if whole and not self._is_approximate:
            raise DataError(
                f"{self._source}labels depend on the whole picture: {', '.join(whole)}; give memory enough for the whole "
                "at once, or go on with --approximate"
            )
        output = self._model.graph.outputs[0]
        strides = [path.stride(output) for path in self._paths.axes]
        if strides != [1, 1]:
            found = "none" if None in strides else " x ".join(map(str, strides))
            raise DataError(
                f"{self._source}the output {output.name!r} has one sample for {found} pixels; labels need one for each"
            )
        return self._margins(tiles_of, ())

    def level_margins(
        self, level: int, tiles_of: Callable[[int], TilesByName]
    ) -> tuple[graph.Margin, graph.Margin]:
        """The same for windows of which the numbers of a level are made."""
        return self._margins(tiles_of, [summary.source for summary in self.levels[level]])

    def strides(self, value: ir.Value) -> tuple[Fraction, Fraction]:
        """Pixels from one sample of a value to the next, along rows and columns."""
        rows, columns = (path.track(value).stride for path in self._paths.axes)
        return rows, columns

    def _margins(
        self, tiles_of: Callable[[int], TilesByName], values: Sequence[ir.Value]
    ) -> tuple[graph.Margin, graph.Margin]:
        side = math.ceil(_EXAMPLE_SIDE / self._paths.multiple) * self._paths.multiple
        try:
            return graph.find_margins(self._model, self._paths, tiles_of(side), values)
        except DataError as error:
            raise DataError(f"{self._source}{str(error).removeprefix(self._source)}") from None
