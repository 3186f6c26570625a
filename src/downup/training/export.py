"""From a run folder to an ONNX file that suffices alone."""

from __future__ import annotations

import os

import torch

from downup.data import ClassInfo, NetworkMetadata
from downup.networks import Network, NetworkConfig, build
from downup.networks.export import Exported, export_onnx
from downup.training.checkpoint import load_state, load_tensors
from downup.training.results import read_classes
from downup.training.run_folder import RunFolder, open_run

_EXAMPLE_SIDE = 64


def export_run(run: RunFolder | str | os.PathLike[str], path: str | os.PathLike[str]) -> Exported:
    """Write the best weights of a run as an ONNX file, with classes, colours and normalisation.

    Args:
        run: the run folder.
        path: the file.

    Raises:
        DataError: there is no run, or its files do not belong together.
    """
    folder = open_run(run.path if isinstance(run, RunFolder) else run)
    config = folder.read_config()
    network = build(NetworkConfig.from_dict(config["network"]))
    tensors, _ = load_tensors(folder.best)
    load_state(network, tensors, folder.best)
    normalization = config["normalization"]
    return write_model(
        network,
        path,
        classes=read_classes(folder),
        channels=config["channels"],
        normalization=(normalization["mean"], normalization["std"]),
    )


def write_model(
    network: Network,
    path: str | os.PathLike[str],
    *,
    classes: tuple[ClassInfo, ...],
    channels: str,
    normalization: tuple[list[float], list[float]],
) -> Exported:
    """Write a network as an ONNX file that says everything needed to label pictures with it."""
    reach, (mean, deviation) = network.reach(), normalization
    about = NetworkMetadata(
        classes=classes,
        channels=channels,  # type: ignore[arg-type]
        mean=tuple(mean),
        deviation=tuple(deviation),
        stride=network.stride,
        halo=max(reach.before, reach.after),
        network=network.config.to_dict(),
    )
    example = torch.zeros(2, network.config.in_channels, _EXAMPLE_SIDE, _EXAMPLE_SIDE)
    device = next(network.parameters()).device
    return export_onnx(network, example.to(device), path, metadata=about.to_properties())
