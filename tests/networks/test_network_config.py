"""The names of networks and of their parts, and what goes together."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from downup.errors import ArgumentError
from downup.networks import DOWNS, ENCODERS, MODELS, UPS, NetworkConfig, allowed_encoders, allowed_pairs


def test_the_choices_are_these() -> None:
    assert MODELS == ("fcn32s", "fcn16s", "fcn8s", "segnet", "deconvnet", "unet")
    assert ENCODERS == ("vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50")
    assert DOWNS == ("strided", "max", "avg", "blur")
    assert UPS == ("nearest", "bilinear", "unpool", "transposed", "shuffle")


@pytest.mark.parametrize("model", MODELS)
def test_all_pairs_go_together_but_for_unpooling_what_no_pool_took(model: str) -> None:
    for encoder in allowed_encoders(model):
        pairs = allowed_pairs(model, encoder)
        plain = {(down, up) for down in DOWNS for up in UPS if up != "unpool"}
        can_unpool = encoder.startswith("vgg") and model in ("segnet", "deconvnet", "unet")
        assert set(pairs) == plain | ({("max", "unpool")} if can_unpool else set())
        assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize(
    ("given", "encoder", "down", "up"),
    [
        ({"model": "fcn32s"}, "vgg16", "max", "transposed"),
        ({"model": "fcn8s", "encoder": "resnet50"}, "resnet50", "strided", "transposed"),
        ({"model": "segnet"}, "vgg16_bn", "max", "unpool"),
        ({"model": "segnet", "down": "avg"}, "vgg16_bn", "avg", "nearest"),
        ({"model": "deconvnet"}, "vgg16_bn", "max", "unpool"),
        ({"model": "unet"}, "resnet18", "strided", "transposed"),
        ({"model": "unet", "encoder": "vgg16"}, "vgg16", "max", "transposed"),
        ({"model": "unet", "encoder": "vgg16", "up": "unpool"}, "vgg16", "max", "unpool"),
    ],
)
def test_what_is_not_given_is_the_models_own_way(
    given: dict[str, str], encoder: str, down: str, up: str
) -> None:
    config = NetworkConfig.from_dict({"classes": 2, **given})
    assert (config.encoder, config.down, config.up) == (encoder, down, up)


def test_a_configuration_survives_json() -> None:
    config = NetworkConfig(model="unet", encoder="vgg16", up="unpool", classes=4, in_channels=1, width=0.25)
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "hourglass"}, "model is 'hourglass'; choose from fcn32s, fcn16s, fcn8s, segnet"),
        ({"encoder": "vgg19"}, "encoder is 'vgg19'; choose from vgg16"),
        ({"down": "median"}, "down is 'median'; choose from strided, max, avg, blur"),
        ({"up": "bicubic"}, "up is 'bicubic'; choose from nearest, bilinear, unpool, transposed, shuffle"),
        ({"classes": 0}, "classes is 0; use a whole number from 1 to 255"),
        ({"classes": 256}, "classes is 256; use a whole number from 1 to 255"),
        ({"classes": 2.0}, "classes is 2.0; use a whole number from 1 to 255"),
        ({"in_channels": 0}, "in_channels is 0; use a whole number at least 1"),
        ({"width": 0}, "width is 0; use a number above 0"),
        ({"width": float("nan")}, "width is nan; use a number above 0"),
        (
            {"model": "segnet", "encoder": "resnet18"},
            "encoder is 'resnet18', but the decoder of segnet mirrors VGG; use one of vgg16 and vgg16_bn",
        ),
        (
            {"model": "segnet", "down": "avg", "up": "unpool"},
            "up is 'unpool', but segnet on vgg16_bn with down='avg' remembers no positions to unpool to; "
            "use down='max', or up=nearest, bilinear, transposed or shuffle",
        ),
        (
            {"model": "fcn8s", "up": "unpool"},
            "up is 'unpool', but fcn8s on vgg16 with down='max' upsamples maps of scores, which no pooling "
            "made; use up=nearest, bilinear, transposed or shuffle",
        ),
        (
            {"model": "unet", "encoder": "resnet18", "up": "unpool"},
            "up is 'unpool', but unet on resnet18 with down='max' also goes down by strided convolution, "
            "which remembers no positions; use up=nearest, bilinear, transposed or shuffle",
        ),
    ],
)
def test_what_does_not_go_is_refused_with_the_way_out(given: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        NetworkConfig.from_dict({"model": "unet", "classes": 2, **given})
    assert message in str(caught.value)


def test_an_unknown_or_missing_option_is_named() -> None:
    with pytest.raises(ArgumentError, match="unknown network option 'depth'"):
        NetworkConfig.from_dict({"model": "unet", "classes": 2, "depth": 5})
    with pytest.raises(ArgumentError, match="network option 'classes' is missing"):
        NetworkConfig.from_dict({"model": "unet"})


def test_the_names_are_there_without_torch() -> None:
    code = "import sys; from downup.networks import MODELS, NetworkConfig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
