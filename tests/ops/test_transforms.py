"""torch.func, forward derivatives and batched gradients through every operator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

from downup import ops

CALLS: dict[str, Any] = {
    "max_pool2d": lambda x: ops.max_pool2d(x, 3, 2, 1),
    "max_pool2d_int64": lambda x: ops.max_pool2d(x, 2, return_indices=True)[0],
    "adaptive_max_pool2d": lambda x: ops.adaptive_max_pool2d(x, 4),
    "max_unpool2d": lambda x: ops.max_unpool2d(*ops.max_pool2d_with_offsets(x, 2), 2, output_size=(9, 8)),
    "max_blur_pool2d": ops.max_blur_pool2d,
    "avg_pool2d": lambda x: ops.avg_pool2d(x, 3, 2, "same"),
    "lp_pool2d": lambda x: ops.lp_pool2d(x, 2, 2),
    "adaptive_avg_pool2d": lambda x: ops.adaptive_avg_pool2d(x, 4),
    "blur_pool2d": ops.blur_pool2d,
    "bilinear": lambda x: ops.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic": lambda x: ops.interpolate(x, size=5, mode="bicubic", antialias=True, coordinates="asymmetric"),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: ops.pixel_unshuffle(x[..., :8, :], 2, order="DCR"),
}
by_name = pytest.mark.parametrize("name", CALLS)


def images() -> torch.Tensor:
    return torch.randn(3, 2, 4, 9, 8, dtype=torch.float64)


@by_name
def test_vmap(name: str) -> None:
    x = images()
    torch.testing.assert_close(torch.func.vmap(CALLS[name])(x), torch.stack([CALLS[name](y) for y in x]))


@by_name
def test_gradients_of_functions(name: str) -> None:
    x = images()[0]

    def loss(x: torch.Tensor) -> torch.Tensor:
        return CALLS[name](x).square().sum()  # type: ignore[no-any-return]

    recorded = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(recorded), recorded)
    torch.testing.assert_close(torch.func.grad(loss)(x), expected)


@by_name
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated"
)  # torch's own forward derivatives use it
def test_forward_derivatives(name: str) -> None:
    x, way = images()[:2]
    recorded = x.clone().requires_grad_()
    out = CALLS[name](recorded)
    weight = torch.randn_like(out)
    (gradient,) = torch.autograd.grad(out, recorded, weight)
    for function in (torch.func.jvp, _dual):
        value, tangent = function(CALLS[name], (x,), (way,))
        torch.testing.assert_close(value, out.detach())
        torch.testing.assert_close((tangent * weight).sum(), (gradient * way).sum())


def _dual(function: Any, x: Any, way: Any) -> Any:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(x[0], way[0])))


@by_name
def test_many_gradients_at_once(name: str) -> None:
    x = images()[0].requires_grad_()
    out = CALLS[name](x)
    weights = torch.randn(3, *out.shape, dtype=out.dtype)
    (together,) = torch.autograd.grad(out, x, weights, is_grads_batched=True, retain_graph=True)
    alone = [torch.autograd.grad(out, x, weight, retain_graph=True)[0] for weight in weights]
    torch.testing.assert_close(together, torch.stack(alone))
