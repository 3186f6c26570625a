"""From a run folder to a network that labels pictures."""

from __future__ import annotations

import os

import torch

from downup.networks import NetworkConfig, TorchSession, build
from downup.training.checkpoint import load_state, load_tensors
from downup.training.plan import resolve_device
from downup.training.run_folder import RunFolder, open_run


def load_session(
    run: RunFolder | str | os.PathLike[str], *, device: str = "auto", threads: int | None = None
) -> TorchSession:
    """Load the best weights of a run, ready to label pictures.

    Args:
        run: the run folder.
        device: "auto", "cpu", "cuda" and so on.
        threads: CPU threads for torch; None leaves them as they are.

    Raises:
        DataError: there is no run, or its files do not belong together.
        ArgumentError: `device` is not there.
    """
    folder = open_run(run.path if isinstance(run, RunFolder) else run)
    config = folder.read_config()
    network = build(NetworkConfig.from_dict(config["network"]))
    tensors, _ = load_tensors(folder.best)
    load_state(network, tensors, folder.best)
    network.to(torch.device(resolve_device(device)), memory_format=torch.channels_last)  # type: ignore[call-overload]
    normalization = config["normalization"]
    return TorchSession(network, (normalization["mean"], normalization["std"]), config["channels"], threads)
