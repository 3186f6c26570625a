"""`downup optimize`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from downup.cli.console import output, say, table

if TYPE_CHECKING:
    import onnx_ir as ir


def optimize(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Network, of any framework.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.onnx", help="Where the rewritten network goes.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Height of the picture that costs are counted for.")] = 512,
    columns: Annotated[
        int, typer.Option(min=1, help="Width of the picture that costs are counted for.")
    ] = 512,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Apply this rule only; may be given again.", show_default="all rules"),
    ] = None,
) -> None:
    """Rewrite a network into a cheaper one that computes the same, in standard ONNX operators.

    Says which rules applied, how often, and what they save.
    """
    from downup import graph

    network = graph.read(model)
    before, nodes_before = _cost(network, rows, columns), len(network.graph)
    changes = graph.rewrite(network, rule)
    after = _cost(network, rows, columns)
    graph.write(network, out)
    console = output()
    counts = Counter(change.rule for change in changes)
    if counts:
        made = table(f"What was rewritten in {model}", "rule", "why", "times", text_columns=2)
        for name, count in counts.items():
            made.add_row(name, _reason(name), str(count))
        console.print(made)
    else:
        say(
            console,
            f"{model}: no rule applies; its constants were computed and its operators brought to one opset",
        )
    say(console, f"Nodes: {nodes_before} before, {len(network.graph)} after")
    if isinstance(before, str) or isinstance(after, str):
        say(console, f"Multiply-adds: not counted, {before if isinstance(before, str) else after}")
    else:
        saved = f", {1 - after / before:.0%} saved" if after < before else ""
        shapes = graph.example_shapes(network, rows, columns).values()
        size = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
        say(console, f"Multiply-adds for an input of {size}: {before:,} before, {after:,} after{saved}")
    say(console, f"Written: {out}")


def _reason(rule: str) -> str:
    """The first sentence of a rule's docstring."""
    from downup import graph

    return (graph.RULES[rule].__doc__ or "").strip().splitlines()[0]


def _cost(network: ir.Model, rows: int, columns: int) -> int | str:
    """Multiply-adds for a picture of this size, or why they cannot be counted."""
    from downup import graph
    from downup.errors import DownupError

    try:
        shapes = graph.example_shapes(network, rows, columns)
        return graph.count_multiply_adds(network, graph.shapes.infer(network, shapes))
    except DownupError as error:
        return f"a picture of {rows} x {columns} does not pass: {error}"
