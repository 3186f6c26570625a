"""How far labels see, and how windows of a picture must lie so that theirs are those of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import onnx_ir as ir

from downup import graph
from downup.errors import DataError

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

    @property
    def whole_picture_nodes(self) -> tuple[str, ...]:
        """The nodes that mix the whole picture, each with the reason."""
        return self._paths.refused

    @property
    def caveat(self) -> str:
        """What is to be said of windows that are not exact."""
        if not (self._is_approximate and self._paths.refused):
            return ""
        return f"approximate: made in windows, though labels depend on the whole picture: {', '.join(self._paths.refused)}"

    @property
    def multiple(self) -> int:
        """Pictures of a multiple of so many rows and columns can be cut into windows."""
        return 1 if self._is_approximate and self._paths.refused else self._paths.multiple

    def margins(self, tiles_of: Callable[[int], TilesByName]) -> tuple[graph.Margin, graph.Margin]:
        """How windows lie along rows and columns.

        tiles_of: the tiles of a plan for a picture of a side.
        """
        refused, output = self._paths.refused, self._model.graph.outputs[0]
        if refused and not self._is_approximate:
            raise DataError(
                f"{self._source}labels depend on the whole picture: {', '.join(refused)}; give memory enough for the whole "
                "at once, or go on with --approximate"
            )
        strides = [path.stride(output) for path in self._paths.axes]
        if strides != [1, 1]:
            found = "none" if None in strides else " x ".join(map(str, strides))
            raise DataError(
                f"{self._source}the output {output.name!r} has one sample for {found} pixels; labels need one for each"
            )
        side = math.ceil(_EXAMPLE_SIDE / self._paths.multiple) * self._paths.multiple
        try:
            return graph.find_margins(self._model, self._paths, tiles_of(side))
        except DataError as error:
            raise DataError(f"{self._source}{str(error).removeprefix(self._source)}") from None
