"""max_pool2d and max_unpool2d against torch, against the slow reference, and against each other."""

from __future__ import annotations

import collections
import itertools
import math
import pickle
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from downup import kernels, nn, ops
from downup.errors import ArgumentError
from downup.kernels import Window, reference

LAYOUTS = (torch.contiguous_format, torch.channels_last)
TYPES = (torch.float32, torch.float64, torch.bfloat16)


@pytest.fixture(params=kernels.available_isas())
def isa(request):
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def equal_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal values, NaN equal to NaN, -0 different from 0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    same = (a == b) & (torch.signbit(a) == torch.signbit(b))
    return bool((same | (a.isnan() & b.isnan())).all())


# ---------------------------------------------------------------- worked examples


def test_a_two_by_two_pool_by_hand():
    x = torch.tensor(
        [[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 6.0], [7.0, 7.0, -1.0, -2.0], [7.0, 7.0, -3.0, -4.0]]]]
    )
    pooled, positions = ops.max_pool2d(x, 2, return_indices=True)
    assert pooled.tolist() == [[[[5.0, 8.0], [7.0, -1.0]]]]
    assert positions.tolist() == [[[[1, 6], [8, 10]]]]
    _, offsets = ops.max_pool2d_with_offsets(x, 2)
    assert offsets.tolist() == [[[[1, 2], [0, 0]]]]
    back = ops.max_unpool2d(pooled, offsets, 2)
    assert back.tolist() == [[[[0, 5, 0, 0], [0, 0, 8, 0], [7, 0, -1, 0], [0, 0, 0, 0]]]]


def test_the_last_nan_of_a_window_is_taken():
    nan = math.nan
    pooled, positions = ops.max_pool2d(torch.tensor([[[nan, 9.0], [nan, 1.0]]]), 2, return_indices=True)
    assert pooled.isnan().all()
    assert positions.item() == 2


def test_a_window_that_sees_only_padding_is_minus_infinity_and_has_no_position():
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    pooled, positions = ops.max_pool2d(x, 2, 1, 1, 3, return_indices=True)
    assert pooled.item() == -math.inf
    assert positions.item() == -1
    pooled.sum().backward()
    assert x.grad.eq(0).all()


def test_of_repeated_positions_the_last_is_kept_and_only_it_gets_the_gradient():
    x = torch.tensor([[[[1.0, 2.0, 3.0]]]], requires_grad=True)
    out = ops.max_unpool2d(x, torch.tensor([[[[4, 0, 4]]]]), (1, 2))
    assert out.tolist() == [[[[2, 0, 0, 0, 3, 0]]]]
    (gradient,) = torch.autograd.grad(out, x, torch.arange(6.0).view(1, 1, 1, 6) + 1)
    assert gradient.tolist() == [[[[0, 1, 5]]]]


def test_same_padding_keeps_the_ceiling_of_size_over_stride():
    assert ops.max_pool2d(torch.zeros(1, 1, 7, 8), 3, 2, "same").shape == (1, 1, 4, 4)
    assert ops.max_pool2d(torch.zeros(1, 1, 7, 8), 2, 3, "same_lower").shape == (1, 1, 3, 3)
    four_sides = ops.max_pool2d(torch.arange(9.0).view(1, 3, 3), 2, 2, ((1, 0), (0, 1)))
    assert four_sides.tolist() == [[[1.0, 2.0], [7.0, 8.0]]]


# ---------------------------------------------------------------- against torch, on random calls


