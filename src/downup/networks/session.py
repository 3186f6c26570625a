"""A trained network as prediction and evaluation see it: a picture goes in, labels come out, all in NumPy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downup.errors import ArgumentError
from downup.networks.live_bytes import LiveBytes
from downup.networks.network import Network

_CHANNEL_COUNTS = {"rgb": 3, "grey": 1}


class TorchSession:
    """Labels pictures with a network that torch runs.

    Args:
        network: what `build` made; its weights and its training flag are left as they are.
        normalization: mean and standard deviation of each channel, on pixels from 0 to 1, as in training.
        channels: "rgb" or "grey": what the network was trained on.
        threads: threads for torch, in the whole process; None leaves them as they are.

    Raises:
        ArgumentError: the parts do not fit one another.
    """

    def __init__(
        self,
        network: Network,
        normalization: tuple[Sequence[float], Sequence[float]],
        channels: Literal["rgb", "grey"],
        threads: int | None = None,
    ) -> None:
        if channels not in _CHANNEL_COUNTS:
            raise ArgumentError(f"channels is {channels!r}; choose from {', '.join(_CHANNEL_COUNTS)}")
        count = _CHANNEL_COUNTS[channels]
        if network.config.in_channels != count:
            raise ArgumentError(
                f"channels is {channels!r}, which has {count}, but the network has in_channels="
                f"{network.config.in_channels}; use a network built for {channels!r}"
            )
        mean, deviation = (tuple(float(value) for value in values) for values in normalization)
        if len(mean) != count or len(deviation) != count or not all(value > 0 for value in deviation):
            raise ArgumentError(
                f"normalization is {normalization!r}; use {count} means and {count} standard deviations "
                "above 0"
            )
        if threads is not None:
            if threads < 1:
                raise ArgumentError(f"threads is {threads}; use at least 1")
            torch.set_num_threads(threads)
        self._network = network
        self._channel_count = count
        # (pixel / 255 - mean) / deviation as one multiplication and one addition.
        self._scale = torch.tensor([1 / (255 * value) for value in deviation])
        self._shift = torch.tensor([-middle / value for middle, value in zip(mean, deviation, strict=True)])
        reach = network.reach()
        self._halo = max(reach.before, reach.after)

    @property
    def stride(self) -> int:
        """Windows cut from a picture begin at multiples of this many pixels."""
        return self._network.stride

    @property
    def halo(self) -> int:
        """Pixels that a label may depend on beyond its own, to each side: a bound, by geometry."""
        return self._halo

    @property
    def multiple(self) -> int:
        """Pictures of any size may be cut."""
        return 1

    @property
    def gathering(self) -> None:
        """Nothing: no network of downup asks for numbers of the whole picture."""
        return

    @property
    def caveat(self) -> str:
        """Nothing: labels made in windows are those of the whole picture."""
        return ""

    @property
    def class_count(self) -> int:
        """Labels run from 0 to this number less one."""
        return self._network.config.classes

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label every pixel.

        Args:
            picture: [rows, columns, channels], uint8, of any size from one pixel.

        Returns:
            [rows, columns], uint8: the class with the highest score.
        """
        labels: NDArray[np.uint8] = self._scores(picture).argmax(dim=0).to(torch.uint8).cpu().numpy()
        return labels

    def probabilities(
        self, picture: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """How sure the network is of some classes at each pixel.

        Args:
            picture: as `labels` takes it.
            classes: which ones, by number; None for all.

        Returns:
            float32 [rows, columns, class]: e^score over its sum.
        """
        return self.labels_and_probabilities(picture, classes)[1]

    def labels_and_probabilities(
        self, picture: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """What `labels` and `probabilities` give, of one run."""
        chosen = list(range(self.class_count) if classes is None else classes)
        wrong = [label for label in chosen if not 0 <= label < self.class_count]
        if wrong:
            raise ArgumentError(f"classes names {wrong[0]}; use numbers from 0 to {self.class_count - 1}")
        scores = self._scores(picture)
        shares = scores.softmax(dim=0)[chosen].permute(1, 2, 0)
        found: NDArray[np.float32] = shares.float().contiguous().cpu().numpy()
        return scores.argmax(dim=0).to(torch.uint8).cpu().numpy(), found

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that labelling a picture of such a size takes beyond those of the picture: an estimate.

        Twice the tensors that live at one time, found by running the network on tensors without memory: torch's
        convolutions copy what they read and write.
        """
        network = copy.deepcopy(self._network).to("meta").eval()
        parameter = next(network.parameters())
        with torch.inference_mode(), LiveBytes() as live:
            # As `_scores` makes it: bytes, numbers, and numbers normalised.
            batch = torch.empty(1, self._channel_count, rows, columns, dtype=parameter.dtype, device="meta")
            network(batch.contiguous(memory_format=torch.channels_last)).argmax(dim=1)
        size: int = parameter.element_size()
        most: int = live.most
        return 2 * most + 2 * rows * columns * self._channel_count * size

    @torch.inference_mode()
    def _scores(self, picture: NDArray[np.uint8]) -> Tensor:
        """[classes, rows, columns]."""
        has_pixels = picture.ndim == 3 and min(picture.shape) > 0
        if picture.dtype != np.uint8 or not has_pixels or picture.shape[2] != self._channel_count:
            raise ArgumentError(
                f"picture has shape {list(picture.shape)} and type {picture.dtype}; use uint8 [rows, "
                f"columns, {self._channel_count}]"
            )
        network = self._network
        parameter = next(network.parameters())
        pixels = torch.tensor(picture, device=parameter.device).to(parameter.dtype)
        pixels = pixels * self._scale.to(pixels) + self._shift.to(pixels)
        # A picture's own layout is channels-last: the permuted view is already what convolutions run fastest
        # on.
        batch = pixels.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
        training = [module for module in network.modules() if module.training]
        network.eval()
        try:
            scores: Tensor = network(batch)[0]
            return scores
        finally:
            for module in training:
                module.training = True
