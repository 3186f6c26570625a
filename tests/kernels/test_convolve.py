"""Prepared convolutions: every kind of window, channels, parts, activation and residual, on every instruction set."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from downup import geometry, kernels
from downup.errors import ArgumentError
from downup.kernels import Window, ffi, lib, reference
from downup.kernels.convolve import (
    ACTIVATIONS,
    Activation,
    Convolution,
    ConvolutionSpec,
    channels_last,
    empty_channels_last,
)

# Parameters of each activation, where it has some.
PARAMETERS = {
    "leaky_relu": (0.1, 0.0),
    "clip": (-0.3, 0.8),
    "hard_sigmoid": (1 / 6, 0.5),
    "elu": (1.3, 0.0),
}


WINDOW = Window((3, 3), (1, 1), (1, 1), (1, 1))


@pytest.fixture(params=kernels.available_isas())
def isa(request):
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def lanes_of(isa):
    """Floats of a vector."""
    return {"avx512": 16, "avx2": 8}.get(isa, 4)


def error_of(found, expected):
    """Relative L2 error."""
    return np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30)


def make(spec, random, with_bias=True):
    """A convolution with random weights, and what it was made of."""
    fan = spec.in_channels // spec.groups * spec.window.size[0] * spec.window.size[1]
    weight = (random.standard_normal(spec.weight_shape) * (2 / fan) ** 0.5).astype(np.float32)
    bias = random.standard_normal(spec.out_channels).astype(np.float32) if with_bias else None
    return Convolution(spec, weight, bias), weight, bias


def judge(x, weight, bias, spec):
    """torch's convolution in float64, without residual and activation."""
    x = torch.tensor(x).double().repeat_interleave(spec.upsample[0], 2).repeat_interleave(spec.upsample[1], 3)
    window = spec.window
    weight = torch.tensor(weight).double()
    bias = None if bias is None else torch.tensor(bias).double()
    if spec.transposed:
        full = F.conv_transpose2d(x, weight, bias, window.stride, 0, 0, spec.groups, window.dilation)
        full = F.pad(full, (0, spec.output_padding[1], 0, spec.output_padding[0]))
        if bias is not None:  # what output padding adds beyond the last window sees the bias alone
            for axis, more in ((2, spec.output_padding[0]), (3, spec.output_padding[1])):
                if more:
                    full.narrow(axis, full.shape[axis] - more, more).copy_(
                        bias[:, None, None].expand_as(full.narrow(axis, full.shape[axis] - more, more))
                    )
        ends = [n - after for n, after in zip(full.shape[2:], window.pad_after, strict=True)]
        return full[:, :, window.pad_before[0] : ends[0], window.pad_before[1] : ends[1]].numpy()
    x = F.pad(x, (window.pad_before[1], window.pad_after[1], window.pad_before[0], window.pad_after[0]))
    return F.conv2d(x, weight, bias, window.stride, 0, window.dilation, spec.groups).numpy()


def random_spec(random):
    """Any window over an awkward number of channels."""
    pairs = [
        tuple(int(n) for n in random.integers(low, high, 2))
        for low, high in ((1, 5), (1, 4), (1, 3), (0, 4), (0, 4))
    ]
    size, stride, dilation, before, after = pairs
    groups = int(random.choice([1, 1, 1, 2, 3]))
    channels = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 67)
    is_transposed = bool(random.integers(2))
    spread = [max(s, d) for s, d in zip(stride, dilation, strict=True)]
    return ConvolutionSpec(
        groups * int(random.choice(channels)),
        groups * int(random.choice(channels)),
        Window(size, stride, before, after, dilation),
        groups=groups,
        output_padding=tuple(int(random.integers(n)) for n in spread) if is_transposed else (0, 0),
        upsample=tuple(int(n) for n in random.integers(1, 4, 2)) if random.random() < 0.3 else (1, 1),
        transposed=is_transposed,
    )