def random_case(generator: np.random.Generator) -> dict:
    def pair(low: int, high: int) -> tuple[int, int]:
        return tuple(int(v) for v in generator.integers(low, high + 1, 2))

    while True:
        kernel, stride, dilation = pair(1, 7), pair(1, 4), pair(1, 3) if generator.random() < 0.3 else (1, 1)
        padding = tuple(int(generator.integers(0, k // 2 + 1)) for k in kernel)
        size = tuple(int(v) for v in generator.integers(1, 41, 2))
        ceil_mode = bool(generator.random() < 0.3)
        # torch points out of the plane for windows of padding alone; they have a test of their own.
        sees_something = all(
            any(-p + i * s + k * d in range(n) for k in range(f))
            for n, f, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
            for i in range(max(out_size(n, f, s, p, d, ceil_mode), 0))
        )
        if sees_something and all(
            out_size(n, f, s, p, d, ceil_mode) > 0
            for n, f, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
        ):
            break
    return {
        "shape": (int(generator.integers(1, 3)), int(generator.integers(1, 38)), *size),
        "arguments": (kernel, stride, padding, dilation, ceil_mode),
        "dtype": TYPES[generator.integers(3)],
        "layout": LAYOUTS[generator.integers(2)],
        "content": ("normal", "ties", "nan", "infinite")[generator.choice(4, p=(0.6, 0.2, 0.15, 0.05))],
    }


def out_size(n: int, f: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    room = n + 2 * p - d * (f - 1) - 1
    out = (-(-room // s) if ceil_mode else room // s) + 1
    return out - (ceil_mode and (out - 1) * s >= n + p)


def random_values(case: dict, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if case["content"] == "ties":
        x = x.round()
    elif case["content"] == "nan":
        x[torch.rand(shape, generator=generator) < 0.1] = math.nan
    elif case["content"] == "infinite":
        x = torch.where(torch.rand(shape, generator=generator) < 0.7, -math.inf, x)
    return x.to(case["dtype"]).contiguous(memory_format=case["layout"])


def test_random_calls_equal_torch_bit_for_bit(is_long, tell):
    """Values, positions and gradients. bfloat16 gradients are small whole numbers: torch rounds each of its sums."""
    count = 10_000 if is_long else 1_000
    numbers, randoms = np.random.default_rng(), torch.Generator()
    randoms.manual_seed(int(numbers.integers(2**62)))
    mix: collections.Counter[str] = collections.Counter()
    threads = torch.get_num_threads()
    try:
        for index in range(count):
            torch.set_num_threads(1 + index % 2)
            case = random_case(numbers)
            check_against_torch(case, randoms)
            kernel, stride, padding, dilation, ceil_mode = case["arguments"]
            mix.update(
                {
                    str(case["dtype"]).removeprefix("torch."): 1,
                    "channels-last" if case["layout"] is torch.channels_last else "NCHW": 1,
                    case["content"]: 1,
                    "padded": int(max(padding) > 0),
                    "dilated": int(max(dilation) > 1),
                    "ceil_mode": int(ceil_mode),
                    "overlapping": int(
                        any(s < d * (k - 1) + 1 for k, s, d in zip(kernel, stride, dilation, strict=True))
                    ),
                }
            )
    finally:
        torch.set_num_threads(threads)
    shares = ", ".join(f"{k} {v / count:.0%}" for k, v in mix.most_common())
    tell(f"{count} random calls equal torch: {shares}")
    assert mix["nan"] + mix["ties"] >= count / 5


def check_against_torch(case: dict, randoms: torch.Generator) -> None:
    x = random_values(case, case["shape"], randoms)
    kernel, stride, padding, dilation, _ = case["arguments"]
    theirs, ours = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, expected_positions = F.max_pool2d(theirs, *case["arguments"], return_indices=True)
    pooled, positions = ops.max_pool2d(ours, *case["arguments"], return_indices=True)
    assert equal_bits(pooled, expected), case
    assert torch.equal(positions, expected_positions), case
    assert pooled.stride() == expected.stride(), case

    gradient = torch.randn(pooled.shape, generator=randoms, dtype=torch.float64)
    if case["dtype"] is torch.bfloat16:
        gradient = (4 * gradient).round().clamp(-5, 5)
    gradient = gradient.to(case["dtype"]).contiguous(memory_format=case["layout"])
    expected.backward(gradient)
    pooled.backward(gradient)
    assert equal_bits(ours.grad, theirs.grad), case

    compact = x.clone().requires_grad_()
    pooled, offsets = ops.max_pool2d_with_offsets(compact, *case["arguments"])
    pooled.backward(gradient)
    assert equal_bits(pooled, expected), case
    assert equal_bits(compact.grad, theirs.grad), case
    plain = x.clone().requires_grad_()
    ops.max_pool2d(plain, *case["arguments"]).backward(gradient)
    assert equal_bits(plain.grad, theirs.grad), case

    # torch cannot un-pool a dilated pooling by itself, but takes the size; its order of repeated writes is the plane's.
    size = x.shape[2:]
    small = gradient.clone().requires_grad_()
    small_offsets = gradient.clone().requires_grad_()
    small_theirs = gradient.clone().requires_grad_()
    flat = torch.zeros(*x.shape[:2], size[0] * size[1], dtype=x.dtype)
    for_torch = flat.scatter(
        2, positions.flatten(2), small_theirs.flatten(2)
    )  # of repeated places, any may win
    unpooled = torch.ops.downup.max_unpool2d(
        small, positions, size, kernel, stride, [padding[0]] * 2 + [padding[1]] * 2, dilation, False
    )
    by_offsets = torch.ops.downup.max_unpool2d(
        small_offsets, offsets, size, kernel, stride, [padding[0]] * 2 + [padding[1]] * 2, dilation, False
    )
    assert equal_bits(unpooled, by_offsets), case
    has_repeats = positions.flatten(2).sort(-1).values.diff(dim=-1).eq(0).any()
    upstream = torch.randn(unpooled.shape, generator=randoms, dtype=torch.float64).to(x.dtype)
    unpooled.backward(upstream)
    by_offsets.backward(upstream)
    assert equal_bits(small.grad, small_offsets.grad), case
    if not has_repeats:
        assert equal_bits(unpooled.flatten(2), for_torch), case
        for_torch.backward(upstream.flatten(2))
        assert equal_bits(small.grad, small_theirs.grad), case
    default = [
        (p - 1) * s - 2 * q + k for p, s, q, k in zip(pooled.shape[2:], stride, padding, kernel, strict=True)
    ]
    is_allowed = all(abs(n - m) < s for n, m, s in zip(size, default, stride, strict=True)) and dilation == (
        1,
        1,
    )
    if is_allowed and not has_repeats:
        torchs = F.max_unpool2d(gradient, positions, kernel, stride, padding, output_size=list(size))
        assert equal_bits(
            ops.max_unpool2d(gradient, offsets, kernel, stride, padding, output_size=size), torchs
        ), case


# ---------------------------------------------------------------- against the reference


def random_window(generator: np.random.Generator) -> tuple[Window, tuple[int, int], tuple[int, int]]:
    """A window with four different sides of padding, an image and the number of windows on it."""
    while True:
        size, stride = (tuple(int(v) for v in generator.integers(1, high, 2)) for high in (6, 4))
        dilation = tuple(int(v) for v in generator.integers(1, 4, 2))
        before, after = (tuple(int(v) for v in generator.integers(0, 5, 2)) for _ in range(2))
        window = Window(size, stride, before, after, dilation, bool(generator.integers(2)))
        in_size = tuple(int(v) for v in generator.integers(1, 24, 2))
        outs = tuple(kernels.lib.du_window_out_size(in_size[i], window.native, i) for i in (0, 1))
        if min(outs) > 0:
            return window, in_size, outs


def run(name: str, *arrays: np.ndarray, window: Window, threads: int = 2) -> None:
    kernels.check(getattr(kernels.lib, name)(*map(kernels.array_view, arrays), window.native, threads))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [False, True])
def test_kernels_equal_the_reference(isa, flat, dtype, last, is_long):
    generator = np.random.default_rng()
    for _ in range(120 if is_long else 12):
        window, in_size, outs = random_window(generator)
        channels = int(generator.integers(1, 36 if last else 4))

        def new(size, kind=dtype, channels=channels):
            array = np.zeros((2, *size, channels), kind) if last else np.zeros((2, channels, *size), kind)
            return array.transpose(0, 3, 1, 2) if last else array

        x, pooled, positions = new(in_size), new(outs), new(outs, np.int64 if flat else np.uint8)
        x[:] = generator.standard_normal(x.shape).round(1)
        x[generator.random(x.shape) < 0.05] = np.nan
        run("du_max_pool2d", x, pooled, positions, window=window)
        expected, in_plane, offsets = reference.max_pool2d(x, window, outs)
        np.testing.assert_array_equal(pooled, expected)
        np.testing.assert_array_equal(positions, in_plane if flat else offsets)

        gradient, gradient_in = new(outs), new(in_size)
        gradient[:] = generator.standard_normal(gradient.shape)
        run("du_max_pool2d_backward", gradient, positions, gradient_in, window=window)
        np.testing.assert_array_equal(
            gradient_in, reference.max_pool2d_backward(gradient, positions, window, in_size)
        )

        values, taken = new(in_size), new(outs)
        values[:] = generator.standard_normal(values.shape)
        run("du_max_pool2d_take", values, positions, taken, window=window)
        np.testing.assert_array_equal(taken, reference.max_pool2d_take(values, positions, window))

        if (in_plane >= 0).all():
            plane, back = new(in_size), new(outs)
            run("du_max_unpool2d", gradient, positions, plane, window=window)
            np.testing.assert_array_equal(plane, reference.max_unpool2d(gradient, positions, window, in_size))
            run("du_max_unpool2d_backward", values, positions, back, window=window)
            np.testing.assert_array_equal(back, reference.max_unpool2d_backward(values, positions, window))
            if flat:  # positions from elsewhere
                positions[:] = generator.integers(0, in_size[0] * in_size[1], positions.shape)
                run("du_max_unpool2d", gradient, positions, plane, window=window)
                np.testing.assert_array_equal(
                    plane, reference.max_unpool2d(gradient, positions, window, in_size)
                )
                run("du_max_unpool2d_backward", values, positions, back, window=window)
                np.testing.assert_array_equal(
                    back, reference.max_unpool2d_backward(values, positions, window)
                )


@pytest.mark.parametrize("dtype", TYPES)
def test_each_instruction_set_and_number_of_threads_gives_the_same_bits(dtype, is_long):
    before, threads = kernels.active_isa(), torch.get_num_threads()
    generator = np.random.default_rng()
    randoms = torch.Generator().manual_seed(int(generator.integers(2**62)))
    try:
        for _ in range(300 if is_long else 40):
            case = random_case(generator) | {"dtype": dtype}
            x = random_values(case, case["shape"], randoms)
            gradient, results = None, []
            for name, count in itertools.product(kernels.available_isas(), (1, 2, 3, 8)):
                kernels.select_isa(name)
                torch.set_num_threads(count)
                leaf = x.clone().requires_grad_()
                pooled, offsets = ops.max_pool2d_with_offsets(leaf, *case["arguments"])
                if gradient is None:
                    gradient = torch.randn(pooled.shape, generator=randoms).to(dtype)
                pooled.backward(gradient)
                results.append((pooled.detach(), offsets, leaf.grad))
            for result in results[1:]:
                assert all(map(equal_bits, result, results[0])), case
    finally:
        kernels.select_isa(before)
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1)])
def test_nan_and_both_infinities_are_right_at_every_lane(arguments, dtype):
    # Image n has what is special at channel n and at window n: in each lane of vectors of windows, and of channels.
    lanes, taps = torch.arange(34), ((0, 0), (0, 1), (1, 0), (1, 1))
    special = (math.nan, math.inf, -math.inf)
    contents = [{tap: value} for tap in taps for value in special]
    contents += [
        {a: first, b: second}
        for (a, b), first, second in itertools.product(
            ((taps[0], taps[3]), (taps[1], taps[2])), special, special
        )
    ]
    contents += [dict.fromkeys(taps, value) for value in special]
    before = kernels.active_isa()
    x = torch.randn(34, 34, 2, 68).to(dtype)
    try:
        for content, layout in itertools.product(contents, LAYOUTS):
            given = x.clone(memory_format=layout)
            for (row, column), value in content.items():
                given[lanes, lanes, row, 2 * lanes + column] = value
            expected = F.max_pool2d(given, *arguments, return_indices=True)
            for isa in kernels.available_isas():
                kernels.select_isa(isa)
                assert equal_bits(ops.max_pool2d(given, *arguments), expected[0]), (isa, content, layout)
                positions = ops.max_pool2d(given, *arguments, return_indices=True)
                assert all(map(equal_bits, positions, expected)), (isa, content, layout)
                assert equal_bits(ops.max_pool2d_with_offsets(given, *arguments)[0], expected[0])
    finally:
        kernels.select_isa(before)


# A small plane, a large one, and windows of more taps than a byte tells apart.
@pytest.mark.parametrize(
    ("size", "window"), [((30, 31), (7, 1, 3)), ((80, 70), (7, 3, 3)), ((40, 41), (17, 2, 8))]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bfloat16_gradients_are_summed_in_float32(layout, size, window):
    x = torch.zeros(2, 5, *size, dtype=torch.bfloat16)
    x[:, :, ::3, ::3] = 1
    x = x.contiguous(memory_format=layout).requires_grad_()
    pooled = ops.max_pool2d(x, *window)
    gradient = torch.randn_like(pooled)
    pooled.backward(gradient)
    exact = x.detach().double().requires_grad_()
    F.max_pool2d(exact, *window).backward(gradient.double())
    # One rounding to 8 bits, after sums of at most 81 terms in 24 bits.
    bound = exact.grad.abs() * 2.0**-8 + 1e-5
    assert ((x.grad.double() - exact.grad).abs() <= bound).all()


# ---------------------------------------------------------------- torch's own machinery


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), (3, 1, 1, 2), (2, 2, 0, 1, True)])
def test_first_and_second_gradients_agree_with_finite_differences(layout, arguments):
    # A permutation keeps all samples further apart than the finite difference.
    x = (
        torch.randperm(2 * 3 * 7 * 8)
        .double()
        .view(2, 3, 7, 8)
        .contiguous(memory_format=layout)
        .requires_grad_()
    )
    torch.autograd.gradcheck(lambda x: ops.max_pool2d(x, *arguments), x)
    torch.autograd.gradgradcheck(lambda x: ops.max_pool2d(x, *arguments), x)
    pooled, offsets = ops.max_pool2d_with_offsets(x.detach(), *arguments)
    pooled.requires_grad_()
    kernel, stride, padding, dilation = (*arguments, *(None, None, 0, 1)[len(arguments) :])[:4]
    stride = kernel if stride is None else stride

    def unpool(pooled):
        return ops.max_unpool2d(
            pooled, offsets, kernel, stride, padding, output_size=(7, 8), dilation=dilation
        )

    torch.autograd.gradcheck(unpool, pooled)
    torch.autograd.gradgradcheck(unpool, pooled)


@pytest.mark.parametrize("dtype", [*TYPES, torch.float16])
def test_torch_accepts_the_registered_operators(dtype):
    for layout, compact in itertools.product(LAYOUTS, (True, False)):
        x = torch.randn(2, 3, 9, 8).to(dtype).contiguous(memory_format=layout).requires_grad_()
        window = ((3, 2), (2, 2), (1, 1, 0, 1), (1, 1), True)
        pooled, positions = torch.ops.downup.max_pool2d(x, *window, compact)
        pooled = pooled.detach().requires_grad_()
        check = torch.library.opcheck
        check(torch.ops.downup.max_pool2d.default, (x, *window, compact))
        check(torch.ops.downup.max_pool2d_backward.default, (pooled, positions, (9, 8), *window))
        check(torch.ops.downup.max_pool2d_take.default, (x, positions, *window))
        check(torch.ops.downup.max_unpool2d.default, (pooled, positions, (9, 8), *window))
        check(torch.ops.downup.max_unpool2d_backward.default, (x, positions, *window))


def down_and_up(x):
    pooled, offsets = ops.max_pool2d_with_offsets(x, 3, 2, "same")
    return ops.max_unpool2d(pooled * 2, offsets, 3, 2, "same", output_size=x.shape[2:]), ops.max_pool2d(
        x, 2, ceil_mode=True
    )


def test_compiled_code_gives_the_same_values_and_gradients():
    compiled = torch.compile(down_and_up, fullgraph=True, backend="aot_eager", dynamic=True)
    for shape in ((1, 2, 8, 9), (2, 3, 11, 5)):
        x, y = torch.randn(shape), None
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        for leaf, function in ((a, down_and_up), (b, compiled)):
            try:
                y = function(leaf)
            except ArgumentError:
                pytest.fail(f"{shape} was refused")
            (y[0].sum() + y[1].square().sum()).backward()
        assert equal_bits(a.grad, b.grad)


def test_other_types_and_ways_of_calling_compose_torchs_functions_with_equal_results():
    for content, arguments in itertools.product(
        ("normal", "nan", "infinite"), ((2,), (3, 2, 1), (3, 1, ((0, 1), (1, 0)), 2, True))
    ):
        x = random_values(
            {"content": content, "dtype": torch.float16, "layout": torch.channels_last},
            (2, 5, 9, 11),
            torch.Generator(),
        )
        half, single = x.clone().requires_grad_(), x.float().requires_grad_()
        results = []
        for leaf in (half, single):
            pooled, offsets = ops.max_pool2d_with_offsets(leaf, *arguments)
            positions = ops.max_pool2d(leaf, *arguments, return_indices=True)[1]
            pooled.nan_to_num(0, 0, 0).sum().backward()
            results.append((pooled.float(), offsets, positions, leaf.grad.float()))
        assert all(map(equal_bits, *results)), (content, arguments)
    whole = torch.randint(0, 99, (1, 2, 6, 6))
    assert torch.equal(ops.max_pool2d(whole, 2), F.max_pool2d(whole, 2))
    meta = ops.max_pool2d(torch.empty(1, 2, 6, 7, device="meta"), 3, 2, return_indices=True)
    assert [t.shape for t in meta] == [(1, 2, 2, 3)] * 2


def test_composed_unpooling_equals_the_kernels_where_positions_repeat():
    x = torch.randn(2, 3, 5, 6).half()
    positions = torch.randint(0, 20, x.shape)
    half, single = x.clone().requires_grad_(), x.float().requires_grad_()
    results = [ops.max_unpool2d(leaf, positions, 2) for leaf in (half, single)]
    assert torch.equal(results[0].float(), results[1])
    upstream = torch.randn(results[0].shape)
    for result in results:
        result.backward(upstream.to(result.dtype))
    assert torch.equal(half.grad.float(), single.grad.half().float())


def test_autocast_leaves_the_types_alone():
    with torch.autocast("cpu", torch.bfloat16):
        assert ops.max_pool2d(torch.randn(1, 2, 8, 8), 2).dtype == torch.float32
        assert ops.max_pool2d(torch.randn(1, 2, 8, 8).bfloat16(), 2).dtype == torch.bfloat16


def test_unpooling_is_allowed_where_only_deterministic_algorithms_are():
    torch.use_deterministic_algorithms(True)
    try:
        down_and_up(torch.randn(1, 2, 8, 8))
    finally:
        torch.use_deterministic_algorithms(False)


def test_views_that_are_in_neither_layout_are_copied():
    x = torch.randn(2, 6, 9, 8)
    for strange in (
        x.transpose(2, 3),
        x[:, ::2],
        x[:, :, ::2, 1:],
        x.flip(0),
        x[:1].expand(2, -1, -1, -1),
    ):
        for mine, theirs in zip(
            ops.max_pool2d(strange, 2, return_indices=True),
            F.max_pool2d(strange, 2, return_indices=True),
            strict=True,
        ):
            assert torch.equal(mine, theirs)
    negative = torch.view_as_complex(torch.randn(1, 2, 4, 4, 2)).conj().imag
    assert torch.equal(ops.max_pool2d(negative, 2), F.max_pool2d(negative, 2))


def test_changing_positions_between_forward_and_backward_is_noticed():
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    pooled, positions = ops.max_pool2d(x, 2, return_indices=True)
    positions += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pooled.sum().backward()


def test_modules_are_pickled_and_print_their_arguments():
    pool = pickle.loads(pickle.dumps(nn.MaxPool2dWithOffsets(3, 2, "same")))
    assert (
        repr(pool)
        == "MaxPool2dWithOffsets(kernel_size=3, stride=2, padding='same', dilation=1, ceil_mode=False)"
    )
    x = torch.randn(1, 2, 8, 8)
    pooled, offsets = pool(x)
    assert nn.MaxUnpool2d(3, 2, "same")(pooled, offsets, x.shape).shape == x.shape


# ---------------------------------------------------------------- what is refused

IMAGE = torch.zeros(1, 1, 6, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "kernel_size is 0; use kernel_size >= 1"),
        ((2, 0), "stride is 0; use stride >= 1"),
        ((2, 1, -1), "padding is -1; use padding >= 0"),
        ((2, 1, 2), "padding is 2 but the window spans 2"),
        ((7,), "padded input has only 6 rows"),
        ((2, 1, 0, 0), "dilation is 0; use dilation >= 1"),
        ((2, 1, 0, 2**62), "padded input has only 6 rows"),
        ((2**62,), "padded input has only 6 rows"),
        ((2, 2**62), "window stride is 4611686018427387904"),
        ((2, 2**70), "2\\*\\*31 - 1"),
        ((2, 1, (0, 0, 1, 1)), "four sides"),
        ((2, 1, "full"), "padding is 'full'"),
        (((1, 2, 3),), "kernel_size is \\(1, 2, 3\\)"),
    ],
)
def test_a_pool_refuses(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        ops.max_pool2d(IMAGE, *arguments)


@pytest.mark.parametrize("shape", [(6, 6), (1, 1, 0, 6), (1, 0, 6, 6), (1, 1, 1, 6, 6)])
def test_a_pool_refuses_images_that_are_none(shape):
    with pytest.raises(ArgumentError, match="input has shape"):
        ops.max_pool2d(torch.zeros(shape), 2)


def test_an_empty_batch_is_allowed():
    x = torch.zeros(0, 3, 6, 6, requires_grad=True)
    pooled, offsets = ops.max_pool2d_with_offsets(x, 2)
    assert pooled.shape == (0, 3, 3, 3)
    ops.max_unpool2d(pooled, offsets, 2).sum().backward()
    assert x.grad.shape == x.shape


def test_the_gradient_of_a_pool_refuses_positions_of_other_windows():
    x, positions = torch.randn(1, 1, 3, 3), torch.zeros(1, 1, 3, 3, dtype=torch.int64)
    for dtype in (torch.float32, torch.float16):
        with pytest.raises(ArgumentError, match="8 of 9 positions lie outside their windows"):
            torch.ops.downup.max_pool2d_backward(
                x.to(dtype), positions, (6, 6), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False
            )


@pytest.mark.parametrize("position", [-1, 36, 2**31, 2**62, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_foreign_positions_are_refused_forward_and_backward(position, layout, dtype):
    x = torch.randn(2, 20, 3, 3).to(dtype).contiguous(memory_format=layout)
    corners = torch.arange(0, 6, 2).view(3, 1) * 6 + torch.arange(0, 6, 2)
    positions = corners.expand(x.shape).clone()
    positions[1, 19, 2, 1] = position
    window = ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False)
    plane = torch.zeros(2, 20, 6, 6, dtype=dtype)
    for call in (
        lambda: ops.max_unpool2d(x, positions, 2),
        lambda: torch.ops.downup.max_unpool2d_backward(plane, positions, *window),
        lambda: torch.ops.downup.max_pool2d_backward(x, positions, (6, 6), *window),
        lambda: torch.ops.downup.max_pool2d_take(plane, positions, *window),
    ):
        with pytest.raises(
            ArgumentError, match=r"1 of 360 positions lie outside (their windows in )?the plane of 6 x 6"
        ):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, i: ops.max_unpool2d(x, i[:, :, 1:], 2), "indices have shape"),
        (lambda x, i: ops.max_unpool2d(x, i.int(), 2), "indices have dtype torch.int32"),
        (lambda x, i: ops.max_unpool2d(x, i, 2, output_size=(9, 6)), "output_size is \\(9, 6\\)"),
        (lambda x, i: ops.max_unpool2d(x, i, 2, output_size=(6,)), "output_size is \\(6,\\)"),
        (lambda x, i: ops.max_unpool2d(x, i, 2, 2, "same"), "give it as output_size"),
        (lambda x, i: ops.max_unpool2d(x, i, 2, 2, 3), "use less padding"),
        (lambda x, i: ops.max_unpool2d(x, i.to("meta"), 2), "indices are on meta"),
        (lambda x, i: ops.max_pool2d_with_offsets(x.new_ones(1, 1, 20, 20), 17), "do not fit one byte"),
        (lambda x, i: ops.max_unpool2d(x, (i + 4).to(torch.uint8), 2), "9 of 9 positions lie outside"),
    ],
)
def test_unpooling_refuses(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(torch.ones(1, 1, 3, 3), torch.zeros(1, 1, 3, 3, dtype=torch.int64))


def test_many_threads_may_call_at_once():
    x = torch.randn(4, 16, 64, 64)
    expected = F.max_pool2d(x, 2)
    failures = []

    def work():
        for _ in range(20):
            if not torch.equal(ops.max_pool2d(x, 2), expected):
                failures.append(1)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
