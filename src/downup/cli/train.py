"""`downup train`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from downup.cli.console import fail, keep_memory, need_torch, output, say
from downup.networks.config import DOWNS, ENCODERS, MODELS, UPS
from downup.training.config import AUGMENTATIONS, TrainConfig
from downup.training.progress import TableProgress
from downup.training.run_folder import RunFolder

_DEFAULT = TrainConfig()
_NETWORK, _LEARNING, _DATA, _MACHINE, _RUN = "Network", "Learning", "Pictures", "Machine", "Run"


def train(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Folder with images/ and masks/, or in the VOC or CamVid layout."
        ),
    ],
    run: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN", help="Run folder to write.", rich_help_panel=_RUN),
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in RUN, with the options it began with; begin it if there is none.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to RUN/tensorboard.", rich_help_panel=_RUN)
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Start of every random choice.", rich_help_panel=_RUN)
    ] = _DEFAULT.seed,
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(MODELS)}.", rich_help_panel=_NETWORK)
    ] = _DEFAULT.model,
    encoder: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(ENCODERS)}.", show_default="the model's own", rich_help_panel=_NETWORK
        ),
    ] = _DEFAULT.encoder,
    down: Annotated[
        str | None,
        typer.Option(
            help=f"How the network goes down: {', '.join(DOWNS)}.",
            show_default="the model's own",
            rich_help_panel=_NETWORK,
        ),
    ] = _DEFAULT.down,
    up: Annotated[
        str | None,
        typer.Option(
            help=f"How the network comes up: {', '.join(UPS)}.",
            show_default="the model's own",
            rich_help_panel=_NETWORK,
        ),
    ] = _DEFAULT.up,
    width: Annotated[
        float, typer.Option(help="Factor on the channels of every layer, above 0.", rich_help_panel=_NETWORK)
    ] = _DEFAULT.width,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Encoder weights to begin with: .safetensors, or .pth as from torchvision.",
            show_default="random",
            rich_help_panel=_NETWORK,
        ),
    ] = _DEFAULT.weights,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs to train.", rich_help_panel=_LEARNING)
    ] = _DEFAULT.epochs,
    steps_per_epoch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Batches in an epoch.",
            show_default="once over all pictures",
            rich_help_panel=_LEARNING,
        ),
    ] = _DEFAULT.steps_per_epoch,
    batch: Annotated[
        int, typer.Option(min=1, help="Crops in a batch.", rich_help_panel=_LEARNING)
    ] = _DEFAULT.batch,
    lr: Annotated[
        float, typer.Option("--lr", help="Highest learning rate, above 0.", rich_help_panel=_LEARNING)
    ] = _DEFAULT.lr,
    schedule: Annotated[
        Literal["poly", "one-cycle"],
        typer.Option(help="How the rate changes over the run.", rich_help_panel=_LEARNING),
    ] = "poly",
    weight_decay: Annotated[
        float, typer.Option(min=0.0, help="Weight decay of AdamW.", rich_help_panel=_LEARNING)
    ] = _DEFAULT.weight_decay,
    dice: Annotated[
        float,
        typer.Option(
            min=0.0, help="Weight of the Dice loss beside the cross-entropy.", rich_help_panel=_LEARNING
        ),
    ] = _DEFAULT.dice,
    class_weights: Annotated[
        Literal["none", "balanced"],
        typer.Option(help="balanced: rare classes count as much as common ones.", rich_help_panel=_LEARNING),
    ] = "none",
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop after this many epochs without a better mean IoU; 0 never does.",
            rich_help_panel=_LEARNING,
        ),
    ] = _DEFAULT.patience,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of the training crops in pixels.",
            show_default="256, or less where all pictures are smaller",
            rich_help_panel=_DATA,
        ),
    ] = _DEFAULT.size,
    channels: Annotated[
        Literal["rgb", "grey"],
        typer.Option(help="What the network sees of a picture.", rich_help_panel=_DATA),
    ] = "rgb",
    augment: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help=f"Random changes, with commas between: any of {', '.join(AUGMENTATIONS)}, or none.",
            rich_help_panel=_DATA,
        ),
    ] = ",".join(_DEFAULT.augment),
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on.", rich_help_panel=_MACHINE)
    ] = _DEFAULT.device,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads.", show_default="as many as cores", rich_help_panel=_MACHINE),
    ] = _DEFAULT.threads,
    amp: Annotated[
        bool,
        typer.Option("--amp", help="Multiply in bfloat16 where that is safe.", rich_help_panel=_MACHINE),
    ] = _DEFAULT.amp,
) -> None:
    """Train a network on the pictures and masks in DATA.

    Killed at any moment, --resume goes on and ends with the same weights.
    """
    need_torch("train")
    keep_memory()
    config = _config(context, run, resume)
    from downup.data import open_dataset
    from downup.training import train as train_network

    console = output()
    dataset = open_dataset(data)
    for note in dataset.notes:
        say(console, note)
    try:
        result = train_network(
            dataset, run, config, resume=resume, progress=TableProgress(console), with_tensorboard=tensorboard
        )
    except KeyboardInterrupt:
        fail(f"stopped; go on with: downup train {data} -o {run} --resume", 130)
    say(
        console,
        f"Best epoch {result.best_epoch} of {result.epochs}: mean IoU {result.scores.mean_iou:.4f}, "
        f"pixel accuracy {result.scores.pixel_accuracy:.4f}",
        "bold",
    )
    say(console, f"Report: {result.run.report}")
    say(console, f"Label pictures with: downup predict {run} PICTURES -o OUT")


def _config(context: typer.Context, run: Path, resume: bool) -> TrainConfig:
    """Gather the options; with `resume`, those not given are the ones the run began with."""
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    values: dict[str, Any] = {name: context.params[name] for name in names}
    words = [word.strip() for word in values["augment"].split(",") if word.strip()]
    values["augment"] = () if words == ["none"] else tuple(words)
    folder = RunFolder(run)
    if not (resume and folder.config.exists()):
        return TrainConfig(**values)
    given = {name: value for name, value in values.items() if _is_given(context, name)}
    return dataclasses.replace(TrainConfig.from_dict(folder.read_config()["options"]), **given)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
