"""`downup export`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from downup.cli.console import fail, need_torch, output, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from downup.networks.export import Agreement


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of downup train.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="The file to write.", dir_okay=False)
    ],
) -> None:
    """Write a trained network as an ONNX file that any engine runs, at any size.

    Where ONNX Runtime is installed, it is held against torch on pictures of five sizes; the exit status is 1 where
    they do not agree.
    """
    need_torch("export")
    from downup.networks.export import check_against_onnxruntime
    from downup.training.export import export_run

    console = output()
    exported = export_run(run, out)
    say(console, f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(exported.model.graph)} nodes")
    if importlib.util.find_spec("onnxruntime") is None:
        say(console, "Not checked: ONNX Runtime is not installed (pip install onnxruntime)")
        return
    channels = exported.model.graph.inputs[0].shape
    assert channels is not None
    found = list(check_against_onnxruntime(exported, int(channels[1])))  # type: ignore[arg-type]
    console.print(agreement_table(found))
    if not all(agreement.is_close for agreement in found):
        fail(f"{out}: ONNX Runtime and torch do not agree; the file is there to be looked at")


def agreement_table(found: Sequence[Agreement]) -> object:
    """Return one row for each size."""
    made = table(
        "ONNX Runtime against torch", "pictures", "largest difference", "equal labels", "moved positions"
    )
    for agreement in found:
        made.add_row(
            "x".join(map(str, agreement.size)),
            f"{agreement.difference:.1e}",
            f"{agreement.same:.4%}",
            str(agreement.moved),
        )
    return made
