"""Every network with every pair that it allows trains, and keeps the size of what goes in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from downup.errors import ArgumentError
from downup.networks import MODELS, Network, NetworkConfig, allowed_encoders, allowed_pairs, build

NARROW = 0.01  # every layer has 8 channels
CLASSES = 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def configurations(model: str) -> list[NetworkConfig]:
    return [
        NetworkConfig(model=model, encoder=encoder, down=down, up=up, classes=CLASSES, width=NARROW)
        for encoder in allowed_encoders(model)
        for down, up in allowed_pairs(model, encoder)
    ]


def train_step(network: Network, rows: int, columns: int) -> None:
    pictures = torch.randn(2, network.config.in_channels, rows, columns)
    truth = torch.randint(CLASSES, (2, rows, columns))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    optimizer.zero_grad()
    scores = network.train()(pictures)
    assert scores.shape == (2, CLASSES, rows, columns), network.config
    loss = F.cross_entropy(scores, truth)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert loss.isfinite(), network.config
    assert all(parameter.isfinite().all() for parameter in network.parameters()), network.config


@pytest.mark.parametrize("model", MODELS)
def test_every_pair_trains_and_keeps_the_size(model: str, is_long: bool) -> None:
    for config in configurations(model):
        network = build(config)
        train_step(network, 1, 1)
        if is_long:
            train_step(network, 224, 224)
        train_step(network, 37, 53)
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, (config, name)
            assert parameter.grad.abs().sum() > 0, (config, name)


@pytest.mark.parametrize("model", MODELS)
def test_the_size_of_a_usual_crop_is_kept(model: str) -> None:
    for config in configurations(model)[::16]:
        train_step(build(config), 224, 224)


@pytest.mark.parametrize("config", [configurations(model)[0] for model in MODELS], ids=MODELS)
def test_the_first_loss_is_that_of_a_guess(config: NetworkConfig) -> None:
    network = build(config).train()
    loss = F.cross_entropy(network(torch.randn(2, 3, 64, 64)), torch.randint(CLASSES, (2, 64, 64)))
    assert abs(loss.item() - torch.tensor(float(CLASSES)).log().item()) < 0.2


def test_a_picture_is_padded_right_and_below_by_its_last_pixels() -> None:
    network = build(NetworkConfig(model="unet", encoder="vgg16", classes=2, width=NARROW)).eval()
    picture = torch.randn(1, 3, 17, 30)
    rows = torch.arange(32).clamp(max=16)
    columns = torch.arange(32).clamp(max=29)
    padded = picture[:, :, rows][:, :, :, columns]
    assert torch.equal(network(picture), network(padded)[:, :, :17, :30])


@pytest.mark.parametrize(
    ("model", "encoder", "stride"),
    [("fcn8s", "vgg16", 32), ("segnet", "vgg16_bn", 32), ("unet", "vgg16", 16), ("unet", "resnet18", 32)],
)
def test_the_stride_is_what_the_network_goes_down(model: str, encoder: str, stride: int) -> None:
    network = build(NetworkConfig(model=model, encoder=encoder, classes=2, width=NARROW))
    assert network.stride == stride


def test_width_scales_channels_to_multiples_of_eight() -> None:
    network = build(NetworkConfig(model="unet", encoder="resnet18", classes=2, width=0.3))
    shapes = {name: list(value.shape) for name, value in network.encoder.state_dict().items()}
    assert shapes["conv1.weight"] == [16, 3, 7, 7]
    assert shapes["layer2.0.conv1.weight"] == [40, 16, 3, 3]
    assert shapes["layer4.1.conv2.weight"] == [152, 152, 3, 3]


def test_grey_pictures_and_other_numbers_of_channels_go_in() -> None:
    for in_channels in (1, 5):
        config = NetworkConfig(model="unet", classes=2, in_channels=in_channels, width=NARROW)
        assert build(config).eval()(torch.randn(1, in_channels, 9, 7)).shape == (1, 2, 9, 7)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 0, 8)])
def test_what_is_no_batch_of_pictures_is_refused(shape: tuple[int, ...]) -> None:
    network = build(NetworkConfig(model="unet", classes=2, width=NARROW))
    with pytest.raises(ArgumentError, match=r"use \[batch, 3, height, width\]"):
        network(torch.zeros(shape))


@pytest.mark.parametrize("up", ["transposed", "bilinear", "shuffle", "nearest"])
def test_an_fcn_starts_by_interpolating_its_scores(up: str) -> None:
    """All four ways up keep a constant, and a step of scores stays in its place."""
    network = build(NetworkConfig(model="fcn32s", up=up, classes=2, width=NARROW))
    enlarge = network.get_submodule("ups.0")
    scores = torch.zeros(1, 2, 3, 4)
    scores[:, 1, :, 2:] = 1
    big = enlarge(scores)
    assert big.shape == (1, 2, 96, 128)
    assert torch.equal(big[:, 0], torch.zeros(1, 96, 128))
    middle = big[0, 1, 48]
    assert torch.equal(middle[:48], torch.zeros(48))
    assert torch.allclose(middle[80:112], torch.ones(32))
    assert torch.equal((middle > 0.5).nonzero().flatten()[:1], torch.tensor([64]))


def test_fcn8s_adds_the_scores_of_three_maps() -> None:
    network = build(NetworkConfig(model="fcn8s", up="bilinear", classes=CLASSES, width=NARROW)).eval()
    picture = torch.randn(1, 3, 96, 64)
    levels = network.encoder(picture).levels
    state = network.state_dict()

    def layer(x: Tensor, name: str) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def enlarged(x: Tensor, factor: float) -> Tensor:
        return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    scores = layer(layer(layer(levels[4], "fc6").relu(), "fc7").relu(), "scores.0")  # stride 32
    scores = enlarged(scores, 2) + layer(levels[3], "scores.1")
    scores = enlarged(scores, 2) + layer(levels[2], "scores.2")
    assert torch.allclose(network(picture), enlarged(scores, 8), atol=1e-5)


@pytest.mark.parametrize("encoder", ["vgg16", "resnet18"])
def test_a_unet_lays_each_map_beside_the_one_of_its_size(encoder: str) -> None:
    network = build(
        NetworkConfig(model="unet", encoder=encoder, up="nearest", classes=2, width=NARROW)
    ).eval()
    picture = torch.randn(1, 3, 96, 64)
    skips = network.encoder(picture).skips
    state = network.state_dict()
    x = skips.pop()
    for step in range(4 if encoder == "vgg16" else 5):
        x = F.interpolate(x, scale_factor=2)  # all maps have 8 channels: no 1x1 convolution
        if skips:
            x = torch.cat([x, skips.pop()], dim=1)
        for part in (0, 1):
            name = f"stages.{step}.{part}"
            x = F.conv2d(x, state[f"{name}.0.weight"], padding=1)
            mean, variance = state[f"{name}.1.running_mean"], state[f"{name}.1.running_var"]
            x = F.batch_norm(x, mean, variance, state[f"{name}.1.weight"], state[f"{name}.1.bias"]).relu()
    scores = F.conv2d(x, state["classifier.weight"], state["classifier.bias"])
    assert torch.allclose(network(picture), scores, atol=1e-5)


def test_segnet_puts_values_back_where_they_were_taken_from() -> None:
    """With weights that pass one channel through, unpooling keeps the largest pixel in its place."""
    network = build(NetworkConfig(model="segnet", encoder="vgg16", classes=1, in_channels=1, width=NARROW))
    network.eval()
    for name, parameter in network.named_parameters():
        parameter.data.zero_()
        if parameter.dim() == 4:
            parameter.data[0, 0, 1, 1] = 1
        elif name.startswith("stages") and name.endswith("weight"):
            parameter.data.fill_(1)
    picture = torch.rand(1, 1, 64, 64)
    scores = network(picture)
    for block_row in (0, 1):
        for block_column in (0, 1):
            rows, columns = (slice(32 * block, 32 * block + 32) for block in (block_row, block_column))
            block, result = picture[0, 0, rows, columns], scores[0, 0, rows, columns]
            assert result.argmax() == block.argmax()
            assert result.count_nonzero() == 1
            assert torch.isclose(result.max(), block.max(), rtol=1e-3)


def test_the_same_seed_builds_the_same_network() -> None:
    config = NetworkConfig(model="fcn8s", classes=2, width=NARROW)
    torch.manual_seed(7)
    first = build(config).state_dict()
    torch.manual_seed(7)
    second = build(config).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
