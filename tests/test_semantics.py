"""Every claim of docs/semantics.md. Numbers are literal: from the frameworks' documentation, or by hand from its formulas.

"ONNX node" is the example of that name in the operator's page of the ONNX documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downup import ops

PAGE = Path(__file__).resolve().parent.parent / "docs" / "semantics.md"
CLAIMS: list[str] = []


def claim(anchor: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The row of the page that a test is about."""
    CLAIMS.append(anchor)
    return lambda test: test


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def square(n: int) -> Tensor:
    """1, 2, 3, ... row by row, as in the examples of ONNX."""
    return torch.arange(1.0, n * n + 1).view(1, 1, n, n)


def check(out: Tensor, expected: Any) -> None:
    numbers = torch.tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(out.squeeze(), numbers.squeeze(), rtol=1e-5, atol=1e-5)


def resized(image: Tensor, size: Any, **rules: Any) -> Tensor:
    return ops.interpolate(image, size=size, **rules)


def test_every_row_of_the_page_has_its_test() -> None:
    anchors = re.findall(r'<a id="([-\w]+)"></a>', PAGE.read_text(encoding="utf-8"))
    assert sorted(anchors) == sorted(CLAIMS)
    assert len(set(anchors)) == len(anchors) >= 25


# ---------------------------------------------------------------- padding and sizes


@claim("same-keras")
def test_same_of_tensorflow_puts_the_odd_pixel_at_the_end() -> None:
    # tf.nn's notes on padding: out = ceil(4 / 2) = 2, total = max((2 - 1) * 2 + 3 - 4, 0) = 1, before = 1 // 2 = 0.
    ones = torch.ones(1, 1, 1, 3)
    check(ops.conv2d(line(1, 2, 3, 4), ones, stride=(1, 2), padding="same"), [6.0, 7.0])
    check(ops.max_pool2d(line(1, 2, 3, 4), (1, 3), (1, 2), "same"), [3.0, 4.0])


@claim("same-onnx-upper")
def test_same_upper_is_same() -> None:
    # ONNX nodes maxpool_2d_precomputed_same_upper, averagepool_2d_precomputed_same_upper
    check(ops.max_pool2d(square(5), 3, 2, "same"), [[7.0, 9, 10], [17, 19, 20], [22, 24, 25]])
    check(ops.avg_pool2d(square(5), 3, 2, "same"), [[4, 5.5, 7], [11.5, 13, 14.5], [19, 20.5, 22]])


@claim("same-onnx-lower")
def test_same_lower_puts_the_odd_pixel_at_the_start() -> None:
    ones = torch.ones(1, 1, 1, 3)
    check(ops.conv2d(line(1, 2, 3, 4), ones, stride=(1, 2), padding="same_lower"), [3.0, 9.0])
    # ONNX node conv_with_autopad_same
    image, weight = square(5) - 1, torch.ones(1, 1, 3, 3)
    same = ops.conv2d(image, weight, stride=2, padding="same_lower")
    check(same, [[12.0, 27, 24], [63, 108, 81], [72, 117, 84]])


@claim("padding-torch")
def test_a_number_is_padding_on_both_sides() -> None:
    check(ops.conv2d(line(1, 2, 3, 4), torch.ones(1, 1, 1, 3), stride=(1, 2), padding=(0, 1)), [3.0, 9.0])


@claim("padding-onnx")
def test_pads_of_onnx_are_written_axis_by_axis() -> None:
    # pads = [top, left, bottom, right] = [0, 1, 0, 2]
    padded = ops.conv2d(line(1, 2, 3, 4), torch.ones(1, 1, 1, 3), padding=((0, 0), (1, 2)))
    check(padded, [3.0, 6, 9, 7, 4])


@claim("ceil-mode")
def test_the_last_window_starts_on_the_image_or_the_padding_before_it() -> None:
    # ONNX nodes maxpool_2d_ceil, averagepool_2d_ceil
    check(ops.max_pool2d(square(4), 3, 2, ceil_mode=True), [[11.0, 12], [15, 16]])
    check(ops.avg_pool2d(square(4), 3, 2, ceil_mode=True), [[6, 7.5], [12, 13.5]])
    # ceil((3 + 2 - 2) / 3) + 1 = 2 would start at -1 + 3 = 2, on the image; one of 2 samples at 1, in the padding.
    assert ops.max_pool2d(line(1, 2, 3), (1, 2), (1, 3), (0, 1), ceil_mode=True).shape[-1] == 2
    assert ops.max_pool2d(line(1, 2), (1, 2), (1, 3), (0, 1), ceil_mode=True).shape[-1] == 1


