"""How far each output sees: stride, offset and halo along rows and columns, followed through the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import onnx_ir as ir

from downup.errors import DataError
from downup.graph.field_paths import Path, Paths, Track, find_paths
from downup.graph.nodes import name_node


@dataclass(frozen=True)
class Field:
    """What the samples of an output depend on along one axis, in samples of the input.

    stride: input samples from one output sample to the next; a fraction where the output is the larger one.
    offset: where the centre of output sample 0 lies; 0 is the centre of input sample 0.
    before, after: output sample i depends on no input sample ahead of `floor(i * stride) - before`, nor behind
    `ceil((i + 1) * stride) - 1 + after`, and some output sample depends on these very ones.
    period: shift the picture by a multiple of so many samples, and the output shifts along.
    multiple: all this is so for pictures of a multiple of so many samples; others may be resized by other factors.
    """

    stride: Fraction
    offset: Fraction
    before: int
    after: int
    period: int
    multiple: int = 1


def find_fields(model: ir.Model, paths: Paths | None = None) -> dict[str, tuple[Field, Field]]:
    """Return, for each output of a network on pictures, what its samples depend on along rows and columns.

    Args:
        model: as `downup.graph.read` returns it.
        paths: its rows and columns, where they have been followed already.

    Raises:
        DataError: an output depends on the whole picture or on where a sample lies in it; every such node is named.

    Convention: far from the edges of the picture. At an edge, samples beyond it are what the network's own padding says.
    """
    paths = paths or find_paths(model)
    whole = (
        *paths.refused,
        *(f"{name_node(node)} ({kind} of the whole picture)" for node, kind in paths.summaries.items()),
    )
    if whole:
        raise DataError(f"the output depends on the whole picture: {', '.join(whole)}")
    found = {}
    for output in model.graph.outputs:
        tracks = [path.states[output] for path in paths.axes]
        if all(isinstance(track, Track) for track in tracks):
            rows, columns = (_field(output, path, paths.multiple) for path in paths.axes)
            found[output.name or ""] = (rows, columns)
    return found


def _field(output: ir.Value, path: Path, multiple: int) -> Field:
    """Follow one output sample after the other back to the picture, for a whole turn of their phases."""
    track = path.track(output)
    needed = path.needed(output, (0, 0))
    period = math.lcm(*(path.track(value).stride.numerator for value in needed))
    count = period / track.stride
    if count > 4096:
        raise DataError(f"output {output.name!r} repeats itself only after {count} samples")
    before = after = 0
    for sample in range(int(count)):
        for value, (first, last) in path.needed(output, (sample, sample)).items():
            if value.is_graph_input():
                before = max(before, math.floor(sample * track.stride) - first)
                after = max(after, last - math.ceil((sample + 1) * track.stride) + 1)
    return Field(track.stride, track.offset, before, after, period, multiple)
