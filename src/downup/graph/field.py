"""How far each output sees: stride, offset and halo along rows and columns, followed through the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import onnx_ir as ir

from downup.errors import DataError
from downup.graph.facts import Facts
from downup.graph.field_place import Flat, Interval, Place, Step, WholePictureError
from downup.graph.field_steps import FLAT, RESHAPES, STEPS
from downup.graph.nodes import is_constant, name_node
from downup.graph.shapes.pointwise import BROADCAST


@dataclass(frozen=True)
class Field:
    """What the samples of an output depend on along one axis, in samples of the input.

    stride: input samples from one output sample to the next; a fraction where the output is the larger one.
    offset: where the centre of output sample 0 lies; 0 is the centre of input sample 0.
    before, after: output sample i depends on no input sample ahead of `floor(i * stride) - before`, nor behind
    `ceil((i + 1) * stride) - 1 + after`, and some output sample depends on these very ones.
    period: shift the picture by a multiple of so many samples, and the output shifts along.
    """

    stride: Fraction
    offset: Fraction
    before: int
    after: int
    period: int


class _Other(Enum):
    """What is no picture: a weight, a number computed from sizes, or one computed from all of a picture."""

    WEIGHT = 0
    SIZE = 1
    SUMMARY = 2


@dataclass(frozen=True)
class _Track:
    """A value whose `axis` runs along the picture."""

    axis: int
    stride: Fraction
    offset: Fraction
    flat: Flat | None = None


_State = _Track | _Other
_Links = list[tuple[ir.Node, list[tuple[ir.Value, Step]]]]


def find_fields(model: ir.Model) -> dict[str, tuple[Field, Field]]:
    """Return, for each output of a network on pictures, what its samples depend on along rows and columns.

    Raises:
        DataError: an output depends on the whole picture or on where a sample lies in it; every such node is named.

    Convention: far from the edges of the picture. At an edge, samples beyond it are what the network's own padding says.
    """
    facts = Facts(model)
    if not facts.samples:
        raise DataError(
            "the network takes none of the sizes that were tried, so that nothing can be said of it"
        )
    rows, columns = (_along(model, facts, axis) for axis in (2, 3))
    return {name: (rows[name], columns[name]) for name in rows}


def _along(model: ir.Model, facts: Facts, axis: int) -> dict[str, Field]:
    states, links, refused = _follow(model, facts, axis)
    if refused:
        raise DataError(f"the output depends on the whole picture: {', '.join(refused)}")
    found = {}
    for output in model.graph.outputs:
        state = states[output]
        if isinstance(state, _Track):
            found[output.name or ""] = _field(output, state, states, links)
    return found


def _follow(model: ir.Model, facts: Facts, axis: int) -> tuple[dict[ir.Value, _State], _Links, list[str]]:
    """Go through the graph once: where the axis is in every value, what each node reads, and what cannot be followed."""
    states: dict[ir.Value, _State] = {}
    for value in model.graph.inputs:
        if facts.rank(value) != 4:
            raise DataError(f"input {value.name!r} is no picture [batch, channel, row, column]")
        states[value] = _Track(axis, Fraction(1), Fraction(0))
    for value in model.graph.initializers.values():
        states.setdefault(value, _Other.WEIGHT)
    links: _Links = []
    refused: list[str] = []
    for node in model.graph:
        try:
            state, steps = _pass(node, states, facts)
        except WholePictureError as error:
            refused.append(str(error))
            state, steps = _Other.SUMMARY, []
        links.append((node, steps))
        for value in node.outputs:
            states[value] = state
    return states, links, refused


def _pass(
    node: ir.Node, states: dict[ir.Value, _State], facts: Facts
) -> tuple[_State, list[tuple[ir.Value, Step]]]:
    """Where the axis is behind a node, and what the node reads along it.

    Raises:
        WholePictureError: the node mixes samples of the whole picture.
    """
    given = [(index, value, states[value]) for index, value in enumerate(node.inputs) if value is not None]
    tracks = [(index, value, state) for index, value, state in given if isinstance(state, _Track)]
    if node.op_type in ("Shape", "Size"):
        return _Other.SIZE, []
    if not tracks:
        worst = max((state.value for _, _, state in given if isinstance(state, _Other)), default=0)
        return _Other(worst), []
    if node.op_type not in STEPS:
        raise WholePictureError(f"{name_node(node)} (mixes the whole picture)")
    found: list[tuple[_Track, Step]] = []
    for index, _, state in tracks:
        if state.flat is not None and node.op_type not in FLAT:
            raise WholePictureError(f"{name_node(node)} (works on rows and columns that are one axis)")
        step = STEPS[node.op_type](Place(node, index, state.axis, facts, state.flat))
        flat = step.flat if node.op_type in RESHAPES else state.flat
        offset = state.offset + step.centre * state.stride
        found.append((_Track(step.axis, state.stride * step.stride, offset, flat), step))
    first = found[0][0]
    if any(
        (track.axis, track.stride, track.flat) != (first.axis, first.stride, first.flat) for track, _ in found
    ):
        raise WholePictureError(f"{name_node(node)} (joins pictures of different resolution)")
    if node.op_type in (*BROADCAST, "Concat"):
        _check_others(node, given, first.axis, facts)
    return first, [(value, step) for (_, value, _), (_, step) in zip(tracks, found, strict=True)]


def _check_others(node: ir.Node, given: list[tuple[int, ir.Value, _State]], axis: int, facts: Facts) -> None:
    """What is added to a picture must be the same for all its samples, wherever and whatever size it is."""
    out = facts.rank(node.outputs[0]) or 0
    for _, value, state in given:
        if isinstance(state, _Track) or state is _Other.SUMMARY:
            continue  # a summary has been refused where it was made
        shapes = facts.shapes(value)
        own = axis - (out - len(shapes[0]))
        if own >= 0 and any(shape[own] != 1 for shape in shapes):
            raise WholePictureError(f"{name_node(node)} (what it does depends on the place in the picture)")
        if not is_constant(value):
            raise WholePictureError(f"{name_node(node)} (what it does depends on the size of the picture)")


def _field(output: ir.Value, track: _Track, states: dict[ir.Value, _State], links: _Links) -> Field:
    """Follow one output sample after the other back to the picture, for a whole turn of their phases."""
    needed = _needed(output, (0, 0), links)
    strides = [state.stride for value in needed if isinstance(state := states[value], _Track)]
    period = math.lcm(*(stride.numerator for stride in strides))
    count = period / track.stride
    if count > 4096:
        raise DataError(f"output {output.name!r} repeats itself only after {count} samples")
    before = after = 0
    for sample in range(int(count)):
        for value, (first, last) in _needed(output, (sample, sample), links).items():
            if value.is_graph_input():
                before = max(before, math.floor(sample * track.stride) - first)
                after = max(after, last - math.ceil((sample + 1) * track.stride) + 1)
    return Field(track.stride, track.offset, before, after, period)


def _needed(output: ir.Value, samples: Interval, links: _Links) -> dict[ir.Value, Interval]:
    """The first and last sample of each value that some samples of an output depend on."""
    needed = {output: samples}
    for node, steps in reversed(links):
        wanted = [needed[value] for value in node.outputs if value in needed]
        if not wanted:
            continue
        first, last = min(low for low, _ in wanted), max(high for _, high in wanted)
        for value, step in steps:
            low, high = step.reads(first, last)
            if value in needed:
                low, high = min(low, needed[value][0]), max(high, needed[value][1])
            needed[value] = (low, high)
    return needed
