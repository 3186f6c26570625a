"""Convolution, its transpose and resize-then-convolve against plain loops in float64."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from downup import catalog, geometry, ops
from downup.errors import ArgumentError

_PADDINGS = [0, 1, (2, 1), ((0, 1), (2, 0)), ((1, 1), (0, 3)), "valid", "same", "same_lower"]


def _by_hand(image: np.ndarray, weight: np.ndarray, stride: Any, sides: Any, dilation: Any) -> np.ndarray:
    """Image [channels, rows, columns], weight [filters, channels, rows, columns]: one sum at a time."""
    padded = np.pad(image, ((0, 0), *sides))
    filters, _, kernel_rows, kernel_columns = weight.shape
    rows = (padded.shape[1] - dilation[0] * (kernel_rows - 1) - 1) // stride[0] + 1
    columns = (padded.shape[2] - dilation[1] * (kernel_columns - 1) - 1) // stride[1] + 1
    out = np.zeros((filters, rows, columns))
    for f, y, x, k, m in np.ndindex(filters, rows, columns, kernel_rows, kernel_columns):
        sample = padded[:, y * stride[0] + k * dilation[0], x * stride[1] + m * dilation[1]]
        out[f, y, x] += sample @ weight[f, :, k, m]
    return out


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # torch's words -> NumPy's


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("mode", _MODES)
def test_conv2d_takes_what_lies_outside_from_the_image(mode: str, padding: Any) -> None:
    for seed in range(8):
        draw, kernel, stride, dilation = _draw(seed)
        size = (draw.choice([7, 8, 9, 13]), draw.choice([7, 8, 11]))
        image = torch.randn(1, 4, *size, dtype=torch.float64)
        weight = torch.randn(2, 4, *kernel, dtype=torch.float64)
        sides = geometry.resolve_padding(padding, size, kernel, stride, dilation)
        padded: Any = np.pad(image[0].numpy(), ((0, 0), *sides), mode=_MODES[mode])  # type: ignore[call-overload]
        by_hand = _by_hand(padded, weight.numpy(), stride, ((0, 0), (0, 0)), dilation)
        ours = ops.conv2d(image, weight, None, stride, padding, dilation, padding_mode=mode)
        np.testing.assert_allclose(ours[0].numpy(), by_hand, rtol=0, atol=1e-12)
        assert torch.equal(
            ops.conv2d(image[0], weight, None, stride, padding, dilation, padding_mode=mode), ours[0]
        )


@pytest.mark.parametrize("mode", ["zeros", *_MODES])
def test_padding_modes_are_those_of_torchs_module(mode: Any) -> None:
    for seed in range(12):
        draw, kernel, stride, dilation = _draw(seed)
        groups = draw.choice([1, 2])
        padding: Any = draw.choice([(draw.randint(0, 3), draw.randint(0, 3)), "same", "valid"])
        if padding == "same":  # which torch knows at stride 1, and warns about where it is uneven
            stride, kernel = (1, 1), (3, 5)
        theirs = torch.nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups, True, mode)
        image = torch.randn(2, 4, draw.randint(7, 12), draw.randint(7, 12), requires_grad=True)
        same = image.detach().clone().requires_grad_()
        arguments = (theirs.weight, theirs.bias, stride, padding, dilation, groups)
        out, expected = ops.conv2d(image, *arguments, padding_mode=mode), theirs(same)
        torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)
        (out**2).sum().backward()  # type: ignore[no-untyped-call]
        (expected**2).sum().backward()
        assert image.grad is not None
        torch.testing.assert_close(image.grad, same.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose2d_reaches_torchs_sizes_with_groups_and_dilation(groups: int) -> None:
    for seed in range(20):
        draw, kernel, stride, dilation = _draw(seed)
        padding = (draw.randint(0, 1), draw.randint(0, 1))
        theirs = torch.nn.ConvTranspose2d(4, 6, kernel, stride, padding, 0, groups, True, dilation)
        image = torch.randn(2, 4, draw.randint(4, 7), draw.randint(4, 7))
        small = theirs(image).shape[2:]
        size = tuple(n + draw.randint(0, s - 1) for n, s in zip(small, stride, strict=True))
        expected = theirs(image, output_size=size)
        ours = ops.conv_transpose2d(
            image, theirs.weight, theirs.bias, stride, padding, 0, groups, dilation, output_size=size
        )
        assert torch.equal(ours, expected)
        same = ops.conv_transpose2d(image, theirs.weight, theirs.bias, stride, "same", 0, groups, dilation)
        assert same.shape[2:] == (image.shape[2] * stride[0], image.shape[3] * stride[1])


def test_resize_conv2d_knows_groups_and_dilation() -> None:
    image, weight = torch.randn(2, 4, 5, 4), torch.randn(6, 2, 3, 3)
    for size in (None, (9, 7), (13, 4)):
        ours = ops.resize_conv2d(image, weight, dilation=2, groups=2, output_size=size, mode="bilinear")
        larger = torch.nn.functional.interpolate(
            image, size, None if size else 2, mode="bilinear", align_corners=False
        )
        expected = torch.conv2d(larger, weight, None, 1, 2, 2, 2)
        torch.testing.assert_close(ours, expected)


def test_lines_and_volumes_are_sent_to_the_function_that_takes_them() -> None:
    line, volume = torch.ones(1, 2, 9), torch.ones(1, 2, 5, 5, 5)
    refused: list[tuple[Any, str]] = [
        (lambda: ops.conv2d(line, torch.ones(3, 2, 3)), r"torch\.nn\.functional\.conv1d takes"),
        (lambda: ops.conv2d(volume, torch.ones(3, 2, 3, 3, 3)), r"functional\.conv3d takes"),
        (lambda: ops.conv2d(volume, torch.ones(3, 2, 3, 3)), r"functional\.conv3d takes"),
        (lambda: ops.conv_transpose2d(line, torch.ones(2, 3, 3)), r"conv_transpose1d takes"),
        (lambda: ops.conv_transpose2d(volume, torch.ones(2, 3, 3, 3, 3)), r"conv_transpose3d takes"),
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()


def _transposed_by_hand(
    image: np.ndarray, weight: np.ndarray, stride: Any, sides: Any, dilation: Any, size: tuple[int, ...]
) -> np.ndarray:
    """Weight [channels, filters, rows, columns]: each sample adds its weighted window to the output."""
    (top, _), (left, _) = sides
    _, filters, kernel_rows, kernel_columns = weight.shape
    out = np.zeros((filters, *size))
    for y, x, k, m in np.ndindex(*image.shape[1:], kernel_rows, kernel_columns):
        row, column = y * stride[0] + k * dilation[0] - top, x * stride[1] + m * dilation[1] - left
        if 0 <= row < size[0] and 0 <= column < size[1]:
            out[:, row, column] += image[:, y, x] @ weight[:, :, k, m]
    return out


def _draw(seed: int) -> tuple[random.Random, Any, Any, Any]:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    kernel = (draw.randint(1, 4), draw.randint(1, 4))
    return draw, kernel, (draw.randint(1, 3), draw.randint(1, 4)), (draw.randint(1, 2), draw.randint(1, 2))


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
def test_conv2d_equals_the_sum_written_out(padding: Any) -> None:
    for seed in range(12):
        draw, kernel, stride, dilation = _draw(seed)
        size = (draw.choice([7, 8, 9, 13]), draw.choice([7, 8, 11]))
        image = torch.randn(1, 3, *size, dtype=torch.float64)
        weight = torch.randn(2, 3, *kernel, dtype=torch.float64)
        bias = torch.randn(2, dtype=torch.float64)
        ours = ops.conv2d(image, weight, bias, stride, padding, dilation)
        sides = geometry.resolve_padding(padding, size, kernel, stride, dilation)
        by_hand = _by_hand(image[0].numpy(), weight.numpy(), stride, sides, dilation)
        np.testing.assert_allclose(ours[0].numpy(), by_hand + bias.numpy()[:, None, None], rtol=0, atol=1e-12)
        assert tuple(ours.shape) == geometry.conv_shape(image.shape, 2, kernel, stride, padding, dilation)


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
def test_conv_transpose2d_equals_the_sum_written_out(padding: Any) -> None:
    for seed in range(12):
        draw, kernel, stride, dilation = _draw(seed)
        size = (draw.choice([5, 6, 7]), draw.choice([5, 7]))
        image = torch.randn(1, 3, *size, dtype=torch.float64)
        weight = torch.randn(3, 2, *kernel, dtype=torch.float64)
        bias = torch.randn(2, dtype=torch.float64)
        ours = ops.conv_transpose2d(image, weight, bias, stride, padding, dilation=dilation)
        out = geometry.conv_transpose_shape(image.shape, 2, kernel, stride, padding, None, dilation)
        sides, _ = geometry.resolve_transposed_padding(padding, size, kernel, stride, dilation)
        by_hand = _transposed_by_hand(image[0].numpy(), weight.numpy(), stride, sides, dilation, out[2:])
        assert tuple(ours.shape) == out
        np.testing.assert_allclose(ours[0].numpy(), by_hand + bias.numpy()[:, None, None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", ["same", "same_lower", 1, ((1, 0), (0, 2))], ids=str)
def test_conv_transpose2d_gives_every_size_that_conv2d_brings_back(padding: Any) -> None:
    asked = 0
    for seed in range(25):
        draw, kernel, stride, _ = _draw(seed)
        size = (draw.randint(5, 12), draw.randint(5, 12))
        down = geometry.conv_shape((1, 2, *size), 3, kernel, stride, padding)
        weight = torch.randn(3, 2, *kernel, dtype=torch.float64)
        small = torch.randn(down, dtype=torch.float64)
        up = ops.conv_transpose2d(small, weight, None, stride, padding, output_size=size)
        assert tuple(up.shape) == (1, 2, *size)
        # It is the transpose: <A x, y> = <x, At y>.
        large = torch.randn(1, 2, *size, dtype=torch.float64)
        one = (ops.conv2d(large, weight, None, stride, padding) * small).sum()
        torch.testing.assert_close(one, (large * up).sum(), rtol=1e-10, atol=1e-10)
        asked += up.shape[2:] != small.shape[2:]
    assert asked > 10


def test_keras_same_transposed_convolution_by_hand() -> None:
    # stride 2, kernel 3: Keras pads its output (0, 1), so the last sample of the full answer is cut off.
    image = torch.tensor([[[[1.0, 10.0]]]])
    weight = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert ops.conv_transpose2d(image, weight, stride=(1, 2)).flatten().tolist() == [1, 2, 13, 20, 30]
    same = ops.conv_transpose2d(image, weight, stride=(1, 2), padding="same")
    assert same.flatten().tolist() == [1, 2, 13, 20]
    lower = ops.conv_transpose2d(image, weight, stride=(1, 2), padding="same_lower")
    assert lower.flatten().tolist() == [2, 13, 20, 30]


def test_a_window_shorter_than_the_stride_leaves_zeros_at_the_end() -> None:
    up = ops.conv_transpose2d(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), stride=(1, 3), padding="same")
    assert up.flatten().tolist() == [1, 1, 0, 1, 1, 0]


def test_groups_and_unbatched_images_work_as_in_torch() -> None:
    image, weight = torch.randn(4, 6, 7), torch.randn(8, 2, 3, 3)
    torch.testing.assert_close(
        ops.conv2d(image, weight, padding=1, groups=2),
        torch.conv2d(image, weight, padding=1, groups=2),
        rtol=0,
        atol=0,
    )
    weight = torch.randn(4, 3, 3, 3)
    torch.testing.assert_close(
        ops.conv_transpose2d(image, weight, None, 2, 1, 1, 2),
        torch.conv_transpose2d(image, weight, None, 2, 1, 1, 2),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resize_conv2d_is_interpolation_then_convolution(mode: str) -> None:
    image = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    weight = torch.randn(6, 3, 3, 3, dtype=torch.float64)
    larger = torch.nn.functional.interpolate(image, scale_factor=2, mode=mode)
    expected = torch.conv2d(larger, weight, padding=1)
    torch.testing.assert_close(ops.resize_conv2d(image, weight, mode=mode), expected)
    assert ops.resize_conv2d(image, weight, mode=mode, output_size=(9, 7)).shape == (2, 6, 9, 7)
    assert ops.resize_conv2d(image, weight, scale_factor=(1, 3)).shape == (2, 6, 5, 12)


def test_a_constant_stays_constant_inside_a_resized_convolution() -> None:
    out = ops.resize_conv2d(torch.ones(1, 1, 4, 4), torch.full((1, 1, 3, 3), 1 / 9))
    torch.testing.assert_close(out[..., 1:-1, 1:-1], torch.ones(1, 1, 6, 6))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_convolutions_where_torchs_own_fails(dtype: torch.dtype) -> None:
    for shape, kernel, options in (
        ((1, 3, 13, 5), (2, 3, 2, 3), {"stride": (1, 3), "padding": (1, 0)}),
        ((1, 6, 1, 1), (9, 2, 1, 1), {"stride": (3, 2), "padding": 9, "dilation": 2, "groups": 3}),
        ((1, 4, 7, 3), (4, 4, 2, 1), {"padding": "same", "dilation": 40}),
    ):
        for _ in range(5):
            image, weight = torch.randn(shape).to(dtype), torch.randn(kernel).to(dtype)
            exact = ops.conv2d(image.float(), weight.float(), **options)  # type: ignore[arg-type]
            image.requires_grad_()
            ours = ops.conv2d(image, weight, **options)  # type: ignore[arg-type]
            ours.sum().backward()
            torch.testing.assert_close(ours.float(), exact, rtol=0.02, atol=0.05)


_GRADIENTS = {
    "conv2d": lambda x, w: ops.conv2d(x, w, None, 2, "same"),
    "conv2d_lower": lambda x, w: ops.conv2d(x, w, None, 3, "same_lower", 2),
    "transposed": lambda x, w: ops.conv_transpose2d(x, w, None, 2, "same", output_size=(9, 8)),
    "transposed_sides": lambda x, w: ops.conv_transpose2d(x, w, None, 2, ((1, 0), (0, 1))),
    "resize": lambda x, w: ops.resize_conv2d(x, w, mode="bilinear"),
}


@pytest.mark.parametrize("name", _GRADIENTS)
def test_gradients_equal_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_GRADIENTS[name], (image, weight))


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    image, weight = torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3)
    refused: list[tuple[Any, str]] = [
        (lambda: ops.conv2d(image, weight, padding=(1, 1, 1, 1)), r"\(\(top, bottom\)"),  # type: ignore[arg-type]
        (lambda: ops.conv2d(image, weight, stride=0), "stride >= 1"),
        (lambda: ops.conv2d(image, weight, dilation=3), "only 5 rows; use kernel_size <= 2 or padding >= 1"),
        (lambda: ops.conv2d(torch.ones(5, 5), weight), "rows, columns"),
        (lambda: ops.conv2d(torch.ones(1, 3, 5, 5), weight), "takes 2"),
        (lambda: ops.conv2d(image, weight, torch.ones(2)), r"use \(3,\)"),
        (lambda: ops.conv2d(image, weight, groups=2), "divides"),
        (lambda: ops.conv2d(image, weight, padding=1, padding_mode="mirror"), '"circular"'),
        (lambda: ops.conv2d(image, weight, padding=5, padding_mode="reflect"), "can make at most 4"),
        (lambda: ops.conv2d(image, weight, padding=6, padding_mode="circular"), "can make at most 5"),
        (lambda: ops.conv2d(image, torch.ones(3, 2, 3)), "four dimensions"),
        (
            lambda: ops.conv_transpose2d(image, torch.ones(2, 3, 3, 3), stride=2, output_padding=2),
            "use 0 to 1",
        ),
        (
            lambda: ops.conv_transpose2d(image, torch.ones(2, 3, 3, 3), stride=2, output_size=(13, 11)),
            "11 to 12",
        ),
        (
            lambda: ops.conv_transpose2d(
                image, torch.ones(2, 3, 3, 3), stride=2, padding="same", output_size=(10, 8)
            ),
            "9 to 10",
        ),
        (
            lambda: ops.conv_transpose2d(
                image, torch.ones(2, 3, 3, 3), stride=2, output_padding=1, output_size=(12, 12)
            ),
            "one of them",
        ),
        (lambda: ops.conv_transpose2d(image, weight), "takes 3"),
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()


def test_functions_of_torch_can_be_replaced_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.functional as F

    image, weight = torch.randn(1, 2, 6, 6), torch.randn(2, 2, 3, 3)
    names = tuple(row.name for row in catalog.OPERATORS if row.peer)
    expected: dict[str, Tensor] = {}

    def answers() -> dict[str, Tensor]:
        return {
            "conv2d": F.conv2d(image, weight, None, 2, 1),
            "conv_transpose2d": F.conv_transpose2d(image, weight, None, 2, 1, 1),
            "interpolate": F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False),
            "area": F.interpolate(image, size=3, mode="area"),
            "avg_pool2d": F.avg_pool2d(image, 2),
            "pixel_unshuffle": F.pixel_unshuffle(image, 2),
            "pixel_shuffle": F.pixel_shuffle(F.pixel_unshuffle(image, 2), 2),
            "module": torch.nn.Conv2d(2, 2, 3)(torch.zeros(1, 2, 4, 4)) * 0,
        }

    expected = answers()
    for name in names:
        monkeypatch.setattr(F, name, getattr(ops, name))
    for name in ("conv2d", "conv_transpose2d", "pixel_shuffle", "pixel_unshuffle"):
        monkeypatch.setattr(torch, name, getattr(ops, name))
    for name, answer in answers().items():
        torch.testing.assert_close(answer, expected[name], rtol=1e-6, atol=1e-6)
    half = image.half()  # by torch's functions, which call one another
    assert F.interpolate(half, size=3, mode="area").shape == F.adaptive_avg_pool2d(half, 3).shape
    # What downup adds still works, and does not come back to itself.
    assert F.conv2d(image, weight, None, 2, "same").shape == (1, 2, 3, 3)
    assert ops.blur_pool2d(image).shape == (1, 2, 3, 3)
    assert ops.resize_conv2d(image, weight).shape == (1, 2, 12, 12)
    assert ops.avg_pool2d(image, 3, 2, "same").shape == (1, 2, 3, 3)


def test_compiled_calls_give_the_same_with_one_graph_for_every_size() -> None:
    graphs = 0

    def counting(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph

    # Parameters keep their size in a graph; images do not.
    weight = torch.nn.Parameter(torch.randn(3, 2, 3, 3))
    up_weight = torch.nn.Parameter(torch.randn(3, 2, 4, 4))
    mixing = torch.nn.Parameter(torch.randn(2, 3, 3, 3))

    def down_and_up(x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        down = ops.conv2d(x, weight, None, 2, "same")
        up = ops.conv_transpose2d(down, up_weight, None, 2, "same", output_size=(rows, columns))
        return up + ops.resize_conv2d(down, mixing, output_size=(rows, columns))

    torch.compiler.reset()
    compiled = torch.compile(down_and_up, backend=counting, fullgraph=True, dynamic=True)
    for size in ((9, 12), (8, 13), (20, 31), (7, 7)):
        image = torch.randn(1, 2, *size)
        torch.testing.assert_close(compiled(image), down_and_up(image))
    assert graphs == 1


def test_autocast_lowers_convolutions_and_gradients_flow() -> None:
    image, weight = torch.randn(1, 2, 5, 5, requires_grad=True), torch.randn(2, 2, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        down = ops.conv2d(image, weight, None, 2, "same")
        up = ops.conv_transpose2d(down, weight, None, 2, "same", output_size=(5, 5))
    assert down.dtype == up.dtype == torch.bfloat16
    up.float().sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert image.grad.dtype == torch.float32
