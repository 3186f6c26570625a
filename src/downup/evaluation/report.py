"""The report of a run: one page that shows what was learned, how well, and where it goes wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from downup import __version__
from downup.data import IGNORED
from downup.data.colors import ClassInfo, Color
from downup.errors import DataError
from downup.evaluation.charts import Line, Mark, line_chart
from downup.evaluation.metrics import Scores
from downup.evaluation.overlay import (
    UNCOUNTED_COLOR,
    WRONG_COLOR,
    Picture,
    as_rgb,
    error_map,
    overlay,
)
from downup.files import replace_file

# Twice the width at which a page 1200 wide shows four pictures in a row: sharp on a dense screen, light to
# load.
_EXAMPLE_SIDE = 640
_WORLD_SIDE = 2400

# Beyond this many classes a matrix is unreadable, and the report lists the largest confusions alone.
_MATRIX_CLASSES = 30
_LISTED_CONFUSIONS = 5


@dataclass(frozen=True, eq=False)
class Example:
    """A picture with its truth and prediction, to be looked at.

    Attributes:
        name: the stem of the picture.
        picture: uint8 [rows, columns, 1 or 3].
        truth: uint8 [rows, columns], 255 where ignored.
        prediction: uint8 [rows, columns].
        mean_iou: mean IoU over the classes in this picture.
    """

    name: str
    picture: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    mean_iou: float


def write_report(
    folder: str | os.PathLike[str],
    *,
    network: Mapping[str, Any],
    classes: Sequence[ClassInfo],
    scores: Scores,
    history: Sequence[Mapping[str, Any]] = (),
    baseline: float | None = None,
    best: Sequence[Example] = (),
    worst: Sequence[Example] = (),
    settings: Mapping[str, Any] | None = None,
    facts: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    world: str | os.PathLike[str] | None = None,
) -> Path:
    """Write `report.html` into a run folder, and the pictures that it shows into `overlays/` there.

    The page has no scripts and asks nothing of the network; it follows the light or dark setting of the
    reader.

    Args:
        folder: the run folder; it exists.
        network: model, encoder, down and up, which make the title.
        classes: name and colour of each class.
        scores: over the validation pictures.
        history: one row per epoch: `epoch`, and any of `train_loss`, `val_loss`, `train_mean_iou`,
            `val_mean_iou` and `rate`. What is missing or nan is not drawn.
        baseline: the mean IoU that a lookup by pixel value reaches on the same pictures.
        best, worst: pictures to show, the most telling first.
        settings: everything else that made this run, shown as a table; nested mappings are written with dots.
        facts: short extra figures for the head of the page, such as {"Pictures": "40"}.
        notes: sentences that the reader should know.
        world: a picture of a whole labelled map, shown large and linked to.

    Returns:
        the path of the page.

    Raises:
        DataError: `world` is no picture, or a file cannot be written.
    """
    folder = Path(folder)
    colors = [entry.color for entry in classes]
    pictures = folder / "overlays"
    try:
        if best or worst or world:
            pictures.mkdir(exist_ok=True)
        page = _template().render(
            title=" · ".join(str(network[key]) for key in ("model", "encoder") if network.get(key)),
            network=network,
            scores=scores,
            baseline=baseline,
            facts=facts or {},
            notes=[*notes, *_absence(scores, classes)],
            charts=_charts(history, baseline),
            classes=_class_rows(scores, classes),
            confusion=_confusion(scores),
            galleries=[
                ("Best pictures", _gallery(pictures, "best", best, colors)),
                ("Worst pictures", _gallery(pictures, "worst", worst, colors)),
            ],
            world=_world(folder, pictures, Path(world)) if world else None,
            settings=_flat(settings or {}),
            wrong_color=WRONG_COLOR,
            uncounted_color=UNCOUNTED_COLOR,
            version=__version__,
        )
        report = folder / "report.html"
        replace_file(report, lambda beside: beside.write_text(page, encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the report ({error}); free or choose another folder"
        ) from error
    return report


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["score"] = _score
    environment.filters["percent"] = _percent
    environment.filters["css"] = lambda color: "rgb({} {} {})".format(*color)
    return environment.get_template("report.html.jinja")


def _charts(history: Sequence[Mapping[str, Any]], baseline: float | None) -> list[tuple[str, Markup]]:
    """(heading, drawing) of each chart that the history has numbers for."""

    def points(key: str) -> list[tuple[float, float]]:
        return [(float(row["epoch"]), float(row[key])) for row in history if row.get(key) is not None]

    def lines(*wanted: tuple[str, str, str]) -> list[Line]:
        found = [Line(name, points(key), style) for name, key, style in wanted]
        return [line for line in found if any(math.isfinite(y) for _, y in line.points)]

    charts = []
    if loss := lines(("training", "train_loss", "two"), ("validation", "val_loss", "one")):
        charts.append(("Loss", line_chart("Loss", "epoch", "mean loss per pixel", loss)))
    if iou := lines(("validation", "val_mean_iou", "one"), ("training", "train_mean_iou", "two")):
        x, y = max((point for point in iou[0].points if math.isfinite(point[1])), key=lambda point: point[1])
        if baseline is not None:
            ends = [(point[0], baseline) for point in (iou[0].points[0], iou[0].points[-1])]
            iou.append(Line("lookup", ends, "level"))
        mark = Mark(x, y, f"best {y:.3f} at epoch {x:g}")
        charts.append(("Mean IoU", line_chart("Mean IoU", "epoch", "mean IoU", iou, (0, 1), mark)))
    if rate := lines(("learning rate", "rate", "one")):
        charts.append(("Learning rate", line_chart("Learning rate", "epoch", "learning rate", rate)))
    return charts


def _class_rows(scores: Scores, classes: Sequence[ClassInfo]) -> list[dict[str, Any]]:
    return [
        {
            "name": entry.name,
            "color": entry.color,
            "share": sum(scores.confusion[k]) / scores.pixels if scores.pixels else math.nan,
            "iou": scores.iou[k],
            "dice": scores.dice[k],
            "boundary_f": scores.boundary_f[k],
        }
        for k, entry in enumerate(classes)
    ]


def _confusion(scores: Scores) -> dict[str, Any]:
    """The matrix by shares of each row, or, of many classes, the largest confusions alone."""
    shares = []
    for row in scores.confusion:
        total = sum(row)
        shares.append([(count / total if total else math.nan, count) for count in row])
    mistakes = [
        (share, t, p)
        for t, row in enumerate(shares)
        for p, (share, _) in enumerate(row)
        if t != p and share > 0
    ]
    return {
        "rows": shares if len(shares) <= _MATRIX_CLASSES else None,
        "largest": sorted(mistakes, reverse=True)[:_LISTED_CONFUSIONS],
    }


def _absence(scores: Scores, classes: Sequence[ClassInfo]) -> list[str]:
    names = ", ".join(classes[k].name for k in scores.absent)
    return [f"In neither truth nor prediction, and left out of the means: {names}."] if names else []


def _gallery(
    folder: Path, kind: str, examples: Sequence[Example], colors: Sequence[Color]
) -> list[dict[str, Any]]:
    rows = []
    for number, example in enumerate(examples, start=1):
        picture, truth, prediction = (
            _fit(example.picture, Image.Resampling.LANCZOS),
            _fit(example.truth, Image.Resampling.NEAREST),
            _fit(example.prediction, Image.Resampling.NEAREST),
        )
        panels = {
            "picture": as_rgb(picture),
            "truth": overlay(picture, truth, colors, 0.65, border=1),
            "prediction": overlay(picture, prediction, colors, 0.65, border=1),
            "errors": error_map(picture, truth, prediction),
        }
        files = {}
        for name, panel in panels.items():
            path = folder / f"{kind}-{number}-{name}.png"
            Image.fromarray(panel).save(path)
            files[name] = (f"{folder.name}/{path.name}", panel.shape[1], panel.shape[0])
        is_counted = example.truth != IGNORED
        wrong = int(np.count_nonzero((example.truth != example.prediction) & is_counted))
        rows.append(
            {
                "name": example.name,
                "mean_iou": example.mean_iou,
                "wrong": wrong / max(1, int(np.count_nonzero(is_counted))),
                "files": files,
            }
        )
    return rows


def _world(folder: Path, pictures: Path, path: Path) -> dict[str, Any]:
    try:
        with Image.open(path) as image:
            size = image.size
            preview = image.convert("RGB")
            # Only a smaller copy is shown: the page stays light, the full map is one click away.
            preview.thumbnail((_WORLD_SIDE, _WORLD_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}); give the labelled map") from error
    preview.save(pictures / "world.jpg", quality=88)
    is_inside = path.resolve().is_relative_to(folder.resolve())
    return {
        "shown": f"{pictures.name}/world.jpg",
        "shown_size": preview.size,
        "size": size,
        "full": path.resolve().relative_to(folder.resolve()).as_posix()
        if is_inside
        else f"{pictures.name}/world.jpg",
    }


def _fit(picture: Picture, resampling: Image.Resampling) -> Picture:
    """The picture or label map, made smaller if a side is longer than the page can use."""
    rows, columns = picture.shape[:2]
    if max(rows, columns) <= _EXAMPLE_SIDE:
        return picture
    scale = _EXAMPLE_SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    return np.asarray(Image.fromarray(picture).resize(size, resampling))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of nested settings, in order.

    >>> _flat({"lr": 0.001, "network": {"model": "unet", "weights": None}})
    [('lr', '0.001'), ('network.model', 'unet'), ('network.weights', '–')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, _said(value)))
    return rows


def _said(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_said(item) for item in value) or "–"
    return str(value)


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    """A share as a percentage; what is there is not written as zero, nor what is missing as all.

    >>> [_percent(share) for share in (0.0, 0.0004, 0.123, 0.9999, 1.0)]
    ['0 %', '< 0.1 %', '12.3 %', '> 99.9 %', '100 %']
    """
    if math.isnan(value):
        return "–"
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    if value < 0.001:
        return "< 0.1 %"
    if value > 0.999:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"
