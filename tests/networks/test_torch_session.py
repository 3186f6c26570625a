"""A network behind NumPy arrays: labels, whole or in windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from downup.errors import ArgumentError
from downup.networks import Network, NetworkConfig, TorchSession, build

NARROW = 0.01
GREY = ((0.4,), (0.2,))
RGB = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def lively_network(**options: object) -> Network:
    """A network whose labels change from pixel to pixel, as a trained one's do."""
    torch.manual_seed(1)
    network = build(NetworkConfig.from_dict({"classes": 4, "width": NARROW, **options}))
    with torch.no_grad():
        pictures = torch.rand(4, network.config.in_channels, 96, 96) * 4 - 2
        for _ in range(20):
            network.train()(pictures)  # settles the statistics of batch norm
        scores = network.eval()(pictures)
        classifier = network.get_submodule("classifier")
        classifier.get_parameter("bias").sub_(scores.mean(dim=(0, 2, 3)))
    return network


def noise(rows: int, columns: int, channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, channels), dtype=np.uint8)


def test_labels_are_the_highest_scores_of_the_normalised_picture() -> None:
    network = lively_network(model="unet")
    session = TorchSession(network, RGB, "rgb")
    picture = noise(37, 53, 3)
    mean, deviation = (np.array(values, dtype=np.float32) for values in RGB)
    pixels = torch.from_numpy((picture / np.float32(255) - mean) / deviation).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = network.eval()(pixels)[0]
    labels = session.labels(picture)
    assert labels.dtype == np.uint8
    assert labels.shape == (37, 53)
    assert len(np.unique(labels)) > 1
    # Scores that are equal but for rounding may go either way.
    best = scores.max(dim=0).values
    taken = scores.gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]
    assert torch.allclose(taken, best, atol=1e-4)
    assert (labels == scores.argmax(dim=0).numpy()).mean() > 0.999


@pytest.mark.parametrize(
    ("encoder", "down", "up"),
    [("vgg16_bn", "max", "unpool"), ("vgg16_bn", "blur", "bilinear"), ("vgg16_bn", "strided", "transposed")],
)
def test_a_window_with_its_halo_labels_as_the_whole_picture_does(encoder: str, down: str, up: str) -> None:
    """In double precision, so that no label hangs on the order of a sum."""
    network = lively_network(model="unet", encoder=encoder, down=down, up=up, in_channels=1).double()
    session = TorchSession(network, GREY, "grey")
    stride, halo = session.stride, session.halo
    picture = noise(2 * halo + 3 * stride + 5, 40, 1)
    whole = session.labels(picture)
    assert len(np.unique(whole)) > 1
    first = stride * 2
    rows = picture.shape[0]
    lower = session.labels(picture[first:])
    assert np.array_equal(lower[halo:], whole[first + halo :])
    upper = session.labels(picture[: rows - first])
    assert np.array_equal(upper[: rows - first - halo], whole[: rows - first - halo])
    turned = session.labels(picture.transpose(1, 0, 2)[:, first:])
    assert np.array_equal(turned[:, halo:], session.labels(picture.transpose(1, 0, 2))[:, first + halo :])


def test_the_session_tells_stride_halo_and_classes() -> None:
    session = TorchSession(lively_network(model="unet", encoder="vgg16"), RGB, "rgb")
    assert (session.stride, session.halo, session.class_count) == (16, 135, 4)


def test_one_pixel_is_labelled() -> None:
    session = TorchSession(lively_network(model="segnet", in_channels=1), GREY, "grey")
    assert session.labels(noise(1, 1, 1)).shape == (1, 1)


def test_the_network_is_left_as_it_was() -> None:
    network = lively_network(model="unet").train()
    network.encoder.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    training = [module.training for module in network.modules()]
    layouts = [parameter.stride() for parameter in network.parameters()]
    TorchSession(network, RGB, "rgb").labels(noise(20, 20, 3))
    assert [module.training for module in network.modules()] == training
    assert [parameter.stride() for parameter in network.parameters()] == layouts
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_threads_are_set_when_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        TorchSession(lively_network(model="unet"), RGB, "rgb", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_what_does_not_fit_is_refused() -> None:
    network = lively_network(model="unet")
    with pytest.raises(ArgumentError, match="channels is 'hsv'; choose from rgb, grey"):
        TorchSession(network, RGB, "hsv")  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentError, match="channels is 'grey', which has 1, but the network has in_channels=3"
    ):
        TorchSession(network, GREY, "grey")
    with pytest.raises(ArgumentError, match="use 3 means and 3 standard deviations above 0"):
        TorchSession(network, GREY, "rgb")
    with pytest.raises(ArgumentError, match="above 0"):
        TorchSession(network, (RGB[0], (0.0, 1.0, 1.0)), "rgb")
    with pytest.raises(ArgumentError, match="threads is 0; use at least 1"):
        TorchSession(network, RGB, "rgb", threads=0)
    session = TorchSession(network, RGB, "rgb")
    picture = noise(4, 4, 3)
    for wrong in (noise(4, 4, 1), picture[:0], picture[..., 0], picture.astype(np.float32)):
        with pytest.raises(ArgumentError, match=r"use uint8 \[rows, columns, 3\]"):
            session.labels(wrong)  # type: ignore[arg-type]


def test_probabilities_are_the_softmax_of_the_scores() -> None:
    session = TorchSession(lively_network(model="unet"), RGB, "rgb")
    picture = noise(20, 33, 3)
    shares = session.probabilities(picture)
    assert shares.shape == (20, 33, 4)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_array_equal(shares.argmax(axis=2), session.labels(picture))
    np.testing.assert_array_equal(session.probabilities(picture, [3, 1]), shares[:, :, [3, 1]])
    with pytest.raises(ArgumentError, match="classes names 4; use numbers from 0 to 3"):
        session.probabilities(picture, [4])


def test_memory_goes_with_the_pixels() -> None:
    session = TorchSession(lively_network(model="unet"), RGB, "rgb")
    small, large = session.label_memory(64, 96), session.label_memory(256, 192)
    # At least the widest map and what it is made of.
    assert small >= 2 * 4 * 64 * 96
    assert large == 8 * small