def narrow_spec(random):
    """Groups narrower than a vector: depthwise, or of 2, 4 or 8 channels."""
    spec = random_spec(random)
    groups, channels = int(random.choice([1, 2, 3, 5, 9, 16, 33])), int(random.choice([1, 1, 2, 4, 8]))
    return dataclasses.replace(
        spec, groups=groups, in_channels=groups * channels, out_channels=groups * channels
    )


def random_input(spec, random):
    """A random input on which the convolution has outputs, or None."""
    size = tuple(int(n) for n in random.integers(1, 18, 2))
    sizes = [n * u for n, u in zip(size, spec.upsample, strict=True)]
    window = spec.window
    for i, n in enumerate(sizes):
        extent = window.dilation[i] * (window.size[i] - 1) + 1
        pad = window.pad_before[i] + window.pad_after[i]
        if spec.transposed:
            if (n - 1) * window.stride[i] + extent - pad + spec.output_padding[i] < 1:
                return None
        elif n + pad < extent:
            return None
    return channels_last(random.standard_normal((int(random.integers(1, 3)), spec.in_channels, *size)))


def test_a_worked_example(isa):
    spec = ConvolutionSpec(1, 2, Window((1, 2), (1, 1), (0, 1)))
    weight = np.array([[[[1, 10]]], [[[0, -1]]]], np.float32)
    x = np.array([[[[1, 2, 3]]]], np.float32)
    out = Convolution(spec, weight, np.array([0.5, 0], np.float32)).run(x)
    assert out.tolist() == [[[[10.5, 21.5, 32.5]], [[-1, -2, -3]]]]


def test_a_worked_example_of_a_transposed_one(isa):
    spec = ConvolutionSpec(1, 1, Window((1, 3), (1, 2)), transposed=True)
    out = Convolution(spec, np.array([[[[1, 2, 3]]]], np.float32)).run(np.array([[[[1, 10]]]], np.float32))
    assert out.tolist() == [[[[1, 2, 13, 20, 30]]]]


def test_random_convolutions_equal_torch_in_double(isa, is_long):
    random = np.random.default_rng(3)
    judged = 0
    while judged < (2000 if is_long else 180):
        spec = narrow_spec(random) if judged % 3 == 0 else random_spec(random)
        x = random_input(spec, random)
        if x is None:
            continue
        convolution, weight, bias = make(spec, random, bool(random.integers(2)))
        out = convolution.run(x, threads=int(random.integers(1, 4)))
        expected = judge(x, weight, bias, spec)
        assert out.shape == expected.shape, spec
        assert error_of(out, expected) < (5e-6 if "winograd" in convolution.algorithm else 1e-6), spec
        judged += 1


def winograd_spec(random, algorithm):
    """A 3x3 window as Winograd takes it, over an awkward number of channels."""
    before, after, dilation = (tuple(int(n) for n in random.integers(low, 5, 2)) for low in (0, 0, 1))
    is_plain = algorithm == "winograd"
    channels = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 67)
    return ConvolutionSpec(
        int(random.choice(channels)),
        int(random.choice(channels)),
        Window((3, 3), (1, 1), before, after, dilation if is_plain else (1, 1)),
        upsample=(1, 1) if is_plain else (2, 2),
        algorithm=algorithm,
    )


@pytest.mark.parametrize(
    ("channels", "groups", "algorithm"),
    [(24, 24, "depthwise"), (32, 16, "grouped"), (32, 8, "grouped"), (32, 2, "direct"), (7, 1, "direct")],
)
def test_narrow_groups_have_kernels_of_their_own(channels, groups, algorithm):
    spec = ConvolutionSpec(channels, channels, Window((5, 5), (2, 2)), groups=groups)
    if algorithm != "grouped" or channels // groups < lanes_of(kernels.active_isa()):
        assert make(spec, np.random.default_rng(0))[0].algorithm == algorithm


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (4, 1), (3, 3)])
def test_rows_of_several_stretches_under_depthwise_windows_equal_torch_in_double(isa, size, stride):
    random = np.random.default_rng(12)
    spec = ConvolutionSpec(41, 41, Window((size, size), (1, stride), (1, 1), (1, 1)), groups=41)
    convolution, weight, bias = make(spec, random)
    x = channels_last(random.standard_normal((1, 41, 7, 75 * stride)))
    out = convolution.run(x)
    assert error_of(out, judge(x, weight, bias, spec)) < 4e-7
    assert np.array_equal(out, convolution.run(cut(x, random), threads=2))


