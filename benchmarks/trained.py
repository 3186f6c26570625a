"""A network that `downup demo` trained, and a part of the Earth as it sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from downup.data import earth
from downup.networks import NetworkConfig, build
from downup.training import RunFolder
from downup.training.checkpoint import load_state, load_tensors
from engines import Picture

# Europe and Africa between them: sea, desert, land and mountains.
TOP, LEFT = 700, 2600


class Trained:
    """The run of such a network.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self._run = RunFolder(path)
        self._config: dict[str, Any] = self._run.read_config()

    @property
    def onnx(self) -> Path:
        """Its ONNX file."""
        return self._run.path / "model.onnx"

    def network(self) -> nn.Module:
        """Itself, with its best weights."""
        network = build(NetworkConfig.from_dict(self._config["network"]))
        load_state(network, load_tensors(self._run.best)[0], self._run.best)
        return network.eval()

    def picture(self, rows: int, columns: int) -> Picture:
        """A part of the Earth, [1, channels, rows, columns]."""
        pixels = earth.picture(self._config["channels"])[TOP : TOP + rows, LEFT : LEFT + columns]
        mean, deviation = (
            np.asarray(self._config["normalization"][key], np.float32) for key in ("mean", "std")
        )
        normalised = (pixels / np.float32(255) - mean) / deviation
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32)
