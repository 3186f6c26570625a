"""A network in ONNX gives what it gives in torch, in the engines of others, at any size."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from downup import nn as own
from downup import ops
from downup.errors import ArgumentError
from downup.networks import NetworkConfig, build, export_onnx
from networks.export.engines import enliven, run_onnxruntime, run_openvino

SIZES = ((2, 64, 96), (1, 33, 47), (3, 70, 50))
CLOSE = 2e-5  # of the largest score
SAME = 0.999  # of the labels, where rounding can move a position


class TorchSegNet(nn.Module):
    """torch's own modules, as a network that knows nothing of downup would use them."""

    def __init__(self, pool: tuple[int, int, int] = (2, 2, 0), *, tells_size: bool = True) -> None:
        super().__init__()
        size, stride, padding = pool
        channels = (3, 8, 12)
        self.tells_size = tells_size
        self.pool = nn.MaxPool2d(size, stride, padding, return_indices=True)
        self.unpool = nn.MaxUnpool2d(size, stride, padding)
        self.down = nn.ModuleList(_block(*pair) for pair in pairwise(channels))
        self.up = nn.ModuleList([_block(12, 8), _block(8, 8)])
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for block in self.down:
            x = block(x)
            size = x.size()
            x, positions = self.pool(x)
            kept.append((positions, size if self.tells_size else None))
        for block in self.up:
            positions, size = kept.pop()
            x = block(self.unpool(x, positions, output_size=size))
        return self.last(x)


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def check_everywhere(
    network: nn.Module, path: Path, sizes: tuple[tuple[int, int, int], ...] = SIZES
) -> Counter[str]:
    """Export, compare torch, ONNX Runtime and OpenVINO at fresh pictures, and count the operators."""
    channels = next(network.parameters()).shape[1]
    export_onnx(network, torch.zeros(2, channels, 64, 64), path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    for batch, rows, columns in sizes:
        pictures = torch.randn(batch, channels, rows, columns)
        with torch.no_grad():
            wanted = network(pictures).numpy()
        for run in (run_onnxruntime, run_openvino):
            scores = run(path, pictures.numpy())
            assert scores.shape == wanted.shape
            assert (scores.argmax(1) == wanted.argmax(1)).mean() >= SAME
            # A moved position changes few scores: the median tells of all others.
            assert np.median(np.abs(scores - wanted)) <= CLOSE / 10 * np.abs(wanted).max()
            if not any(isinstance(part, nn.MaxUnpool2d | own.MaxUnpool2d) for part in network.modules()):
                assert np.abs(scores - wanted).max() <= CLOSE * np.abs(wanted).max()
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize(
    "options",
    [
        {"model": "segnet"},
        {"model": "deconvnet", "encoder": "vgg16"},
        {"model": "fcn8s", "encoder": "resnet18", "up": "bilinear"},
        {"model": "unet", "encoder": "vgg16", "down": "blur", "up": "shuffle"},
        {"model": "unet", "encoder": "resnet50", "down": "avg", "up": "nearest", "in_channels": 1},
        {"model": "unet", "down": "strided", "up": "transposed"},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_each_kind_of_network_gives_the_same_scores_everywhere(
    options: dict[str, object], tmp_path: Path
) -> None:
    network = enliven(build(NetworkConfig.from_dict({"classes": 5, "width": 0.01, **options})))
    operators = check_everywhere(network, tmp_path / "model.onnx", (*SIZES, (1, 1, 5)))
    assert not operators["ScatterElements"]


def test_un_pooling_of_a_network_that_is_not_ours_is_told_by_taps(tmp_path: Path) -> None:
    operators = check_everywhere(enliven(TorchSegNet()), tmp_path / "model.onnx", (*SIZES, (2, 5, 7)))
    assert operators["ArgMax"] == 2
    assert not operators["ScatterElements"]


def test_overlapping_windows_are_un_pooled_by_positions(tmp_path: Path) -> None:
    operators = check_everywhere(enliven(TorchSegNet((3, 2, 1))), tmp_path / "model.onnx")
    assert operators["ScatterElements"] == 2


def test_un_pooling_that_is_not_told_the_size_is_told_by_taps_too(tmp_path: Path) -> None:
    # torch itself takes only sizes that divide: elsewhere its positions count over another width.
    network = enliven(TorchSegNet(tells_size=False))
    operators = check_everywhere(network, tmp_path / "model.onnx", ((2, 64, 96), (1, 32, 20)))
    assert operators["ArgMax"] == 2
    pictures = torch.randn(1, 3, 29, 45)
    scores = run_onnxruntime(tmp_path / "model.onnx", pictures.numpy())
    assert scores.shape == (1, 4, 28, 44)


def test_what_onnx_cannot_say_is_refused_with_the_way_out(tmp_path: Path) -> None:
    class Lanczos(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return ops.interpolate(x, scale_factor=0.5, mode="lanczos")

    with pytest.raises(ArgumentError, match='use "bilinear" or "bicubic" with antialias'):
        export_onnx(Lanczos(), torch.zeros(2, 3, 8, 8), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_branches_on_sizes_is_refused(tmp_path: Path) -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.shape[2] == 64 else x

    with pytest.raises(ArgumentError, match="cannot be traced for all sizes"):
        export_onnx(Branches(), torch.zeros(2, 3, 64, 8), tmp_path / "model.onnx")


def test_an_example_of_one_pixel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"example has shape \[1, 3, 8, 8\]"):
        export_onnx(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8), tmp_path / "model.onnx")


def test_a_file_tells_nothing_of_the_folders_it_was_made_in(tmp_path: Path) -> None:
    export_onnx(enliven(TorchSegNet()), torch.zeros(2, 3, 64, 64), tmp_path / "model.onnx")
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()


def test_metadata_and_training_stay_as_they_were(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval())
    export_onnx(network, torch.zeros(2, 3, 8, 8), tmp_path / "model.onnx", metadata={"author": "tester"})
    assert [part.training for part in network] == [True, False]
    assert {item.key: item.value for item in onnx.load(tmp_path / "model.onnx").metadata_props}[
        "author"
    ] == "tester"