@pytest.mark.parametrize("algorithm", ["winograd", "winograd_repeated"])
def test_winograd_equals_torch_in_double_at_every_size_padding_and_dilation(isa, algorithm, is_long):
    random = np.random.default_rng(9)
    judged = 0
    while judged < (1000 if is_long else 60):
        spec = winograd_spec(random, algorithm)
        x = random_input(spec, random)
        if x is None:
            continue
        convolution, weight, bias = make(spec, random)
        assert convolution.algorithm == algorithm
        expected = judge(x, weight, bias, spec)
        assert error_of(convolution.run(x, threads=int(random.integers(1, 4))), expected) < 4e-6, spec
        judged += 1


def test_many_tiles_and_heavy_weights_take_other_ways_to_the_same_bits(isa):
    random = np.random.default_rng(10)
    for spec, size in (
        (
            ConvolutionSpec(9, 40, WINDOW, algorithm="winograd"),
            (83, 91),
        ),  # over 400 tiles: each worker by itself
        (ConvolutionSpec(350, 340, WINDOW, algorithm="winograd"), (17, 10)),  # over 16 MB of weights
        (ConvolutionSpec(20, 33, WINDOW, upsample=(2, 2), algorithm="winograd_repeated"), (45, 41)),
    ):
        convolution, weight, bias = make(spec, random)
        x = channels_last(random.standard_normal((1, spec.in_channels, *size)))
        out = convolution.run(x)
        assert error_of(out, judge(x, weight, bias, spec)) < 4e-6
        assert np.array_equal(out, convolution.run(cut(x, random), threads=3))
        # Fewer rows are fewer tiles. What they see of the rows below is all that differs.
        part = convolution.run(x[:, :, : size[0] - 9])
        assert np.array_equal(part[:, :, :-8], out[:, :, : part.shape[2] - 8])


