"""Which taps a resampling needs, along each axis, as plain numbers: torch's registry passes nothing else.

A plan of one axis is a kind, whole numbers that begin with the sizes before and after, and other numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from downup import taps
from downup.errors import ArgumentError
from downup.kernels import Window
from downup.ops._arguments import Kept
from downup.taps import Taps

WINDOW, ADAPTIVE, BINOMIAL, SAMPLED = range(4)


class AxisPlan(NamedTuple):
    """in_size and out_size may be symbols; the rest are numbers."""

    kind: int
    in_size: Any
    out_size: Any
    whole: tuple[int, ...] = ()
    other: tuple[float, ...] = ()


def window_plan(window: Window, axis: int, in_size: Any, out_size: Any, divisor: Any) -> AxisPlan:
    """`taps.window_taps` of one axis of a window."""
    counted = taps.COUNTED.index(divisor) if isinstance(divisor, str) else len(taps.COUNTED)
    fields = (window.size, window.stride, window.pad_before, window.pad_after, window.dilation)
    numbers = tuple(field[axis] for field in fields)
    return AxisPlan(
        WINDOW,
        in_size,
        out_size,
        (*numbers, int(window.ceil_mode), counted),
        (0.0 if isinstance(divisor, str) else float(divisor),),
    )


def adaptive_plan(in_size: Any, out_size: Any) -> AxisPlan:
    """`taps.adaptive_taps`."""
    return AxisPlan(ADAPTIVE, in_size, out_size)


def binomial_plan(in_size: Any, out_size: Any, count: int, stride: int, edge: str) -> AxisPlan:
    """`taps.binomial_taps`."""
    if edge not in taps.EDGES:
        raise ArgumentError(f"edge is {edge!r}; use one of {', '.join(taps.EDGES)}")
    return AxisPlan(BINOMIAL, in_size, out_size, (count, stride, taps.EDGES.index(edge)))


def sampled_plan(in_size: Any, out_size: Any, filter: str, **options: Any) -> AxisPlan:
    """`taps.sampled_taps`, with all its options."""
    whole = (
        taps.FILTERS.index(filter),
        taps.COORDINATES.index(options["coordinates"]),
        taps.ROUNDINGS.index(options["rounding"]),
        int(options["antialias"]),
        int(options["exclude_outside"]),
    )
    return AxisPlan(
        SAMPLED, in_size, out_size, whole, (float(options["ratio"]), float(options["cubic_coefficient"]))
    )


# Tables of large images take megabytes, so their bytes are counted, not their number.
MOST_BYTES = 32 * 2**20


def bytes_of(*tables: Taps) -> int:
    """What tables take, with their transposes, and what is kept about them."""
    return sum(1024 + 24 * table.count + 16 * (table.in_size + table.out_size) for table in tables)


tables = Kept(MOST_BYTES, bytes_of)


def make_taps(plan: AxisPlan) -> Taps:
    """The taps of a plan whose sizes are numbers, kept for the next call."""
    found: Taps | None = tables.get(plan)
    if found is None:
        found = _make_taps(plan)
        tables.put(plan, found)
    return found


def _make_taps(plan: AxisPlan) -> Taps:
    in_size, out_size, whole = plan.in_size, plan.out_size, plan.whole
    if plan.kind == ADAPTIVE:
        return taps.adaptive_taps(in_size, out_size)
    if plan.kind == BINOMIAL:
        return taps.binomial_taps(in_size, whole[0], whole[1], _named(taps.EDGES, whole[2]))
    if plan.kind == SAMPLED:
        return taps.sampled_taps(
            in_size,
            out_size,
            _named(taps.FILTERS, whole[0]),
            coordinates=_named(taps.COORDINATES, whole[1]),
            rounding=_named(taps.ROUNDINGS, whole[2]),
            antialias=bool(whole[3]),
            exclude_outside=bool(whole[4]),
            ratio=plan.other[0],
            cubic_coefficient=plan.other[1],
        )
    size, stride, before, after, dilation, ceil_mode, counted = whole
    window = Window((size, 1), (stride, 1), (before, 0), (after, 0), (dilation, 1), ceil_mode=bool(ceil_mode))
    divisor: Any = taps.COUNTED[counted] if counted < len(taps.COUNTED) else plan.other[0]
    made = taps.window_taps(in_size, window, 0, divisor)
    if made.out_size != out_size:
        raise ArgumentError(
            f"{in_size} samples make {made.out_size}, not {out_size}; use the size of the pooling's own rule"
        )
    return made


def _named(choices: tuple[str, ...], number: int) -> Any:
    return choices[number]
