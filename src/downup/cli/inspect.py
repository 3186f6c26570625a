"""`downup inspect`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from downup.cli.console import keep_memory, output, say, table
from downup.cli.precision import PrecisionOption
from downup.cli.size import picture_of

if TYPE_CHECKING:
    from downup.engine import Ceilings, Session

# The fastest of so many: whatever else the machine does only makes a step slower.
_RUNS = 5


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Network, of any framework.")],
    size: Annotated[str, typer.Option(metavar="HxW", help="Rows and columns of the picture.")] = "512x512",
    time: Annotated[bool, typer.Option("--time", help="Run it, and tell the time of each step.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all")] = None,
    precision: PrecisionOption = "fast",
) -> None:
    """Show what the engine does for a picture, step by step, and how near each step comes to what is possible."""
    from downup import engine

    session = engine.Session(model, threads, precision=precision)
    inputs = picture_of(session, size)
    steps = session.steps(inputs)
    times, least = [0.0] * len(steps), [0.0] * len(steps)
    if time:
        keep_memory()
        session.run(inputs)
        ceilings = engine.measure_ceilings(session.threads)
        times = [
            min(runs) * 1000 for runs in zip(*(session.times(inputs) for _ in range(_RUNS)), strict=True)
        ]
        least = [ceilings.seconds(step.algorithm, step.multiply_adds, step.bytes) * 1000 for step in steps]
    timed = ["ms", "share", "least ms", "of that"] if time else []
    made = table(
        f"Steps of {model}", "step", "reads", "writes", "how", "M multiply-adds", "MB", *timed, text_columns=4
    )
    for step, ms, bound in zip(steps, times, least, strict=True):
        shapes = [
            ", ".join("x".join(map(str, shape)) for shape in group) for group in (step.reads, step.writes)
        ]
        shown = [
            f"{ms:.2f}",
            f"{ms / max(sum(times), 1e-9):.1%}",
            f"{bound:.2f}",
            f"{bound / max(ms, 1e-9):.0%}",
        ]
        made.add_row(
            step.operators,
            *shapes,
            step.algorithm,
            f"{step.multiply_adds / 1e6:,.1f}",
            f"{step.bytes / 1e6:,.1f}",
            *shown[: len(timed)],
        )
    console = output()
    console.print(made)
    total = sum(step.multiply_adds for step in steps)
    memory = session.memory(inputs)
    summary = (
        f"{len(steps)} steps, {total / 1e9:,.2f} billion multiply-adds, {memory / 1e6:,.1f} MB of memory"
    )
    say(console, summary)
    if time:
        say(console, _reached(sum(times), sum(least), ceilings))
    say(console, "Reach: " + _reach(session).removeprefix(f"{model}: "))


def _reached(ms: float, least_ms: float, ceilings: Ceilings) -> str:
    """What the machine allows, and how near all steps together come to it."""
    return (
        f"{ms:,.1f} ms on {ceilings.threads} threads, {least_ms / max(ms, 1e-9):.0%} of what they allow: "
        f"{ceilings.multiply_adds / 1e9:,.0f} billion multiply-adds a second in registers, copies at "
        f"{ceilings.bytes / 1e9:,.0f} GB/s. Least ms: the longer of a step's products (Winograd's are fewer than its "
        f"multiply-adds) and its reading and writing; what lies in a cache may be faster"
    )


def _reach(session: Session) -> str:
    """How far the outputs see, and how windows of a picture must lie."""
    from downup.errors import DataError

    lines = []
    gathering = session.gathering
    try:
        found = {} if gathering else session.fields
    except DataError as error:
        return str(error)
    if gathering:
        passes = "1 pass" if gathering.passes == 1 else f"{gathering.passes} passes"
        lines.append(
            f"the output depends on the whole picture: {', '.join(gathering.nodes)}; before windows are labelled, {passes} "
            f"over them gather these numbers, in {gathering.work:.2g} times the multiplications of the labels"
        )
        session = gathering.knowing({})
    for name, fields in found.items():
        seen = [field.before + math.ceil(field.stride) + field.after for field in fields]
        strides, periods, offsets = (
            [getattr(f, key) for f in fields] for key in ("stride", "period", "offset")
        )
        lines.append(
            f"each sample of {name} sees at most {seen[0]:,} x {seen[1]:,} pixels; "
            f"a sample for every {strides[0]} x {strides[1]}, the first centred on {offsets[0]}, {offsets[1]}; "
            f"shifts with the picture by multiples of {periods[0]} x {periods[1]}"
        )
    try:
        rows, columns = session.margins
    except DataError as error:
        return "\n".join([*lines, str(error)])
    lines.append(
        f"windows with the bits of the whole begin and end at multiples of {rows.period} x {columns.period} pixels, and "
        f"read {rows.before} rows above and {rows.after} below, {columns.before} columns before and {columns.after} behind "
        "what they keep"
    )
    if session.multiple > 1:
        lines.append(f"only pictures of a multiple of {session.multiple} rows and columns have such windows")
    return "\n".join(lines)