@pytest.mark.parametrize("algorithm", ["winograd", "winograd_repeated"])
def test_however_many_tiles_are_left_for_the_last_group_the_bits_are_the_same(isa, algorithm):
    random = np.random.default_rng(19)
    factor = 2 if algorithm == "winograd_repeated" else 1
    window = Window((3, 3), (1, 1), (1, 1), (0, 0))
    spec = ConvolutionSpec(33, 20, window, upsample=(factor, factor), algorithm=algorithm)
    convolution, weight, bias = make(spec, random)
    x = channels_last(random.standard_normal((1, 33, 4 // factor, 64 // factor)))
    out = convolution.run(x)
    assert error_of(out, judge(x, weight, bias, spec)) < 2e-6
    # The last tile misses nothing but what its last column, which is none, would read.
    for columns in range(4 // factor, 64 // factor, 4 // factor):
        part = convolution.run(x[..., :columns])
        assert np.array_equal(part, out[..., : part.shape[3]])


def test_pixels_read_where_they_are_give_the_bits_of_gathered_ones(isa):
    random = np.random.default_rng(11)
    for stride, transposed, channels in (((1, 1), False, 37), ((2, 1), False, 64), ((2, 2), True, 20)):
        size = stride if transposed else (1, 1)
        spec = ConvolutionSpec(channels, 35, Window(size, stride), transposed=transposed)
        convolution, weight, bias = make(spec, random)
        x = channels_last(random.standard_normal((2, channels, 5, 43)))
        out = convolution.run(x)
        assert error_of(out, judge(x, weight, bias, spec)) < 4e-7
        # In larger arrays only pixels of one row are equally far apart; narrow pictures are gathered.
        assert np.array_equal(out, convolution.run(cut(x, random), threads=2))
        for first in range(0, 40, 2):
            begin = first * stride[1] if transposed else first // stride[1]
            narrow = convolution.run(x[..., first : first + 3])
            assert np.array_equal(narrow, out[..., begin : begin + narrow.shape[3]])


def test_windows_over_a_picture_read_where_they_are_give_the_bits_of_gathered_ones(isa):
    random = np.random.default_rng(17)
    wide = Window((7, 7), (2, 2), (3, 3), (3, 3))
    tall = Window((5, 1), (1, 1), (0, 2), (3, 0), (2, 1))
    for window, transposed, groups in (
        (wide, False, 1),
        (WINDOW, False, 1),
        (tall, False, 1),
        (wide, True, 1),
        (WINDOW, False, 2),
    ):
        spec = ConvolutionSpec(
            3 * groups, 34 * groups, window, transposed=transposed, groups=groups, algorithm="direct"
        )
        convolution, weight, bias = make(spec, random)
        x = channels_last(random.standard_normal((2, spec.in_channels, 19, 61)))
        out = convolution.run(x)
        assert error_of(out, judge(x, weight, bias, spec)) < 4e-7
        # The channels of several parts are gathered.
        assert np.array_equal(out, convolution.run(cut_at(x, (1,)), threads=2))


def test_long_sums_read_where_they_are_have_the_bits_of_gathered_ones(isa):
    random = np.random.default_rng(13)
    convolution, weight, bias = make(ConvolutionSpec(240, 20, Window((1, 1), (1, 1))), random)
    x = channels_last(random.standard_normal((1, 240, 3, 29)))
    out = convolution.run(x)
    assert error_of(out, judge(x, weight, bias, convolution.spec)) < 2e-7
    # Parts of whole chunks are read where they are, on both sides of a panel's end; others are gathered.
    for inner in ((96,), (32, 64, 160), (5, 101), (128,)):
        assert np.array_equal(out, convolution.run(cut_at(x, inner)))


@pytest.mark.parametrize(
    ("algorithm", "upsample", "bound"),
    [("direct", 1, 2e-7), ("winograd", 1, 4.5e-7), ("winograd_repeated", 2, 2e-7)],
)
def test_sums_over_many_channels_round_little(isa, algorithm, upsample, bound):
    random = np.random.default_rng(14)
    spec = dataclasses.replace(
        ConvolutionSpec(512, 20, WINDOW), algorithm=algorithm, upsample=(upsample, upsample)
    )
    convolution, weight, bias = make(spec, random)
    x = channels_last(np.maximum(random.standard_normal((1, 512, 9, 9)), 0))
    assert error_of(convolution.run(x), judge(x, weight, bias, spec)) < bound


def test_exact_precision_rules_out_winograd():
    spec = ConvolutionSpec(32, 32, WINDOW)
    repeated = dataclasses.replace(spec, upsample=(2, 2))
    random = np.random.default_rng(0)
    assert make(spec, random)[0].algorithm == "winograd"
    assert make(repeated, random)[0].algorithm == "winograd_repeated"
    for one in (spec, repeated):
        assert make(dataclasses.replace(one, precision="exact"), random)[0].algorithm == "direct"


def test_the_reference_equals_torch_in_double():
    random = np.random.default_rng(4)
    judged = 0
    while judged < 12:
        spec = dataclasses.replace(random_spec(random), in_channels=6, out_channels=12)
        x = random_input(spec, random)
        if x is None or x.size > 1000:
            continue
        _, weight, bias = make(spec, random)
        expected = judge(x, weight, bias, spec)
        assert error_of(reference.convolve(x, weight, bias, spec), expected) < 1e-12
        judged += 1


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activation_and_residual_equal_the_reference(isa, kind):
    random = np.random.default_rng(5)
    alpha, beta = PARAMETERS.get(kind, (0.0, 0.0))
    slopes = random.standard_normal(19).astype(np.float32) if kind == "prelu" else None
    spec = ConvolutionSpec(5, 19, WINDOW, precision="exact", activation=Activation(kind, alpha, beta, slopes))
    convolution, weight, bias = make(spec, random)
    x = channels_last(3 * random.standard_normal((1, 5, 7, 6)))
    residual = channels_last(3 * random.standard_normal((1, 19, 7, 6)))
    expected = reference.convolve(x, weight, bias, spec, residual)
    # The square root of a negative number is no number.
    found = convolution.run(x, residual=residual)
    assert np.allclose(found, expected, rtol=3e-6, atol=3e-6, equal_nan=True)
    in_place = residual.copy(order="K")
    assert np.array_equal(
        convolution.run(x, in_place, in_place), convolution.run(x, residual=residual), equal_nan=True
    )


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_fused_activation_has_the_bits_of_one_by_itself(isa, kind):
    random = np.random.default_rng(8)
    alpha, beta = PARAMETERS.get(kind, (0.0, 0.0))
    slopes = random.standard_normal(37).astype(np.float32) if kind == "prelu" else None
    slopes_address = ffi.NULL if slopes is None else ffi.cast("float *", slopes.ctypes.data)
    activation = ffi.new("du_activation *", (ACTIVATIONS.index(kind), alpha, beta, slopes_address))
    for algorithm in ("direct", "winograd"):
        spec = ConvolutionSpec(3, 37, WINDOW, algorithm=algorithm)
        convolution, weight, bias = make(spec, random)
        x = channels_last(3 * random.standard_normal((1, 3, 9, 8)))
        x[0, 0, 4, 4] = np.nan
        residual = channels_last(random.standard_normal((1, 37, 9, 8)))
        fused = dataclasses.replace(spec, activation=Activation(kind, alpha, beta, slopes))
        expected = convolution.run(x, residual=residual)
        view = kernels.array_view(expected)
        kernels.check(lib.du_activate(view, view, activation, 1))
        found = Convolution(fused, weight, bias).run(x, residual=residual)
        assert np.array_equal(found, expected, equal_nan=True)


def cut(x, random):
    """The channels of an array, cut anywhere into parts that lie in larger arrays of their own."""
    return cut_at(x, random.integers(1, x.shape[1], 2) if x.shape[1] > 1 else ())


def cut_at(x, inner):
    """The same, cut in front of given channels."""
    edges = sorted({0, x.shape[1], *(int(n) for n in inner)})
    parts = []
    for begin, end in itertools.pairwise(edges):
        batch, _, rows, columns = x.shape
        wide = empty_channels_last((batch, end - begin + 5, rows + 2, columns + 1))
        wide[...] = np.nan
        part = wide[:, 3 : 3 + end - begin, 1 : 1 + rows, :columns]
        part[...] = x[:, begin:end]
        parts.append(part)
    return parts


def random_case(random):
    kinds = (
        narrow_spec,
        random_spec,
        lambda r: winograd_spec(r, "winograd"),
        lambda r: winograd_spec(r, "winograd_repeated"),
    )
    while True:
        spec = kinds[int(random.integers(len(kinds)))](random)
        x = random_input(spec, random)
        if x is not None:
            return spec, x


def test_cut_into_parts_written_into_a_slice_on_any_threads_the_bits_are_the_same(isa):
    random = np.random.default_rng(6)
    for _ in range(40):
        spec, x = random_case(random)
        convolution, _, _ = make(spec, random)
        whole = convolution.run(x)
        batch, channels, rows, columns = whole.shape
        wide = empty_channels_last((batch, channels + 7, rows + 1, columns + 2))
        wide[...] = 7
        out = wide[:, 4 : 4 + channels, 1:, :columns]
        convolution.run(cut(x, random), out, threads=int(random.integers(1, 5)))
        assert np.array_equal(whole, out), spec
        out[...] = 7
        assert (wide == 7).all(), "something else was written"


def test_a_pixel_has_the_same_bits_in_whatever_window_it_is_computed(isa):
    random = np.random.default_rng(7)
    for _ in range(40):
        spec, x = random_case(random)
        convolution, _, _ = make(spec, random)
        (in_y, in_x), (out_y, out_x) = convolution.steps
        # The same picture inside a larger one, moved by whole steps.
        down, right = int(random.integers(3)), int(random.integers(3))
        batch, channels, rows, columns = x.shape
        large = channels_last(
            np.zeros((batch, channels, rows + down * in_y + 20, columns + right * in_x + 20), np.float32)
        )
        inner = large[:, :, down * in_y : down * in_y + rows, right * in_x : right * in_x + columns]
        inner[...] = x
        small, big = convolution.run(x), convolution.run(large, threads=2)
        # Outputs of the small picture that see none of what lies beyond it, or see zeros there in both.
        moved = big[:, :, down * out_y :, right * out_x :][:, :, : small.shape[2], : small.shape[3]]
        assert np.array_equal(small[:, :, : moved.shape[2], : moved.shape[3]], moved), spec


@settings(max_examples=60, deadline=None)
@given(
    in_size=st.integers(1, 40),
    size=st.integers(1, 6),
    stride=st.integers(1, 5),
    before=st.integers(0, 6),
    after=st.integers(0, 6),
    dilation=st.integers(1, 4),
    more=st.integers(0, 3),
    transposed=st.booleans(),
)
def test_the_size_rule_is_that_of_geometry(in_size, size, stride, before, after, dilation, more, transposed):
    window = Window((1, size), (1, stride), (0, before), (0, after), (1, dilation))
    spec = ConvolutionSpec(1, 1, window, output_padding=(0, more if transposed else 0), transposed=transposed)
    weight = np.zeros((1, 1, 1, size), np.float32)
    try:
        if transposed:
            padding = (before, after)
            expected = geometry.transposed_out_size(in_size, size, stride, padding, more, dilation)
        else:
            expected = geometry.window_out_size(in_size, size, stride, (before, after), dilation)
    except ArgumentError:
        with pytest.raises(ArgumentError):
            Convolution(spec, weight).out_size((1, in_size))
    else:
        assert Convolution(spec, weight).out_size((1, in_size)) == (1, expected)


def test_an_empty_batch_is_no_work(isa):
    spec = ConvolutionSpec(2, 3, Window((1, 1), (1, 1)))
    convolution, _, _ = make(spec, np.random.default_rng(0))
    assert convolution.run(empty_channels_last((0, 2, 4, 4))).shape == (0, 3, 4, 4)


SPEC = ConvolutionSpec(4, 6, WINDOW)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 0}, "in_channels is 0; use 1 to"),
        ({"groups": 4}, "groups is 4, but there are 4 channels in and 6 out; use a divisor of both"),
        ({"groups": 0}, "groups is 0; use 1 to"),
        ({"upsample": (1, 0)}, "upsample is 0; use 1 to 1024"),
        ({"output_padding": (1, 0)}, "output_padding is 1; use 0 to 0"),
        ({"transposed": True, "output_padding": (0, 1)}, "output_padding is 1; use 0 to 0"),
        ({"window": Window((3, 3), (1, 0))}, "window stride is 0 along the column axis"),
        ({"window": Window((3, 3), (1, 1), adaptive=True)}, "window is adaptive"),
        ({"window": Window((3, 3), (1, 1), ceil_mode=True)}, "window has ceil_mode 1; use 0"),
        (
            {"window": Window((3, 3), (2000, 1)), "transposed": True},
            "stride of a transposed convolution is 2000",
        ),
        ({"activation": Activation("prelu")}, "activation has no slopes"),
        ({"activation": Activation("mish")}, "activation is 'mish'; use one of identity, relu"),
        ({"precision": "half"}, "precision is 'half'; use one of fast, exact, bfloat16"),
        ({"algorithm": "fft"}, "algorithm is 'fft'; use one of auto"),
        ({"algorithm": "winograd", "groups": 2}, "algorithm 2 is only for 3x3 windows at stride 1"),
        ({"algorithm": "depthwise"}, "algorithm 4 is only for as many groups as channels in and out"),
        ({"algorithm": "grouped"}, "algorithm 5 is only for groups of 2, 4 or 8 channels"),
    ],
)
def test_what_a_spec_may_not_say_is_named(changes, message):
    spec = dataclasses.replace(SPEC, **changes)
    weight = np.zeros([max(n, 0) for n in spec.weight_shape], np.float32)
    with pytest.raises(ArgumentError, match=message):
        Convolution(spec, weight)


