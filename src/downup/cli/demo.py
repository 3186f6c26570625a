"""`downup demo`: the whole road, from pictures to a labelled world, on the data that comes with downup."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from downup.cli.console import fail, keep_memory, need_torch, output, progress_bar, say
from downup.cli.evaluate import score_table
from downup.training.config import TrainConfig
from downup.training.progress import TableProgress, as_clock
from downup.training.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.console import Console

    from downup.prediction import DatasetScores

# Brightness alone, since colour nearly gives these classes away: what is left is texture and surroundings.
# Narrow, with maps of the picture's own size (VGG), learns most in a few minutes; the Dice loss finds the desert,
# which is one pixel in twenty.
_OPTIONS = TrainConfig(
    model="unet",
    encoder="vgg16_bn",
    width=0.125,
    channels="grey",
    epochs=10,
    steps_per_epoch=200,
    size=128,
    batch=8,
    lr=5e-3,
    schedule="one-cycle",
    dice=1.0,
    augment=("flip",),
)
# Pixels kept of each window of the world: few windows, since each also reads what lies around it.
_WINDOW = 1376
_OPACITY = 0.55


def demo(
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Start of every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="as many as cores")
    ] = None,
) -> None:
    """Learn to tell water, ice, desert and land from a satellite picture, and label the whole world.

    Takes some minutes; stopped, the same command goes on.
    """
    need_torch("demo")
    keep_memory()
    import dataclasses

    from downup.data import earth, lookup_baseline
    from downup.training import train

    console, start = output(), time.monotonic()
    dataset = earth.dataset()
    names = ", ".join(item.name for item in dataset.classes)
    sizes = {name: len(samples) for name, samples in dataset.splits.items()}
    say(
        console,
        f"Earth in grey: {names}; {sizes['train']} tiles to learn from, {sizes['val']} to validate on.",
    )
    baseline = lookup_baseline(dataset, "grey")
    options = dataclasses.replace(_OPTIONS, seed=seed, device=device, threads=threads)
    is_begun = RunFolder(folder).has_run()
    try:
        result = train(dataset, folder, options, resume=is_begun, progress=TableProgress(console))
    except KeyboardInterrupt:
        fail("stopped; the same command goes on", 130)
    trained = time.monotonic()
    world, shown = _label_world(result.run, console)
    report = _report(result.run, result.judged, baseline, shown)
    done = time.monotonic()

    console.print(score_table("Validation tiles", result.scores, dataset.classes))
    difference = result.scores.mean_iou - baseline
    say(console, f"Mean IoU of a lookup by brightness   {baseline:.4f}")
    say(
        console,
        f"Mean IoU of the network              {result.scores.mean_iou:.4f}  ({difference:+.4f})",
        "bold",
    )
    say(console, f"Training took {as_clock(trained - start)}, the world {as_clock(done - trained)}.")
    say(console, f"Labelled world  {world}")
    say(console, f"World to look at  {shown}")
    say(console, f"Report  {report}")


def _label_world(run: RunFolder, console: Console) -> tuple[Path, Path]:
    """Write world.png, the labels, and world.jpg, the picture in colour with the labels over it."""
    from PIL import Image

    from downup.data import earth
    from downup.evaluation import overlay, with_legend
    from downup.prediction import label_picture, write_labels
    from downup.training import load_session

    session = load_session(run, device=run.read_config()["settled"]["device"])
    with progress_bar(console, "labelling the world") as progress:
        labels = label_picture(session, earth.picture("grey"), _WINDOW, progress)
    world, shown = run.path / "world.png", run.path / "world.jpg"
    write_labels(world, labels, earth.CLASSES)
    colors = [item.color for item in earth.CLASSES]
    drawn = with_legend(overlay(earth.picture("rgb"), labels, colors, _OPACITY), earth.CLASSES)
    Image.fromarray(drawn).save(shown, quality=90)
    return world, shown


def _report(run: RunFolder, judged: DatasetScores, baseline: float, world: Path) -> Path:
    from downup.training.results import write_run_report

    notes = [
        "The network sees brightness alone: colour would nearly give the classes away.",
        "Picture: NASA Blue Marble. Labels: coast and climate zones; where they disagree, nothing counts.",
    ]
    return write_run_report(run, judged, baseline=baseline, world=world, notes=notes)
