"""The learning rate as a plain function of the step, so that a resumed run needs no state for it."""

from __future__ import annotations

import math

_WARM_UP_STEPS = 20  # lets AdamW's second moments settle before the full rate
_POLY_POWER = 0.9  # Liu et al., "ParseNet", 2015; the usual value in semantic segmentation
_RISING_SHARE = 0.3
_FIRST_DIVISOR = 25.0
_LAST_DIVISOR = 1e4


def poly_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate that falls as `(1 - step / steps) ** 0.9` after a short linear rise.

    The rise takes 20 steps, or a tenth of them where that is fewer.

    Args:
        step: 0 for the first step.
        steps: number of steps of the whole training.
        peak: highest rate.

    >>> [round(poly_rate(step, 1000, 1.0), 3) for step in (0, 19, 500, 999)]
    [0.05, 0.983, 0.536, 0.002]
    """
    warm_up = max(1, min(_WARM_UP_STEPS, steps // 10))
    return peak * min(1.0, (step + 1) / warm_up) * math.pow(1.0 - step / steps, _POLY_POWER)


def one_cycle_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate that rises along a cosine for 30 % of the steps, then falls.

    It begins at peak / 25 and ends at peak / 10000.

    Source: Smith and Topin, "Super-Convergence", 2018; the first two numbers are those of torch's OneCycleLR.

    >>> [round(one_cycle_rate(step, 101, 1.0), 3) for step in (0, 30, 65, 100)]
    [0.04, 1.0, 0.5, 0.0]
    """
    last = max(1, steps - 1)
    top = _RISING_SHARE * last
    if step < top:
        return _cosine(step / top, peak / _FIRST_DIVISOR, peak)
    return _cosine((step - top) / (last - top), peak, peak / _LAST_DIVISOR)


def rate_at(schedule: str, step: int, steps: int, peak: float) -> float:
    """Return the rate of the named schedule, "poly" or "one-cycle"."""
    return poly_rate(step, steps, peak) if schedule == "poly" else one_cycle_rate(step, steps, peak)


def _cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))
