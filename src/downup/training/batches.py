"""Batches of random crops: each a function of (seed, epoch, step), and made ahead in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from downup.data import Sample
from downup.errors import DataError
from downup.training.augmentation import IGNORE, Augmentation, Pixels, random_generator

T = TypeVar("T")

_CACHE_BYTES = 1 << 29
_LARGEST_MEASURED = 256  # pictures read to find mean and deviation; more change the third digit
_SAMPLE_STREAM, _ORDER_STREAM = 1, 2


class SampleReader:
    """Reads samples, checks them, and keeps them in memory while there is room.

    Args:
        samples: the pictures and masks of one split.
        channels: "rgb" or "grey".
        class_count: labels are 0 to class_count - 1, or 255.
        cache_bytes: how much to keep; beyond it files are read each time.
    """

    def __init__(
        self, samples: Sequence[Sample], channels: str, class_count: int, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        self.samples = samples
        self.channels = channels
        self.class_count = class_count
        self._room = cache_bytes
        self._kept: dict[int, tuple[Pixels, Pixels]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Pixels, Pixels]:
        if index in self._kept:
            return self._kept[index]
        sample = self.samples[index]
        picture, mask = sample.read_image(self.channels), sample.read_mask()
        if picture.shape[:2] != mask.shape:
            raise DataError(
                f"{sample.stem}: the picture is {picture.shape[1]}x{picture.shape[0]} pixels but its mask is "
                f"{mask.shape[1]}x{mask.shape[0]}; make them equal (downup check lists all such pairs)"
            )
        labels = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        unknown = labels[(labels >= self.class_count) & (labels != IGNORE)]
        if unknown.size:
            raise DataError(
                f"{sample.stem}: its mask holds the label {unknown[0]}, but there are {self.class_count} "
                f"classes; use labels 0 to {self.class_count - 1}, or 255 for pixels to ignore"
            )
        size = picture.nbytes + mask.nbytes
        if size <= self._room:
            self._room -= size
            self._kept[index] = picture, mask
        return picture, mask


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch of any (epoch, step) from nothing but those two numbers and the seed.

    Batches are always full: position p of an epoch is taken from the p // n-th shuffling of its n samples, so
    data shorter than a batch is gone over again, with other crops.
    """

    reader: SampleReader
    augmentation: Augmentation
    batch: int
    seed: int

    def __call__(self, at: tuple[int, int]) -> tuple[Pixels, Pixels]:
        """Return pictures [batch, size, size, channel] and masks [batch, size, size] of (epoch, step)."""
        epoch, step = at
        crops = []
        for position in range(step * self.batch, (step + 1) * self.batch):
            picture, mask = self.reader[self.sample_at(epoch, position)]
            generator = random_generator(self.seed, epoch, position, _SAMPLE_STREAM)
            crops.append(self.augmentation(picture, mask, generator))
        return np.stack([crop[0] for crop in crops]), np.stack([crop[1] for crop in crops])

    def sample_at(self, epoch: int, position: int) -> int:
        """Return which sample stands at `position` of `epoch`."""
        shuffling, place = divmod(position, len(self.reader))
        order = random_generator(self.seed, epoch, shuffling, _ORDER_STREAM).permutation(len(self.reader))
        return int(order[place])


def made_ahead(
    make: Callable[[tuple[int, int]], T], at: Iterable[tuple[int, int]], depth: int = 3, threads: int = 1
) -> Generator[T, None, None]:
    """Yield `make(x)` for every x in `at`, in order, while background threads already make the next `depth`.

    An error in `make` is raised where its value would have been yielded.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="downup-batches")
    waiting: deque[Future[T]] = deque()
    try:
        for item in at:
            waiting.append(pool.submit(make, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def class_counts(reader: SampleReader) -> npt.NDArray[np.int64]:
    """Count the pixels of each class over all masks: int64 [class_count]."""
    counts = np.zeros(256, np.int64)
    for index in range(len(reader)):
        counts += np.bincount(reader[index][1].ravel(), minlength=256)
    return counts[: reader.class_count]


def channel_statistics(reader: SampleReader) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel, with pixels from 0 to 1.

    At most 256 samples are read, spread evenly. A channel that never changes gets a deviation of 1.
    """
    number = min(len(reader), _LARGEST_MEASURED)
    chosen = [index * len(reader) // number for index in range(number)]
    channel_count = reader[0][0].shape[2]
    histogram = np.zeros((channel_count, 256), np.int64)
    for index in chosen:
        picture = reader[index][0]
        for c in range(channel_count):
            histogram[c] += np.bincount(picture[:, :, c].ravel(), minlength=256)
    levels = np.arange(256) / 255.0
    share = histogram / histogram.sum(axis=1, keepdims=True)
    mean = share @ levels
    deviation = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0))
    deviation[deviation < 1e-6] = 1.0
    return mean.tolist(), deviation.tolist()
