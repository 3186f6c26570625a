"""`downup evaluate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from downup.cli.console import keep_memory, output, progress_bar, say, swatch, table
from downup.cli.labelling import session_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from downup.data import ClassInfo
    from downup.evaluation import Scores


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of downup train.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Pictures and masks, as for downup train.")],
    split: Annotated[
        str | None,
        typer.Option(
            help="Which part of DATA: train, val or test.", show_default="val, or the only one there is"
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the scores to FILE.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="as many as cores")
    ] = None,
) -> None:
    """Score a trained network on pictures whose masks are known.

    Mean IoU, and for each class IoU, Dice and the F-score of its boundary.
    """
    keep_memory()
    from downup.data import open_dataset
    from downup.errors import DataError
    from downup.prediction import score_dataset
    from downup.training import open_run
    from downup.training.results import read_classes
    from downup.training.run_folder import write_json

    folder = open_run(run)
    channels = folder.read_config()["channels"]
    classes = read_classes(folder)
    dataset = open_dataset(data)
    console = output()
    for note in dataset.notes:
        say(console, note)
    if len(dataset.classes) != len(classes):
        raise DataError(
            f"{data}: has {len(dataset.classes)} classes, but the network in {run} knows {len(classes)} "
            f"({', '.join(item.name for item in classes)}); evaluate on masks with the same classes"
        )
    names = [name for name, samples in dataset.splits.items() if samples]
    chosen = split or ("val" if "val" in names or len(names) != 1 else names[0])
    if chosen not in names:
        raise DataError(
            f"{data}: has no pictures in split {chosen!r}; give --split with one of {', '.join(names)}"
        )
    session = session_of(folder, "evaluate", device, threads)
    with progress_bar(console, "labelling") as progress:
        judged = score_dataset(session, dataset.splits[chosen], classes, channels, progress=progress)
    title = f"{run} on {len(judged.pictures)} pictures of {data} ({chosen})"
    console.print(score_table(title, judged.scores, classes))
    for line in summary(judged.scores, classes):
        say(console, line)
    if json:
        write_json(json, {**judged.scores.to_dict(), "classes": [item.name for item in classes]})


def score_table(title: str, scores: Scores, classes: Sequence[ClassInfo]) -> Any:
    """Return the table of scores, one row per class."""
    made = table(title, "", "class", "IoU", "Dice", "boundary F", "share of pixels", text_columns=2)
    for label, item in enumerate(classes):
        share = sum(scores.confusion[label]) / max(1, scores.pixels)
        numbers = (scores.iou[label], scores.dice[label], scores.boundary_f[label])
        made.add_row(swatch(item.color), item.name, *(score(value) for value in numbers), f"{share:.2%}")
    made.add_section()
    means = (scores.mean_iou, scores.mean_dice, scores.mean_boundary_f)
    made.add_row("", "mean", *(score(value) for value in means), "")
    return made


def summary(scores: Scores, classes: Sequence[ClassInfo]) -> list[str]:
    """Return the sentences below the table."""
    lines = [f"Mean IoU {score(scores.mean_iou)}, pixel accuracy {score(scores.pixel_accuracy)}"]
    if scores.absent:
        names = ", ".join(classes[label].name for label in scores.absent)
        lines.append(f"In neither truth nor prediction, and so left out of the means: {names}")
    return lines


def score(value: float) -> str:
    """Write a score with four digits, or a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.4f}"
