"""A node met on the way along one axis of a picture, and what stepping over it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import onnx_ir as ir

from downup.errors import DataError
from downup.graph.facts import Facts
from downup.graph.nodes import name_node
from downup.graph.shapes.windows import Window, window_of

Interval = tuple[int, int]


class WholePictureError(DataError):
    """A node whose output depends on the whole picture, or on where in it a sample lies."""


@dataclass(frozen=True)
class Flat:
    """Rows and columns laid out as one axis: how long the followed one was, for each size tried, and which it was."""

    lengths: tuple[int, ...]
    is_last: bool


@dataclass(frozen=True)
class Step:
    """How an operator goes along one axis.

    axis: which axis of its output that is.
    stride: input samples from one output sample to the next.
    centre: where the centre of output sample 0 lies, in input samples.
    reads: from the first and last output sample of interest, the first and last input sample that they read, far from
    the edges.
    flat: set where that axis holds rows and columns, behind a reshape.
    mirrored: how many samples a reflected edge reads back from it, further than `reads` says.
    """

    axis: int
    stride: Fraction = Fraction(1)
    centre: Fraction = Fraction(0)
    reads: Callable[[int, int], Interval] = lambda first, last: (first, last)
    flat: Flat | None = None
    mirrored: int = 0


@dataclass(frozen=True)
class Place:
    """A node, the input whose samples are followed, and the axis along which they are."""

    node: ir.Node
    index: int
    axis: int
    facts: Facts
    flat: Flat | None = None

    @property
    def value(self) -> ir.Value:
        """The input that is followed."""
        value = self.node.inputs[self.index]
        assert value is not None
        return value

    @property
    def rank(self) -> int:
        """How many axes the input has."""
        return len(self.facts.shapes(self.value)[0])

    def refuse(self, why: str) -> WholePictureError:
        """Return the error that names the node."""
        return WholePictureError(f"{name_node(self.node)} ({why})")

    def window(self) -> Window:
        """Return the node's window, if it is the same for all sizes."""
        weight = (
            self.facts.shapes(self.node.inputs[1])[0][2:]
            if self.node.op_type in ("Conv", "ConvTranspose")
            else None
        )
        windows = {window_of(self.node, shape, weight) for shape in self.facts.shapes(self.value)}
        if len(windows) != 1 or self.axis < 2:
            raise self.refuse("its padding depends on the size of the picture")
        return windows.pop()
