"""adaptive_max_pool2d, global_max_pool2d and max_blur_pool2d against torch, and against the slow reference."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from downup import kernels, nn, ops
from downup.errors import ArgumentError
from downup.kernels import reference

LAYOUTS = (torch.contiguous_format, torch.channels_last)
TYPES = (torch.float32, torch.float64, torch.bfloat16)


def equal_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal values, NaN equal to NaN, -0 different from 0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    same = (a == b) & (torch.signbit(a) == torch.signbit(b))
    return bool((same | (a.isnan() & b.isnan())).all())


def random_image(numbers: np.random.Generator, dtype: torch.dtype) -> torch.Tensor:
    """An image of any size and layout, with ties, NaN or minus infinities by turns."""
    shape = [
        int(n) for n in (*numbers.integers(1, 3, 1), *numbers.integers(1, 38, 1), *numbers.integers(1, 41, 2))
    ]
    x = torch.from_numpy(numbers.standard_normal(shape))
    content = numbers.integers(5)
    if content == 0:
        x = x.round()
    elif content == 1:
        x[torch.from_numpy(numbers.random(shape)) < 0.1] = math.nan
    elif content == 2:
        x = torch.where(torch.from_numpy(numbers.random(shape)) < 0.7, -math.inf, x)
    return x.to(dtype).contiguous(memory_format=LAYOUTS[numbers.integers(2)])


def small_numbers(like: torch.Tensor, numbers: np.random.Generator) -> torch.Tensor:
    # torch rounds each sum of bfloat16, so these are small whole numbers.
    values = torch.from_numpy(numbers.integers(-3, 4, tuple(like.shape)).astype(np.float64)).to(like.dtype)
    layout = torch.contiguous_format if like.is_contiguous() else torch.channels_last
    return values.contiguous(memory_format=layout)


# ---------------------------------------------------------------- worked examples


def test_windows_share_five_samples_by_hand():
    x = torch.tensor([[[[1.0, 4.0, 2.0, 3.0, 0.0]]]], requires_grad=True)
    pooled, positions = ops.adaptive_max_pool2d(x, (1, 3), return_indices=True)
    # [0, 2), [1, 4) and [3, 5): the 4 stands in two of them.
    assert pooled.tolist() == [[[[4, 4, 3]]]]
    assert positions.tolist() == [[[[1, 1, 3]]]]
    pooled.backward(torch.tensor([[[[1.0, 10.0, 100.0]]]]))
    assert x.grad.tolist() == [[[[0, 11, 0, 100, 0]]]]


def test_none_keeps_a_size_and_more_windows_than_samples_repeat_them():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(ops.adaptive_max_pool2d(x, (None, None)), x)
    assert torch.equal(ops.adaptive_max_pool2d(x, (8, None)), x.repeat_interleave(2, 2))


@pytest.mark.parametrize("shape", [(2, 3, 56, 57), (1, 70, 5, 3), (2, 3, 1, 300)])
def test_the_global_maximum_is_the_first_of_equal_ones_and_the_last_nan(shape):
    for layout, special in itertools.product(LAYOUTS, (None, 2.0, math.nan)):
        x = torch.zeros(shape)
        x[..., -1, ::2] = 1.0 if special is None else special
        x = x.contiguous(memory_format=layout)
        ours = ops.adaptive_max_pool2d(x, 1, return_indices=True)
        theirs = F.adaptive_max_pool2d(x, 1, return_indices=True)
        assert equal_bits(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        assert equal_bits(ops.global_max_pool2d(x), theirs[0])


# ---------------------------------------------------------------- against torch, and the reference


def test_random_calls_equal_torch_bit_for_bit(is_long):
    numbers, threads = np.random.default_rng(), torch.get_num_threads()
    try:
        for index in range(4000 if is_long else 400):
            torch.set_num_threads(1 + index % 2)
            x = random_image(numbers, TYPES[index % 3])
            size = tuple(int(n) for n in numbers.integers(1, 24, 2))
            leaves = [x.clone().requires_grad_() for _ in range(3)]
            expected, expected_positions = F.adaptive_max_pool2d(leaves[0], size, return_indices=True)
            pooled, positions = ops.adaptive_max_pool2d(leaves[1], size, return_indices=True)
            alone = ops.adaptive_max_pool2d(leaves[2], size)
            case = tuple(x.shape), x.stride(), size, x.dtype
            assert equal_bits(pooled, expected), case
            assert equal_bits(alone, expected), case
            assert torch.equal(positions, expected_positions), case
            assert pooled.stride() == expected.stride(), case
            gradient = small_numbers(pooled.detach(), numbers)
            for answer in (expected, pooled, alone):
                answer.backward(gradient)
            assert equal_bits(leaves[1].grad, leaves[0].grad), case
            assert equal_bits(leaves[2].grad, leaves[0].grad), case
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_kernels_equal_the_reference(isa, flat, is_long):
    numbers, before = np.random.default_rng(), kernels.active_isa()
    kernels.select_isa(isa)
    try:
        for _ in range(60 if is_long else 4):
            sizes = [int(n) for n in numbers.integers(1, 14, 4)]
            in_size, out_size = (sizes[0], sizes[1]), (sizes[2], sizes[3])
            window = reference.adaptive_window(in_size, out_size)
            if math.prod(window.size) > 256 and not flat:
                continue
            x = numbers.standard_normal((2, 3, *in_size)).round(1)
            pooled = np.empty((2, 3, *out_size))
            positions = np.empty(pooled.shape, np.int64 if flat else np.uint8)
            call("du_max_pool2d", x, pooled, positions, window=window)
            expected, in_plane, offsets = reference.adaptive_max_pool2d(x, out_size)
            np.testing.assert_array_equal(pooled, expected)
            np.testing.assert_array_equal(positions, in_plane if flat else offsets)
            gradient, back = numbers.standard_normal(pooled.shape), np.empty_like(x)
            call("du_max_pool2d_backward", gradient, positions, back, window=window)
            np.testing.assert_array_equal(
                back, reference.max_pool2d_backward(gradient, positions, window, in_size)
            )
            taken = np.empty_like(pooled)
            call("du_max_pool2d_take", x, positions, taken, window=window)
            np.testing.assert_array_equal(taken, reference.max_pool2d_take(x, positions, window))
    finally:
        kernels.select_isa(before)


def call(name, *arrays, window):
    kernels.check(getattr(kernels.lib, name)(*map(kernels.array_view, arrays), window.native, 2))


@pytest.mark.parametrize("dtype", TYPES)
def test_each_instruction_set_and_number_of_threads_gives_the_same_bits(dtype):
    numbers = np.random.default_rng()
    before, threads = kernels.active_isa(), torch.get_num_threads()
    try:
        for _ in range(20):
            x = random_image(numbers, dtype)
            size, results, gradient = tuple(int(n) for n in numbers.integers(1, 20, 2)), [], None
            for name, count in itertools.product(kernels.available_isas(), (1, 3)):
                kernels.select_isa(name)
                torch.set_num_threads(count)
                leaf = x.clone().requires_grad_()
                pooled = ops.adaptive_max_pool2d(leaf, size)
                gradient = torch.randn_like(pooled) if gradient is None else gradient
                pooled.backward(gradient)
                results.append((pooled.detach(), leaf.grad))
            for result in results[1:]:
                assert all(map(equal_bits, result, results[0])), (x.shape, size)
    finally:
        kernels.select_isa(before)
        torch.set_num_threads(threads)


# ---------------------------------------------------------------- torch's own machinery


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, (3, 5), (7, 8), (9, 3)])
def test_first_and_second_gradients_agree_with_finite_differences(layout, size):
    x = (
        torch.randperm(2 * 3 * 7 * 8)
        .double()
        .view(2, 3, 7, 8)
        .contiguous(memory_format=layout)
        .requires_grad_()
    )
    torch.autograd.gradcheck(lambda x: ops.adaptive_max_pool2d(x, size), x)
    torch.autograd.gradgradcheck(lambda x: ops.adaptive_max_pool2d(x, size), x)


@pytest.mark.parametrize("dtype", [*TYPES, torch.float16])
def test_torch_accepts_the_registered_operators(dtype):
    for layout, compact in itertools.product(LAYOUTS, (True, False)):
        x = torch.randn(2, 3, 9, 8).to(dtype).contiguous(memory_format=layout).requires_grad_()
        pooled, positions = torch.ops.downup.adaptive_max_pool2d(x, (4, 3), compact)
        pooled = pooled.detach().requires_grad_()
        check = torch.library.opcheck
        check(torch.ops.downup.adaptive_max_pool2d.default, (x, (4, 3), compact))
        check(torch.ops.downup.adaptive_max_pool2d_backward.default, (pooled, positions, (9, 8)))
        check(torch.ops.downup.adaptive_max_pool2d_take.default, (x, positions))


def test_compiled_code_gives_the_same_values_and_gradients():
    def pools(x):
        return ops.adaptive_max_pool2d(x, (3, 4)).sum() + ops.global_max_pool2d(x).square().sum()

    compiled = torch.compile(pools, fullgraph=True, backend="aot_eager", dynamic=True)
    for shape in ((1, 2, 8, 9), (2, 3, 11, 5)):
        a = torch.randn(shape, requires_grad=True)
        b = a.detach().clone().requires_grad_()
        pools(a).backward()
        compiled(b).backward()
        assert equal_bits(a.grad, b.grad)


def test_other_types_compose_torchs_functions_with_equal_results():
    for size in ((3, 4), (1, 1), (9, 11), (12, 2)):
        x = torch.randn(2, 5, 9, 11).half().contiguous(memory_format=torch.channels_last)
        half, single = x.clone().requires_grad_(), x.float().requires_grad_()
        results = []
        for leaf in (half, single):
            pooled, positions = ops.adaptive_max_pool2d(leaf, size, return_indices=True)
            alone = ops.adaptive_max_pool2d(leaf, size)
            (pooled.sum() + 2 * alone.sum()).backward()
            results.append((pooled.float(), alone.float(), leaf.grad.float()))
            assert torch.equal(positions, F.adaptive_max_pool2d(leaf, size, return_indices=True)[1])
        assert all(map(equal_bits, *results)), size


def test_the_default_device_is_not_asked():
    x = torch.randn(1, 2, 6, 6)
    with torch.device("meta"):
        assert torch.equal(ops.max_pool2d(x, 2), F.max_pool2d(x, 2))
        assert ops.global_max_pool2d(x).device == x.device


def test_positions_of_other_windows_are_refused():
    for dtype in (torch.float32, torch.float16):
        for kind, wrong in ((torch.int64, 24), (torch.uint8, 8)):
            grad, positions = torch.ones(1, 1, 2, 2, dtype=dtype), torch.zeros(1, 1, 2, 2, dtype=kind)
            if kind is torch.int64:
                positions += torch.tensor([[0, 2], [10, 12]])
            torch.ops.downup.adaptive_max_pool2d_backward(grad, positions, (5, 5))
            positions[0, 0, 0, 0] = wrong + (kind is torch.uint8)
            with pytest.raises(ArgumentError, match="1 of 4 positions lie outside their windows"):
                torch.ops.downup.adaptive_max_pool2d_backward(grad, positions, (5, 5))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "output_size is 0; use output_size >= 1"),
        ((2, -1), "output_size is \\(2, -1\\)"),
        ((1, 2, 3), "output_size is \\(1, 2, 3\\)"),
        (1.5, "output_size is 1.5"),
        (2**40, "at most 2\\*\\*31 - 1"),
    ],
)
def test_output_sizes_that_are_none_are_refused(size, message):
    with pytest.raises(ArgumentError, match=message):
        ops.adaptive_max_pool2d(torch.zeros(1, 1, 6, 6), size)


@pytest.mark.parametrize("shape", [(6, 6), (1, 1, 0, 6), (1, 0, 6, 6), (1, 1, 1, 6, 6)])
def test_images_that_are_none_are_refused(shape):
    with pytest.raises(ArgumentError, match="input has shape"):
        ops.adaptive_max_pool2d(torch.zeros(shape), 2)


def test_an_empty_batch_and_a_single_image_are_allowed():
    x = torch.zeros(0, 3, 6, 6, requires_grad=True)
    ops.adaptive_max_pool2d(x, 4).sum().backward()
    assert x.grad.shape == x.shape
    assert ops.global_max_pool2d(torch.zeros(3, 6, 6)).shape == (3, 1, 1)


# ---------------------------------------------------------------- the blurred pool, and modules


@pytest.mark.parametrize(
    "arguments", [{}, {"kernel_size": 3, "taps": 5, "stride": 3}, {"kernel_size": (1, 2), "stride": 1}]
)
def test_the_blurred_pool_is_one_after_the_other(arguments):
    x = torch.randn(2, 3, 9, 10, requires_grad=True)
    kernel = arguments.get("kernel_size", 2)
    taps, stride = arguments.get("taps", 3), arguments.get("stride", 2)
    expected = ops.blur_pool2d(ops.max_pool2d(x, kernel, 1, "same"), taps=taps, stride=stride)
    assert torch.equal(ops.max_blur_pool2d(x, **arguments), expected)
    torch.autograd.gradcheck(
        lambda x: ops.max_blur_pool2d(x, **arguments), x.detach()[:1, :1, :5, :6].double().requires_grad_()
    )


def test_modules_are_pickled_and_print_their_arguments():
    x = torch.randn(2, 3, 9, 10)
    for module, text, expected in (
        (nn.AdaptiveMaxPool2d((3, 4)), "output_size=(3, 4)", F.adaptive_max_pool2d(x, (3, 4))),
        (nn.GlobalMaxPool2d(), "", F.adaptive_max_pool2d(x, 1)),
        (nn.MaxBlurPool2d(3), "kernel_size=3, taps=3, stride=2, edge='reflect'", ops.max_blur_pool2d(x, 3)),
    ):
        again = pickle.loads(pickle.dumps(module))
        assert repr(again) == f"{type(module).__name__}({text})"
        assert torch.equal(again(x), expected)
    pooled, positions = nn.AdaptiveMaxPool2d(2, return_indices=True)(x)
    assert positions.shape == pooled.shape
