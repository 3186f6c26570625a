"""Operators in unusual company: another default device, turned layouts under compilation, remembered plans."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest
import torch

from downup import ops
from downup.errors import ArgumentError
from downup.ops._arguments import Kept
from downup.ops._resample_plan import MOST_BYTES, tables

CALLS: dict[str, Any] = {
    "avg_pool2d": lambda x: ops.avg_pool2d(x, 2),
    "interpolate": lambda x: ops.interpolate(x, scale_factor=2, mode="bilinear"),
    "max_pool2d": lambda x: ops.max_pool2d(x, 2),
    "adaptive_max_pool2d": lambda x: ops.adaptive_max_pool2d(x, 3),
    "max_unpool2d": lambda x: ops.max_unpool2d(
        *ops.max_pool2d_with_offsets(x, 2), 2, output_size=x.shape[2:]
    ),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: ops.pixel_unshuffle(x, 2),
}
LAYOUTS: dict[str, Any] = {
    "channels-first": lambda x: x,
    "channels-last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "turned channels-last": lambda x: x.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1),
    "turned channels-first": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "stepped": lambda x: x.repeat_interleave(2, 3)[..., ::2],
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_default_device_is_not_that_of_the_image(name: str, layout: str) -> None:
    image = LAYOUTS[layout](torch.rand(2, 8, 6, 4))
    expected = CALLS[name](image)
    with torch.device("meta"):
        recorded = image.clone().requires_grad_()
        answer = CALLS[name](recorded)
        answer.sum().backward()
    assert torch.equal(answer, expected)
    assert recorded.grad is not None
    assert recorded.grad.device.type == "cpu"


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_compiled_as_it_is_called(name: str, layout: str) -> None:
    image = LAYOUTS[layout](torch.rand(2, 8, 6, 4))
    torch.compiler.reset()
    compiled = torch.compile(lambda x: CALLS[name](x).flatten(1) * 1, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(image), CALLS[name](image).flatten(1))
    assert CALLS[name](image).stride() == CALLS[name](image.to("meta")).stride()


@pytest.mark.parametrize("pool", [ops.avg_pool2d, ops.max_pool2d])
def test_a_remembered_plan_answers_to_its_own_arguments_only(pool: Any) -> None:
    image = torch.rand(1, 1, 6, 6)
    pool(image, 2)
    pool(image, (2, 2))
    assert torch.equal(pool(image, [2, 2], [2, 2]), pool(image, 2))
    for wrong in (2.0, True, (2.0, 2), [2.0, 2], np.ones(2)):
        with pytest.raises(ArgumentError, match="kernel_size"):
            pool(image, wrong)


def test_numbers_of_the_wrong_kind_are_named() -> None:
    image = torch.rand(1, 1, 6, 6)
    for wrong in (2.5, "inside", float("nan"), 10**31, 0):
        with pytest.raises(ArgumentError, match="divisor_override"):
            ops.avg_pool2d(image, 2, divisor_override=wrong)  # type: ignore[arg-type]
    for wrong in ("a", 1e4, float("nan")):
        with pytest.raises(ArgumentError, match="cubic_coefficient"):
            ops.interpolate(image, size=3, mode="bicubic", cubic_coefficient=wrong)  # type: ignore[arg-type]


def test_an_image_of_gigabytes_that_is_hardly_read() -> None:
    # 6.7 GB of which no page is touched but the few that are read: the samples of one vector lie over 2^31 apart.
    no_reserve = 0x4000  # MAP_NORESERVE, which Python's module names only later
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    memory = torch.frombuffer(mmap.mmap(-1, 2**26 * 100, flags=flags), dtype=torch.uint8)
    image = memory.view(1, 1, 2**26, 100).permute(0, 3, 1, 2)
    assert not ops.interpolate(image, size=(1, 2)).any()


def test_infinities_that_nobody_weighs_spoil_nothing() -> None:
    image = torch.ones(1, 1, 1, 8)
    image[..., 3] = torch.inf
    for mode in ("bilinear", "bicubic", "lanczos"):
        assert torch.equal(ops.interpolate(image, size=(1, 8), mode=mode), image)


def test_what_is_kept_weighs_no_more_than_allowed() -> None:
    kept = Kept(10, len)
    for key in "abc":
        kept.put(key, key * 4)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (None, "bbbb", "cccc")
    kept.put("d", "d" * 11)  # too heavy alone, it drives nobody out
    assert (kept.get("d"), kept.get("b"), kept.weight) == (None, "bbbb", 8)


def test_tables_of_many_large_images_do_not_pile_up() -> None:
    for columns in range(200_000, 200_040):
        ops.adaptive_avg_pool2d(torch.zeros(1, 1, 1, columns, dtype=torch.uint8), 1)
    assert 0 < tables.weight <= MOST_BYTES


def test_a_size_taken_from_another_image_is_remembered_too() -> None:
    image, other = torch.rand(1, 1, 6, 6), torch.rand(1, 1, 9, 4)
    for _ in range(2):
        assert ops.interpolate(image, size=other.shape[2:]).shape == other.shape
