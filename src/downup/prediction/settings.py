"""How pictures are labelled: all that is chosen once for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

from downup import kernels
from downup.data.colors import ClassInfo
from downup.errors import ArgumentError
from downup.prediction.budget import DEFAULT_MEMORY
from downup.prediction.cluster import Cluster

LabelType = Literal["uint8", "uint16"]


@dataclass(frozen=True)
class Settings:
    """How pictures are labelled.

    Attributes:
        classes: name and colour of each class, as many as the session knows.
        channels: what the session wants to see.
        level: of OME-Zarr, which level to label.
        label_type: of a label; by default uint8, and uint16 of more than 256 classes.
        probabilities: classes whose probability is written too, 255 for 1, as `STEM_NAME` beside the labels.
        memory: bytes that the process may hold.
        window: pixels kept along an axis of a window; by default as many as `memory` allows.
        model: the file that the session runs: a resumed run must have the same.
        resume: go on where a run into the same file was stopped, if there was one.
        cluster: the machines that label; by default this process does. It needs `model`, an ONNX file, and all files on a
            disk that the machines share.
        chosen: the numbers of the classes that `probabilities` names.

    Raises:
        ArgumentError: there is no class of a name, or one is named twice; the classes are too many for `label_type`.
    """

    classes: Sequence[ClassInfo]
    channels: Literal["rgb", "grey"]
    level: int = 0
    label_type: LabelType | None = None
    probabilities: Sequence[str] = ()
    memory: int = DEFAULT_MEMORY
    window: int | None = None
    model: str | PathLike[str] | None = None
    resume: bool = False
    cluster: Cluster | None = None
    chosen: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        least: LabelType = "uint8" if len(self.classes) <= 256 else "uint16"
        wanted = self.label_type or least
        if wanted not in ("uint8", "uint16") or (wanted == "uint8" and least == "uint16"):
            raise ArgumentError(f"labels are wanted as {wanted}, of {len(self.classes)} classes; use {least}")
        object.__setattr__(self, "label_type", wanted)
        object.__setattr__(self, "chosen", _numbers(self.probabilities, self.classes))

    @property
    def types(self) -> tuple[str, ...]:
        """Of the values of each pixel: its label, then the probabilities."""
        return (self.label_type or "uint8", *["uint8"] * len(self.chosen))

    @property
    def pixel_bytes(self) -> int:
        """Bytes that results of a pixel take beside labels of one byte, while a window is labelled."""
        # Of probabilities scores and those of all classes, then the chosen ones in their steps to bytes.
        probabilities = 8 * len(self.classes) + 16 * len(self.chosen) if self.chosen else 0
        return probabilities + (4 if self.label_type == "uint16" else 0)

    def lasting(self) -> dict[str, Any]:
        """Those that a resumed run must have, too, as JSON can hold them."""
        return {
            "channels": self.channels,
            "labels": self.label_type,
            "probabilities": list(self.probabilities),
            "instruction_set": kernels.active_isa(),
        }


def _numbers(names: Sequence[str], classes: Sequence[ClassInfo]) -> tuple[int, ...]:
    known = [item.name for item in classes]
    for name in names:
        if name not in known:
            raise ArgumentError(f"probabilities names {name!r}; use classes among {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ArgumentError(f"probabilities is {', '.join(names)}; name each class once")
    return tuple(known.index(name) for name in names)
