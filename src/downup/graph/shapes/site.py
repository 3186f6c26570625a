"""What is known of a value, and the view of a node that the rules for shapes work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.errors import DataError
from downup.graph.nodes import attribute, name_node

Shape = tuple[int, ...]

# No tensor of a network comes near 2^40 elements: a larger one is a broken file, and would overflow addresses.
MOST_ELEMENTS = 1 << 40


@dataclass(frozen=True)
class Known:
    """What is known of a value for inputs of given sizes.

    shape: its sizes; () is a scalar.
    dtype: its element type.
    value: its numbers, where they depend on the sizes alone (weights, and what is computed from shapes).
    """

    shape: Shape
    dtype: ir.DataType
    value: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Site:
    """A node, and what is known of its inputs (None where one is left out)."""

    node: ir.Node
    inputs: Sequence[Known | None]

    def refuse(self, why: str) -> DataError:
        """Return the error that names this node."""
        return DataError(f"{name_node(self.node)}: {why}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or `default`."""
        return attribute(self.node, name, default)

    def need(self, name: str) -> Any:
        """Return an attribute that must be there."""
        found = self.get(name)
        if found is None:
            raise self.refuse(f"has no attribute {name!r}")
        return found

    def has(self, index: int) -> bool:
        """Say whether an input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def known(self, index: int = 0) -> Known:
        """Return what is known of an input that must be there."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise self.refuse(f"has no input {index}")
        return found

    def shape(self, index: int = 0, *, rank: int | None = None, least: int = 0) -> Shape:
        """Return the shape of an input, of `rank` or at least `least` axes."""
        shape = self.known(index).shape
        if (rank is not None and len(shape) != rank) or len(shape) < least:
            wanted = rank if rank is not None else f"at least {least}"
            raise self.refuse(f"input {index} has shape {list(shape)}, but must have {wanted} axes")
        return shape

    def value(self, index: int) -> np.ndarray:
        """Return the numbers of an input that must follow from the sizes of the network's inputs."""
        found = self.known(index).value
        if found is None:
            name = getattr(self.node.inputs[index], "name", "")
            raise self.refuse(
                f"its input {name!r} decides about sizes, but is computed from the picture; "
                f"only what follows from the sizes of the inputs is supported"
            )
        return found

    def ints(self, index: int) -> tuple[int, ...]:
        """Return the whole numbers of such an input, as a flat tuple."""
        found = self.value(index)
        if found.dtype.kind not in "iu" or found.ndim > 1:
            raise self.refuse(f"input {index} must be a list of whole numbers")
        return tuple(int(number) for number in found.reshape(-1))

    def optional_ints(self, index: int) -> tuple[int, ...] | None:
        """Return those of an input that may be left out."""
        return self.ints(index) if self.has(index) else None

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from the front; negative ones count from the end."""
        if not -rank <= axis < rank:
            raise self.refuse(f"axis is {axis} but there are {rank} axes; use {-rank} to {rank - 1}")
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Return axes counted from the front, each named once."""
        found = tuple(self.axis(axis, rank) for axis in axes)
        if len(set(found)) != len(found):
            raise self.refuse(f"axes are {list(axes)}: one is named twice")
        return found

    def broadcast(self, *shapes: Shape) -> Shape:
        """Return the shape that all broadcast to."""
        try:
            return tuple(np.broadcast_shapes(*shapes))
        except ValueError:
            listed = ", ".join(str(list(shape)) for shape in shapes)
            raise self.refuse(f"shapes {listed} do not fit together") from None


Rule = Callable[[Site], list[Shape]]
