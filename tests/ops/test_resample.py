"""Averages, binomial smoothing and interpolation against plain loops in float64."""

from __future__ import annotations

import itertools
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from downup import geometry, kernels, nn, ops, taps
from downup.errors import ArgumentError
from downup.kernels import Window, reference
from downup.ops._forms import form_of, readable, two_views
from downup.ops._resample_plan import adaptive_plan, sampled_plan
from downup.ops._resample_run import run_resample


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


def test_avg_pool2d_equals_torch_where_torch_can() -> None:
    image = torch.randn(2, 3, 13, 11, dtype=torch.float64)
    for options in ((2,), (3, 2, 1), (3, 2, 1, True, False), ((2, 3), (2, 1), (1, 1), False, True, 5)):
        ours, theirs = ops.avg_pool2d(image, *options), torch.nn.functional.avg_pool2d(image, *options)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-15)
    torch.testing.assert_close(
        ops.avg_pool2d(image, 3, 2, ((1, 1), (0, 0)), divisor_override=-2),
        torch.nn.functional.avg_pool2d(image, 3, 2, (1, 0), divisor_override=-2),
        rtol=0,
        atol=1e-14,
    )


def test_a_dilated_average_equals_a_dilated_convolution() -> None:
    image = torch.randn(2, 3, 13, 11, dtype=torch.float64)
    weight = torch.full((3, 1, 3, 2), 1 / 6, dtype=torch.float64)
    expected = torch.conv2d(image, weight, None, (2, 1), (1, 1), (2, 3), groups=3)
    torch.testing.assert_close(ops.avg_pool2d(image, (3, 2), (2, 1), 1, dilation=(2, 3)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_constant_image_stays_constant(dtype: torch.dtype) -> None:
    image = torch.full((1, 2, 7, 10), 3.0, dtype=dtype)
    for kernel, stride in ((2, 2), (3, 2), (3, 1), (5, 3)):
        same = ops.avg_pool2d(image, kernel, stride, "same")
        assert same.dtype == dtype
        assert (same == 3).all()
    for count in (1, 2, 3, 4, 5):
        blurred = ops.blur_pool2d(image, taps=count)
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


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area", "lanczos"])
@pytest.mark.parametrize("antialias", [False, True])
def test_interpolation_equals_torch(mode: str, antialias: bool) -> None:
    if antialias and mode not in ("bilinear", "bicubic", "lanczos"):
        with pytest.raises(ArgumentError, match="antialias is True"):
            ops.interpolate(torch.ones(1, 1, 4, 4), size=2, mode=mode, antialias=True)
        return
    image = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    if mode == "nearest" or mode == "nearest-exact":
        image = image.float()  # torch's two layouts read other samples in float64
    for target in ({"size": (9, 4)}, {"size": 6}, {"scale_factor": 2}, {"scale_factor": (1.5, 0.7)}):
        for align_corners in (None, True) if mode in ("bilinear", "bicubic") else (None,):
            options = {**target, "mode": mode, "align_corners": align_corners}
            # torch knows lanczos only antialiased
            theirs = torch.nn.functional.interpolate(
                image, **options, antialias=antialias or mode == "lanczos"
            )
            ours = ops.interpolate(image, **options, antialias=antialias)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0 if "nearest" in mode else 1e-13)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_an_axis_that_keeps_its_size_is_copied_where_torch_does_whatever_its_factor(mode: str) -> None:
    x = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    for antialias in (False, True)[mode == "lanczos" :]:
        for factors in ((1.05, 1.05), (1.05, 2), (2, 1.05)):
            given = {"scale_factor": factors, "mode": mode, "antialias": antialias}
            torch.testing.assert_close(
                ops.interpolate(x, **given), torch.nn.functional.interpolate(x, **given)
            )


def test_nearest_modes_read_the_samples_that_torch_reads() -> None:
    # Channels-last: on ties of "nearest-exact" torch's channels-first kernel does not agree with itself.
    for seed in range(300):
        draw = random.Random(seed)
        size, new = draw.randint(1, 200), draw.randint(1, 300)
        image = torch.arange(float(size)).view(1, 1, 1, size).expand(1, 8, 2, size)
        image = image.contiguous(memory_format=torch.channels_last)
        for mode in ("nearest", "nearest-exact"):
            for target in ({"size": (2, new)}, {"scale_factor": (1.0, draw.uniform(1 / size, 3))}):
                theirs = torch.nn.functional.interpolate(image, mode=mode, **target)
                assert torch.equal(ops.interpolate(image, mode=mode, **target), theirs), (size, target, mode)


def test_exact_rules_of_other_frameworks_take_the_samples_of_whole_number_arithmetic() -> None:
    for seed in range(300):
        draw = random.Random(seed)
        size, new = draw.randint(1, 90), draw.randint(1, 90)
        image = torch.arange(float(size)).view(1, 1, 1, size)
        asymmetric = ops.interpolate(image, size=(1, new), rounding="floor")
        assert asymmetric.flatten().tolist() == [i * size // new for i in range(new)]
        # The centre (2 i + 1) * size / (2 new) - 1/2, halves rounded down, in whole numbers.
        centres = ops.interpolate(image, size=(1, new), coordinates="half_pixel", rounding="prefer_floor")
        places = [((2 * i + 1) * size - 2 * new + 2 * new - 1) // (2 * new) for i in range(new)]
        assert centres.flatten().tolist() == [min(max(place, 0), size - 1) for place in places]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos", "lanczos5", "area"])
def test_pictures_of_bytes_are_computed_in_float_and_rounded_once(mode: str) -> None:
    image = torch.randint(0, 256, (1, 3, 9, 11), dtype=torch.uint8)
    for layout in (torch.contiguous_format, torch.channels_last):
        ours = ops.interpolate(image.contiguous(memory_format=layout), size=(14, 6), mode=mode)
        exact = ops.interpolate(image.double(), size=(14, 6), mode=mode)
        assert ours.dtype == torch.uint8
        assert (ours.double() - exact.clamp(0, 255)).abs().max() < 0.5 + 1e-4
    assert (
        ops.avg_pool2d(torch.tensor([[[[1, 2], [2, 5]]]], dtype=torch.uint8), 2).item() == 2
    )  # 2.5, to even


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_are_as_near_to_the_exact_ones_as_their_type_allows(dtype: torch.dtype) -> None:
    unit = 2.0**-24 if dtype == torch.float32 else 2.0**-9
    for seed in range(60):
        draw = random.Random(seed)
        rows, columns = draw.randint(1, 40), draw.randint(1, 40)
        image = torch.randn(2, draw.choice([1, 3, 20]), rows, columns).to(dtype)
        plans = [
            (taps.sampled_taps(n, draw.randint(1, 60), kind), taps.adaptive_taps(n, draw.randint(1, n)))
            for n, kind in ((rows, "linear"), (columns, "cubic"))
        ]
        down, across = (draw.choice(pair) for pair in plans)
        for layout in (torch.contiguous_format, torch.channels_last):
            x = image.contiguous(memory_format=layout)
            left, right = (torch.from_numpy(one.dense()) for one in (down, across))
            error = (run_resample(x, down, across).double() - left @ x.double() @ right.T).abs()
            most = int(np.diff(down.table[0]).max() * np.diff(across.table[0]).max())
            assert (error <= (most + 2) * unit * (left.abs() @ x.double().abs() @ right.abs().T)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_bits_do_not_depend_on_instruction_set_threads_layout_or_cut(dtype: torch.dtype) -> None:
    before = kernels.active_isa()
    try:
        for seed in range(25):
            draw = random.Random(seed)
            rows, columns, channels = (
                draw.randint(1, 50),
                draw.randint(1, 70),
                draw.choice([1, 3, 5, 16, 21, 40]),
            )
            image = (torch.rand(2, channels, rows, columns) * 255).to(dtype)
            name = draw.choice(["linear", "cubic", "lanczos", "lanczos5", "nearest"])
            down = taps.sampled_taps(rows, draw.randint(1, 80), name, antialias=True)
            across = taps.sampled_taps(columns, draw.randint(1, 80), name)
            one, other = (down, across) if draw.random() < 0.5 else (down, taps.adaptive_taps(columns, 3))
            expected = reference.resample2d(image[:1, :1].double().numpy(), one, other)
            answers = []
            for isa in kernels.available_isas():
                kernels.select_isa(isa)
                for layout in (torch.contiguous_format, torch.channels_last):
                    torch.set_num_threads(draw.choice([1, 2, 3, 8]))
                    answers.append(run_resample(image.contiguous(memory_format=layout), one, other))
                single = run_resample(image[1:, channels - 1 :], one, other)
                assert torch.equal(single, answers[-1][1:, channels - 1 :])
            assert all(torch.equal(answer, answers[0]) for answer in answers)
            if dtype == torch.float64:
                np.testing.assert_allclose(answers[0][:1, :1].numpy(), expected, rtol=0, atol=1e-10)
    finally:
        kernels.select_isa(before)
        torch.set_num_threads(2)


@pytest.mark.parametrize("columns", [128, 131, 301, 5000])
def test_rows_of_alike_windows_equal_the_sums_written_out_on_any_instruction_set(columns: int) -> None:
    image = torch.randn(1, 2, 37, columns, dtype=torch.float64)
    rows = taps.adaptive_taps(37, 3)
    tables = [
        taps.binomial_taps(columns, 3, 2),
        taps.binomial_taps(columns, 5, 2),
        taps.binomial_taps(columns, 4, 3),
        taps.window_taps(columns, Window((3, 3), (2, 2), (1, 1), (1, 1)), 1, "padded"),
        taps.window_taps(columns, Window((2, 2), (5, 5)), 1, "padded"),
        # Each window has one tap on the image. Of even columns, the last one's other tap lies behind the padding: its sum is
        # divided by 1, not by 2.
        taps.window_taps(
            columns, Window((1, 2), (1, 2), (0, 0), (0, 998), (1, 1000), ceil_mode=True), 1, "padded"
        ),
        *(taps.sampled_taps(columns, n, "linear") for n in (2 * columns, 4 * columns, columns // 2)),
        taps.sampled_taps(columns, 2 * columns, "nearest"),
        taps.sampled_taps(columns, columns * 3 // 2, "cubic"),
    ]
    before = kernels.active_isa()
    try:
        for table in [turned for one in tables for turned in (one, one.transposed)]:
            x = image if table.in_size == columns else torch.randn(1, 2, 37, table.in_size).double()
            left, right = torch.from_numpy(rows.dense()), torch.from_numpy(table.dense())
            exact = left @ x @ right.T
            for dtype in (torch.float64, torch.float32):
                answers = []
                for isa in kernels.available_isas():
                    kernels.select_isa(isa)
                    for layout in (torch.contiguous_format, torch.channels_last):
                        given = x.to(dtype).contiguous(memory_format=layout)
                        answers.append(run_resample(given, rows, table))
                assert all(torch.equal(answer, answers[0]) for answer in answers)
                torch.testing.assert_close(answers[0], exact.to(dtype), rtol=1e-5, atol=1e-5)
    finally:
        kernels.select_isa(before)


def test_any_strides_give_the_same() -> None:
    image = torch.randn(3, 20, 30, 26)
    strange = [
        image[:, :, ::2, 1::3],
        image.transpose(2, 3),
        image.permute(1, 0, 3, 2),
        image[:, :1].expand(3, 20, 30, 26),
        image[..., :1].expand(3, 20, 30, 26),
        image.flip(3),
    ]
    for x in strange:
        for pool in (lambda x: ops.avg_pool2d(x, 3, 2, 1), lambda x: ops.interpolate(x, scale_factor=1.7)):
            assert torch.equal(pool(x), pool(x.clone(memory_format=torch.contiguous_format)))
    # The kernel itself reads any strides, and writes to any.
    down, across = taps.binomial_taps(26, 3, 2), taps.adaptive_taps(30, 4)
    expected = run_resample(image.transpose(2, 3).contiguous(), down, across)
    out = torch.empty(4, 13, 20, 3).permute(3, 2, 1, 0)
    turned = image.transpose(2, 3)
    views = two_views(turned, form_of(turned).rest, out, form_of(out).rest)
    kernels.check(kernels.lib.du_resample2d(*views, down.native, across.native, 1))
    assert torch.equal(out, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_slice_of_an_image_is_read_where_it_lies(layout: torch.memory_format) -> None:
    image = torch.randn(2, 24, 11, 9).contiguous(memory_format=layout)
    for x in (image[:, 5:18], image[:, :, 2:7, 1:8], image[1:, 3:, 1:]):
        assert readable(x)[0] is x
        plain = x.clone(memory_format=torch.contiguous_format).requires_grad_()
        for pool in (lambda x: ops.avg_pool2d(x, 3, 2, 1), lambda x: ops.interpolate(x, scale_factor=2)):
            assert torch.equal(pool(x), pool(plain.detach()))
            assert pool(x).stride() == pool(x.contiguous(memory_format=layout)).stride()
    # A gradient that comes out of a concatenation is such a slice.
    low = torch.randn(2, 13, 4, 3).contiguous(memory_format=layout).requires_grad_()
    both = torch.cat([ops.interpolate(low, scale_factor=3), torch.zeros(2, 5, 12, 9)], 1)
    weights = torch.randn(2, 18, 12, 9).contiguous(memory_format=layout)
    (both * weights).sum().backward()
    expected = weights[:, :13].double().unflatten(2, (4, 3)).unflatten(4, (3, 3)).sum((3, 5))
    assert low.grad is not None
    assert low.grad.stride() == low.stride()
    assert torch.allclose(low.grad.double(), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_a_whole_plane_is_summed_along_its_rows_then_along_its_columns(dtype: torch.dtype) -> None:
    # Planes shorter than a vector, of a few vectors, of one more than that; groups of planes that are not full.
    widths = (
        *range(1, 10),
        *range(14, 18),
        31,
        32,
        33,
        64,
        65,
        127,
        128,
        130,
        193,
        *range(255, 258),
        511,
        512,
        513,
    )
    before = kernels.active_isa()
    try:
        for width, rows in itertools.product(widths, (1, 2, 5, 9, 16)):
            channels = random.choice([1, 2, 5, 16, 17])
            # Whole rows, and rows with something between them.
            x = (torch.rand(2, channels, rows, width + 3) * 255).to(dtype)
            for image in (x[..., 2 : width + 2], x[..., 2 : width + 2].contiguous()):
                exact = image.to(torch.float64 if dtype == torch.float64 else torch.float32)
                line = sum(exact.unbind(2)[1:], exact[:, :, 0])
                mean = sum(line.unbind(2)[1:], line[:, :, 0]) / (rows * width)
                expected = (mean if dtype.is_floating_point else mean.round()).to(dtype)
                tables = taps.adaptive_taps(rows, 1).native, taps.adaptive_taps(width, 1).native
                for isa in kernels.available_isas():
                    kernels.select_isa(isa)
                    out = torch.empty(2, channels, 1, 1, dtype=dtype)
                    views = two_views(image, form_of(image).rest, out, form_of(out).rest)
                    kernels.check(kernels.lib.du_resample2d(*views, *tables, 1))
                    assert torch.equal(out[:, :, 0, 0], expected), (isa, image.shape, image.stride())
    finally:
        kernels.select_isa(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_sample_spread_over_a_large_plane_is_the_same_everywhere(dtype: torch.dtype) -> None:
    before = kernels.active_isa()
    x = torch.randn(2, 24, 1, 1).to(dtype)
    height = 345 * 4 // x.element_size()  # 23 MB, which are written past the caches
    rows, columns = taps.adaptive_taps(height, 1).transposed, taps.adaptive_taps(347, 1).transposed
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    expected = (x.to(exact) / (height * 347)).to(dtype).expand(2, 24, height, 347)
    try:
        for isa, layout in itertools.product(
            kernels.available_isas(), (torch.contiguous_format, torch.channels_last)
        ):
            kernels.select_isa(isa)
            for given in (x, x[:, :21]):
                spread = run_resample(given.contiguous(memory_format=layout), rows, columns)
                assert torch.equal(spread, expected[:, : given.shape[1]]), (isa, layout)
    finally:
        kernels.select_isa(before)


def test_windows_wider_than_a_line_of_the_kernel() -> None:
    image = torch.randn(1, 2, 3, 9000, dtype=torch.float64)
    for x in (image, image.contiguous(memory_format=torch.channels_last), image.expand(1, 2, 3, 9000)):
        torch.testing.assert_close(ops.adaptive_avg_pool2d(x, 1), x.mean((2, 3), keepdim=True))
        torch.testing.assert_close(
            ops.avg_pool2d(x, (1, 8000), 500), torch.nn.functional.avg_pool2d(x, (1, 8000), 500)
        )
    deep = torch.randn(1, 3000, 2, 40, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ops.adaptive_avg_pool2d(deep, 1), deep.mean((2, 3), keepdim=True))


_DIFFERENTIABLE: dict[str, Any] = {
    "avg": lambda x: ops.avg_pool2d(x, 3, 2, 1, dilation=2, count_include_pad=False),
    "lp": lambda x: ops.lp_pool2d(x.abs() + 1, 2, 2),
    "adaptive": lambda x: ops.adaptive_avg_pool2d(x, (3, None)),
    "global": ops.global_avg_pool2d,
    "blur": lambda x: ops.blur_pool2d(x, taps=4, edge="repeat"),
    "nearest": lambda x: ops.interpolate(x, size=(3, 11)),
    "bicubic": lambda x: ops.interpolate(x, scale_factor=1.3, mode="bicubic", antialias=True),
}


@pytest.mark.parametrize("name", _DIFFERENTIABLE)
def test_first_and_second_derivatives(name: str) -> None:
    image = torch.randn(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_DIFFERENTIABLE[name], (image,))
    assert torch.autograd.gradgradcheck(_DIFFERENTIABLE[name], (image,))


@pytest.mark.parametrize("name", _DIFFERENTIABLE)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_traced_calls_equal_eager_ones(name: str, layout: torch.memory_format) -> None:
    image = torch.randn(2, 3, 7, 6).contiguous(memory_format=layout)
    eager, traced = image.clone().requires_grad_(), image.clone().requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(_DIFFERENTIABLE[name], backend="aot_eager", fullgraph=True)
    _DIFFERENTIABLE[name](eager).square().sum().backward()
    compiled(traced).square().sum().backward()
    assert torch.equal(eager.grad, traced.grad)  # type: ignore[arg-type]


def test_the_registered_operator_keeps_torchs_rules() -> None:
    for layout in (torch.contiguous_format, torch.channels_last):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            image = torch.randn(2, 3, 7, 6).to(dtype).contiguous(memory_format=layout)
            plans = (*adaptive_plan(7, 3), *sampled_plan(6, 8, "linear", **_OPTIONS))
            for transposed in (False, True):
                x = (
                    image
                    if not transposed
                    else image[:, :, :3].repeat(1, 1, 1, 2)[..., :8].contiguous(memory_format=layout)
                )
                torch.library.opcheck(
                    torch.ops.downup.resample2d, (x.detach().requires_grad_(), *plans, transposed)
                )


_OPTIONS = {
    "coordinates": "half_pixel",
    "rounding": "torch",
    "antialias": False,
    "exclude_outside": False,
    "ratio": -1.0,
    "cubic_coefficient": -0.75,
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64])
def test_types_without_a_kernel_run_on_torchs_functions(dtype: torch.dtype) -> None:
    image = torch.randn(1, 2, 9, 8).to(dtype)
    if dtype.is_complex:
        with pytest.raises(RuntimeError):
            ops.avg_pool2d(image, 2)
        return
    for name, call in _DIFFERENTIABLE.items():
        torch.testing.assert_close(
            call(image), call(image.double()).to(dtype), rtol=1e-2, atol=1e-2, msg=name
        )
    asymmetric = ops.interpolate(image, size=5, mode="bilinear", coordinates="asymmetric")
    exact = ops.interpolate(image.double(), size=5, mode="bilinear", coordinates="asymmetric")
    torch.testing.assert_close(asymmetric, exact.to(dtype), rtol=1e-2, atol=1e-2)


def test_an_empty_batch_stays_empty() -> None:
    image = torch.empty(0, 3, 8, 8, requires_grad=True)
    for call in _DIFFERENTIABLE.values():
        out = call(image)
        assert out.shape[:2] == (0, 3)
        out.sum().backward()


def test_modules_are_pickled_and_answer_the_same() -> None:
    image = torch.rand(1, 2, 9, 8)
    for module in (
        nn.AvgPool2d(3, 2, 1, dilation=2),
        nn.LPPool2d(2, 2),
        nn.AdaptiveAvgPool2d(3),
        nn.GlobalAvgPool2d(),
        nn.GlobalLPPool2d(3),
        nn.BlurPool2d(edge="zero"),
        nn.Upsample(scale_factor=2, mode="bicubic", coordinates="asymmetric"),
    ):
        assert torch.equal(pickle.loads(pickle.dumps(module))(image), module(image))


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    image = torch.ones(1, 2, 5, 5)
    refused: list[tuple[Any, str]] = [
        (lambda: ops.avg_pool2d(image, 0), "kernel_size >= 1"),
        (lambda: ops.avg_pool2d(image, 3, padding=2), "half the window"),
        (lambda: ops.avg_pool2d(image, 6), "only 5 rows"),
        (lambda: ops.avg_pool2d(image, 2, divisor_override=0), "another whole number"),
        (lambda: ops.avg_pool2d(image[0, 0], 2), "rows, columns"),
        (lambda: ops.blur_pool2d(image, taps=0), "taps >= 1"),
        (lambda: ops.blur_pool2d(image, stride=0), "stride >= 1"),
        (lambda: ops.blur_pool2d(image[:, :, :0]), "at least 1 channel, row and column"),
        (lambda: ops.interpolate(image), "exactly one"),
        (lambda: ops.interpolate(image, size=3, scale_factor=2), "exactly one"),
        (lambda: ops.interpolate(image, size=0), "size >= 1"),
        (lambda: ops.interpolate(image, scale_factor=-1), "above 0"),
        (lambda: ops.interpolate(image, scale_factor=0.1), "nothing would be left"),
        (lambda: ops.interpolate(image, size=3, mode="cubic"), "bicubic"),
        (lambda: ops.interpolate(image, size=3, align_corners=True), "leave it out"),
        (lambda: ops.interpolate(image, size=3, antialias=True), "bilinear, bicubic or lanczos"),
        (lambda: ops.interpolate(image, size=3, rounding="up"), "prefer_floor"),
        (lambda: ops.interpolate(image, size=3, mode="bilinear", rounding="floor"), "nearest"),
        (lambda: ops.interpolate(image, size=3, coordinates="centre"), "asymmetric"),
        (
            lambda: ops.interpolate(
                image, size=3, mode="bilinear", coordinates="half_pixel", align_corners=True
            ),
            "one of them",
        ),
        (
            lambda: ops.interpolate(image[0], size=3, coordinates="half_pixel"),
            "batch, channels, rows, columns",
        ),
        (lambda: ops.blur_pool2d(image, edge="wrap"), "reflect, repeat, zero"),
        (lambda: ops.blur_pool2d(image, taps=2000), "1 to 1024"),
        (lambda: ops.avg_pool2d(image.to_sparse(), 2), "to_dense"),
        (lambda: ops.adaptive_avg_pool2d(image, (1, 2, 3)), "a pair"),
        (lambda: ops.adaptive_avg_pool2d(image, 0), "output_size >= 1"),
        (lambda: ops.lp_pool2d(image, 0, 2), "another power"),
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