@claim("max-padding")
def test_padding_of_a_maximum_never_wins() -> None:
    # ONNX node maxpool_2d_precomputed_pads; and of negative numbers
    last = [23.0, 24, 25, 25, 25]
    expected = [[13.0, 14, 15, 15, 15], [18, 19, 20, 20, 20], last, last, last]
    check(ops.max_pool2d(square(5), 5, 1, 2), expected)
    check(ops.max_pool2d(line(-5, -7), (1, 2), 1, (0, 1)), [-5.0, -5, -7])


@claim("average-torch")
def test_padding_counts_in_an_average_by_default() -> None:
    # ONNX node averagepool_2d_precomputed_pads_count_include_pad, first row
    check(ops.avg_pool2d(square(5), 5, 1, 2)[..., 0, :], [2.52, 3.6, 4.8, 4.08, 3.24])


@claim("average-onnx")
def test_onnx_counts_only_the_image_by_default() -> None:
    # ONNX node averagepool_2d_precomputed_pads, first row
    check(ops.avg_pool2d(square(5), 5, 1, 2, count_include_pad=False)[..., 0, :], [7, 7.5, 8, 8.5, 9])


@claim("average-keras")
def test_keras_never_counts_the_padding_of_same() -> None:
    check(ops.avg_pool2d(line(1, 3, 5), (1, 2), padding="same"), [2.0, 5.0])


# ---------------------------------------------------------------- transposed convolution


@claim("transposed-keras-same")
def test_same_gives_samples_times_stride() -> None:
    # Keras pads its output (0, 1) for a window of 3 at stride 2: the last of 1, 2, 13, 20, 30 goes.
    weight = line(1, 2, 3)
    check(ops.conv_transpose2d(line(1, 10), weight, stride=(1, 2), padding="same"), [1.0, 2, 13, 20])


@claim("transposed-keras-valid")
def test_valid_of_keras_adds_what_the_window_exceeds_the_stride_by() -> None:
    # keras: n * stride + max(window - stride, 0): 2 * 2 + 1 = 5, and 2 * 3 + 0 = 6.
    full = ops.conv_transpose2d(line(1, 10), line(1, 2, 3), stride=(1, 2))
    check(full, [1.0, 2, 13, 20, 30])
    short = ops.conv_transpose2d(line(1, 10), line(1, 2), stride=(1, 3), output_size=(1, 6))
    check(short, [1.0, 2, 0, 10, 20, 0])


@claim("transposed-torch")
def test_without_an_output_size_the_last_window_ends_the_image() -> None:
    # torch: (n - 1) * stride + window = 5, one less than Keras's
    check(ops.conv_transpose2d(line(1, 10), line(1, 2), stride=(1, 3)), [1.0, 2, 0, 10, 20])


@claim("outside-the-image")
def test_what_a_convolution_sees_outside_is_told_by_padding_mode() -> None:
    for mode, expected in (
        ("zeros", [3.0, 6, 5]),
        ("reflect", [5.0, 6, 7]),
        ("replicate", [4.0, 6, 8]),
        ("circular", [6.0, 6, 6]),
    ):
        out = ops.conv2d(line(1, 2, 3), torch.ones(1, 1, 1, 3), padding=(0, 1), padding_mode=mode)
        check(out, expected)


# ---------------------------------------------------------------- channels into space

BLOCKS = torch.arange(72.0).view(1, 8, 9)[..., :6].reshape(1, 8, 2, 3)  # ONNX: 0 to 5, 9 to 14, 18 to 23, ...


@claim("shuffle-crd")
def test_torch_counts_channel_row_column() -> None:
    # ONNX node depthtospace_crd_mode_example, first and fifth row
    out = ops.pixel_shuffle(BLOCKS, 2)
    check(out[0, 0, 0], [0.0, 9, 1, 10, 2, 11])
    check(out[0, 1, 0], [36.0, 45, 37, 46, 38, 47])


