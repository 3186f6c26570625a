"""Shapes of resizing, products of matrices, reductions, and of what makes numbers from sizes."""

from __future__ import annotations

import math

import numpy as np

from downup.graph.nodes import words
from downup.graph.shapes.site import MOST_ELEMENTS, Rule, Shape, Site

REDUCTIONS = words(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)


def _resize(site: Site) -> list[Shape]:
    shape = site.shape(0)
    if site.has(2) == site.has(3):
        raise site.refuse("needs either scales or sizes")
    axes = site.axes(site.get("axes", tuple(range(len(shape)))), len(shape))
    numbers = site.value(2).reshape(-1) if site.has(2) else np.array(site.ints(3))
    if len(numbers) != len(axes) or not np.all(np.isfinite(numbers)) or np.any(numbers <= 0):
        raise site.refuse(
            f"{'scales' if site.has(2) else 'sizes'} are {numbers.tolist()}; "
            f"use {len(axes)} numbers above 0, one for each axis"
        )
    if site.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise site.refuse("cuts out a region and resizes it in one, which is not supported")
    out = list(shape)
    if site.has(2):
        for axis, scale in zip(axes, numbers, strict=True):
            # The product is rounded to the type of the scales first, as in other engines: 0.6 * 5 is 3.
            out[axis] = int(np.floor(np.float32(shape[axis]) * np.float32(scale)))
    else:
        wanted = [int(number) for number in numbers]
        policy = site.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            choose = min if policy == "not_larger" else max
            scale = choose(wanted[i] / shape[axis] for i, axis in enumerate(axes))
            # Halves go up, as the standard says.
            wanted = [math.floor(shape[axis] * scale + 0.5) for axis in axes]
        for axis, length in zip(axes, wanted, strict=True):
            out[axis] = length
    if min(out, default=1) < 1 and min(shape, default=1) > 0:
        raise site.refuse(f"nothing would be left of an input of {list(shape)}")
    return [tuple(out)]


def _matmul(site: Site) -> list[Shape]:
    a, b = site.shape(0, least=1), site.shape(1, least=1)
    left, right = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if left[-1] != right[-2]:
        raise site.refuse(f"{list(a)} and {list(b)} cannot be multiplied")
    rows = (left[-2],) if len(a) > 1 else ()
    columns = (right[-1],) if len(b) > 1 else ()
    return [(*site.broadcast(left[:-2], right[:-2]), *rows, *columns)]


def _gemm(site: Site) -> list[Shape]:
    a, b = site.shape(0, rank=2), site.shape(1, rank=2)
    a = a[::-1] if site.get("transA", 0) else a
    b = b[::-1] if site.get("transB", 0) else b
    out = (a[0], b[1])
    if a[1] != b[0] or (site.has(2) and site.broadcast(out, site.shape(2)) != out):
        raise site.refuse(
            f"{list(site.shape(0))} and {list(site.shape(1))} cannot be multiplied and added to"
        )
    return [out]


def _reduce(site: Site) -> list[Shape]:
    shape, axes = site.shape(0), site.optional_ints(1)
    if not axes:
        if site.get("noop_with_empty_axes", 0):
            return [shape]
        axes = tuple(range(len(shape)))
    return [_reduced(site, shape, axes)]


def _reduced(site: Site, shape: Shape, axes: tuple[int, ...]) -> Shape:
    gone = site.axes(axes, len(shape))
    if site.get("keepdims", 1):
        return tuple(1 if axis in gone else length for axis, length in enumerate(shape))
    return tuple(length for axis, length in enumerate(shape) if axis not in gone)


def _arg(site: Site) -> list[Shape]:
    return [_reduced(site, site.shape(0, least=1), (site.get("axis", 0),))]


def _shape(site: Site) -> list[Shape]:
    return [(len(site.shape(0)[slice(site.get("start", 0), site.get("end"))]),)]


def _size(site: Site) -> list[Shape]:
    site.known(0)
    return [()]


def _range(site: Site) -> list[Shape]:
    start, limit, delta = (site.value(i) for i in range(3))
    if any(number.size != 1 for number in (start, limit, delta)) or not delta:
        raise site.refuse("needs one start, one limit and one step other than 0")
    count = (limit.item() - start.item()) / delta.item()
    if not math.isfinite(count) or count > MOST_ELEMENTS:
        raise site.refuse(f"from {start.item()} to {limit.item()} in steps of {delta.item()} is too long")
    return [(max(0, math.ceil(count)),)]


def _constant_of_shape(site: Site) -> list[Shape]:
    shape = site.ints(0)
    if any(length < 0 for length in shape):
        raise site.refuse(f"shape is {list(shape)}")
    return [shape]


RULES: dict[str, Rule] = {
    **dict.fromkeys(REDUCTIONS, _reduce),
    "Resize": _resize,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "ArgMax": _arg,
    "ArgMin": _arg,
    "Shape": _shape,
    "Size": _size,
    "Range": _range,
    "ConstantOfShape": _constant_of_shape,
}
