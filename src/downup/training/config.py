"""Everything that decides how a network is trained: one frozen value, the same words as the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from downup.errors import ArgumentError

SCHEDULES = ("poly", "one-cycle")
CHANNELS = ("rgb", "grey")
CLASS_WEIGHTS = ("none", "balanced")
AUGMENTATIONS = ("flip", "turn", "scale", "colour")

# What may change when a run is resumed. Another number of threads or another device sums in another order, so
# the weights then differ in their last bits; everything else would make it another run.
MAY_CHANGE_ON_RESUME = frozenset({"threads", "device"})


@dataclass(frozen=True)
class TrainConfig:
    """The options of `downup train`.

    Args:
        model: name of the network, one of `downup.networks.MODELS`.
        encoder: name of the encoder, one of `downup.networks.ENCODERS`; None is the model's own.
        down: how the network goes down; None is the model's own way.
        up: how the network comes up; None is the model's own way.
        width: factor on the number of channels, above 0.
        channels: "rgb", or "grey" for brightness alone.
        weights: a file with encoder weights to start from, .safetensors or torchvision's .pth.
        epochs: passes over the training pictures, at least 1.
        steps_per_epoch: batches in an epoch; None is once over every picture. Set it where the pictures are
            few and large, so that an epoch takes many crops of each.
        size: side of the training crops in pixels; None is 256, or less where all pictures are smaller.
        batch: crops in a batch, at least 1. Batches are always full: short data is gone over again.
        lr: highest learning rate of AdamW, above 0.
        weight_decay: AdamW's weight decay, at least 0; not on biases and normalisation.
        schedule: "poly" falls from the first step on; "one-cycle" rises for 30 % of the steps, then falls.
        dice: weight of the Dice loss beside the cross-entropy, at least 0.
        class_weights: "balanced" weighs each class by the inverse of its share of the training pixels.
        augment: any of "flip", "turn" (quarter turns), "scale" and "colour". Crops are always random.
        seed: first number of every random choice, at least 0.
        patience: stop after this many epochs without a better validation mIoU; 0 never stops early.
        amp: multiply in bfloat16 where torch deems it safe.
        device: "auto", "cpu", "cuda", "cuda:1" and so on; "auto" is the first GPU, or else the CPU.
        threads: CPU threads for torch; None is torch's own choice. The value used is stored with the run.
    """

    model: str = "unet"
    encoder: str | None = None
    down: str | None = None
    up: str | None = None
    width: float = 1.0
    channels: str = "rgb"
    weights: str | None = None
    epochs: int = 50
    steps_per_epoch: int | None = None
    size: int | None = None
    batch: int = 8
    lr: float = 1e-3
    weight_decay: float = 1e-2
    schedule: str = "poly"
    dice: float = 0.0
    class_weights: str = "none"
    augment: tuple[str, ...] = ("flip", "scale", "colour")
    seed: int = 0
    patience: int = 0
    amp: bool = False
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 1), ("batch", 1), ("seed", 0), ("patience", 0)):
            _check_whole(name, getattr(self, name), minimum)
        for name in ("steps_per_epoch", "size", "threads"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1)
        for name in ("width", "lr"):
            _check_number(name, getattr(self, name), is_zero_allowed=False)
        for name in ("weight_decay", "dice"):
            _check_number(name, getattr(self, name), is_zero_allowed=True)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("channels", self.channels, CHANNELS)
        _check_choice("class_weights", self.class_weights, CLASS_WEIGHTS)
        object.__setattr__(self, "augment", tuple(self.augment))
        for name in self.augment:
            _check_choice("augment", name, AUGMENTATIONS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {**dataclasses.asdict(self), "augment": list(self.augment)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read what `to_dict` wrote; a value that is not there keeps its default."""
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ArgumentError(
                f"unknown training option {unknown[0]!r}; known are {', '.join(sorted(names))}"
            )
        return cls(**values)

    def differences(self, other: TrainConfig) -> list[tuple[str, Any, Any]]:
        """List (option, value here, value there) of every option whose values differ.

        >>> TrainConfig(lr=0.1).differences(TrainConfig())
        [('lr', 0.1, 0.001)]
        """
        here, there = self.to_dict(), other.to_dict()
        return [(name, here[name], there[name]) for name in here if here[name] != there[name]]


def _check_whole(name: str, value: object, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ArgumentError(f"{name} is {value!r}; use a whole number of at least {minimum}")


def _check_number(name: str, value: object, *, is_zero_allowed: bool) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (value == 0 and not is_zero_allowed):  # type: ignore[operator]
        raise ArgumentError(
            f"{name} is {value!r}; use a number {'of at least' if is_zero_allowed else 'above'} 0"
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name} is {value!r}; choose from {', '.join(choices)}")
