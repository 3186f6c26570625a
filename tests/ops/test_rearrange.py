"""Space into channels and back, against the formula of each, torch, and the slow reference: bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from downup import kernels, ops
from downup.errors import ArgumentError
from downup.kernels import reference
from downup.ops import _rearrange_composed as composed

LAYOUTS = (torch.contiguous_format, torch.channels_last)
TYPES = (
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.uint8,
    torch.int32,
    torch.int64,
    torch.bool,
)
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@pytest.fixture(params=kernels.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def _random_bits(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Any bits at all, NaNs of every payload among them."""
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    count = int(np.prod(shape)) * dtype.itemsize
    return torch.randint(0, 256, (count,), dtype=torch.uint8).view(dtype).view(shape)


def _bits(x: Tensor) -> Tensor:
    return x.view(_BITS[x.dtype.itemsize])


def _by_formula(x: np.ndarray[Any, Any], factor: int, order: str) -> np.ndarray[Any, Any]:
    n, blocks, h, w = x.shape
    c, r = blocks // factor**2, factor
    if order == "CRD":
        return x.reshape(n, c, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c, h * r, w * r)
    return x.reshape(n, r, r, c, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c, h * r, w * r)


def _check(blocks: Tensor, factor: int, order: str) -> None:
    """Up and down again, against the formula; the layouts against torch's."""
    plane = ops.pixel_shuffle(blocks, factor, order=order)
    expected = _by_formula(_bits(blocks.contiguous()).numpy(), factor, order)
    np.testing.assert_array_equal(_bits(plane.contiguous()).numpy(), expected)
    back = ops.pixel_unshuffle(plane, factor, order=order)
    assert torch.equal(_bits(back.contiguous()), _bits(blocks.contiguous()))
    assert plane.stride() == torch.pixel_shuffle(blocks, factor).stride()
    assert back.stride() == torch.pixel_unshuffle(plane, factor).stride()


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_each_sample_goes_where_the_formula_says(factor: int, batch: tuple[int, ...]) -> None:
    image = torch.arange(float(torch.tensor([*batch, 2, 4 * factor, 3 * factor]).prod()))
    image = image.view(*batch, 2, 4 * factor, 3 * factor)
    for order in ("CRD", "DCR"):
        down = ops.pixel_unshuffle(image, factor, order=order)
        assert down.shape == (*batch, 2 * factor**2, 4, 3)
        for c, y, x in itertools.product(range(2), range(factor), range(factor)):
            channel = (c * factor + y) * factor + x if order == "CRD" else (y * factor + x) * 2 + c
            assert torch.equal(down[..., channel, :, :], image[..., c, y::factor, x::factor])
        assert torch.equal(ops.pixel_shuffle(down, factor, order=order), image)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_every_bit_arrives_in_every_layout_on_every_instruction_set(
    isa: str, dtype: torch.dtype, factor: int
) -> None:
    torch.manual_seed(factor)
    sizes = [(1, 3, 2, 70), (2, 1, 3, 33), (1, 17, 1, 5), (1, 64 if factor < 4 else 20, 2, 3), (3, 2, 5, 16)]
    for n, c, h, w in sizes:
        for layout, order in itertools.product(LAYOUTS, ("CRD", "DCR")):
            blocks = _random_bits((n, c * factor**2, h, w), dtype).contiguous(memory_format=layout)
            _check(blocks, factor, order)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_share_planes_and_long_rows(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for shape in ((2, 36, 40, 50), (1, 4, 1, 40_000), (1, 4, 1, 16_383), (1, 40_000, 1, 1)):
            for layout in LAYOUTS:
                _check(_random_bits(shape, torch.float32).contiguous(memory_format=layout), 2, "CRD")
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("columns", [64, 49])
def test_outputs_too_large_for_the_caches_are_the_same(isa: str, dtype: torch.dtype, columns: int) -> None:
    count = 5_000_000 if dtype == torch.float32 else 18_000_000
    for layout in LAYOUTS:
        blocks = _random_bits((count // (64 * 40 * columns), 64, 40, columns), dtype)
        blocks = blocks.contiguous(memory_format=layout)
        plane = ops.pixel_shuffle(blocks, 2)
        assert torch.equal(_bits(plane), _bits(torch.pixel_shuffle(blocks, 2)))
        assert torch.equal(_bits(ops.pixel_unshuffle(plane, 2)), _bits(blocks))


def test_any_strides_are_read_where_they_lie() -> None:
    whole = torch.randn(3, 40, 12, 14)
    views = {
        "columns": whole[..., 3:11],
        "every other": whole[:, ::2, ::2, ::2],
        "transposed": whole.transpose(2, 3),
        "channels": whole.contiguous(memory_format=torch.channels_last)[:, 4:20],
        "expanded": whole[:1, :, :1, :1].expand(2, 40, 6, 8),
        "one channel": torch.randn(2, 4, 6, 8)[:, :1].expand(2, 4, 6, 8),
        "batch": whole.transpose(0, 1)[:, :, :, :].transpose(0, 1),
    }
    for name, view in views.items():
        for order in ("CRD", "DCR"):
            _check(view, 2, order)
        down = ops.pixel_unshuffle(view, 2) if view.shape[3] % 2 == 0 and view.shape[2] % 2 == 0 else None
        if down is not None:
            assert torch.equal(down, torch.pixel_unshuffle(view, 2)), name
    unbatched = whole[0].transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(ops.pixel_shuffle(unbatched, 2), torch.pixel_shuffle(unbatched, 2))
    five = torch.randn(2, 3, 8, 5, 4).transpose(0, 1)
    assert torch.equal(ops.pixel_shuffle(five, 2), torch.pixel_shuffle(five, 2))


def test_the_reference_is_the_formula() -> None:
    x = np.random.default_rng(0).standard_normal((2, 18, 3, 5))
    for order in ("CRD", "DCR"):
        plane = reference.pixel_shuffle(x, 3, order)
        np.testing.assert_array_equal(plane, _by_formula(x, 3, order))
        np.testing.assert_array_equal(reference.pixel_unshuffle(plane, 3, order), x)
        ours = ops.pixel_shuffle(torch.from_numpy(x), 3, order=order)
        np.testing.assert_array_equal(ours.numpy(), plane)


@pytest.mark.parametrize("order", ["CRD", "DCR"])
def test_composed_of_torchs_views_it_is_the_same(order: str) -> None:
    for shape in ((2, 18, 3, 4), (18, 3, 4), (2, 3, 18, 3, 4)):
        for layout in LAYOUTS if len(shape) == 4 else LAYOUTS[:1]:
            x = torch.randn(shape).contiguous(memory_format=layout)
            plane = composed.pixel_shuffle(x, 3, order, layout)
            native = ops.pixel_shuffle(x, 3, order=order)
            assert torch.equal(plane, native)
            assert plane.stride() == native.stride()
            assert torch.equal(composed.pixel_unshuffle(plane, 3, order, layout), x)


def test_types_and_devices_without_kernels_work_too() -> None:
    x = torch.randn(2, 8, 3, 3, dtype=torch.complex64)
    assert torch.equal(ops.pixel_shuffle(x.conj(), 2), torch.pixel_shuffle(x.conj(), 2))
    assert torch.equal(ops.pixel_unshuffle(ops.pixel_shuffle(x, 2), 2), x)
    on_meta = torch.empty(2, 8, 3, 5, device="meta").contiguous(memory_format=torch.channels_last)
    assert (
        ops.pixel_shuffle(on_meta, 2).stride()
        == torch.pixel_shuffle(
            torch.randn(on_meta.shape).contiguous(memory_format=torch.channels_last), 2
        ).stride()
    )


def test_an_empty_batch_stays_empty() -> None:
    x = torch.zeros(0, 8, 3, 5, requires_grad=True)
    plane = ops.pixel_shuffle(x, 2)
    assert plane.shape == (0, 2, 6, 10)
    assert ops.pixel_unshuffle(plane, 2).shape == x.shape
    plane.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("order", ["CRD", "DCR"])
def test_gradients_equal_finite_differences(order: str) -> None:
    for layout in LAYOUTS:
        image = torch.randn(1, 8, 2, 4, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
        for call in (ops.pixel_shuffle, ops.pixel_unshuffle):
            run = lambda x, call=call: call(x, 2, order=order)  # noqa: E731
            assert torch.autograd.gradcheck(run, (image,), check_batched_grad=True, check_forward_ad=True)
            assert torch.autograd.gradgradcheck(run, (image,), check_batched_grad=True)


def test_torchs_transforms_know_them() -> None:
    x = torch.randn(3, 2, 8, 2, 4)
    assert torch.equal(torch.func.vmap(lambda x: ops.pixel_shuffle(x, 2))(x), ops.pixel_shuffle(x, 2))
    value, tangent = torch.func.jvp(lambda x: ops.pixel_unshuffle(x, 2), (x,), (x + 1,))
    assert torch.equal(tangent, ops.pixel_unshuffle(x + 1, 2))
    assert torch.equal(value, ops.pixel_unshuffle(x, 2))
    gradient = torch.func.grad(lambda x: (ops.pixel_shuffle(x, 2) ** 2).sum())(x)
    torch.testing.assert_close(gradient, 2 * x, rtol=0, atol=0)


@pytest.mark.parametrize("order", ["CRD", "DCR"])
def test_torch_checks_the_registration(order: str) -> None:
    for layout, dtype in itertools.product(LAYOUTS, (torch.float32, torch.float16, torch.complex64)):
        x = torch.randn(2, 8, 2, 4, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
        torch.library.opcheck(torch.ops.downup.pixel_shuffle.default, (x, 2, order))
        torch.library.opcheck(torch.ops.downup.pixel_unshuffle.default, (x, 2, order))


def test_one_graph_serves_every_size() -> None:
    graphs = 0

    def counting(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph

    torch.compiler.reset()
    compiled = torch.compile(
        lambda x: ops.pixel_shuffle(ops.pixel_unshuffle(x, 2, order="DCR"), 2) * 2,
        backend=counting,
        fullgraph=True,
        dynamic=True,
    )
    for size in ((8, 12), (6, 14), (20, 10)):
        x = torch.randn(2, 3, *size)
        assert torch.equal(compiled(x), 2 * ops.pixel_shuffle(ops.pixel_unshuffle(x, 2, order="DCR"), 2))
    assert graphs == 1


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    refused: list[tuple[Any, str]] = [
        (lambda: ops.pixel_shuffle(torch.ones(1, 6, 2, 2), 2), "multiple of 4 channels"),
        (lambda: ops.pixel_shuffle(torch.ones(1, 4, 2, 2), 0), "upscale_factor >= 1"),
        (lambda: ops.pixel_unshuffle(torch.ones(1, 4, 5, 6), 2), "5 rows do not divide by it; pad to 6"),
        (lambda: ops.pixel_unshuffle(torch.ones(1, 4, 6, 5), 2), "5 columns"),
        (lambda: ops.pixel_unshuffle(torch.ones(4, 4), 2), "channels, rows and columns"),
        (lambda: ops.pixel_shuffle(torch.ones(1, 4, 2, 2), 2, order="RCD"), 'use "CRD"'),
        (lambda: ops.pixel_unshuffle(torch.ones(1, 4, 2, 2), 2, order=["CRD"]), 'use "CRD"'),  # type: ignore[arg-type]
    ]
    for call, words in refused:
        with pytest.raises(ArgumentError, match=words):
            call()
