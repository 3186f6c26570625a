"""Each operator of downup, exported alone, gives what it gives in torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from downup import ops
from downup.networks import export_onnx
from networks.export.engines import run_onnxruntime, run_openvino


class Called(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def unpooled(x: Tensor, *window: Any, wants_bytes: bool = True) -> Tensor:
    """Through positions of overlapping, dilated, padded windows; where two share one, any of the values is the same."""
    if wants_bytes:
        pooled, positions = ops.max_pool2d_with_offsets(x, *window)
    else:
        pooled, positions = ops.max_pool2d(x, *window, return_indices=True)
    size, stride, padding, dilation = window
    return ops.max_unpool2d(pooled, positions, size, stride, padding, x.shape[2:], dilation=dilation)


OPERATORS: dict[str, Callable[[Tensor], Any]] = {
    "max_pool2d": lambda x: ops.max_pool2d(x, (3, 2), 2, 1, ceil_mode=True),
    "max_pool2d uneven": lambda x: ops.max_pool2d(x, 3, 2, ((1, 0), (0, 1)), dilation=2),
    "positions": lambda x: ops.max_pool2d(x, 3, 2, 1, return_indices=True)[1].float(),
    "positions in torch": lambda x: nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True)[1].float(),
    "offsets": lambda x: ops.max_pool2d_with_offsets(x, (2, 3), 1, 1, 2)[1].float(),
    "unpool": lambda x: unpooled(x, (3, 2), 2, (1, 0), (2, 1)),
    "unpool by positions": lambda x: unpooled(x, (3, 2), 2, (1, 0), (2, 1), wants_bytes=False),
    "unpool of threes": lambda x: unpooled(x, (3, 3), (3, 3), (0, 0), (1, 1)),
    "unpool of rectangles": lambda x: unpooled(x, (2, 3), (2, 3), (0, 0), (1, 1)),
    "global_max_pool2d": ops.global_max_pool2d,
    "avg_pool2d": lambda x: ops.avg_pool2d(x, (2, 3), 2, 1),
    "avg_pool2d inside": lambda x: ops.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool2d same": lambda x: ops.avg_pool2d(x, 3, 1, "same"),
    "avg_pool2d divided": lambda x: ops.avg_pool2d(x, 3, 2, 1, divisor_override=7),
    "avg_pool2d rounded up": lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "lp_pool2d": lambda x: ops.lp_pool2d(x.abs(), 2, 3, 2),
    "global_avg_pool2d": ops.global_avg_pool2d,
    "adaptive_avg_pool2d": lambda x: ops.adaptive_avg_pool2d(x, (3, 2)),
    "adaptive_avg_pool2d in torch": lambda x: nn.functional.adaptive_avg_pool2d(x, (5, 1)),
    "blur_pool2d": ops.blur_pool2d,
    "blur_pool2d of five": lambda x: ops.blur_pool2d(x, taps=4, stride=3, edge="repeat"),
    "blur_pool2d in zeros": lambda x: ops.blur_pool2d(x, taps=5, stride=1, edge="zero"),
    "max_blur_pool2d": ops.max_blur_pool2d,
    "nearest": lambda x: ops.interpolate(x, scale_factor=(3, 2)),
    "nearest to a size": lambda x: ops.interpolate(x, size=(x.shape[2] * 2 - 1, x.shape[3] + 5)),
    "nearest-exact": lambda x: ops.interpolate(x, scale_factor=0.5, mode="nearest-exact"),
    "bilinear": lambda x: ops.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear with aligned corners": lambda x: ops.interpolate(
        x, size=(x.shape[2] * 2, 19), mode="bilinear", align_corners=True
    ),
    "bicubic": lambda x: ops.interpolate(x, scale_factor=2, mode="bicubic"),
    "resize_conv2d": lambda x: ops.resize_conv2d(x, torch.ones(2, 3, 3, 3)),
    "conv2d same": lambda x: ops.conv2d(x, torch.ones(2, 3, 3, 3), stride=2, padding="same"),
    "conv2d reflected": lambda x: ops.conv2d(x, torch.ones(2, 3, 3, 3), padding=1, padding_mode="reflect"),
    "conv_transpose2d": lambda x: ops.conv_transpose2d(
        x, torch.ones(3, 2, 3, 3), stride=2, padding=((1, 0), (0, 1))
    ),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "pixel_shuffle DCR": lambda x: ops.pixel_shuffle(x.repeat(1, 4, 1, 1), 2, order="DCR"),
    "pixel_unshuffle": lambda x: ops.pixel_unshuffle(x.repeat(1, 1, 2, 2), 2),
    "pixel_unshuffle DCR": lambda x: ops.pixel_unshuffle(x.repeat(1, 1, 2, 2), 2, order="DCR"),
    "rounded up": lambda x: x[:, :, : -(-x.shape[2] // 2), : -(-x.shape[3] // 2)],
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_the_same_samples_in_every_engine(name: str, tmp_path: Path) -> None:
    module, path = Called(OPERATORS[name]), tmp_path / "operator.onnx"
    export_onnx(module, torch.zeros(2, 3, 12, 16), path)
    for shape in ((2, 3, 12, 16), (1, 3, 17, 13), (3, 3, 9, 30)):
        x = torch.randn(shape)
        wanted = module(x).numpy()
        for run in (run_onnxruntime, run_openvino):
            np.testing.assert_allclose(run(path, x.numpy()), wanted, rtol=1e-5, atol=1e-5)
