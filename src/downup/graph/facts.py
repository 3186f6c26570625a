"""What the rewriting rules may rely on: sizes that hold for every picture, found by trying pictures of many sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import onnx_ir as ir

from downup.errors import DownupError
from downup.graph.nodes import attribute, constant, operand
from downup.graph.shapes import Known, Shape, infer, infer_node, site_of

# Networks halve their pictures five or six times: what holds for 64 sizes in a row holds for all, because every size
# in a network is a sum of products and whole quotients of the picture's, which repeat themselves with that period.
_PERIOD = 64
_SAMPLES = 8
STEPS = (1, 2, 4, 8, 16, 32, 64)


class Facts:
    """Shapes of every value for a few sizes of the network's inputs.

    A network may take no odd sizes, or multiples of 32 only: the sizes tried are multiples of the least number that it
    takes. Where it takes none that is tried, nothing is known and no rule that asks for sizes does anything.
    """

    def __init__(self, model: ir.Model, least: int = 1) -> None:
        """Try sizes that are multiples of `least`, or of the least power of two beyond it that the network takes."""
        self._model, self._opset = model, model.graph.opset_imports[""]
        self.samples: list[dict[str, Known]] = []
        self.step = least
        for step in (step for step in STEPS if step >= least):
            tried = [_try(model, shapes) for shapes in _sizes(model, step, _SAMPLES)]
            found = [known for known in tried if known is not None]
            if len(found) == len(tried):
                self.samples, self.step = found, step
                break
        self.scales = self._proven_scales()

    def shapes(self, value: ir.Value | None) -> list[Shape]:
        """Return the shapes of a value, one for each size tried; none where nothing is known."""
        if value is None:
            return []
        return [self._known(value, known).shape for known in self.samples]

    def numbers(self, value: ir.Value | None, index: int) -> int | None:
        """Return one number of a list that may be computed from sizes, if it is the same for all pictures."""
        if value is None or not self.samples:
            return None
        found = {
            None if (array := self._known(value, known).value) is None else int(array.reshape(-1)[index])
            for known in self.samples
        }
        return found.pop() if len(found) == 1 else None

    def values(self, value: ir.Value | None) -> list[np.ndarray | None]:
        """Return the numbers of a value that is computed from sizes, for each size tried; None where it is not."""
        return [] if value is None else [self._known(value, known).value for known in self.samples]

    def are_always_alike(self, first: ir.Value, second: ir.Value) -> bool:
        """Say whether two values have the same shape as each other, for pictures of any size."""
        return all(
            known is not None and self._known(first, known).shape == self._known(second, known).shape
            for known in self._every
        )

    def channels(self, value: ir.Value | None) -> int | None:
        """Return the number of channels of a picture [batch, channel, rows, columns], if that is what a value is."""
        shapes = self.shapes(value)
        if not shapes or len(shapes[0]) != 4 or len({shape[1] for shape in shapes}) != 1:
            return None
        return shapes[0][1]

    def rank(self, value: ir.Value | None) -> int | None:
        """Return the number of axes of a value."""
        shapes = self.shapes(value)
        return len(shapes[0]) if shapes else None

    def _known(self, value: ir.Value, known: dict[str, Known]) -> Known:
        """A value of a node that a rule has put in is worked out when it is first asked for."""
        name = value.name or ""
        if name not in known:
            maker = value.producer()
            if maker is None:
                assert value.const_value is not None
                array = value.const_value.numpy()
                known[name] = Known(array.shape, value.const_value.dtype, array)
            else:
                for item in maker.inputs:
                    if item is not None:
                        self._known(item, known)
                for output, found in zip(
                    maker.outputs, infer_node(site_of(maker, known), self._opset), strict=False
                ):
                    known[output.name or ""] = found
        return known[name]

    @cached_property
    def _every(self) -> list[dict[str, Known] | None]:
        """What is known for as many sizes as hold for all; None where the network does not take one."""
        count = max(4, _PERIOD // self.step)
        return [_try(self._model, shapes) for shapes in _sizes(self._model, self.step, count)]

    def _proven_scales(self) -> dict[str, tuple[int, int]]:
        """By the name of its output: each resize to a size that is, for every picture, a whole multiple of its input's."""
        candidates = [
            node
            for node in self._model.graph
            if node.op_type == "Resize" and operand(node, 3) is not None and self.rank(node.inputs[0]) == 4
        ]
        scales = {
            node.outputs[0].name or "": scale
            for node in candidates
            if (scale := _common_scale([self._pair(node, known) for known in self.samples])) is not None
        }
        if not scales:
            return {}
        for known in self._every:
            if known is None:
                return {}
            for node in candidates:
                name = node.outputs[0].name or ""
                if name in scales and _common_scale([self._pair(node, known)]) != scales[name]:
                    del scales[name]
        return scales

    def _pair(self, node: ir.Node, known: dict[str, Known]) -> tuple[Shape, Shape]:
        before, after = node.inputs[0], node.outputs[0]
        assert before is not None
        return self._known(before, known).shape, self._known(after, known).shape


def _common_scale(pairs: list[tuple[Shape, Shape]]) -> tuple[int, int] | None:
    """The whole factors of rows and columns by which all pairs grow, if they are the same for all."""
    scales = {
        tuple(
            out // max(1, size) if out % max(1, size) == 0 else 0
            for size, out in zip(before, after, strict=True)
        )
        for before, after in pairs
    }
    if len(scales) != 1:
        return None
    batch, channels, rows, columns = scales.pop()
    return (rows, columns) if (batch, channels) == (1, 1) and rows >= 1 and columns >= 1 else None


def _try(model: ir.Model, shapes: Mapping[str, Shape]) -> dict[str, Known] | None:
    try:
        return infer(model, shapes)
    except DownupError:  # the network takes no such size: that is what is being found out
        return None


def _sizes(model: ir.Model, step: int, count: int) -> Iterator[dict[str, Shape]]:
    """Shapes of all inputs, `count` times, with rows and columns that are multiples of `step`."""
    first = math.ceil(_PERIOD / step) + 1
    for number in range(count):
        # Rows and columns go through all sizes, never side by side.
        rows, columns = first + number, first + (5 * number + 3) % count
        yield example_shapes(model, step * rows, step * columns, batch=1 + number % 2)


def example_shapes(model: ir.Model, rows: int, columns: int, batch: int = 1) -> dict[str, Shape]:
    """Return a shape for each input, by name: as the model declares it, with the given sizes where it leaves them open."""
    found = {}
    for value in model.graph.inputs:
        declared = value.shape.dims if value.shape is not None else (None,) * 4
        free = (batch, _expected_channels(value), rows, columns)
        found[value.name or ""] = tuple(
            length if isinstance(length, int) else free[axis] if axis < 4 else 4
            for axis, length in enumerate(declared)
        )
    return found


def _expected_channels(value: ir.Value) -> int:
    """How many channels the first convolution reads; pictures have three."""
    for node in value.consumers():
        weight = operand(node, 1)
        numbers = constant(weight)
        if node.op_type == "Conv" and numbers is not None and numbers.ndim > 1:
            return int(numbers.shape[1]) * int(attribute(node, "group", 1))
    return 3
