"""Learned modules: what they take over from torch, and what they add."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from downup import nn, ops
from downup.errors import ArgumentError


def test_parameters_and_initialisation_are_those_of_torch() -> None:
    pairs: list[tuple[Any, Any, tuple[Any, ...]]] = [
        (nn.Conv2d, torch.nn.Conv2d, (3, 8, 3, 2, 1)),
        (nn.ConvTranspose2d, torch.nn.ConvTranspose2d, (3, 8, 4, 2, 1, 1)),
    ]
    for ours, theirs, arguments in pairs:
        torch.manual_seed(0)
        one = ours(*arguments)
        torch.manual_seed(0)
        other = theirs(*arguments)
        assert list(one.state_dict()) == list(other.state_dict()) == ["weight", "bias"]
        for name, value in other.state_dict().items():
            assert torch.equal(one.state_dict()[name], value)
        image = torch.randn(2, 3, 9, 8)
        assert torch.equal(one(image), other(image))
        assert repr(one) == repr(other)


@pytest.mark.parametrize("padding", [1, "same", "same_lower", ((0, 1), (1, 2))], ids=str)
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_conv2d_pads_in_every_mode(padding: Any, mode: Any) -> None:
    layer = nn.Conv2d(2, 3, 3, 2, padding, padding_mode=mode)
    image = torch.randn(1, 2, 8, 7)
    out = layer(image)
    assert out.shape == ops.conv2d(image, layer.weight, None, 2, padding).shape
    if padding == 1:
        theirs = torch.nn.Conv2d(2, 3, 3, 2, 1, padding_mode=mode)
        theirs.load_state_dict(layer.state_dict())
        torch.testing.assert_close(out, theirs(image))


def test_conv_transpose2d_takes_the_size_asked_for() -> None:
    layer = nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)
    image = torch.randn(1, 2, 5, 6)
    assert layer(image).shape == (1, 3, 10, 12)
    assert layer(image, (11, 12)).shape == (1, 3, 11, 12)
    assert layer(image, torch.Size([1, 3, 11, 13])).shape == (1, 3, 11, 13)
    with pytest.raises(ArgumentError, match="10 to 11"):
        layer(image, (12, 12))
    assert nn.ConvTranspose2d(2, 3, 3, 2, "same")(image).shape == (1, 3, 10, 12)


def test_resize_conv2d_holds_a_weight_like_a_convolution() -> None:
    layer = nn.ResizeConv2d(2, 3, 3, mode="bilinear")
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "weight": (3, 2, 3, 3),
        "bias": (3,),
    }
    image = torch.randn(1, 2, 5, 6)
    assert layer(image).shape == (1, 3, 10, 12)
    assert layer(image, (9, 11)).shape == (1, 3, 9, 11)
    assert "scale_factor=2, mode='bilinear'" in repr(layer)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("groups", [1, 3])
def test_bilinear_weight_makes_a_transposed_convolution_interpolate(factor: int, groups: int) -> None:
    layer = nn.ConvTranspose2d(
        3, 3, 2 * factor - factor % 2, stride=factor, padding="same", groups=groups, bias=False
    )
    nn.bilinear_weight_(layer.weight)
    image = torch.randn(1, 3, 6, 7)
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    expected = ops.interpolate(image, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(layer(image)[inside], expected[inside])


def test_wrong_arguments_are_refused_when_the_module_is_made() -> None:
    refused: list[tuple[Any, str]] = [
        (lambda: nn.Conv2d(1, 1, 0), "kernel_size >= 1"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), "same_lower"),  # type: ignore[arg-type]
        (lambda: nn.Conv2d(1, 1, 3, padding=(1, 1, 1, 1)), "nested|top, bottom"),  # type: ignore[arg-type]
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), "zeros"),  # type: ignore[arg-type]
        (lambda: nn.bilinear_weight_(torch.ones(3, 2, 4, 4)), "channels"),
        (lambda: nn.BlurPool2d(0), "taps >= 1"),
        (lambda: nn.AvgPool2d(0), "kernel_size >= 1"),
        (lambda: nn.Upsample(), "exactly one"),
        (lambda: nn.PixelShuffle(0), "upscale_factor >= 1"),
        (lambda: nn.PixelUnshuffle(0), "downscale_factor >= 1"),
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()


def test_a_convolution_with_symbolic_padding_is_exported_for_every_size() -> None:
    layer = torch.nn.Sequential(nn.Conv2d(2, 3, 3, 2, "same"), nn.ResizeConv2d(3, 2, 3)).eval()
    rows, columns = torch.export.Dim("rows", min=4, max=400), torch.export.Dim("columns", min=4, max=400)
    program = torch.export.export(
        layer, (torch.randn(1, 2, 9, 12),), dynamic_shapes=({2: rows, 3: columns},), strict=False
    ).module()
    for size in ((8, 8), (13, 6), (31, 50)):
        image = torch.randn(1, 2, *size)
        torch.testing.assert_close(program(image), layer(image))
