"""The encoders: torchvision's names and shapes, and the same function of them, written out plainly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from downup.networks import ENCODERS, NetworkConfig, build
from downup.networks.network import Encoder

NAMES = Path(__file__).parent / "torchvision_names"
PARAMETER_COUNTS = {
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
}
NARROW = 0.01


def torchvision_shapes(encoder: str) -> dict[str, tuple[int, ...]]:
    """Read the literal list: a line for each tensor, in the order of torchvision's files."""
    shapes: dict[str, tuple[int, ...]] = {}
    for line in (NAMES / f"{encoder}.txt").read_text().splitlines():
        name, shape = line.split()
        shapes[name] = () if shape == "scalar" else tuple(map(int, shape.split("x")))
    return shapes


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_literal_list_has_as_many_parameters_as_torchvision_publishes(encoder: str) -> None:
    not_trained = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(
        torch.Size(shape).numel()
        for name, shape in torchvision_shapes(encoder).items()
        if not name.endswith(not_trained)
    )
    assert count == PARAMETER_COUNTS[encoder]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_names_shapes_and_order_are_torchvisions(encoder: str) -> None:
    with torch.device("meta"):
        network = build(NetworkConfig(model="fcn32s", encoder=encoder, classes=2))
    mine = {name: tuple(value.shape) for name, value in network.encoder.state_dict().items()}
    theirs = torchvision_shapes(encoder)
    dense = [name for name in theirs if name.startswith(("classifier.", "fc."))]
    assert list(mine.items()) == [item for item in theirs.items() if item[0] not in dense]
    if encoder.startswith("vgg"):
        for file_name, layer_name in (("classifier.0", "fc6"), ("classifier.3", "fc7")):
            layer = network.get_submodule(layer_name)
            weight, bias = (layer.get_parameter(name) for name in ("weight", "bias"))
            assert weight.numel() == torch.Size(theirs[f"{file_name}.weight"]).numel()
            assert tuple(bias.shape) == theirs[f"{file_name}.bias"]
        assert network.get_parameter("fc6.weight").shape == (4096, 512, 7, 7)
        assert network.get_parameter("fc7.weight").shape == (4096, 4096, 1, 1)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("down", ["strided", "max", "avg", "blur"])
def test_no_way_down_changes_a_name(encoder: str, down: str) -> None:
    network = build(NetworkConfig(model="fcn8s", encoder=encoder, down=down, classes=2, width=NARROW))
    theirs = {name for name in torchvision_shapes(encoder) if not name.startswith(("classifier.", "fc."))}
    mine = set(network.encoder.state_dict())
    pools = (4, 9, 16, 23, 30) if encoder == "vgg16" else (6, 13, 23, 33, 43)
    added = {f"features.{index}.0.{kind}" for index in pools for kind in ("weight", "bias")}
    is_added = encoder.startswith("vgg") and down == "strided"
    assert mine == theirs | (added if is_added else set())


def randomised(encoder: str, down: str | None = None) -> Encoder:
    """An encoder with weights and statistics under which no part could be left out unseen."""
    torch.manual_seed(0)
    network = build(NetworkConfig(model="fcn8s", encoder=encoder, down=down, classes=2, width=NARROW))
    for name, value in network.encoder.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.dim() == 1:
            value.add_(0.3 * torch.randn_like(value))
    return network.encoder.eval()


def batch_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


@pytest.mark.parametrize("encoder", ["vgg16", "vgg16_bn"])
def test_vgg_is_its_convolutions_and_pools_in_order(encoder: str) -> None:
    module = randomised(encoder)
    state = module.state_dict()
    x = torch.randn(1, 3, 64, 96)
    skips, levels, _ = module(x)
    indices = sorted({int(name.split(".")[1]) for name in state})
    for stage, count in enumerate((2, 2, 3, 3, 3)):
        for _ in range(count):
            index = indices.pop(0)
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1)
            if encoder == "vgg16_bn":
                x = batch_norm(x, state, f"features.{indices.pop(0)}")
            x = x.relu()
        assert torch.equal(skips[stage], x)
        x = F.max_pool2d(x, 2)
        assert torch.equal(levels[stage], x)


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_resnet_is_its_blocks_in_order(encoder: str) -> None:
    module = randomised(encoder)
    state = module.state_dict()
    x = torch.randn(1, 3, 64, 96)
    maps = module(x).levels

    def layer(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        head, _, last = name.rpartition(".")
        norm = f"{head}.1" if last == "0" else name.replace("conv", "bn")
        return batch_norm(x, state, norm)

    x = layer(x, "conv1", 2).relu()
    assert torch.equal(maps[0], x)
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        blocks = sorted({int(name.split(".")[1]) for name in state if name.startswith(f"layer{stage}.")})
        for block in blocks:
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            if encoder == "resnet50":
                out = layer(layer(x, f"{name}.conv1").relu(), f"{name}.conv2", stride).relu()
                out = layer(out, f"{name}.conv3")
            else:
                out = layer(layer(x, f"{name}.conv1", stride).relu(), f"{name}.conv2")
            has_projection = f"{name}.downsample.0.weight" in state
            x = (out + (layer(x, f"{name}.downsample.0", stride) if has_projection else x)).relu()
        assert torch.allclose(maps[stage], x, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_way_down_gives_maps_of_the_same_sizes(encoder: str) -> None:
    for down in ("strided", "max", "avg", "blur"):
        module = randomised(encoder, down)
        levels = module(torch.randn(1, 3, 64, 96)).levels
        sizes = [tuple(level.shape[-2:]) for level in levels]
        assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


def test_a_strided_vgg_starts_as_one_that_blurs() -> None:
    strided, blurred = randomised("vgg16", "strided"), randomised("vgg16", "blur")
    state = blurred.state_dict()
    for name, value in strided.state_dict().items():
        value.copy_(state[name]) if name in state else value.mul_(1 if name.endswith("weight") else 0)
    picture = torch.rand(1, 3, 64, 64)
    ours, theirs = strided(picture).levels[0], blurred(picture).levels[0]
    # The blur reflects at the first row and column, where the convolution pads with zeros.
    assert torch.allclose(ours[..., 1:, 1:], theirs[..., 1:, 1:], atol=1e-6)
