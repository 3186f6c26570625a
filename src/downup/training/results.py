"""What a finished run leaves to look at: metrics.json, report.html and overlays/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from downup.data import ClassInfo, Sample
from downup.errors import DataError
from downup.evaluation import write_report
from downup.prediction import DatasetScores, Session, label_picture, write_overlay
from downup.training.run_folder import RunFolder, read_json, write_json

_MOST_OVERLAYS = 16


def read_classes(folder: RunFolder) -> tuple[ClassInfo, ...]:
    """Read name and colour of each class of a run."""
    try:
        return tuple(
            ClassInfo(str(item["name"]), (item["color"][0], item["color"][1], item["color"][2]))
            for item in read_json(folder.classes)
        )
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{folder.classes}: is no list of classes, each with a name and a color of three numbers"
        ) from error


def write_classes(folder: RunFolder, classes: Sequence[ClassInfo]) -> None:
    """Write classes.json."""
    write_json(folder.classes, [{"name": item.name, "color": list(item.color)} for item in classes])


def write_metrics(folder: RunFolder, judged: DatasetScores, *, split: str, epoch: int) -> None:
    """Write metrics.json: the scores over all pictures, and two numbers for each."""
    pictures = [
        {"stem": item.stem, "mean_iou": item.mean_iou, "pixel_accuracy": item.pixel_accuracy}
        for item in judged.pictures
    ]
    names = [item.name for item in read_classes(folder)]
    about = {"split": split, "epoch": epoch, "classes": names}
    write_json(folder.metrics, {**judged.scores.to_dict(), **about, "pictures": pictures})


def write_overlays(folder: RunFolder, session: Session, samples: Sequence[Sample], channels: str) -> None:
    """Lay the labels over at most 16 pictures, spread evenly, as overlays/STEM.jpg."""
    classes = read_classes(folder)
    folder.overlays.mkdir(exist_ok=True)
    number = min(len(samples), _MOST_OVERLAYS)
    for sample in (samples[index * len(samples) // number] for index in range(number)):
        picture = sample.read_image(channels)
        labels = label_picture(session, picture)
        write_overlay(folder.overlays / f"{sample.stem}.jpg", picture, labels, classes)


def write_run_report(
    folder: RunFolder,
    judged: DatasetScores,
    *,
    baseline: float | None = None,
    world: Path | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write report.html from what the run folder holds and what its best weights scored.

    Args:
        folder: of a run that has come to an end.
        judged: the scores of its best weights.
        baseline: mean IoU of a lookup by pixel value, to compare with.
        world: a picture of a labelled map to show.
        notes: sentences that the reader should know.

    Returns:
        the path of the page.
    """
    config = folder.read_config()
    data, history = config["data"], folder.read_history()
    return write_report(
        folder.path,
        network=config["network"],
        classes=read_classes(folder),
        scores=judged.scores,
        history=history,
        baseline=baseline,
        best=judged.best,
        worst=judged.worst,
        settings={**config["settled"], "normalization": config["normalization"]},
        facts={
            "Training pictures": str(data["train"]),
            "Validation pictures": str(data["val"]),
            "Epochs": str(len(history)),
        },
        notes=notes,
        world=world,
    )