def test_weights_of_another_shape_or_type_are_refused():
    with pytest.raises(ArgumentError, match=r"weight is float64 \[6, 4, 3, 3\]; use float32"):
        Convolution(SPEC, np.zeros(SPEC.weight_shape))
    with pytest.raises(ArgumentError, match=r"bias is float32 \[5\]; use float32 \[6\]"):
        Convolution(SPEC, np.zeros(SPEC.weight_shape, np.float32), np.zeros(5, np.float32))


def test_what_a_run_may_not_get_is_named():
    convolution = Convolution(SPEC, np.zeros(SPEC.weight_shape, np.float32))
    x, out = empty_channels_last((1, 4, 5, 5)), empty_channels_last((1, 6, 5, 5))

    def refuses(message, *arguments, **options):
        with pytest.raises(ArgumentError, match=message):
            convolution.run(*arguments, **options)

    refuses("parts is empty", [])
    refuses("parts have 3 channels together; the convolution takes 4", x[:, :3])
    refuses(r"parts\[1\] has 4 in its row size; 5 fits", [x[:, :2], x[:, 2:, :4]])
    refuses("has its channels 25 elements apart", np.zeros((1, 4, 5, 5), np.float32))
    refuses(r"parts\[0\] has type 1; use DU_FLOAT32", channels_last(x).astype(np.float64))
    refuses("out has 4 in its row size", x, out[:, :, :4])
    refuses("out has its channels 25 elements apart", x, np.zeros((1, 6, 5, 5), np.float32))
    refuses("residual has 4 in its column size", x, out, out[..., :4])
    refuses("out and residual share memory", x, out[:, :, :, :5], out[:, :, ::-1])
    refuses("threads is 0", x, out, threads=0)
    wide = empty_channels_last((1, 10, 5, 5))
    refuses(r"out and parts\[0\] share memory", wide[:, :4], wide[:, 3:9])
    scratch = np.empty(64, np.uint8)
    code = lib.du_convolution_run(
        convolution.native,
        1,
        kernels.array_view(x),
        ffi.NULL,
        kernels.array_view(out),
        ffi.cast("void *", scratch.ctypes.data),
        64,
        1,
    )
    assert code == lib.DU_BAD_ARGUMENT
    assert b"scratch has 64 bytes; this size takes" in ffi.string(lib.du_last_error())


