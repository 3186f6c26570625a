"""When a result agrees with torch's: the same bits, or as near as the roundings of its sums allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ops.test_select import equal_bits

# Relative error of one rounding to nearest.
UNIT = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}
Call = Callable[[Tensor], Tensor]


def tensors(result: Any) -> list[Tensor]:
    """The tensors of a result that is one, or a pair."""
    return [result] if isinstance(result, Tensor) else list(result)


def assert_equal_bits(ours: Any, theirs: Any, about: Any = "") -> None:
    for mine, other in zip(tensors(ours), tensors(theirs), strict=True):
        assert mine.shape == other.shape, (mine.shape, other.shape, about)
        assert mine.dtype == other.dtype, (mine.dtype, other.dtype, about)
        if mine.is_complex():
            mine, other = torch.view_as_real(mine), torch.view_as_real(other)
        assert equal_bits(mine, other), about


def assert_near(
    ours: Tensor, exact: Tensor, magnitude: Tensor, taps: int, about: Any = "", slack: float | Tensor = 0.0
) -> None:
    """`|ours - exact| <= (taps + 2) * 2^-24 * sum|w x|`, 2^-53 for float64; a short type is rounded once more.

    A whole number is the exact sum rounded to nearest. `slack` is how wrong `exact` may be itself.
    """
    assert ours.shape == exact.shape, (ours.shape, exact.shape, about)
    finite = exact.isfinite()
    value = ours.double()
    assert torch.equal(value.isnan(), exact.isnan()), about
    assert torch.equal(value[~finite & ~exact.isnan()], exact[~finite & ~exact.isnan()]), about
    unit = UNIT[torch.float64] if ours.dtype is torch.float64 else UNIT[torch.float32]
    bound = (taps + 2) * unit * magnitude + slack
    if ours.dtype in (torch.float16, torch.bfloat16):
        # The least float16 is 2^-24: half of it is lost at most where the result underflows.
        bound = bound + UNIT[ours.dtype] * (exact.abs() + bound) + 2.0**-25
    elif not ours.is_floating_point():
        limits = torch.iinfo(ours.dtype)
        exact, bound = exact.clamp(limits.min, limits.max), bound + 0.5
    error = (value - exact).abs()
    is_bad = finite & ~(error <= bound)
    assert not is_bad.any(), (
        f"{int(is_bad.sum())} of {is_bad.numel()} are off, the worst by {float((error / bound)[is_bad].max()):.3g} "
        f"of what is allowed: {about}"
    )


class Weights:
    """A separable linear operator of torch in float64, taken apart: its weights along each axis.

    The weight of a tap is read from an image that is 1 in one row and 0 elsewhere: exactly, where the weights of an
    axis sum to 1 (`is_interpolation`, which may have weights of both signs); else but for a factor.
    """

    def __init__(self, call: Call, in_size: tuple[int, int], is_interpolation: bool) -> None:
        self.call, self.is_interpolation = call, is_interpolation
        rows, columns = in_size
        eye = torch.eye(rows, dtype=torch.float64)
        self.rows = call(eye[None, :, :, None].expand(1, rows, rows, columns))[0, :, :, 0].T
        eye = torch.eye(columns, dtype=torch.float64)
        self.columns = call(eye[None, :, None, :].expand(1, columns, rows, columns))[0, :, 0, :].T
        counts = [w.ne(0) for w in (self.rows, self.columns)]
        self.taps = _taps(*(int(c.sum(1).max()) for c in counts))
        self.taps_back = _taps(*(int(c.sum(0).max()) for c in counts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The exact result for `x` in float64, and the sums of |w x|."""
        x = x.double()
        if not self.is_interpolation:
            return self.call(x), self.call(x.abs()).abs()
        return self.call(x), self.rows.abs() @ x.abs() @ self.columns.abs().T

    def backward(self, gradient: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The exact gradient for the input of this shape, and the sums of |w g|."""
        gradient = gradient.double()
        if self.is_interpolation:
            # The transpose of what torch computes; its own gradient, antialiased, may be that of another factor.
            exact = self.rows.T @ gradient @ self.columns
            return exact, self.rows.abs().T @ gradient.abs() @ self.columns.abs()
        x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        (exact,) = torch.autograd.grad(self.call(x), x, gradient)
        (magnitude,) = torch.autograd.grad(self.call(x), x, gradient.abs())
        return exact, magnitude.abs()


def _taps(rows: int, columns: int) -> int:
    """One pass over a window adds rows * columns products; two passes round each sum and each product."""
    return max(rows * columns, rows + columns)


def _slack(weights: Weights, x: Tensor) -> float:
    """torch's own error in float64: its sums, and where it reads, a few roundings of the size of the image off."""
    if x.numel() == 0:
        return 0.0
    sizes = max(*weights.rows.shape, *weights.columns.shape)
    return (
        (8 * sizes + 8 * weights.taps + 64)
        * UNIT[torch.float64]
        * float(x.double().nan_to_num(0, 0, 0).abs().max())
    )


def assert_linear(ours: Tensor, x: Tensor, weights: Weights, about: Any = "") -> None:
    exact, magnitude = weights.forward(x)
    assert_near(ours, exact, magnitude, weights.taps, about, _slack(weights, x))


def assert_linear_gradient(ours: Tensor, gradient: Tensor, weights: Weights, about: Any = "") -> None:
    exact, magnitude = weights.backward(gradient, tuple(ours.shape))
    assert_near(ours, exact, magnitude, weights.taps_back, about, _slack(weights, gradient))


def assert_norm(ours: Tensor, exact: Tensor, about: Any = "") -> None:
    """A root of a mean of powers: in a short type power, mean, product and root are rounded, each by itself."""
    short = 4 * UNIT[ours.dtype] if ours.dtype in (torch.float16, torch.bfloat16) else 0.0
    assert_near(ours, exact, exact.abs(), 32, about, short * exact.abs())


def layouts(x: Tensor) -> list[tuple[str, Tensor]]:
    """The same values contiguous, channels-last, and as views in neither layout."""
    found = [("contiguous", x.detach().contiguous())]
    if x.dim() == 4:
        found.append(("channels-last", x.detach().contiguous(memory_format=torch.channels_last)))
    if x.dim() >= 2:
        found.append(("turned", x.detach().transpose(-1, -2).contiguous().transpose(-1, -2)))
        wide = torch.stack([x.detach(), x.detach()], dim=-1)
        found.append(("every second", wide[..., 0]))
    return found
