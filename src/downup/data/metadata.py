"""What a network's file says of itself, so that the file alone labels pictures.

Every word stands under a key of ONNX's metadata; what is no plain word is JSON.

| key | value |
|---|---|
| `downup.metadata` | version of this table, `1` |
| `downup.classes` | `[{"name": "water", "color": [0, 114, 178]}, ...]`, one for each channel of the scores, in order |
| `downup.channels` | what the network sees of a picture, `rgb` or `grey` |
| `downup.normalization` | `{"mean": [...], "std": [...]}` of each channel: it reads `(pixel / 255 - mean) / std` |
| `downup.stride` | pixels; a picture shifted by a multiple of them has its labels shifted with it |
| `downup.halo` | pixels that a label may depend on beyond its own, to each side |
| `downup.network` | the configuration that the network was built from, to be read by people |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from downup.data.colors import ClassInfo
from downup.errors import DataError

VERSION = "1"
_PREFIX = "downup."
_CHANNEL_COUNTS = {"rgb": 3, "grey": 1}
_MAX_CLASSES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class NetworkMetadata:
    """What has to be known of a network to label a picture with it.

    Args:
        classes: name and colour of each, 1 to 255 of them.
        channels: what the network sees of a picture, "rgb" or "grey".
        mean, deviation: of each channel, on pixels from 0 to 1; deviations above 0.
        stride: pixels, at least 1.
        halo: pixels, at least 0.
        network: anything about the network that JSON can hold.
    """

    classes: tuple[ClassInfo, ...]
    channels: Literal["rgb", "grey"]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    stride: int
    halo: int
    network: Mapping[str, Any] = field(default_factory=dict)

    def to_properties(self) -> dict[str, str]:
        """Return the table as words.

        >>> colours = (ClassInfo("land", (0, 158, 115)), ClassInfo("water", (0, 114, 178)))
        >>> about = NetworkMetadata(
        ...     classes=colours, channels="grey", mean=(0.5,), deviation=(0.25,), stride=32, halo=90
        ... )
        >>> about.to_properties()["downup.normalization"]
        '{"mean": [0.5], "std": [0.25]}'
        >>> NetworkMetadata.from_properties(about.to_properties(), "model.onnx") == about
        True
        """
        values = {
            "metadata": VERSION,
            "classes": json.dumps([{"name": item.name, "color": list(item.color)} for item in self.classes]),
            "channels": self.channels,
            "normalization": json.dumps({"mean": list(self.mean), "std": list(self.deviation)}),
            "stride": str(self.stride),
            "halo": str(self.halo),
            "network": json.dumps(dict(self.network)),
        }
        return {_PREFIX + name: value for name, value in values.items()}

    @staticmethod
    def is_in(properties: Mapping[str, str]) -> bool:
        """Say whether the metadata of a model holds such a table, of whatever version."""
        return _PREFIX + "metadata" in properties

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], file: object) -> NetworkMetadata:
        """Read what `to_properties` wrote, among whatever else stands there.

        Args:
            properties: the metadata of a model.
            file: its name, for messages.

        Raises:
            DataError: the table is missing, of another version, or holds what cannot be.
        """
        version = properties.get(_PREFIX + "metadata")
        if version != VERSION:
            what = (
                "says neither classes nor normalisation"
                if version is None
                else f"has metadata of version {version!r}; this downup reads version {VERSION!r}"
            )
            raise DataError(f"{file}: {what}; write one with: downup export RUN -o MODEL.onnx")
        values = {}
        for name, read in _READERS.items():
            key = _PREFIX + name
            try:
                values[name] = read(properties[key])
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                given = properties.get(key)
                raise DataError(
                    f"{file}: metadata {key!r} is {given!r}, which cannot be ({error}); export the network again"
                ) from error
        mean, deviation = values.pop("normalization")
        count = _CHANNEL_COUNTS[values["channels"]]
        if len(mean) != count or len(deviation) != count:
            raise DataError(
                f"{file}: metadata holds {len(mean)} means and {len(deviation)} deviations, but channels "
                f"{values['channels']!r} are {count}; export the network again"
            )
        return cls(mean=mean, deviation=deviation, **values)


def _classes(text: str) -> tuple[ClassInfo, ...]:
    made = []
    for item in json.loads(text):
        red, green, blue = item["color"]
        if not all(isinstance(value, int) and 0 <= value <= 255 for value in (red, green, blue)):
            raise ValueError("a colour is three numbers from 0 to 255")
        made.append(ClassInfo(str(item["name"]), (red, green, blue)))
    if not 1 <= len(made) <= _MAX_CLASSES:
        raise ValueError(f"1 to {_MAX_CLASSES} classes have labels")
    return tuple(made)


def _channels(text: str) -> str:
    if text not in _CHANNEL_COUNTS:
        raise ValueError(f"use one of {', '.join(_CHANNEL_COUNTS)}")
    return text


def _normalization(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = json.loads(text)
    mean, deviation = (tuple(float(value) for value in found[name]) for name in ("mean", "std"))
    if not all(math.isfinite(value) for value in (*mean, *deviation)) or min(deviation) <= 0:
        raise ValueError("means are finite and deviations above 0")
    return mean, deviation


def _whole(lowest: int, text: str) -> int:
    value = int(text)
    if not lowest <= value < 2**31:
        raise ValueError(f"at least {lowest}, and below 2 ** 31")
    return value


def _network(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("a JSON object is wanted")
    return found


_READERS: dict[str, Any] = {
    "classes": _classes,
    "channels": _channels,
    "normalization": _normalization,
    "stride": lambda text: _whole(1, text),
    "halo": lambda text: _whole(0, text),
    "network": _network,
}