def test_calls_with_null_are_refused():
    null = ffi.NULL
    x = empty_channels_last((1, 4, 5, 5))
    view = kernels.array_view(x)
    convolution = Convolution(SPEC, np.zeros(SPEC.weight_shape, np.float32)).native
    sizes = ffi.new("int64_t[2]", (5, 5))
    assert lib.du_convolution_new(null, null, null) == null
    assert lib.du_convolution_algorithm(null) == null
    assert lib.du_convolution_out_size(null, sizes, sizes) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_out_size(convolution, null, sizes) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_steps(null, sizes, sizes) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_steps(convolution, sizes, null) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_scratch_bytes(null, 1, 5, 5, 1) == -1
    assert lib.du_convolution_run(null, 1, view, null, view, null, 0, 1) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_run(convolution, 1, null, null, view, null, 0, 1) == lib.DU_BAD_ARGUMENT
    assert lib.du_convolution_run(convolution, 1, view, null, null, null, 0, 1) == lib.DU_BAD_ARGUMENT
    lib.du_convolution_free(null)


@pytest.mark.parametrize(
    "numbers", [(-1, 5, 5, 1), (2**62, 5, 5, 1), (1, 0, 5, 1), (1, 5, 2**62, 1), (1, 5, 5, -3)]
)
def test_absurd_sizes_ask_for_no_scratch(numbers):
    convolution = Convolution(SPEC, np.zeros(SPEC.weight_shape, np.float32))
    assert lib.du_convolution_scratch_bytes(convolution.native, *numbers) == -1
