"""Averages, binomial smoothing and interpolation against plain loops in float64."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from downup import geometry, ops
from downup.errors import ArgumentError


def _average_by_hand(
    image: np.ndarray, kernel: Any, stride: Any, sides: Any, size: tuple[int, ...], count_padding: bool
) -> np.ndarray:
    (top, bottom), (left, right) = sides
    rows, columns = image.shape
    out = np.zeros(size)
    for y, x in np.ndindex(*size):
        total, count = 0.0, 0
        for k, m in np.ndindex(*kernel):
            row, column = y * stride[0] + k - top, x * stride[1] + m - left
            inside = 0 <= row < rows and 0 <= column < columns
            total += image[row, column] if inside else 0.0
            # A window may reach beyond the padding in ceil_mode: what lies there is no sample.
            count += inside or (count_padding and row < rows + bottom and column < columns + right)
        out[y, x] = total / count
    return out


@pytest.mark.parametrize(
    "padding", [0, (1, 0), ((0, 1), (1, 0)), ((1, 0), (0, 0)), "same", "same_lower", "valid"], ids=str
)
@pytest.mark.parametrize("count_padding", [True, False])
def test_avg_pool2d_equals_the_average_written_out(padding: Any, count_padding: bool) -> None:
    for seed in range(25):
        draw = random.Random(seed)
        torch.manual_seed(seed)
        kernel, stride = (draw.randint(2, 4), draw.randint(2, 4)), (draw.randint(1, 4), draw.randint(1, 5))
        size, ceil_mode = (draw.randint(4, 11), draw.randint(4, 11)), draw.random() < 0.5
        image = torch.randn(1, 1, *size, dtype=torch.float64)
        ours = ops.avg_pool2d(image, kernel, stride, padding, ceil_mode, count_padding)
        shape = geometry.pool_shape(image.shape, kernel, stride, padding, 1, ceil_mode)
        assert tuple(ours.shape) == shape
        sides = geometry.resolve_padding(padding, size, kernel, stride)
        counted = count_padding and padding not in ("same", "same_lower")
        by_hand = _average_by_hand(image[0, 0].numpy(), kernel, stride, sides, shape[2:], counted)
        np.testing.assert_allclose(
            ours[0, 0].numpy(), by_hand, rtol=0, atol=1e-12, err_msg=str((seed, kernel, stride))
        )


def test_avg_pool2d_equals_torch_bit_for_bit_where_torch_can() -> None:
    image = torch.randn(2, 3, 13, 11)
    for options in ((2,), (3, 2, 1), (3, 2, 1, True, False), ((2, 3), (2, 1), (1, 1), False, True, 5)):
        ours, theirs = ops.avg_pool2d(image, *options), torch.nn.functional.avg_pool2d(image, *options)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(
        ops.avg_pool2d(image, 3, 2, ((1, 1), (0, 0)), divisor_override=2),
        torch.nn.functional.avg_pool2d(image, 3, 2, (1, 0), divisor_override=2),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_constant_image_stays_constant(dtype: torch.dtype) -> None:
    image = torch.full((1, 2, 7, 10), 3.0, dtype=dtype)
    for kernel, stride in ((2, 2), (3, 2), (3, 1), (5, 3)):
        same = ops.avg_pool2d(image, kernel, stride, "same")
        assert same.dtype == dtype
        assert (same == 3).all()
    for taps in (1, 2, 3, 4, 5):
        blurred = ops.blur_pool2d(image, taps=taps)
        assert blurred.dtype == dtype
        torch.testing.assert_close(blurred, torch.full_like(blurred, 3), rtol=1e-6, atol=0)


def test_half_averages_are_rounded_once() -> None:
    image = torch.full((1, 1, 40, 40), 60_000.0, dtype=torch.float16)  # a plain sum would overflow
    assert (ops.avg_pool2d(image, 31, 10, "same") == 60_000).all()


def _edge(index: int, length: int, reach: int) -> int:
    """Which sample stands for a position outside: its mirror image, or the edge of a short image."""
    if length <= reach:
        return min(max(index, 0), length - 1)
    index = abs(index)
    return index if index < length else 2 * (length - 1) - index


def _blur_by_hand(image: np.ndarray, taps: int, stride: int) -> np.ndarray:
    row = np.array([1.0])
    for _ in range(taps - 1):
        row = np.convolve(row, [0.5, 0.5])
    before, reach = (taps - 1) // 2, taps // 2
    rows, columns = image.shape
    out = np.zeros((-(-rows // stride), -(-columns // stride)))
    for y, x, k, m in np.ndindex(*out.shape, taps, taps):
        sample = image[
            _edge(y * stride + k - before, rows, reach), _edge(x * stride + m - before, columns, reach)
        ]
        out[y, x] += row[k] * row[m] * sample
    return out


def test_blur_pool2d_equals_the_sum_written_out() -> None:
    for seed in range(40):
        draw = random.Random(seed)
        torch.manual_seed(seed)
        taps, stride = draw.randint(1, 7), draw.randint(1, 4)
        image = torch.randn(
            2, 3, draw.choice([1, 2, 3, 8, 13]), draw.choice([1, 2, 7, 16]), dtype=torch.float64
        )
        ours = ops.blur_pool2d(image, taps=taps, stride=stride)
        by_hand = _blur_by_hand(image[1, 2].numpy(), taps, stride)
        assert tuple(ours.shape) == (2, 3, *by_hand.shape)
        np.testing.assert_allclose(ours[1, 2].numpy(), by_hand, rtol=0, atol=1e-12)


def test_blur_pool2d_by_eye() -> None:
    image = torch.tensor([[[[0.0, 0.0, 4.0, 0.0, 0.0]]]])
    assert ops.blur_pool2d(image, taps=3, stride=1).flatten().tolist() == [0, 1, 2, 1, 0]
    assert ops.blur_pool2d(image, taps=3, stride=2).flatten().tolist() == [0, 2, 0]
    assert ops.blur_pool2d(image, taps=2, stride=1).flatten().tolist() == [0, 2, 2, 0, 0]
    edge = torch.tensor([[[[4.0, 0.0, 0.0]]]])
    assert ops.blur_pool2d(edge, taps=3, stride=1).flatten().tolist() == [2, 1, 0]  # 0, 4, 0 around the first


def test_blur_pool2d_knows_its_shape_without_data() -> None:
    assert ops.blur_pool2d(torch.empty(1, 2, 5, 6, device="meta")).shape == (1, 2, 3, 3)


def test_blur_pool2d_keeps_its_type_under_autocast() -> None:
    image = torch.randn(1, 2, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ops.blur_pool2d(image).dtype == torch.float32
        assert ops.blur_pool2d(image.bfloat16()).dtype == torch.bfloat16


def _bilinear_by_hand(image: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    out = np.zeros(size)
    for y, x in np.ndindex(*size):
        at = []
        for i, n, m in ((y, image.shape[0], size[0]), (x, image.shape[1], size[1])):
            place = i * (n - 1) / max(m - 1, 1) if align_corners else (i + 0.5) * n / m - 0.5
            place = min(max(place, 0.0), n - 1)
            low = min(int(place), n - 1)
            at.append((low, min(low + 1, n - 1), place - low))
        (top, bottom, down), (left, right, along) = at
        above = image[top, left] * (1 - along) + image[top, right] * along
        below = image[bottom, left] * (1 - along) + image[bottom, right] * along
        out[y, x] = above * (1 - down) + below * down
    return out


@pytest.mark.parametrize("align_corners", [True, False])
def test_bilinear_interpolation_equals_the_formula(align_corners: bool) -> None:
    for size in ((1, 1), (4, 7), (10, 3), (5, 5), (23, 11)):
        image = torch.randn(1, 1, 5, 4, dtype=torch.float64)
        ours = ops.interpolate(image, size=size, mode="bilinear", align_corners=align_corners)
        by_hand = _bilinear_by_hand(image[0, 0].numpy(), size, align_corners)
        np.testing.assert_allclose(ours[0, 0].numpy(), by_hand, rtol=0, atol=1e-12)


def test_nearest_interpolation_takes_the_sample_of_the_documented_place() -> None:
    image = torch.arange(20.0).view(1, 1, 4, 5)
    for size in ((8, 10), (3, 7), (5, 2)):
        rows = [y * 4 // size[0] for y in range(size[0])]
        columns = [x * 5 // size[1] for x in range(size[1])]
        assert torch.equal(ops.interpolate(image, size=size), image[:, :, rows][:, :, :, columns])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_interpolation_equals_torch_bit_for_bit(mode: str) -> None:
    image = torch.randn(2, 3, 7, 5)
    for target in ({"size": (9, 4)}, {"size": 6}, {"scale_factor": 2}, {"scale_factor": (1.5, 0.7)}):
        theirs = torch.nn.functional.interpolate(image, mode=mode, **target)
        torch.testing.assert_close(ops.interpolate(image, mode=mode, **target), theirs, rtol=0, atol=0)


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    image = torch.ones(1, 2, 5, 5)
    refused: list[tuple[Any, str]] = [
        (lambda: ops.avg_pool2d(image, 0), "kernel_size >= 1"),
        (lambda: ops.avg_pool2d(image, 3, padding=2), "half the window"),
        (lambda: ops.avg_pool2d(image, 6), "only 5 rows"),
        (lambda: ops.avg_pool2d(image, 2, divisor_override=0), "any other number"),
        (lambda: ops.avg_pool2d(image[0, 0], 2), "rows, columns"),
        (lambda: ops.blur_pool2d(image, taps=0), "taps >= 1"),
        (lambda: ops.blur_pool2d(image, stride=0), "stride >= 1"),
        (lambda: ops.blur_pool2d(image[:, :, :0]), "one pixel or more"),
        (lambda: ops.interpolate(image), "exactly one"),
        (lambda: ops.interpolate(image, size=3, scale_factor=2), "exactly one"),
        (lambda: ops.interpolate(image, size=0), "size >= 1"),
        (lambda: ops.interpolate(image, scale_factor=-1), "above 0"),
        (lambda: ops.interpolate(image, scale_factor=0.1), "nothing would be left"),
        (lambda: ops.interpolate(image, size=3, mode="cubic"), "bicubic"),
        (lambda: ops.interpolate(image, size=3, align_corners=True), "leave it None"),
        (lambda: ops.interpolate(image, size=3, antialias=True), "bilinear or bicubic"),
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_both_layouts_give_the_same(format: torch.memory_format) -> None:
    image = torch.randn(2, 3, 9, 8)
    other = image.contiguous(memory_format=format)
    for pool in (
        lambda x: ops.avg_pool2d(x, 3, 2, "same"),
        ops.blur_pool2d,
        lambda x: ops.interpolate(x, scale_factor=2, mode="bilinear"),
    ):
        torch.testing.assert_close(pool(image), pool(other))


def test_compiled_calls_give_the_same_with_one_graph_for_every_size() -> None:
    graphs = 0

    def counting(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph

    def down_and_up(x: Tensor) -> Tensor:
        down = ops.avg_pool2d(ops.blur_pool2d(x), 3, 2, "same")
        return ops.pixel_shuffle(ops.interpolate(down, scale_factor=2, mode="bilinear"), 2)

    torch.compiler.reset()
    compiled = torch.compile(down_and_up, backend=counting, fullgraph=True, dynamic=True)
    for size in ((9, 12), (8, 13), (20, 31), (7, 7)):
        image = torch.randn(1, 4, *size)
        torch.testing.assert_close(compiled(image), down_and_up(image))
    assert graphs == 1
