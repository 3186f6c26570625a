"""Weight files: what fits is taken over, what does not is refused with the reason."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from downup.errors import DataError
from downup.networks import NetworkConfig, build, load_encoder_weights

NARROW = 0.01  # 8 channels in each layer, 40 in the dense ones
DENSE = {"classifier.0": (40, 8 * 7 * 7), "classifier.3": (40, 40)}


def network_config(model: str, encoder: str, **options: object) -> NetworkConfig:
    return NetworkConfig.from_dict(
        {"model": model, "encoder": encoder, "classes": 2, "width": NARROW, **options}
    )


def file_of(encoder: str) -> dict[str, Tensor]:
    """What a file of torchvision for a narrow encoder would hold, with its dense layers."""
    torch.manual_seed(3)
    down = "max" if encoder.startswith("vgg") else None
    tensors = dict(build(network_config("fcn32s", encoder, down=down)).encoder.state_dict())
    if encoder.startswith("vgg"):
        for name, shape in DENSE.items():
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.randn(shape), torch.randn(shape[0])
        tensors["classifier.6.weight"], tensors["classifier.6.bias"] = torch.randn(10, 40), torch.randn(10)
    else:
        tensors["fc.weight"], tensors["fc.bias"] = torch.randn(10, 8), torch.randn(10)
    return tensors


@pytest.mark.parametrize("encoder", ["vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_the_file_holds_comes_into_the_network(encoder: str, suffix: str, tmp_path: Path) -> None:
    tensors, path = file_of(encoder), tmp_path / f"weights{suffix}"
    torch.save(tensors, path) if suffix == ".pth" else safetensors.torch.save_file(tensors, path)
    network = build(network_config("fcn8s", encoder))
    report = load_encoder_weights(network, path)
    last = "classifier.6" if encoder.startswith("vgg") else "fc"
    assert set(report.left_out) == {f"{last}.weight", f"{last}.bias"}
    assert set(report.loaded) == set(tensors) - set(report.left_out)
    assert report.not_loaded == ()
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, tensors[name]), name


def test_files_of_the_older_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(file_of("vgg16"), path, _use_new_zipfile_serialization=False)
    assert len(load_encoder_weights(build(network_config("fcn8s", "vgg16")), path).loaded) == 30


def test_files_that_count_no_batches_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    tensors = {name: value for name, value in file_of("resnet18").items() if "num_batches" not in name}
    safetensors.torch.save_file(tensors, path)
    network = build(network_config("unet", "resnet18"))
    assert load_encoder_weights(network, path).not_loaded == ()


def test_dense_layers_become_convolutions_that_compute_the_same(tmp_path: Path) -> None:
    tensors, path = file_of("vgg16"), tmp_path / "vgg16.pth"
    torch.save(tensors, path)
    network = build(network_config("fcn32s", "vgg16")).eval()
    load_encoder_weights(network, path)
    feature_map = torch.randn(1, 8, 7, 7)
    dense = feature_map.flatten(1)
    for name in ("classifier.0", "classifier.3"):
        dense = (dense @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]).relu()
    fc6, fc7 = network.get_submodule("fc6"), network.get_submodule("fc7")
    convolved = fc7(fc6(feature_map).relu()).relu()
    assert torch.allclose(convolved[:, :, 3, 3], dense, atol=1e-4)


def test_deconvnet_takes_the_dense_layers_and_unet_leaves_them_out(tmp_path: Path) -> None:
    path = tmp_path / "vgg16_bn.safetensors"
    tensors = file_of("vgg16_bn")
    safetensors.torch.save_file(tensors, path)
    network = build(network_config("deconvnet", "vgg16_bn"))
    assert "classifier.0.weight" in load_encoder_weights(network, path).loaded
    weight = network.get_parameter("fc6.weight")
    assert torch.equal(weight.flatten(1), tensors["classifier.0.weight"])
    report = load_encoder_weights(build(network_config("unet", "vgg16_bn")), path)
    assert {name.split(".")[0] for name in report.left_out} == {"classifier"}
    assert report.not_loaded == ()


@pytest.mark.parametrize("encoder", ["vgg16", "resnet18"])
def test_a_grey_network_sees_in_grey_what_a_colour_network_sees_in_equal_colours(
    encoder: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(file_of(encoder), path)
    colour = build(network_config("unet", encoder)).eval()
    grey = build(network_config("unet", encoder, in_channels=1)).eval()
    for network in (colour, grey):
        load_encoder_weights(network, path)
    picture = torch.randn(1, 1, 32, 32)
    pairs = zip(
        colour.encoder(picture.expand(1, 3, 32, 32)).levels, grey.encoder(picture).levels, strict=True
    )
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_other_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(file_of("resnet18"), path)
    network = build(network_config("unet", "resnet18", in_channels=4))
    with pytest.raises(
        DataError, match="pictures of 3 channels, but in_channels is 4; use in_channels=3, or 1"
    ):
        load_encoder_weights(network, path)


def test_the_learned_way_down_of_a_strided_vgg_is_listed_as_fresh(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(file_of("vgg16"), path)
    report = load_encoder_weights(build(network_config("fcn8s", "vgg16", down="strided")), path)
    assert report.not_loaded == tuple(
        f"features.{index}.0.{kind}" for index in (4, 9, 16, 23, 30) for kind in ("weight", "bias")
    )
    assert "30 tensors loaded" in str(report)
    assert "fresh: features.4.0.weight" in str(report)


def test_a_file_of_another_encoder_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(file_of("resnet18"), path)
    network = build(network_config("fcn8s", "resnet34"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        DataError, match=r"resnet18.pth has no tensor 'layer1.2.conv1.weight', which resnet34"
    ):
        load_encoder_weights(network, path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_file_of_another_width_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(file_of("resnet18"), path)
    network = build(network_config("unet", "resnet18", width=0.25))
    with pytest.raises(
        DataError, match=r"'conv1.weight' has shape \[8, 3, 7, 7\], but resnet18 with width=0.25 has"
    ):
        load_encoder_weights(network, path)


class Payload:
    """An object whose pickle runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["torch", "protocol 2", "protocol 5"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(form: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pth", tmp_path / "ran"
    content = {"conv1.weight": Payload(mark)}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=int(form[-1])))
    # torch's reader knows no pickle newer than protocol 3 well enough to tell what it would have run.
    reason = "is not a weight file" if form == "protocol 5" else "holds Python code that would run on loading"
    with pytest.raises(DataError, match=rf"weights\.pth {reason}.* a \.safetensors file"):
        load_encoder_weights(build(network_config("unet", "resnet18")), path)
    assert not mark.exists()


def test_files_that_hold_no_weights_are_refused_by_name(tmp_path: Path) -> None:
    network = build(network_config("unet", "resnet18"))
    good = tmp_path / "good.pth"
    torch.save(file_of("resnet18"), good)
    contents: dict[str, object] = {
        "text.pth": b"weights, honestly",
        "empty.pth": b"",
        "cut.pth": good.read_bytes()[:5000],
        "text.safetensors": b"weights, honestly",
        "empty.safetensors": b"",
        "weights.h5": b"",
        "list.pth": [torch.zeros(3)],
        "checkpoint.pth": {"epoch": 3, "state_dict": {"conv1.weight": torch.zeros(3)}},
        "nothing.pth": {},
    }
    for name, content in contents.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(DataError) as caught:
            load_encoder_weights(network, path)
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message, message
    with pytest.raises(DataError, match=r"missing\.pth is not a file"):
        load_encoder_weights(network, tmp_path / "missing.pth")