@claim("shuffle-dcr")
def test_tensorflow_and_onnx_count_depth_last() -> None:
    # ONNX node depthtospace_example, first and fifth row
    out = ops.pixel_shuffle(BLOCKS, 2, order="DCR")
    check(out[0, 0, 0], [0.0, 18, 1, 19, 2, 20])
    check(out[0, 1, 0], [9.0, 27, 10, 28, 11, 29])


# ---------------------------------------------------------------- where samples lie

FOUR = line(1, 2, 3, 4)
TWO = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])


@claim("half-pixel")
def test_pixels_are_squares() -> None:
    # ONNX node resize_upsample_scales_linear, first row; resize_downsample_scales_linear
    check(resized(TWO, 4, mode="bilinear")[..., 0, :], [1, 1.25, 1.75, 2])
    down = ops.interpolate(FOUR, scale_factor=(1, 0.6), mode="bilinear", coordinates="half_pixel")
    check(down, [4 / 3, 3.0])


@claim("align-corners")
def test_corners_may_coincide() -> None:
    # ONNX node resize_upsample_scales_linear_align_corners, first row
    for rules in ({"align_corners": True}, {"coordinates": "align_corners"}):
        check(resized(TWO, 4, mode="bilinear", **rules)[..., 0, :], [1, 4 / 3, 5 / 3, 2])


@claim("asymmetric")
def test_samples_may_lie_at_multiples_of_the_ratio() -> None:
    # ONNX node resize_upsample_scales_cubic_asymmetric, first row
    row = resized(square(4), 8, mode="bicubic", coordinates="asymmetric")[..., 0, :]
    check(row, [1, 1.40625, 2, 2.5, 3, 3.59375, 4, 4.09375])
    check(resized(line(0, 1), (1, 4), mode="bilinear", coordinates="asymmetric"), [0, 0.5, 1, 1])


@claim("half-pixel-symmetric")
def test_what_rounding_the_size_loses_is_lost_on_both_sides() -> None:
    # ONNX node resize_downsample_scales_linear_half_pixel_symmetric
    rules: Any = {"mode": "bilinear", "coordinates": "half_pixel_symmetric"}
    check(ops.interpolate(FOUR, scale_factor=(1, 0.6), **rules), [5 / 3, 10 / 3])


@claim("pytorch-half-pixel")
def test_an_output_of_one_sample_may_be_the_first() -> None:
    # ONNX node resize_downsample_sizes_linear_pytorch_half_pixel
    out = resized(square(4), (3, 1), mode="bilinear", coordinates="pytorch_half_pixel")
    check(out, [5 / 3, 7, 37 / 3])
    check(resized(line(0, 1, 2), 1, mode="bilinear"), 1.0)  # torch itself no longer does so


@claim("scale-factor")
def test_a_factor_stands_for_the_ratio_of_sizes() -> None:
    # Sample 1 of floor(4 * 0.6) = 2: (1 + 0.5) / 0.6 - 0.5 = 2; by sizes (1 + 0.5) * 4 / 2 - 0.5 = 2.5.
    check(ops.interpolate(FOUR, scale_factor=(1, 0.6), mode="bilinear")[..., 1], 3.0)
    by_size = ops.interpolate(FOUR, scale_factor=(1, 0.6), mode="bilinear", recompute_scale_factor=True)
    check(by_size[..., 1], 3.5)


# ---------------------------------------------------------------- the nearest sample


@claim("nearest-torch")
def test_nearest_of_torch_is_computed_in_float32() -> None:
    # 23 * 14 / 46 is 7; in float32 23 * (14 / 46) is just below.
    image = torch.arange(14.0).view(1, 1, 1, 14)
    assert resized(image, (1, 46))[..., 23] == torch.nn.functional.interpolate(image, (1, 46))[..., 23] == 6
    assert resized(image, (1, 46), rounding="floor")[..., 23] == 7


@claim("nearest-exact")
def test_nearest_exact_takes_the_nearest_centre() -> None:
    # floor((i + 0.5) * 5 / 3): 0, 2, 4; "nearest" floor(i * 5 / 3): 0, 1, 3
    five = line(0, 1, 2, 3, 4)
    check(resized(five, (1, 3), mode="nearest-exact"), [0.0, 2, 4])
    check(resized(five, (1, 3)), [0.0, 1, 3])


