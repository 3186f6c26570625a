"""`downup verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from downup.cli.console import keep_memory, output, progress_bar, say, say_error
from downup.cli.labelling import labeller_of


def verify(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="What downup predict wrote: .png, .tif, .npy, .zarr.")
    ],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The picture that was labelled.")],
    network: Annotated[
        Path,
        typer.Argument(metavar="RUN|MODEL.onnx", help="Run folder of downup train, or what it exported."),
    ],
    windows: Annotated[int, typer.Option(min=1, help="How many places.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the places.")] = 0,
    memory: Annotated[str, typer.Option(help="What a picture that is decoded whole may take.")] = "2GB",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all")] = None,
) -> None:
    """Compute labels again at random places, with more around them, and compare: exit status 1 if any differs."""
    keep_memory()
    from downup.prediction import open_labels, parse_bytes, verify_labels
    from downup.prediction.sources import open_image

    made = labeller_of(network, "verify", "cpu", threads)
    image = open_image(picture, made.channels, parse_bytes(memory))
    console = output()
    try:
        with (
            open_labels(labels, image.rows, image.columns) as written,
            progress_bar(console, "verifying") as progress,
        ):
            found = verify_labels(made.session, image, written, windows=windows, seed=seed, progress=progress)
    finally:
        image.close()
    say(
        console,
        f"{found.different:,} of {found.pixels:,} pixels differ, in {found.windows} windows of {labels}",
    )
    if found.different:
        for row, column, old, new in found.first:
            say_error(f"{labels}: row {row}, column {column} has label {old}; computed again it is {new}")
        raise typer.Exit(1)
