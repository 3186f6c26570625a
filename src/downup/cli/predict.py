"""`downup predict`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from downup.cli.console import fail, keep_memory, output, say, say_error
from downup.cli.labelling import labeller_of
from downup.cli.pixels_bar import pixels_bar
from downup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from downup.prediction.cluster import Cluster

_RESULT, _MACHINE, _CLUSTER = "Results", "Machine", "Cluster"


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
        Literal["png", "tiff", "npy", "zarr"],
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
    labels: Annotated[
        Literal["uint8", "uint16"] | None,
        typer.Option(
            "--labels",
            help="Type of a label.",
            show_default="uint16 of more than 256 classes",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    probabilities: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="Classes whose probability is written too, 255 for 1.",
            rich_help_panel=_RESULT,
        ),
    ] = "",
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Cut pictures into windows even for a network whose labels depend on the whole; the results say so.",
            rich_help_panel=_RESULT,
        ),
    ] = False,
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
    level: Annotated[
        int, typer.Option(min=0, help="Of OME-Zarr, the level to label.", rich_help_panel=_MACHINE)
    ] = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.", rich_help_panel=_MACHINE)
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads.", show_default="all", rich_help_panel=_MACHINE),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="local|auto|HOST:PORT",
            help="Label on a Ray cluster: processes of this machine, the cluster it belongs to, or another.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that label, each with --threads of its machine.",
            show_default="one for each machine",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
) -> None:
    """Label pictures of any size: for each, a file of the same size and stem.

    A picture that cannot be read is named and left out, the others are labelled, and the exit status is 1.
    """
    keep_memory()
    from downup.prediction import FORMATS, Settings, format_of, label_folder, label_image, parse_bytes
    from downup.prediction.sources import is_zarr

    made = labeller_of(network, "predict", device, threads, approximate)
    settings = Settings(
        made.classes,
        made.channels,
        level=level,
        label_type=labels,
        probabilities=[name.strip() for name in probabilities.split(",") if name.strip()],
        memory=parse_bytes(memory),
        window=window,
        model=made.file,
        resume=resume,
    )
    console = output()
    if cluster is None and workers is not None:
        raise ArgumentError(f"workers is {workers}, but labels are made here; add --cluster local")
    if cluster is not None and made.file.suffix != ".onnx":
        raise DataError(f"{network}: has no model.onnx, which workers need; write one with downup export")
    if made.session.caveat:
        say(console, f"Pictures larger than a window are {made.session.caveat}", "yellow")
    gathering = made.session.gathering
    if gathering is not None:
        nodes = gathering.nodes
        more = f" and {len(nodes) - 2} more" if len(nodes) > 2 else ""
        say(
            console,
            f"Pictures that do not fit into memory at once take {gathering.passes + 1} passes, since "
            f"{', '.join(nodes[:2])}{more} ask for the whole; with --approximate one, and other labels",
            "yellow",
        )
    is_single = len(pictures) == 1 and (is_zarr(pictures[0]) or not pictures[0].is_dir())
    is_file = is_single and format_of(out) is not None and (is_zarr(out) or not out.is_dir())
    try:
        with _machines(cluster, workers, threads, console) as machines, pixels_bar(console) as progress:
            settings = replace(settings, cluster=machines)
            if is_file:
                shown = out.with_name(f"{out.stem}_overlay.jpg") if overlay else None
                label_image(made.session, pictures[0], out, settings, overlay=shown, progress=progress)
                failed: tuple[tuple[Path, str], ...] = ()
                count, where = 1, out
            else:
                outcome = label_folder(
                    made.session,
                    pictures,
                    out,
                    settings,
                    overlay=overlay,
                    suffix=FORMATS[kind],
                    windows_progress=progress,
                )
                failed, count, where = outcome.failed, len(outcome.done), out
    except KeyboardInterrupt:
        fail("stopped; what is done is kept: the same command with --resume goes on", 130)
    say(console, f"Labelled {count} of {count + len(failed)} pictures in {where}")
    for _, message in failed:
        say_error(message)
    if failed:
        raise typer.Exit(1)


def _machines(
    cluster: str | None, workers: int | None, threads: int | None, console: Console
) -> AbstractContextManager[Cluster | None]:
    if cluster is None:
        return nullcontext()
    from downup.prediction.cluster import Cluster

    return Cluster(cluster, workers, threads, tell=lambda words: say(console, words, "yellow"))
