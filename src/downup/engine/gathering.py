"""Numbers of a whole picture, gathered from its windows before these are labelled: means of squeeze-and-excite and others.

Sums are exact, so that those of windows make that of the whole, bit for bit, however the picture is cut. Numbers that are
made of what others were multiplied with need another pass over the picture: one for each level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from downup import kernels
from downup.engine.labelling import one_picture
from downup.engine.values import Array
from downup.errors import DataError
from downup.graph import Margin, Summary

if TYPE_CHECKING:
    from downup.engine.plan import Wants
    from downup.engine.session import Session

# Of a picture whose multiplications are counted; a multiple of what most networks take.
_SIDE = 256
# Widenings of windows that a network finds too small.
_TRIES = 16


@dataclass(frozen=True)
class Part:
    """What a window adds to a number of each channel of a picture.

    count: samples of the window.
    numbers: their exact sums as `du_sum_exactly` gives them, int64 [channels, words]; or the largest, float32 [channels].
    """

    count: int
    numbers: Array


class Gathering:
    """All passes over a picture that go before its labels.

    Args:
        session: of the network.
        levels: the numbers that it needs, as `downup.graph.find_levels` gives them.
    """

    def __init__(self, session: Session, levels: Sequence[Sequence[Summary]]) -> None:
        self._session, self._levels = session, levels

    @property
    def passes(self) -> int:
        """How many there are."""
        return len(self._levels)

    @property
    def nodes(self) -> tuple[str, ...]:
        """What asks for numbers of the whole picture, by name."""
        return self._session.whole_picture_nodes

    @property
    def work(self) -> float:
        """Multiplications of all passes, for each one of the labels."""
        costs = [
            self._cost(number, tuple(item.source.name or "" for item in level))
            for number, level in enumerate(self._levels)
        ]
        return sum(costs) / max(1, self._cost(self.passes, "labels"))

    def _cost(self, passes: int, wants: Wants) -> int:
        shapes = one_picture(self._session.example_shapes(_SIDE, _SIDE), "")
        plan = self.knowing(self._nothing(passes)).plan(shapes, wants)
        return sum(step.multiply_adds for step in plan.steps)

    def _nothing(self, passes: int) -> dict[str, Array]:
        """Names of what some passes give, for plans that do not run."""
        return {item.name: np.empty(0) for level in self._levels[:passes] for item in level}

    def done(self, known: Mapping[str, Array]) -> int:
        """How many gave what is known."""
        found = [all(summary.name in known for summary in level) for level in self._levels]
        return [*found, False].index(False)

    def gatherer(self, known: Mapping[str, Array]) -> Gatherer:
        """The next pass.

        known: what the passes before it gave.
        """
        return Gatherer(self._session, self.done(known), known)

    def reserve(self, rows: int, columns: int) -> None:
        """Have the memory ready that labels of such a window take: the passes before them then work in it, too."""
        self.knowing(self._nothing(self.passes)).reserve(rows, columns)

    def knowing(self, known: Mapping[str, Array]) -> Session:
        """A session whose windows have the labels of the whole picture.

        known: what all passes gave; its windows can be planned, but not labelled, without.
        """
        return self._session.knowing(known)


class Gatherer:
    """A pass over the windows of a picture.

    Windows lie as `downup.prediction.windows_of` lays them.
    """

    def __init__(self, session: Session, level: int, known: Mapping[str, Array]) -> None:
        self._session, self._level = session.knowing(known), level
        self._summaries = session.reach.levels[level]

    @cached_property
    def margins(self) -> tuple[Margin, Margin]:
        """How windows must lie along rows and columns, for the numbers of this pass."""
        return self._session.reach.level_margins(self._level, self._session.tiles)

    @cached_property
    def halo(self) -> int:
        """Pixels that are read on each side of those that a window keeps."""
        halo = max(side for margin in self.margins for side in (margin.before, margin.after))
        # The smallest windows, in a corner, must be large enough for the network: edges are reflected, perhaps.
        for more in range(_TRIES):
            side = -(-max(1, halo + more * self.stride) // self.multiple) * self.multiple
            try:
                self.label_memory(side, side)
            except DataError:
                continue
            return halo + more * self.stride
        return halo

    @property
    def stride(self) -> int:
        """Windows, and what they keep, begin and end at multiples of so many pixels."""
        return math.lcm(*(margin.period for margin in self.margins))

    @property
    def multiple(self) -> int:
        """As `Session.multiple`."""
        return self._session.multiple

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that such a window takes beyond those of the picture and of what the session holds now."""
        shapes = one_picture(self._session.example_shapes(rows, columns), "")
        plan = self._session.plan(shapes, self._wants)
        return plan.look_size + 4 * sum(math.prod(shape) for shape in shapes.values())

    def gather(self, pixels: Array, rows: slice, columns: slice) -> dict[str, Part]:
        """What a window adds.

        Args:
            pixels: as `Session.labels` takes it.
            rows, columns: the pixels of it that are kept; a stop of None where the picture ends.
        """
        return self._session.look(pixels, self._wants, partial(self._parts, rows, columns))

    def _parts(self, rows: slice, columns: slice, found: Mapping[str, Array]) -> dict[str, Part]:
        parts = {}
        for summary in self._summaries:
            down, across = self._session.reach.strides(summary.source)
            values = found[summary.source.name or ""][0]
            kept = values[:, _samples(rows, down), _samples(columns, across)]
            count = kept.shape[1] * kept.shape[2]
            if count == 0:
                continue  # a map that ends before the picture does may have none on its last pixels
            is_max = summary.kind == "max"
            parts[summary.name] = Part(
                count, _largest(kept) if is_max else _sums(kept, self._session.threads)
            )
        return parts

    def add(self, total: Mapping[str, Part], parts: Mapping[str, Part]) -> dict[str, Part]:
        """Both together."""
        both = {name: _together(total[name], part) for name, part in parts.items() if name in total}
        return {**total, **parts, **both}

    def finish(self, total: Mapping[str, Part]) -> dict[str, Array]:
        """The numbers of the whole picture, as the network has them, from the parts of all its windows."""
        shapes = self._session.summary_shapes(self._level)
        return {
            summary.name: _numbers(total[summary.name], summary.kind).reshape(shapes[summary.name])
            for summary in self._summaries
        }

    @property
    def _wants(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(summary.source.name or "" for summary in self._summaries))


