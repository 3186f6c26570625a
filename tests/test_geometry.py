"""Every size rule against torch's own shapes, Keras's documented ones, and symbols."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any, Literal

import pytest
import sympy  # type: ignore[import-untyped]
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from downup import geometry
from downup.errors import ArgumentError
from downup.geometry import Step


def _case(seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    return {
        "size": (draw.randint(1, 40), draw.randint(1, 40)),
        "kernel": (draw.randint(1, 7), draw.randint(1, 7)),
        "stride": (draw.randint(1, 5), draw.randint(1, 5)),
        "dilation": (draw.randint(1, 3), draw.randint(1, 3)),
        "padding": (draw.randint(0, 4), draw.randint(0, 4)),
        "ceil_mode": draw.random() < 0.5,
        "extra": (draw.randint(0, 4), draw.randint(0, 4)),
    }


def _torch_shape(function: Any, *arguments: Any, **options: Any) -> tuple[int, ...] | None:
    """Shape of the answer; None where torch refuses."""
    try:
        return tuple(function(*arguments, **options).shape)
    except RuntimeError:
        return None


def _our_shape(function: Any, *arguments: Any, **options: Any) -> tuple[int, ...] | None:
    try:
        return tuple(function(*arguments, **options))
    except ArgumentError:
        return None


def test_convolution_sizes_and_refusals_equal_torch(is_long: bool) -> None:
    refused = 0
    for seed in range(20_000 if is_long else 1_500):
        case = _case(seed)
        image = torch.empty(2, 3, *case["size"], device="meta")
        weight = torch.empty(4, 3, *case["kernel"], device="meta")
        theirs = _torch_shape(
            torch.conv2d, image, weight, None, case["stride"], case["padding"], case["dilation"]
        )
        ours = _our_shape(
            geometry.conv_shape,
            image.shape,
            4,
            case["kernel"],
            case["stride"],
            case["padding"],
            case["dilation"],
        )
        assert ours == theirs, case
        refused += theirs is None
    assert refused > 20


def test_transposed_convolution_sizes_equal_torch(is_long: bool) -> None:
    accepted = 0
    for seed in range(20_000 if is_long else 800):
        case = _case(seed)
        image, weight = (
            torch.empty(1, 1, *case["size"]),
            torch.empty(1, 4, *case["kernel"]),
        )  # meta checks less
        options = (case["stride"], case["padding"], case["extra"])
        ours = _our_shape(
            geometry.conv_transpose_shape, image.shape, 4, case["kernel"], *options, case["dilation"]
        )
        theirs = _torch_shape(torch.conv_transpose2d, image, weight, None, *options, 1, case["dilation"])
        is_empty = theirs is not None and 0 in theirs  # we refuse to return nothing
        assert ours == (None if is_empty else theirs), case
        accepted += ours is not None
    assert accepted > 200


def test_pool_sizes_and_refusals_equal_torch(is_long: bool) -> None:
    one_less = 0
    for seed in range(20_000 if is_long else 1_500):
        case = _case(seed)
        image = torch.empty(2, 3, *case["size"], device="meta")
        options = (case["stride"], case["padding"], case["dilation"], case["ceil_mode"])
        theirs = _torch_shape(torch.max_pool2d, image, case["kernel"], *options)
        ours = _our_shape(geometry.pool_shape, image.shape, case["kernel"], *options)
        # torch compares the padding with half the kernel size; we with half of what the window spans.
        is_wider = any(case["padding"][axis] > case["kernel"][axis] // 2 for axis in (0, 1))
        assert ours == theirs or (is_wider and theirs is None), case
        if ours is not None and case["ceil_mode"]:
            for axis in (0, 1):
                span = geometry.extent(case["kernel"][axis], case["dilation"][axis])
                rounded = (
                    -((span - case["size"][axis] - 2 * case["padding"][axis]) // case["stride"][axis]) + 1
                )
                one_less += rounded != ours[2 + axis]
    assert one_less > 10  # the last-window rule was at work


def test_interpolated_sizes_equal_torch() -> None:
    for seed in range(300):
        draw = random.Random(seed)
        image = torch.empty(1, 1, draw.randint(1, 30), draw.randint(1, 30), device="meta")
        factor = draw.choice([1, 2, 3, 0.5, 1.5, 2.25, 0.3])
        theirs = _torch_shape(torch.nn.functional.interpolate, image, scale_factor=factor)
        assert _our_shape(geometry.upsample_shape, image.shape, scale_factor=factor) == theirs


def test_same_padding_puts_the_odd_pixel_at_the_end_at_any_stride() -> None:
    # TensorFlow's documented rule, worked by hand.
    assert geometry.axis_padding("same", 5, 2) == (0, 1)
    assert geometry.axis_padding("same_lower", 5, 2) == (1, 0)
    assert geometry.axis_padding("same", 6, 3, 2) == (0, 1)
    assert geometry.axis_padding("same", 7, 3, 2) == (1, 1)
    assert geometry.axis_padding("same", 8, 1, 3) == (0, 0)
    assert geometry.axis_padding("same", 10, 3, 2, dilation=2) == (1, 2)
    for size in range(1, 30):
        for kernel in range(1, 8):
            for stride in range(1, 8):
                before, after = geometry.axis_padding("same", size, kernel, stride)
                out = geometry.window_out_size(size, kernel, stride, (before, after))
                assert out == -(-size // stride)
                assert after - before in (0, 1)
                # The least that does: one pixel less gives another size, unless there was none.
                assert before + after == max((out - 1) * stride + kernel - size, 0)


def test_padding_means_the_same_however_it_is_written() -> None:
    for written in (1, (1, 1), [1, 1], ((1, 1), (1, 1))):
        assert geometry.resolve_padding(written, (9, 9), 3) == ((1, 1), (1, 1))  # type: ignore[arg-type]
    assert geometry.resolve_padding("valid", (9, 9), 3) == ((0, 0), (0, 0))
    assert geometry.resolve_padding(((0, 1), (2, 3)), (9, 9), 3) == ((0, 1), (2, 3))


@pytest.mark.parametrize(
    ("padding", "words"),
    [
        ((1, 1, 1, 1), r"\(\(top, bottom\), \(left, right\)\)"),
        ("full", "same_lower"),
        (-1, "padding >= 0"),
        (1.5, "whole numbers"),
        (True, "whole numbers"),
        (None, "whole numbers"),
        ((1, (2, 3)), "same_lower"),
        ((1, 2, 3), "pair"),
    ],
)
def test_a_padding_that_is_none_is_refused_with_the_way_out(padding: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        geometry.resolve_padding(padding, (9, 9), 3)


def test_a_window_that_does_not_fit_is_refused_with_the_way_out() -> None:
    with pytest.raises(ArgumentError) as caught:
        geometry.conv_shape((1, 1, 3, 9), 1, 5)
    assert str(caught.value) == (
        "kernel_size is 5 but the padded input has only 3 rows; use kernel_size <= 3 or padding >= 1"
    )
    assert geometry.conv_shape((1, 1, 3, 9), 1, 5, padding=1) == (1, 1, 1, 7)
    with pytest.raises(ArgumentError, match="padding <= 1, half the window"):
        geometry.pool_shape((1, 1, 9, 9), 3, padding=2)


# Keras's rule for transposed convolution: input, kernel, stride, padding, output_padding, dilation, output.
_KERAS = [
    (8, 3, 2, "valid", None, 1, 17),  # 8 * 2 + max(3 - 2, 0)
    (8, 2, 3, "valid", None, 1, 24),  # a window shorter than the stride
    (8, 3, 3, "valid", None, 1, 24),
    (8, 3, 2, "valid", 1, 1, 18),  # (8 - 1) * 2 + 3 + 1
    (8, 3, 2, "valid", None, 2, 19),  # a window of extent 5
    (8, 3, 2, "same", None, 1, 16),
    (8, 4, 5, "same", None, 1, 40),
    (8, 3, 2, "same", 0, 1, 15),  # (8 - 1) * 2 + 3 % 2
    (8, 3, 2, "same", 1, 1, 16),
    (8, 4, 2, "same", 0, 1, 14),
    (8, 3, 1, "same", None, 3, 8),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "extra", "dilation", "expected"), _KERAS)
def test_transposed_convolution_knows_the_rule_of_keras(
    size: int, kernel: int, stride: int, padding: Any, extra: int | None, dilation: int, expected: int
) -> None:
    assert (
        geometry.transposed_out_size(size, kernel, stride, padding, extra, dilation, rule="keras") == expected
    )


def test_the_example_in_the_documentation_of_keras() -> None:
    # Conv2DTranspose(32, 2, 2) on (4, 10, 8, 128), and Conv2D(2, 3) on batch shape (4, 7).
    assert geometry.conv_transpose_shape(
        (4, 10, 8, 128), 32, 2, 2, "valid", rule="keras", data_format="channels_last"
    ) == (4, 20, 16, 32)
    assert geometry.conv_shape((4, 7, 28, 28, 3), 2, 3, data_format="channels_last") == (4, 7, 26, 26, 2)
    assert geometry.upsample_shape((2, 5, 7, 3), scale_factor=(1, 2), data_format="channels_last") == (
        2,
        5,
        14,
        3,
    )


def test_the_rules_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ArgumentError, match='rule "keras" knows'):
        geometry.transposed_out_size(8, 3, padding=1, rule="keras")
    with pytest.raises(ArgumentError, match='"torch" or "keras"'):
        geometry.transposed_out_size(8, 3, rule="caffe")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="use 0 to 1"):
        geometry.transposed_out_size(8, 3, stride=2, output_padding=2)
    with pytest.raises(ArgumentError, match="channels_last"):
        geometry.conv_shape((1, 1, 3, 9), 1, 1, data_format="NCHW")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="exactly one"):
        geometry.upsample_shape((1, 1, 2, 2), size=3, scale_factor=2)
    with pytest.raises(ArgumentError, match="above 0"):
        geometry.repeat_out_size(5, 0)


def test_the_question_backwards_finds_what_gives_the_size() -> None:
    for size, kernel, stride in itertools.product(range(1, 12), range(1, 6), range(1, 5)):
        without = geometry.transposed_out_size(size, kernel, stride)
        for asked in range(1, without + 1):
            padding = geometry.padding_for(asked, size, kernel, stride, direction="up")
            assert geometry.transposed_out_size(size, kernel, stride, padding) == asked
            assert geometry.output_padding_for(asked, size, kernel, stride, padding) == 0
            # The same padding leads back down, and no smaller one does.
            assert geometry.window_out_size(asked, kernel, stride, padding) == size
            assert sum(geometry.padding_for(size, asked, kernel, stride)) <= sum(padding)
        with pytest.raises(ArgumentError, match=f"without padding it is {without}"):
            geometry.padding_for(without + 1, size, kernel, stride, direction="up")


def test_which_output_padding_or_padding_gives_225() -> None:
    assert geometry.output_padding_for(225, 113, kernel_size=3, stride=2, padding=1) == 0
    assert geometry.output_padding_for(226, 113, kernel_size=3, stride=2, padding=1) == 1
    with pytest.raises(ArgumentError, match="can give 225 to 226"):
        geometry.output_padding_for(227, 113, kernel_size=3, stride=2, padding=1)
    assert geometry.padding_for(225, 112, kernel_size=3, stride=2, direction="up") == (0, 0)
    assert geometry.padding_for(225, 449, kernel_size=7, stride=2) == (3, 3)
    with pytest.raises(ArgumentError, match="without padding it is 446"):
        geometry.padding_for(225, 450, kernel_size=5)


def _seen(steps: list[Step], size: int, out: int) -> set[int]:
    """Inputs that output `out` depends on, followed back sample by sample."""
    samples = {out}
    for step in reversed(steps):
        taps = [step.dilation * k for k in range(step.kernel_size)]
        if step.direction == "down":
            samples = {y * step.stride - step.padding + tap for y in samples for tap in taps}
        else:
            spread = {y + step.padding - tap for y in samples for tap in taps}
            samples = {y // step.stride for y in spread if y % step.stride == 0}
    return samples


def test_receptive_field_equals_samples_followed_back() -> None:
    for seed in range(200):
        draw = random.Random(seed)
        steps = [
            Step(
                draw.randint(1, 5),
                draw.randint(1, 3),
                draw.randint(0, 2),
                direction=draw.choice(["down", "up"]),
            )
            for _ in range(draw.randint(1, 4))
        ]
        steps = [
            s if s.kernel_size >= s.stride else Step(s.stride, s.stride, 0, direction=s.direction)
            for s in steps
        ]
        field = geometry.receptive_field(steps)
        sets = [_seen(steps, 0, out) for out in range(100, 200)]
        assert field.size == max(max(seen) - min(seen) + 1 for seen in sets), steps


def test_receptive_field_of_known_networks() -> None:
    conv, pool = Step(3, padding=1), Step(2, stride=2)
    vgg = [conv, conv, pool, conv, conv, pool] + [conv, conv, conv, pool] * 3
    assert geometry.receptive_field(vgg) == geometry.Field(212, Fraction(32), Fraction(31, 2))
    fc6 = geometry.receptive_field([*vgg, Step(7)])
    assert (fc6.size, fc6.stride) == (404, Fraction(32))
    whole = geometry.receptive_field([*vgg, Step(7, padding=3), Step.upsample(32, "bilinear")])
    assert (whole.stride, whole.offset) == (
        Fraction(1),
        Fraction(0),
    )  # labels lie exactly on the pixels that they label


def test_upsampling_steps_keep_samples_centred() -> None:
    modes: tuple[Literal["nearest", "bilinear", "bicubic"], ...] = ("nearest", "bilinear", "bicubic")
    for mode in modes:
        for factor in (1, 2, 3, 4, 5, 8):
            field = geometry.receptive_field([Step.upsample(factor, mode)])
            assert field.stride == Fraction(1, factor)
            assert field.offset == Fraction(1, 2 * factor) - Fraction(1, 2)


def test_sizes_of_symbols_are_expressions_that_hold_for_every_number() -> None:
    n = sympy.Symbol("n", integer=True, positive=True)
    for seed in range(60):
        draw = random.Random(seed)
        kernel, stride, dilation = draw.randint(1, 6), draw.randint(1, 5), draw.randint(1, 2)
        padding: Any = draw.choice([0, 1, (0, 2), "same", "same_lower", "valid"])
        ceil_mode = draw.random() < 0.5
        down = geometry.window_out_size(n, kernel, stride, padding, dilation, ceil_mode)
        up = geometry.transposed_out_size(n, kernel, stride, "same", dilation=dilation)
        sides = geometry.axis_padding("same", n, kernel, stride, dilation)
        for size in (11, 12, 13, 14, 15, 30):
            by_number = geometry.window_out_size(size, kernel, stride, padding, dilation, ceil_mode)
            assert sympy.sympify(down).subs(n, size) == by_number, (seed, down)
            assert sympy.sympify(up).subs(n, size) == size * stride
            assert tuple(sympy.sympify(side).subs(n, size) for side in sides) == geometry.axis_padding(
                "same", size, kernel, stride, dilation
            )


def test_whole_shapes_take_symbols() -> None:
    rows, columns = sympy.symbols("rows columns", integer=True, positive=True)
    assert geometry.pool_shape((1, 8, rows, columns), 2)[2:] == (rows // 2, columns // 2)
    assert geometry.conv_transpose_shape((1, 8, rows, columns), 4, 2, 2) == (1, 4, 2 * rows, 2 * columns)
    assert geometry.shuffle_shape((1, 8, rows, columns), 2, "up") == (1, 2, 2 * rows, 2 * columns)
    assert geometry.upsample_shape((1, 8, 4, 4), size=(rows, columns)) == (1, 8, rows, columns)


def test_sizes_of_torch_symbols_are_traced_without_a_guard() -> None:
    def sizes(n: int) -> tuple[int, ...]:
        out = geometry.window_out_size(n, 1, 3, "same")
        out = geometry.window_out_size(out, 2, 2, (1, 1), ceil_mode=True)
        before, after = geometry.axis_padding("same", n, 2, 3)
        (sides, _), (extra, _) = geometry.resolve_transposed_padding(
            "same", (n, n), 2, 3, output_size=(3 * n, 3 * n)
        )
        return out, before, after, *sides, extra, geometry.transposed_out_size(out, 3, 2, (1, 1))

    guards = []

    def traced(x: torch.Tensor) -> torch.Tensor:
        size: Any = x.shape[0]
        before = len(size.node.shape_env.guards)
        answer = sizes(size)
        guards.extend(size.node.shape_env.guards[before:])
        return torch.tensor([1]) + torch.stack([torch.ones((), dtype=torch.int64) * size for size in answer])

    graph = make_fx(traced, tracing_mode="symbolic")(torch.empty(19))
    assert not guards
    for size in (2, 3, 7, 20, 40):
        assert tuple(graph(torch.empty(size)) - 1) == sizes(size)
