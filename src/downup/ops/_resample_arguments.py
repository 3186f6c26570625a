"""What the arguments of a resampling mean: the two plans that they ask for."""

from __future__ import annotations

from typing import Any

from downup import taps
from downup.errors import ArgumentError
from downup.geometry import pair, pool_padding, upsample_shape, whole, window_out_size
from downup.kernels import Window
from downup.ops._resample_plan import AxisPlan, adaptive_plan, binomial_plan, sampled_plan, window_plan

Plans = tuple[AxisPlan, AxisPlan]


def averaging(
    size: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Any,
) -> tuple[Window, tuple[Any, ...], Any]:
    """The window, the size of the output, and what divides the sums."""
    if divisor_override is not None:
        # Of either sign, so that no lowest number is told.
        whole("divisor_override", divisor_override, -(2**63), divisor_override)
        if divisor_override == 0 or abs(divisor_override) >= 2**63:
            raise ArgumentError(
                f"divisor_override is {divisor_override}; use another whole number of 64 bits, or None"
            )
    kernel, apart = pair("kernel_size", kernel_size, 1), pair("dilation", dilation, 1)
    step = kernel if stride is None or stride in ((), []) else pair("stride", stride, 1)
    (top, bottom), (left, right) = sides = pool_padding(padding, size, kernel, step, apart)
    out_size = tuple(
        window_out_size(
            size[i], kernel[i], step[i], sides[i], apart[i], ceil_mode, axis=("rows", "columns")[i]
        )
        for i in (0, 1)
    )
    is_same = padding in ("same", "same_lower")
    divisor: Any = "padded" if count_include_pad and not is_same else "inside"
    if divisor_override is not None:
        divisor = divisor_override
    return Window(kernel, step, (top, left), (bottom, right), apart, bool(ceil_mode)), out_size, divisor


def average_plans(size: Any, *arguments: Any) -> Plans:
    window, out_size, divisor = averaging(size, *arguments)
    # A given number divides once.
    other = divisor if isinstance(divisor, str) else 1
    rows = window_plan(window, 0, size[0], out_size[0], divisor)
    return rows, window_plan(window, 1, size[1], out_size[1], other)


def adaptive_plans(size: Any, output_size: Any) -> Plans:
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2:
        raise ArgumentError(f"output_size is {output_size!r}; use one number, or a pair (rows, columns)")
    kept = tuple(old if new is None else new for new, old in zip(wanted, size, strict=True))
    rows, columns = pair("output_size", kept, 1)
    return adaptive_plan(size[0], rows), adaptive_plan(size[1], columns)


def blur_plans(size: Any, taps: Any, stride: Any, edge: str) -> Plans:
    counts, steps = pair("taps", taps, 1), pair("stride", stride, 1)
    if max(counts) > 1024:
        raise ArgumentError(f"taps is {taps!r}; use 1 to 1024")
    rows, columns = (
        binomial_plan(size[i], (size[i] + steps[i] - 1) // steps[i], counts[i], steps[i], edge)
        for i in (0, 1)
    )
    return rows, columns


_FILTERS = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "bilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
    "lanczos5": "lanczos5",
    "area": None,
}


def sampling_plans(
    old: Any,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute_scale_factor: bool | None,
    antialias: bool,
    coordinates: str | None,
    rounding: str | None,
    cubic_coefficient: float | None,
    exclude_outside: bool | None,
) -> Plans:
    _check_rules(mode, align_corners, antialias, coordinates, rounding, cubic_coefficient, exclude_outside)
    new = upsample_shape((1, 1, *old), size, scale_factor)[2:]
    if recompute_scale_factor and size is not None:
        raise ArgumentError(
            "recompute_scale_factor is True but a size is given; use scale_factor, or leave it None"
        )
    if mode == "area":
        return adaptive_plan(old[0], new[0]), adaptive_plan(old[1], new[1])
    factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
    is_antialiased = bool(antialias) or mode.startswith("lanczos")
    plans = []
    for i in (0, 1):
        # torch places samples by the factor it was given, not by the size that came of it.
        is_scaled = factors[i] is not None and not recompute_scale_factor
        if (mode == "bilinear" or is_antialiased) and coordinates is None and new[i] == old[i]:
            is_scaled = False  # as in torch, which copies an axis that keeps its size
        ratio = 1.0 / float(factors[i]) if is_scaled else -1.0
        places = coordinates or ("align_corners" if align_corners else "half_pixel")
        if align_corners and is_antialiased:
            # As in torch: the ratio of aligned corners, but places as without.
            places, ratio = "half_pixel", (old[i] - 1) / (new[i] - 1) if new[i] > 1 else 0.0
        if rounding is not None and coordinates is None:
            places = "half_pixel" if mode == "nearest-exact" else "asymmetric"
        default = "torch_exact" if mode == "nearest-exact" else "torch"
        plans.append(
            sampled_plan(
                old[i],
                new[i],
                _FILTERS[mode] or "",
                ratio=ratio,
                coordinates=places,
                rounding=rounding or ("prefer_floor" if coordinates else default),
                antialias=is_antialiased,
                exclude_outside=is_antialiased if exclude_outside is None else exclude_outside,
                cubic_coefficient=(-0.5 if is_antialiased else -0.75)
                if cubic_coefficient is None
                else cubic_coefficient,
            )
        )
    return plans[0], plans[1]


def _check_rules(
    mode: str,
    align_corners: bool | None,
    antialias: bool,
    coordinates: str | None,
    rounding: str | None,
    cubic_coefficient: float | None,
    exclude_outside: bool | None,
) -> None:
    if mode not in _FILTERS:
        raise ArgumentError(f"mode is {mode!r}; use one of {', '.join(_FILTERS)}")
    is_nearest = mode.startswith("nearest")
    is_smooth = not is_nearest and mode != "area"
    idle = {
        "align_corners": (align_corners, is_smooth, "bilinear, bicubic or lanczos"),
        "antialias": (antialias or None, is_smooth, "bilinear, bicubic or lanczos"),
        "coordinates": (coordinates, mode != "area", "another mode"),
        "rounding": (rounding, is_nearest, "nearest or nearest-exact"),
        "cubic_coefficient": (cubic_coefficient, mode == "bicubic", "bicubic"),
        "exclude_outside": (exclude_outside, is_smooth, "bilinear, bicubic or lanczos"),
    }
    for name, (value, has_use, remedy) in idle.items():
        if value is not None and not has_use:
            raise ArgumentError(
                f"{name} is {value!r} but mode {mode!r} has no use for it; use {remedy}, or leave it out"
            )
    if cubic_coefficient is not None and not (
        isinstance(cubic_coefficient, (int, float)) and abs(cubic_coefficient) <= 1000
    ):
        raise ArgumentError(
            f"cubic_coefficient is {cubic_coefficient!r}; use a number from -1000 to 1000, or None"
        )
    if coordinates is not None and align_corners is not None:
        raise ArgumentError(
            f"coordinates is {coordinates!r} and align_corners {align_corners}; give one of them"
        )
    if coordinates is not None and coordinates not in taps.COORDINATES:
        raise ArgumentError(f"coordinates is {coordinates!r}; use one of {', '.join(taps.COORDINATES)}")
    if rounding is not None and rounding not in taps.ROUNDINGS[2:]:
        raise ArgumentError(f"rounding is {rounding!r}; use one of {', '.join(taps.ROUNDINGS[2:])}")
