"""What every source of data hands out: samples, a picture and its mask each, in named splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from downup.data.colors import ClassInfo

IGNORED = 255
"""The label of pixels that are neither learned nor judged."""

Pixels = npt.NDArray[np.uint8]


class Sample(Protocol):
    """A picture and its mask, read when asked for."""

    @property
    def stem(self) -> str:
        """Name without folder and suffix; unique within a split."""
        ...

    @property
    def image_path(self) -> Path:
        """The file that holds the picture."""
        ...

    @property
    def mask_path(self) -> Path:
        """The file that holds the mask."""
        ...

    def read_image(self, channels: str) -> Pixels:
        """Return [height, width, 3] for "rgb", [height, width, 1] for "grey"."""
        ...

    def read_mask(self) -> Pixels:
        """Return [height, width]: the class of each pixel, or 255 for those to ignore."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Samples in splits, and the classes of their pixels.

    Args:
        splits: samples by the name of their split: "train", "val" and perhaps "test".
        classes: name and colour of each class; the position is the label.
        notes: what was assumed about the data and should be said aloud, a sentence each.
    """

    splits: dict[str, Sequence[Sample]]
    classes: tuple[ClassInfo, ...]
    notes: list[str] = field(default_factory=list)