@claim("nearest-tensorflow")
def test_nearest_of_tensorflow_2_is_half_pixel_with_ties_up() -> None:
    # tf.image.resize: floor((i + 0.5) * 6 / 4): 0, 2, 3, 5
    six = line(0, 1, 2, 3, 4, 5)
    check(resized(six, (1, 4), coordinates="half_pixel", rounding="prefer_ceil"), [0.0, 2, 3, 5])


@claim("nearest-onnx")
def test_nearest_of_onnx_has_four_roundings() -> None:
    # By default half_pixel and round_prefer_floor: 0.25, 1.75, 3.25, 4.75 have no tie; 0.5, 2.5, 4.5 have.
    six = line(0, 1, 2, 3, 4, 5)
    check(resized(six, (1, 3), coordinates="half_pixel"), [0.0, 2, 4])
    check(resized(six, (1, 3), coordinates="half_pixel", rounding="prefer_ceil"), [1.0, 3, 5])
    # ONNX nodes resize_upsample_sizes_nearest_ceil_half_pixel, ..._floor_align_corners,
    # ..._round_prefer_ceil_asymmetric: first rows
    for coordinates, rounding, expected in (
        ("half_pixel", "ceil", [1.0, 2, 2, 3, 3, 4, 4, 4]),
        ("align_corners", "floor", [1.0, 1, 1, 2, 2, 3, 3, 4]),
        ("asymmetric", "prefer_ceil", [1.0, 2, 2, 3, 3, 4, 4, 4]),
    ):
        check(resized(FOUR, (1, 8), coordinates=coordinates, rounding=rounding), expected)


# ---------------------------------------------------------------- cubic filters, and the way down


@claim("cubic-torch")
def test_the_cubic_of_torch_and_onnx() -> None:
    # ONNX node resize_upsample_scales_cubic, first row
    expected = [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375]
    check(resized(square(4), 8, mode="bicubic")[..., 0, :], expected)


@claim("cubic-keys")
def test_the_cubic_of_keras_and_pillow() -> None:
    # ONNX node resize_upsample_scales_cubic_A_n0p5_exclude_outside, first row
    rules: Any = {"cubic_coefficient": -0.5, "exclude_outside": True}
    expected = [
        0.55882353,
        0.81494204,
        1.35698249,
        1.89705882,
        2.39705882,
        2.93713516,
        3.47917561,
        3.73529412,
    ]
    check(resized(square(4), 8, mode="bicubic", **rules)[..., 0, :], expected)


@claim("cubic-antialias")
def test_an_antialiased_cubic_has_the_other_coefficient() -> None:
    image = torch.rand(1, 1, 9, 13)
    default = resized(image, (4, 5), mode="bicubic", antialias=True)
    assert torch.equal(
        default, resized(image, (4, 5), mode="bicubic", antialias=True, cubic_coefficient=-0.5)
    )
    theirs = torch.nn.functional.interpolate(image, (4, 5), mode="bicubic", antialias=True)
    torch.testing.assert_close(default, theirs)


@claim("antialias")
def test_on_the_way_down_a_filter_skips_samples_unless_it_is_widened() -> None:
    impulse = line(1, 0, 0, 0, 0, 0, 0, 0)
    check(resized(impulse, (1, 2), mode="bilinear"), [0.0, 0])
    assert resized(impulse, (1, 2), mode="bilinear", antialias=True)[..., 0] > 0


@claim("antialias-edges")
def test_a_widened_filter_drops_what_lies_outside_or_repeats_the_edge() -> None:
    rules: Any = {"mode": "bilinear", "antialias": True, "scale_factor": 0.6}
    theirs = torch.nn.functional.interpolate(square(4), **rules, align_corners=False)
    torch.testing.assert_close(ops.interpolate(square(4), **rules), theirs)
    # ONNX node resize_downsample_scales_linear_antialias
    check(ops.interpolate(square(4), **rules, exclude_outside=False), [[2.875, 4.5], [9.375, 11]])


@claim("area")
def test_area_is_the_mean_of_the_samples_it_touches() -> None:
    # From floor(i * 5 / 2) up to ceil((i + 1) * 5 / 2): samples 0 to 2, and 2 to 4.
    check(resized(line(0, 1, 2, 3, 4), (1, 2), mode="area"), [1.0, 3])
