"""Settles, before the first step, everything that training depends on, and keeps it in config.json."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from downup import __version__
from downup.data import ClassInfo, Dataset
from downup.errors import ArgumentError, DataError
from downup.networks import NetworkConfig
from downup.training.augmentation import IGNORE
from downup.training.batches import SampleReader, channel_statistics, class_counts
from downup.training.config import MAY_CHANGE_ON_RESUME, TrainConfig
from downup.training.losses import balanced_weights
from downup.training.progress import TrainProgress
from downup.training.results import write_classes
from downup.training.run_folder import CONFIG_VERSION, RunFolder

_USUAL_SIZE = 256
_SIZE_STEP = 32  # the stride of most encoders: a crop of this multiple is padded nowhere
# Mean and deviation that torchvision's weight files were trained with.
_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Plan:
    """A training run with nothing left open.

    Args:
        options: as the user asked; what was left to downup is None.
        settled: the same with crop size, steps in an epoch, threads and device decided.
        network: the network to build.
        mean, deviation: of each channel; the network sees (picture / 255 - mean) / deviation.
        class_weights: of the cross-entropy, or None.
        data: digest and number of the samples of each split.
    """

    options: TrainConfig
    settled: TrainConfig
    network: NetworkConfig
    mean: list[float]
    deviation: list[float]
    class_weights: list[float] | None
    data: dict[str, Any]

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self.settled.steps_per_epoch or 1

    @property
    def device(self) -> torch.device:
        """Where the network is trained."""
        return torch.device(self.settled.device)

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json holds."""
        return {
            "version": CONFIG_VERSION,
            "downup": __version__,
            "network": self.network.to_dict(),
            "channels": self.settled.channels,
            "normalization": {"mean": self.mean, "std": self.deviation},
            "options": self.options.to_dict(),
            "settled": self.settled.to_dict(),
            "class_weights": self.class_weights,
            "data": self.data,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """Read what `to_dict` wrote."""
        return cls(
            TrainConfig.from_dict(values["options"]),
            TrainConfig.from_dict(values["settled"]),
            NetworkConfig.from_dict(values["network"]),
            values["normalization"]["mean"],
            values["normalization"]["std"],
            values["class_weights"],
            values["data"],
        )


@dataclass(frozen=True)
class Readers:
    """The samples to learn from and those to validate on, and the name of the split of the latter."""

    train: SampleReader
    val: SampleReader
    val_split: str


def open_readers(dataset: Dataset, channels: str, progress: TrainProgress) -> Readers:
    """Take the two splits of `dataset`, refusing what cannot be trained on.

    Raises:
        DataError: fewer than two classes, more than 255, or no training picture.
    """
    count = len(dataset.classes)
    if not 2 <= count <= IGNORE:
        raise DataError(
            f"the data has {count} classes; training needs 2 to {IGNORE} "
            f"(a label is one byte and {IGNORE} is ignored): check classes.json and the masks"
        )
    train, val = dataset.splits.get("train", []), dataset.splits.get("val", [])
    if not train:
        names = ", ".join(sorted(dataset.splits)) or "none"
        raise DataError(
            f"the data has no training pictures (splits found: {names}); add train/images and train/masks"
        )
    if not val:
        progress.note(
            "No validation pictures: the training pictures take their place, and flatter the scores."
        )
        return Readers(SampleReader(train, channels, count), SampleReader(train, channels, count), "train")
    return Readers(SampleReader(train, channels, count), SampleReader(val, channels, count), "val")


def make_plan(dataset: Dataset, readers: Readers, options: TrainConfig, progress: TrainProgress) -> Plan:
    """Decide what `options` left open."""
    channel_count = 1 if options.channels == "grey" else 3
    network = NetworkConfig(
        model=options.model,
        encoder=options.encoder,
        down=options.down,
        up=options.up,
        classes=len(dataset.classes),
        in_channels=channel_count,
        width=options.width,
    )
    settled = replace(
        options,
        encoder=network.encoder,
        down=network.down,
        up=network.up,
        size=options.size or _usual_size(readers.train),
        steps_per_epoch=options.steps_per_epoch or -(-len(readers.train) // options.batch),
        threads=_threads(options),
        device=resolve_device(options.device),
    )
    if options.weights and channel_count == 3:
        mean, deviation = _IMAGENET
    else:
        mean, deviation = channel_statistics(readers.train)
    weights = (
        _class_weights(dataset.classes, readers.train, progress) if options.class_weights != "none" else None
    )
    return Plan(options, settled, network, mean, deviation, weights, describe_data(dataset))


def write_plan(plan: Plan, dataset: Dataset, folder: RunFolder) -> None:
    """Write classes.json and config.json."""
    write_classes(folder, dataset.classes)
    folder.write_config(plan.to_dict())


def resume_plan(
    dataset: Dataset, folder: RunFolder, options: TrainConfig | None, progress: TrainProgress
) -> Plan:
    """Read the plan of the run in `folder`, which `options` and `dataset` must agree with.

    Raises:
        ArgumentError: an option has another value than the run began with.
        DataError: the data is not what the run began with.
    """
    plan = Plan.from_dict(folder.read_config())
    changed = plan.options.differences(options or plan.options)
    refused = [item for item in changed if item[0] not in MAY_CHANGE_ON_RESUME]
    if refused:
        name, was, now = refused[0]
        raise ArgumentError(
            f"{name} is {now!r} but the run in {folder.path} began with {was!r}; "
            "resume without it, or train into another folder"
        )
    data = describe_data(dataset)
    if data != plan.data:
        raise DataError(
            f"{folder.path}: began with {_said(plan.data)}, but the data now has {_said(data)}"
            f"{'' if _said(data) != _said(plan.data) else ' of other names'}; "
            "give the same data, or train into another folder"
        )
    if changed:
        said = ", ".join(f"{name} is now {now}" for name, _, now in changed)
        progress.note(f"{said}: the weights will differ from an undisturbed run's in their last digits.")
    asked = options or plan.options
    settled = replace(
        plan.settled,
        threads=plan.settled.threads if asked.threads == plan.options.threads else _threads(asked),
        device=resolve_device(plan.settled.device if asked.device == plan.options.device else asked.device),
    )
    return replace(plan, settled=settled)


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Name what a run was trained on: a digest of the names in each split, and how many there are."""
    lines = [f"{name}/{sample.stem}" for name in ("train", "val") for sample in dataset.splits.get(name, [])]
    lines += [f"class {item.name}" for item in dataset.classes]
    counts = {name: len(dataset.splits.get(name, [])) for name in ("train", "val")}
    return {"digest": hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16], **counts}


def _said(data: dict[str, Any]) -> str:
    return f"{data['train']} training and {data['val']} validation pictures"


def _threads(options: TrainConfig) -> int:
    return options.threads or torch.get_num_threads()


def _usual_size(reader: SampleReader) -> int:
    # Enough pictures to know how large they are, few enough to start at once.
    longest = max(max(reader[index][1].shape) for index in range(min(len(reader), 64)))
    return int(min(_USUAL_SIZE, -(-longest // _SIZE_STEP) * _SIZE_STEP))


def _class_weights(
    classes: Sequence[ClassInfo], reader: SampleReader, progress: TrainProgress
) -> list[float]:
    weights = balanced_weights(class_counts(reader))
    absent = [item.name for item, weight in zip(classes, weights, strict=True) if weight == 0.0]
    if absent:
        progress.note(f"No training pixel of class {', '.join(absent)}: its weight is 0.")
    return weights


def resolve_device(name: str) -> str:
    """Turn "auto" into the first GPU or the CPU, and refuse a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"device is {name!r}; use auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            f"device is {name!r} but torch sees {torch.cuda.device_count()} GPUs; use cpu or auto"
        )
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"device is {name!r}; use auto, cpu, cuda or cuda:0")
    return name
