"""The way of rows or columns through a graph: where they are in every value, and what each node reads along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

import onnx_ir as ir

from downup.errors import DataError
from downup.graph.facts import STEPS as MULTIPLES
from downup.graph.facts import Facts
from downup.graph.field_guesses import guess
from downup.graph.field_place import Flat, Interval, Place, Step, WholePictureError
from downup.graph.field_steps import FLAT, RESHAPES, STEPS
from downup.graph.field_summaries import check_summary, summary_of
from downup.graph.nodes import is_constant, name_node
from downup.graph.shapes.pointwise import BROADCAST


class Other(Enum):
    """What is no picture: a weight, a number computed from sizes, or one computed from all of a picture."""

    WEIGHT = 0
    SIZE = 1
    SUMMARY = 2


@dataclass(frozen=True)
class Track:
    """A value whose `axis` runs along the picture.

    has_positions: its numbers are those of places in a plane, which only an un-pooling understands.
    """

    axis: int
    stride: Fraction
    offset: Fraction
    flat: Flat | None = None
    has_positions: bool = False


State = Track | Other
Widen = Callable[[Interval], Interval]


@dataclass(frozen=True)
class Path:
    """Where one axis of a picture is in every value, and from node to node what is read."""

    states: dict[ir.Value, State]
    links: list[tuple[ir.Node, list[tuple[ir.Value, Step]]]]

    def track(self, value: ir.Value) -> Track:
        """Where the axis is in a value that has it."""
        state = self.states[value]
        assert isinstance(state, Track)
        return state

    def stride(self, value: ir.Value) -> Fraction | None:
        """Pixels from one sample of a value to the next; None where it has no such axis."""
        state = self.states[value]
        return state.stride if isinstance(state, Track) else None

    def needed(
        self, output: ir.Value, samples: Interval, widened: Mapping[str, Widen] | None = None
    ) -> dict[ir.Value, Interval]:
        """The first and last sample of each value that some samples of an output depend on.

        widened: of which samples more the bits depend, where a node computes several together; by the name of its output.
            Samples behind a reflected edge count then, too.
        """
        needed = {output: samples}
        for node, steps in reversed(self.links):
            wanted = [needed[value] for value in node.outputs if value in needed]
            if not wanted:
                continue
            first, last = min(low for low, _ in wanted), max(high for _, high in wanted)
            if widened is not None:
                first, last = widened.get(node.outputs[0].name or "", _as_it_is)((first, last))
            for value, step in steps:
                low, high = step.reads(first, last)
                if widened is not None:
                    low, high = low - step.mirrored, high + step.mirrored
                if value in needed:
                    low, high = min(low, needed[value][0]), max(high, needed[value][1])
                needed[value] = (low, high)
        return needed


def _as_it_is(samples: Interval) -> Interval:
    return samples


@dataclass(frozen=True)
class Paths:
    """Rows and columns on their way through a graph.

    multiple: what is said holds for pictures of a multiple of so many rows and columns.
    refused: the nodes that mix the whole picture, each with the reason; what is behind them is a guess.
    summaries: by node, which number of the whole picture it gives, as `summary_of` says; all else is said of windows to
        which these numbers are given.
    """

    axes: tuple[Path, Path]
    multiple: int
    refused: tuple[str, ...]
    summaries: dict[ir.Node, str]


def find_paths(model: ir.Model) -> Paths:
    """Follow rows and columns: of pictures of any size, else of a multiple of as few pixels as let every node be followed.

    Raises:
        DataError: the network takes no pictures, or none of the sizes that were tried.
    """
    first: Paths | None = None
    tried = 0
    for least in MULTIPLES:
        if least <= tried:
            continue
        facts = Facts(model, least)
        if not facts.samples:
            break
        tried = facts.step
        paths = _paths(model, facts)
        first = first or paths
        if not paths.refused:
            return paths
    if first is None:
        raise DataError(
            "the network takes none of the sizes that were tried, so that nothing can be said of it"
        )
    return first


def _paths(model: ir.Model, facts: Facts) -> Paths:
    (rows, refused), (columns, more) = (_follow(model, facts, axis) for axis in (2, 3))
    summaries = {}
    for node in model.graph:
        kind = summary_of(node, facts)
        source = node.inputs[0] if kind else None
        if kind is None or source is None:
            continue
        ways = [isinstance(path.states[source], Track) for path in (rows, columns)]
        if not any(ways):
            continue
        if all(ways) and all(path.states[node.outputs[0]] is Other.SUMMARY for path in (rows, columns)):
            summaries[node] = kind
        else:
            refused.append(f"{name_node(node)} (sums over the rows or columns of the picture)")
    return Paths((rows, columns), facts.step, tuple(dict.fromkeys((*refused, *more))), summaries)


def _follow(model: ir.Model, facts: Facts, axis: int) -> tuple[Path, list[str]]:
    """Go through the graph once; return what cannot be followed, too."""
    states: dict[ir.Value, State] = {}
    path = Path(states, [])
    for value in model.graph.inputs:
        if facts.rank(value) != 4:
            raise DataError(f"input {value.name!r} is no picture [batch, channel, row, column]")
        states[value] = Track(axis, Fraction(1), Fraction(0))
    for value in model.graph.initializers.values():
        states.setdefault(value, Other.WEIGHT)
    refused: list[str] = []
    for node in model.graph:
        try:
            state, steps = _pass(node, states, facts)
        except WholePictureError as error:
            refused.append(str(error))
            state, steps = _guessed(node, states, facts)
        path.links.append((node, steps))
        for index, value in enumerate(node.outputs):
            is_position = node.op_type == "MaxPool" and index == 1
            states[value] = (
                replace(state, has_positions=True) if is_position and isinstance(state, Track) else state
            )
    for value in model.graph.outputs:
        found = states.get(value)
        if isinstance(found, Track) and found.has_positions:
            refused.append(f"output {value.name!r} (tells places in the plane)")
    return path, refused


def _pass(
    node: ir.Node, states: dict[ir.Value, State], facts: Facts
) -> tuple[State, list[tuple[ir.Value, Step]]]:
    """Where the axis is behind a node, and what the node reads along it.

    Raises:
        WholePictureError: the node mixes samples of the whole picture.
    """
    given = [(index, value, states[value]) for index, value in enumerate(node.inputs) if value is not None]
    tracks = [(index, value, state) for index, value, state in given if isinstance(state, Track)]
    if node.op_type in ("Shape", "Size"):
        return Other.SIZE, []
    if not tracks:
        summaries, sizes = (
            [value for _, value, state in given if state is kind] for kind in (Other.SUMMARY, Other.SIZE)
        )
        if summaries:
            check_summary(node, summaries, sizes, facts)
        worst = max((state.value for _, _, state in given if isinstance(state, Other)), default=0)
        return Other(worst), []
    state = tracks[0][2]
    is_plain = state.axis in (2, 3) and state.flat is None and not state.has_positions
    if is_plain and summary_of(node, facts) is not None:
        return Other.SUMMARY, []
    if node.op_type not in STEPS:
        raise WholePictureError(f"{name_node(node)} (mixes the whole picture)")
    found: list[tuple[Track, Step]] = []
    for index, _, state in tracks:
        if state.flat is not None and node.op_type not in FLAT:
            raise WholePictureError(f"{name_node(node)} (works on rows and columns that are one axis)")
        is_unpooled = node.op_type == "MaxUnpool" and index == 1
        if state.has_positions and not is_unpooled and node.op_type not in FLAT:
            raise WholePictureError(f"{name_node(node)} (reckons with places in the plane)")
        step = STEPS[node.op_type](Place(node, index, state.axis, facts, state.flat))
        flat = step.flat if node.op_type in RESHAPES else state.flat
        offset = state.offset + step.centre * state.stride
        has_positions = state.has_positions and not is_unpooled
        found.append((Track(step.axis, state.stride * step.stride, offset, flat, has_positions), step))
    first = found[0][0]
    if any(
        (track.axis, track.stride, track.flat) != (first.axis, first.stride, first.flat) for track, _ in found
    ):
        raise WholePictureError(f"{name_node(node)} (joins pictures of different resolution)")
    if node.op_type in (*BROADCAST, "Concat"):
        _check_others(node, given, first.axis, facts)
    first = replace(first, has_positions=any(track.has_positions for track, _ in found))
    return first, [(value, step) for (_, value, _), (_, step) in zip(tracks, found, strict=True)]


def _guessed(
    node: ir.Node, states: dict[ir.Value, State], facts: Facts
) -> tuple[State, list[tuple[ir.Value, Step]]]:
    """The same where the node mixes the whole picture: as if each sample of its output saw the one below it alone."""
    for value in node.inputs:
        state = None if value is None else states[value]
        if value is None or not isinstance(state, Track):
            continue
        step = guess(node, value, state.axis, facts)
        if step is not None:
            return Track(step.axis, state.stride * step.stride, state.offset), [(value, step)]
    return Other.SUMMARY, []


def _check_others(node: ir.Node, given: list[tuple[int, ir.Value, State]], axis: int, facts: Facts) -> None:
    """What is added to a picture must be the same for all its samples, wherever and whatever size it is."""
    out = facts.rank(node.outputs[0]) or 0
    for _, value, state in given:
        if isinstance(state, Track) or state is Other.SUMMARY:
            continue  # a summary is the same everywhere
        shapes = facts.shapes(value)
        own = axis - (out - len(shapes[0]))
        if own >= 0 and any(shape[own] != 1 for shape in shapes):
            raise WholePictureError(f"{name_node(node)} (what it does depends on the place in the picture)")
        if not is_constant(value):
            raise WholePictureError(f"{name_node(node)} (what it does depends on the size of the picture)")
