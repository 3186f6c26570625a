"""How far a network sees: the integers that we follow, held against the network itself."""

from __future__ import annotations

import pytest
import torch

from downup import nn
from downup.networks import MODELS, Network, NetworkConfig, allowed_encoders, allowed_pairs, build
from downup.networks.network import build_encoder
from downup.networks.reach import Reach, follow

NARROW = 0.01


def test_windows_reach_to_both_sides() -> None:
    assert follow(nn.Conv2d(1, 1, 3, padding=1), Reach()) == Reach(1, 1, 1)
    assert follow(nn.Conv2d(1, 1, 3, stride=2, padding=1), Reach()) == Reach(2, 1, 0)
    assert follow(nn.Conv2d(1, 1, 7, stride=2, padding=3), Reach()) == Reach(2, 3, 2)
    assert follow(nn.MaxPool2d(2), Reach(4, 5, 5)) == Reach(8, 5, 5)
    assert follow(nn.MaxPool2d(3, stride=2, padding=1), Reach(2, 3, 2)) == Reach(4, 5, 2)
    assert follow(nn.BlurPool2d(taps=3, stride=2), Reach()) == Reach(2, 1, 0)


def test_upsampling_reaches_across_the_block_it_divides() -> None:
    assert follow(nn.Upsample(scale_factor=2, mode="nearest"), Reach(8, 1, 2)) == Reach(4, 5, 6)
    assert follow(nn.Upsample(scale_factor=2, mode="bilinear"), Reach(8)) == Reach(4, 8, 8)
    assert follow(nn.ConvTranspose2d(1, 1, 2, stride=2), Reach(8)) == Reach(4, 4, 4)
    assert follow(nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1), Reach(8)) == Reach(4, 8, 8)
    assert follow(nn.PixelShuffle(4), Reach(8)) == Reach(2, 6, 6)


def test_the_receptive_field_of_vgg_is_the_known_one() -> None:
    """At conv5_3 a sample sees 196 pixels, after pool5 212, at stride 16 and 32."""
    encoder = build_encoder(NetworkConfig(model="fcn32s", classes=2, width=NARROW))
    skips, levels = encoder.reaches()
    assert skips[4].before + skips[4].step + skips[4].after == 196
    assert levels[4].before + levels[4].step + levels[4].after == 212


def test_an_unknown_module_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="no rule for how far Softmax sees"):
        follow(torch.nn.Softmax(), Reach())


def measured(network: Network, halo: int) -> tuple[int, int]:
    """Change one pixel, at each phase of the stride, and look how far from it the scores change."""
    network.eval()
    for parameter in network.parameters():
        if parameter.dim() == 4:
            # All weights positive: nothing cancels. Averages: nothing overflows or vanishes.
            parameter.data.fill_(8 / parameter[0].numel())
    stride = network.stride
    middle = -(-halo // stride) * stride + stride
    strips = torch.zeros(stride, 3, 2 * middle + stride, 1)
    phases = torch.arange(stride)
    strips[phases, :, middle + phases] = 1
    with torch.no_grad():
        changed = network(strips)[:, 0, :, 0] > 0
    distances = [changed[phase].nonzero().flatten() - middle - phase for phase in phases]
    return max(int(far.max()) for far in distances), max(-int(far.min()) for far in distances)


@pytest.mark.parametrize("model", MODELS)
def test_the_reach_is_what_a_changed_pixel_changes(model: str, is_long: bool) -> None:
    torch.set_num_threads(1)
    pairs = [
        (encoder, *pair)
        for encoder in allowed_encoders(model)
        for pair in allowed_pairs(model, encoder)
        # Of several pixels max pooling shows one, so it is measured through the mean of the same windows.
        if pair[0] != "max" and encoder != "resnet34"
    ]
    for encoder, down, up in pairs if is_long else pairs[::7]:
        config = NetworkConfig(model=model, encoder=encoder, down=down, up=up, classes=1, width=NARROW)
        network = build(config)
        reach = network.reach()
        if encoder.startswith("resnet") and down == "strided":
            network.encoder.maxpool = torch.nn.AvgPool2d(3, 2, 1)
        assert measured(network, max(reach.before, reach.after)) == (reach.before, reach.after), config


@pytest.mark.parametrize("model", ["segnet", "deconvnet", "unet"])
def test_unpooling_sees_no_further_than_repeating_what_was_averaged(model: str) -> None:
    reaches = [
        build(NetworkConfig(model=model, encoder="vgg16", down=down, up=up, classes=1, width=NARROW)).reach()
        for down, up in (("max", "unpool"), ("avg", "nearest"))
    ]
    assert reaches[0] == reaches[1]
