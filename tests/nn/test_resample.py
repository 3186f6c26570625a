"""Modules of the resample family call their functions with what they hold."""

from __future__ import annotations

import torch

from downup import nn, ops


def test_avg_pool2d_calls_its_function() -> None:
    image = torch.randn(1, 2, 9, 8)
    assert torch.equal(nn.AvgPool2d(2)(image), ops.avg_pool2d(image, 2))
    assert torch.equal(nn.AvgPool2d(3, 2, 1, True, False)(image), ops.avg_pool2d(image, 3, 2, 1, True, False))
    assert torch.equal(nn.AvgPool2d(3, 2, "same")(image), ops.avg_pool2d(image, 3, 2, "same"))
    assert repr(nn.AvgPool2d(3, padding="same")) == "AvgPool2d(kernel_size=3, stride=3, padding='same')"
    assert str(nn.AvgPool2d(2)) == str(torch.nn.AvgPool2d(2))


def test_blur_pool2d_calls_its_function_and_has_no_parameter() -> None:
    image = torch.randn(1, 2, 9, 8)
    layer = nn.BlurPool2d(taps=4, stride=3, edge="reflect")
    assert torch.equal(layer(image), ops.blur_pool2d(image, taps=4, stride=3))
    assert not layer.state_dict()
    assert repr(layer) == "BlurPool2d(taps=4, stride=3, edge='reflect')"


def test_upsample_calls_its_function() -> None:
    image = torch.randn(1, 2, 5, 4)
    layer = nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True)
    assert torch.equal(layer(image), ops.interpolate(image, None, 2, "bicubic", True))
    assert torch.equal(nn.Upsample((7, 9))(image), ops.interpolate(image, (7, 9)))
    assert repr(layer) == "Upsample(scale_factor=2, mode='bicubic')"
