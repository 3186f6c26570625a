"""What a window of a picture must read so that the bits of what is kept of it are those of the whole picture.

A window begins at a multiple of `period`, so that every value in it is a piece of the same value in the whole picture,
and every tile of a kernel lies where it lies there. It ends at one, too, or where the picture ends: there a network's own
padding does what it does to the whole. The pixels kept begin and end at multiples as well. Beside them the window holds
every sample, of every value on the way, that their bits depend on; what its other edges spoil is further out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import onnx_ir as ir

from downup.errors import DataError
from downup.graph.facts import example_shapes
from downup.graph.field_paths import Path, Paths, Track
from downup.graph.field_place import Interval
from downup.graph.nodes import name_node
from downup.graph.shapes import infer

# Pictures that the sizes of values are looked at for are at least so large.
_LEAST_SIDE = 128


@dataclass(frozen=True)
class Tiles:
    """Samples of a value that a kernel computes together, along one axis: the bits of each are those of all they read.

    size: from one tile to the next.
    first: where a tile begins.
    """

    size: int
    first: int = 0

    def widened(self, samples: Interval) -> Interval:
        """All samples of the tiles that hold some.

        >>> Tiles(4, first=1).widened((2, 5))
        (1, 8)
        """
        low, high = samples
        start = (low - self.first) // self.size * self.size + self.first
        return start, (high - self.first) // self.size * self.size + self.first + self.size - 1


@dataclass(frozen=True)
class Margin:
    """How windows lie along one axis.

    period: they begin, end and are kept from and to multiples of so many pixels.
    before, after: pixels that are read beyond those kept, at least.
    """

    period: int
    before: int
    after: int


def find_margins(
    model: ir.Model,
    paths: Paths,
    tiles: Mapping[str, Sequence[tuple[Tiles, Tiles]]],
    values: Sequence[ir.Value] = (),
) -> tuple[Margin, Margin]:
    """How windows lie along rows and columns, for the labels or scores of a network's first output, or for some values.

    Args:
        model: the network.
        paths: its rows and columns, as `find_paths` gives them.
        tiles: what kernels compute together, of rows and of columns, by the name of the node's first output.
        values: instead of the first output, what is kept of windows; the samples from those at its first pixel.

    Raises:
        DataError: windows have not the sizes of what they are cut from: the network depends on the place in the picture.
    """
    kept = list(values) or [model.graph.outputs[0]]
    _refuse_fixed_sizes(model)
    along = [{name: [pair[i] for pair in pairs] for name, pairs in tiles.items()} for i in (0, 1)]
    periods = [_period(kept, path, paths.multiple, along[i]) for i, path in enumerate(paths.axes)]
    try:
        sizes = _Sizes(model, paths, periods)
    except DataError:
        if not values:
            raise
        # A network that pads to a multiple does so for the deepest of its values, behind these perhaps.
        kept_too = [*kept, model.graph.outputs[0]]
        periods = [_period(kept_too, path, paths.multiple, along[i]) for i, path in enumerate(paths.axes)]
        sizes = _Sizes(model, paths, periods)
    rows, columns = (
        _margin(kept, path, periods[i], along[i], {} if paths.refused else sizes.ends(i))
        for i, path in enumerate(paths.axes)
    )
    return rows, columns


def _period(kept: Sequence[ir.Value], path: Path, multiple: int, tiles: Mapping[str, Sequence[Tiles]]) -> int:
    found = [multiple]
    for value in {value for output in kept for value in path.needed(output, (0, 0))}:
        stride = path.track(value).stride
        found.append(stride.numerator)
        found += [(stride * tile.size).numerator for tile in tiles.get(value.name or "", ())]
    return math.lcm(*found)


def _margin(
    kept: Sequence[ir.Value],
    path: Path,
    period: int,
    tiles: Mapping[str, Sequence[Tiles]],
    ends: Mapping[str, Fraction],
) -> Margin:
    """What the samples of outputs on the first `period` pixels need of each value, in pixels.

    ends: where the last sample of a value ends, in pixels beyond the end of the picture.
    """
    widened = {name: partial(_widen, items) for name, items in tiles.items() if items}
    before = after = 0
    for output in kept:
        last = int(period / path.track(output).stride) - 1
        for value, (low, high) in path.needed(output, (0, last), widened).items():
            stride, end = path.track(value).stride, ends.get(value.name or "", Fraction(0))
            before = max(before, math.ceil(-low * stride))
            after = max(after, math.ceil((high + 1) * stride - end) - period)
    return Margin(period, before, after)


def _widen(tiles: Sequence[Tiles], samples: Interval) -> Interval:
    found = [tile.widened(samples) for tile in tiles]
    return min(low for low, _ in found), max(high for _, high in found)


def _refuse_fixed_sizes(model: ir.Model) -> None:
    for value in model.graph.inputs:
        sizes = () if value.shape is None else value.shape.dims[2:]
        if any(isinstance(size, int) for size in sizes):
            raise DataError(
                f"input {value.name!r} is fixed to {' x '.join(map(str, sizes))} pixels, so that no larger picture can "
                "be cut into windows; export it with open sizes"
            )


class _Sizes:
    """How long values are for pictures of some sizes: windows must have sizes like the whole.

    Raises:
        DataError: one more `period` of the picture is not as much more of some value.
    """

    def __init__(self, model: ir.Model, paths: Paths, periods: Sequence[int]) -> None:
        self._model, self._paths, self._periods = model, paths, periods
        least = [-(-_LEAST_SIDE // period) * period for period in periods]
        self._whole = self._lengths(least)
        if paths.refused:
            return
        for part in (0.0, 0.34, 0.71):
            size = [
                side + int(part * period) // paths.multiple * paths.multiple
                for side, period in zip(least, periods, strict=True)
            ]
            before = self._lengths(size)
            after = self._lengths([side + period for side, period in zip(size, periods, strict=True)])
            for axis, period in enumerate(periods):
                self._refuse_uneven(axis, period, before[axis], after[axis])
        self._least = least

    def ends(self, axis: int) -> dict[str, Fraction]:
        """Where values end, in pixels beyond the end of a picture that is a multiple of the period."""
        path = self._paths.axes[axis]
        return {
            value.name or "": length * path.track(value).stride - self._least[axis]
            for value, length in self._whole[axis].items()
        }

    def _lengths(self, size: Sequence[int]) -> list[dict[ir.Value, int]]:
        known = infer(self._model, example_shapes(self._model, *size))
        return [
            {
                value: known[value.name or ""].shape[state.axis]
                for value, state in path.states.items()
                # Rows and columns that are one axis: whatever that comes from is looked at.
                if isinstance(state, Track) and state.flat is None and value.name in known
            }
            for path in self._paths.axes
        ]

    def _refuse_uneven(
        self, axis: int, period: int, before: Mapping[ir.Value, int], after: Mapping[ir.Value, int]
    ) -> None:
        for value, length in before.items():
            if (after[value] - length) * self._paths.axes[axis].track(value).stride != period:
                maker = value.producer()
                named = f"input {value.name!r}" if maker is None else name_node(maker)
                raise DataError(
                    f"the output depends on the whole picture: {named} (gives {length} and {after[value]} samples for "
                    f"pictures that are {period} pixels apart)"
                )
