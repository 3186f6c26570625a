"""`downup predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from downup.cli.console import fail, keep_memory, output, say, say_error
from downup.cli.labelling import labeller_of
from downup.cli.pixels_bar import pixels_bar

_RESULT, _MACHINE = "Results", "Machine"


def predict(
    network: Annotated[
        Path,
        typer.Argument(metavar="RUN|MODEL.onnx", help="Run folder of downup train, or what it exported."),
    ],
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURES...", help="Picture files, or folders of them."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Folder for the labels; of one picture, perhaps a file."
        ),
    ],
    kind: Annotated[
        Literal["png", "tiff", "npy"],
        typer.Option("--format", help="Of the labels in a folder.", rich_help_panel=_RESULT),
    ] = "png",
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also write each picture with its labels laid over it.",
            rich_help_panel=_RESULT,
        ),
    ] = False,
    probabilities: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="Classes whose probability is written too, 255 for 1.",
            rich_help_panel=_RESULT,
        ),
    ] = "",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where a run was stopped.", rich_help_panel=_RESULT),
    ] = False,
    memory: Annotated[
        str, typer.Option(help="What the process may hold, such as 800MB.", rich_help_panel=_MACHINE)
    ] = "2GB",
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side in pixels of the parts a large picture is cut into.",
            show_default="as memory allows",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.", rich_help_panel=_MACHINE)
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads.", show_default="all", rich_help_panel=_MACHINE),
    ] = None,
) -> None:
    """Label pictures of any size: for each, a file of the same size and stem.

    A picture that cannot be read is named and left out, the others are labelled, and the exit status is 1.
    """
    keep_memory()
    from downup.prediction import FORMATS, format_of, label_folder, label_image, parse_bytes

    options: dict[str, Any] = {
        "memory": parse_bytes(memory),
        "window": window,
        "probabilities": [name.strip() for name in probabilities.split(",") if name.strip()],
        "resume": resume,
    }
    made = labeller_of(network, "predict", device, threads)
    options |= {"classes": made.classes, "channels": made.channels, "model": made.file}
    console = output()
    is_file = len(pictures) == 1 and not pictures[0].is_dir() and format_of(out) is not None
    try:
        with pixels_bar(console) as progress:
            if is_file and not out.is_dir():
                shown = out.with_name(f"{out.stem}_overlay.jpg") if overlay else None
                label_image(made.session, pictures[0], out, overlay=shown, progress=progress, **options)
                failed: tuple[tuple[Path, str], ...] = ()
                count, where = 1, out
            else:
                outcome = label_folder(
                    made.session,
                    pictures,
                    out,
                    overlay=overlay,
                    suffix=FORMATS[kind],
                    windows_progress=progress,
                    **options,
                )
                failed, count, where = outcome.failed, len(outcome.done), out
    except KeyboardInterrupt:
        fail("stopped; what is done is kept: the same command with --resume goes on", 130)
    say(console, f"Labelled {count} of {count + len(failed)} pictures in {where}")
    for _, message in failed:
        say_error(message)
    if failed:
        raise typer.Exit(1)