def _samples(pixels: slice, stride: Fraction) -> slice:
    """Those of a map that lie on some pixels, which begin and end at multiples of its stride."""
    return slice(int(pixels.start / stride), None if pixels.stop is None else int(pixels.stop / stride))


def _sums(kept: Array, threads: int) -> Array:
    sums = np.empty((1, len(kept), 1, kernels.lib.DU_EXACT_WORDS), np.int64)
    views = kernels.array_view(kept[None]), kernels.array_view(sums)
    kernels.check(kernels.lib.du_sum_exactly(*views, threads))
    return sums[0, :, 0]


def _largest(kept: Array) -> Array:
    # Of zeros the positive one, as the kernel has it.
    largest: Array = kept.max(axis=(1, 2)) + np.float32(0)
    return largest


def _together(a: Part, b: Part) -> Part:
    numbers = a.numbers + b.numbers if a.numbers.dtype == np.int64 else np.maximum(a.numbers, b.numbers)
    return Part(a.count + b.count, numbers)


def _numbers(total: Part, kind: str) -> Array:
    if kind == "max":
        return total.numbers
    sums = np.ascontiguousarray(total.numbers[None, :, None])
    found = np.empty((1, len(total.numbers), 1, 1), np.float32)
    views = kernels.array_view(sums), kernels.array_view(found)
    kernels.check(kernels.lib.du_mean_exactly(*views, total.count if kind == "mean" else 1, 1))
    return found
