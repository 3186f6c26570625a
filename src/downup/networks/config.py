"""Which networks there are, which downs and ups each allows, and the value that names one; no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from downup.errors import ArgumentError

MODELS = ("fcn32s", "fcn16s", "fcn8s", "segnet", "deconvnet", "unet")
ENCODERS = ("vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50")
DOWNS = ("strided", "max", "avg", "blur")
UPS = ("nearest", "bilinear", "unpool", "transposed", "shuffle")

# Labels are stored in one byte, and 255 marks pixels that are ignored.
MAX_CLASSES = 255

_VGGS = ("vgg16", "vgg16_bn")
# The decoders of SegNet and DeconvNet are VGG in the mirror: another encoder has no mirror here.
_ENCODERS_OF = {model: _VGGS if model in ("segnet", "deconvnet") else ENCODERS for model in MODELS}
_DEFAULT_ENCODER = {
    "fcn32s": "vgg16",
    "fcn16s": "vgg16",
    "fcn8s": "vgg16",
    "segnet": "vgg16_bn",
    "deconvnet": "vgg16_bn",
    "unet": "resnet18",
}
# The ups in the order in which a model prefers them: the first that goes with the chosen down is the default.
_PREFERRED_UPS = {
    "fcn32s": ("transposed",),
    "fcn16s": ("transposed",),
    "fcn8s": ("transposed",),
    "segnet": ("unpool", "nearest"),
    "deconvnet": ("unpool", "nearest"),
    "unet": ("transposed",),
}


def allowed_encoders(model: str) -> tuple[str, ...]:
    """Name the encoders that a model can stand on.

    >>> allowed_encoders("segnet")
    ('vgg16', 'vgg16_bn')
    """
    _check_choice("model", model, MODELS)
    return _ENCODERS_OF[model]


def allowed_pairs(model: str, encoder: str) -> list[tuple[str, str]]:
    """List every (down, up) that a model allows on an encoder.

    Unpooling puts each value back where max pooling took it: it needs `down="max"`, an encoder whose pools
    are all that goes down (VGG), and a decoder whose maps have the size of the pooled ones (not FCN).

    >>> [("max", "unpool") in allowed_pairs(model, "vgg16") for model in ("segnet", "fcn8s")]
    [True, False]
    """
    encoders = allowed_encoders(model)
    _check_choice("encoder", encoder, ENCODERS)
    if encoder not in encoders:
        raise ArgumentError(
            f"encoder is {encoder!r}, but the decoder of {model} mirrors VGG; use one of {_listed(encoders)}"
        )
    can_unpool = encoder in _VGGS and not model.startswith("fcn")
    return [(down, up) for down in DOWNS for up in UPS if up != "unpool" or (can_unpool and down == "max")]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything needed to build a network again: the names of its parts and its sizes.

    `encoder`, `down` and `up` left at None take the model's own way, and hold its name from then on.

    Args:
        model: one of `MODELS`.
        encoder: one of `ENCODERS`; None is VGG-16 for an FCN, VGG-16 with batch norm for SegNet and
            DeconvNet, ResNet-18 for a U-Net.
        down: one of `DOWNS`; None is "max" on VGG and "strided" on ResNet.
        up: one of `UPS`; None is "unpool" where SegNet and DeconvNet can, and "nearest" where they cannot;
            "transposed" for the others.
        classes: number of classes, 1 to 255.
        in_channels: channels of the picture, at least 1.
        width: factor on the number of channels of every layer, above 0; each is rounded to a multiple of 8.

    Raises:
        ArgumentError: a name or number outside its range, or a down and an up that do not go together.

    >>> config = NetworkConfig(model="segnet", classes=4)
    >>> config.encoder, config.down, config.up
    ('vgg16_bn', 'max', 'unpool')
    """

    model: str
    classes: int
    encoder: str | None = None
    down: str | None = None
    up: str | None = None
    in_channels: int = 3
    width: float = 1.0

    def __post_init__(self) -> None:
        _check_choice("model", self.model, MODELS)
        _check_whole("classes", self.classes, 1, MAX_CLASSES)
        _check_whole("in_channels", self.in_channels, 1, None)
        is_number = isinstance(self.width, int | float) and not isinstance(self.width, bool)
        if not is_number or not math.isfinite(self.width) or self.width <= 0:
            raise ArgumentError(
                f"width is {self.width!r}; use a number above 0, 1.0 for the original channels"
            )
        object.__setattr__(self, "width", float(self.width))
        if self.encoder is None:
            object.__setattr__(self, "encoder", _DEFAULT_ENCODER[self.model])
        pairs = allowed_pairs(self.model, self.encoder_name)
        if self.down is None:
            is_max = self.encoder in _VGGS or self.up == "unpool"
            object.__setattr__(self, "down", "max" if is_max else "strided")
        _check_choice("down", self.down, DOWNS)
        if self.up is None:
            ups = _PREFERRED_UPS[self.model]
            object.__setattr__(self, "up", next(up for up in ups if (self.down, up) in pairs))
        _check_choice("up", self.up, UPS)
        if (self.down, self.up) not in pairs:
            raise ArgumentError(_refusal(self, pairs))

    @property
    def encoder_name(self) -> str:
        """The encoder's name as a plain string."""
        return str(self.encoder)

    @property
    def pair(self) -> tuple[str, str]:
        """The names of the down and the up as plain strings."""
        return str(self.down), str(self.up)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Read what `to_dict` wrote.

        >>> config = NetworkConfig(model="unet", classes=2, width=0.25)
        >>> NetworkConfig.from_dict(config.to_dict()) == config
        True
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        missing = sorted({"model", "classes"} - set(values))
        if unknown:
            raise ArgumentError(f"unknown network option {unknown[0]!r}; known are {_listed(sorted(names))}")
        if missing:
            raise ArgumentError(f"network option {missing[0]!r} is missing; give model and classes")
        return cls(**values)


def _refusal(config: NetworkConfig, pairs: list[tuple[str, str]]) -> str:
    ups = [up for down, up in pairs if down == config.down]
    start = f"up is {config.up!r}, but {config.model} on {config.encoder} with down={config.down!r}"
    if ("max", "unpool") in pairs:
        return f"{start} remembers no positions to unpool to; use down='max', or up={_listed(ups, 'or')}"
    if config.model.startswith("fcn"):
        why = "upsamples maps of scores, which no pooling made"
    else:
        why = "also goes down by strided convolution, which remembers no positions"
    return f"{start} {why}; use up={_listed(ups, 'or')}"


def _listed(names: tuple[str, ...] | list[str], last: str = "and") -> str:
    *rest, final = names
    return f"{', '.join(rest)} {last} {final}" if rest else final


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name} is {value!r}; choose from {', '.join(choices)}")


def _check_whole(name: str, value: object, minimum: int, maximum: int | None) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < minimum or (maximum is not None and value > maximum):  # type: ignore[operator]
        upto = "at least" if maximum is None else "from"
        end = "" if maximum is None else f" to {maximum}"
        raise ArgumentError(f"{name} is {value!r}; use a whole number {upto} {minimum}{end}")
