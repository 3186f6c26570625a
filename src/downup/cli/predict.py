"""`downup predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from downup.cli.console import keep_memory, output, progress_bar, say, say_error
from downup.cli.labelling import session_of


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of downup train.")],
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURES...", help="Picture files, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for the labels.")],
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each picture with its labels laid over it.")
    ] = False,
    window: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side in pixels of the parts a large picture is cut into.", show_default="1024"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="as many as cores")
    ] = None,
) -> None:
    """Label new pictures: a palette PNG for each, of the same size and stem.

    A picture that cannot be read is named and left out, the others are labelled, and the exit status is 1.
    """
    keep_memory()
    from downup.prediction import label_folder
    from downup.training import open_run
    from downup.training.results import read_classes

    folder = open_run(run)
    classes, channels = read_classes(folder), folder.read_config()["channels"]
    session = session_of(folder, "predict", device, threads)
    console = output()
    with progress_bar(console, "labelling") as progress:
        outcome = label_folder(
            session,
            pictures,
            out,
            classes=classes,
            channels=channels,
            overlay=overlay,
            window=window,
            progress=progress,
        )
    say(
        console,
        f"Labelled {len(outcome.done)} of {len(outcome.done) + len(outcome.failed)} pictures in {out}",
    )
    for _, message in outcome.failed:
        say_error(message)
    if outcome.failed:
        raise typer.Exit(1)
