"""Shapes of what moves samples about: reshape, transpose, slice, concatenate, pad, shuffle, gather."""

from __future__ import annotations

import math

from downup.graph.shapes.site import Rule, Shape, Site


def _reshape(site: Site) -> list[Shape]:
    shape, asked = site.shape(0), site.ints(1)
    keeps_zero = bool(site.get("allowzero", 0))
    out = list(asked)
    for i, length in enumerate(asked):
        if length == 0 and not keeps_zero:
            if i >= len(shape):
                raise site.refuse(f"shape {list(asked)} copies axis {i} of an input of {list(shape)}")
            out[i] = shape[i]
    open_axes = [i for i, length in enumerate(out) if length == -1]
    fixed = math.prod(length for length in out if length != -1)
    size = site.known(0).size
    if len(open_axes) > 1 or any(length < -1 for length in out):
        raise site.refuse(f"shape is {list(asked)}; use sizes of 0 and more, and -1 at most once")
    if open_axes and fixed:
        out[open_axes[0]] = size // fixed
    if math.prod(out) != size or (open_axes and not fixed):
        raise site.refuse(f"an input of {list(shape)} does not fit into {list(asked)}")
    return [tuple(out)]


def _transpose(site: Site) -> list[Shape]:
    shape = site.shape(0)
    order = site.get("perm", tuple(reversed(range(len(shape)))))
    if sorted(order) != list(range(len(shape))):
        raise site.refuse(f"perm is {list(order)}, but the input has shape {list(shape)}")
    return [tuple(shape[axis] for axis in order)]


def _flatten(site: Site) -> list[Shape]:
    shape = site.shape(0)
    axis = site.get("axis", 1)
    axis = axis if axis == len(shape) else site.axis(axis, max(1, len(shape)))
    return [(math.prod(shape[:axis]), math.prod(shape[axis:]))]


def _squeeze(site: Site) -> list[Shape]:
    shape, axes = site.shape(0), site.optional_ints(1)
    if axes is None:
        return [tuple(length for length in shape if length != 1)]
    gone = site.axes(axes, len(shape))
    if any(shape[axis] != 1 for axis in gone):
        raise site.refuse(f"axes {list(axes)} of an input of {list(shape)} are not all of size 1")
    return [tuple(length for axis, length in enumerate(shape) if axis not in gone)]


def _unsqueeze(site: Site) -> list[Shape]:
    shape, axes = site.shape(0), site.ints(1)
    rank = len(shape) + len(axes)
    new = site.axes(axes, rank)
    rest = iter(shape)
    return [tuple(1 if axis in new else next(rest) for axis in range(rank))]


def _concat(site: Site) -> list[Shape]:
    shapes = [site.shape(i) for i in range(len(site.inputs))]
    first = shapes[0]
    axis = site.axis(site.need("axis"), len(first))
    for shape in shapes:
        if len(shape) != len(first) or any(i != axis and shape[i] != first[i] for i in range(len(first))):
            raise site.refuse(f"inputs of {list(first)} and {list(shape)} cannot be joined along axis {axis}")
    return [(*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])]


def _split(site: Site) -> list[Shape]:
    shape = site.shape(0, least=1)
    axis = site.axis(site.get("axis", 0), len(shape))
    sizes = site.optional_ints(1)
    if sizes is None:
        count = site.get("num_outputs", len(site.node.outputs))
        if count < 1:
            raise site.refuse(f"num_outputs is {count}")
        each = -(-shape[axis] // count)
        sizes = (each,) * (count - 1) + (shape[axis] - each * (count - 1),)
    if len(sizes) != len(site.node.outputs) or sum(sizes) != shape[axis] or min(sizes) < 0:
        raise site.refuse(f"sizes {list(sizes)} do not split the {shape[axis]} samples of axis {axis}")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def slices_of(site: Site) -> tuple[tuple[int, int, int], ...]:
    """Return start, count and step along every axis of a Slice."""
    shape = site.shape(0)
    starts, ends = site.ints(1), site.ints(2)
    axes = site.optional_ints(3)
    axes = site.axes(range(len(starts)) if axes is None else axes, len(shape))
    steps = site.optional_ints(4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise site.refuse(f"starts {list(starts)}, ends {list(ends)} and steps {list(steps)} do not match")
    found = [(0, length, 1) for length in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        taken = range(*slice(start, end, step).indices(shape[axis]))
        found[axis] = (taken.start, len(taken), step)
    return tuple(found)


def _slice(site: Site) -> list[Shape]:
    return [tuple(count for _, count, _ in slices_of(site))]


def pads_of(site: Site) -> tuple[tuple[int, int], ...]:
    """Return the padding before and after every axis of a Pad; negative ones cut off."""
    shape, pads = site.shape(0), site.ints(1)
    axes = site.optional_ints(3)
    axes = site.axes(range(len(shape)) if axes is None else axes, len(shape))
    if len(pads) != 2 * len(axes):
        raise site.refuse(f"pads is {list(pads)}; it must hold two numbers for each of {len(axes)} axes")
    found = [(0, 0)] * len(shape)
    for i, axis in enumerate(axes):
        found[axis] = (pads[i], pads[i + len(axes)])
    return tuple(found)


def _pad(site: Site) -> list[Shape]:
    shape, sides, mode = site.shape(0), pads_of(site), site.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise site.refuse(f"mode is {mode!r}")
    out = tuple(length + before + after for length, (before, after) in zip(shape, sides, strict=True))
    if any(length < 0 for length in out):
        raise site.refuse(f"pads {[list(side) for side in sides]} take away all of an input of {list(shape)}")
    for length, sides_of_axis in zip(shape, sides, strict=True):
        if mode == "reflect" and max(sides_of_axis) >= max(length, 1):
            raise site.refuse(f"an axis of {length} samples cannot be reflected by {max(sides_of_axis)}")
        if mode in ("edge", "wrap") and max(sides_of_axis) > 0 and length == 0:
            raise site.refuse(f"an axis without samples cannot be padded in mode {mode!r}")
    return [out]


def _tile(site: Site) -> list[Shape]:
    shape, repeats = site.shape(0), site.ints(1)
    if len(repeats) != len(shape) or any(count < 0 for count in repeats):
        raise site.refuse(f"repeats are {list(repeats)}, but the input has shape {list(shape)}")
    return [tuple(length * count for length, count in zip(shape, repeats, strict=True))]


def _expand(site: Site) -> list[Shape]:
    asked = site.ints(1)
    if any(length < 0 for length in asked):
        raise site.refuse(f"shape is {list(asked)}")
    return [site.broadcast(site.shape(0), asked)]


def _depth_to_space(site: Site) -> list[Shape]:
    batch, channels, rows, columns = site.shape(0, rank=4)
    block = site.need("blocksize")
    if block < 1 or channels % block**2:
        raise site.refuse(f"blocksize is {block}, but there are {channels} channels")
    return [(batch, channels // block**2, rows * block, columns * block)]


def _space_to_depth(site: Site) -> list[Shape]:
    batch, channels, rows, columns = site.shape(0, rank=4)
    block = site.need("blocksize")
    if block < 1 or rows % block or columns % block:
        raise site.refuse(f"blocksize is {block}, but the picture is {rows} x {columns}")
    return [(batch, channels * block**2, rows // block, columns // block)]


def _gather(site: Site) -> list[Shape]:
    shape, indices = site.shape(0, least=1), site.shape(1)
    axis = site.axis(site.get("axis", 0), len(shape))
    return [(*shape[:axis], *indices, *shape[axis + 1 :])]


def _gather_elements(site: Site) -> list[Shape]:
    shape, indices = site.shape(0, least=1), site.shape(1)
    axis = site.axis(site.get("axis", 0), len(shape))
    if len(indices) != len(shape) or any(indices[i] > shape[i] for i in range(len(shape)) if i != axis):
        raise site.refuse(f"indices of {list(indices)} do not fit an input of {list(shape)}")
    return [indices]


def _scatter_elements(site: Site) -> list[Shape]:
    shape, indices = site.shape(0, least=1), site.shape(1)
    axis = site.axis(site.get("axis", 0), len(shape))
    if (
        indices != site.shape(2)
        or len(indices) != len(shape)
        or any(indices[i] > shape[i] for i in range(len(shape)) if i != axis)
    ):
        raise site.refuse(f"indices of {list(indices)} do not fit an input of {list(shape)}")
    return [shape]


def _gather_nd(site: Site) -> list[Shape]:
    shape, indices, batch = site.shape(0, least=1), site.shape(1, least=1), site.get("batch_dims", 0)
    if not 0 <= batch < min(len(shape), len(indices)) or not 1 <= indices[-1] <= len(shape) - batch:
        raise site.refuse(f"indices of {list(indices)} do not fit an input of {list(shape)}")
    return [(*indices[:-1], *shape[batch + indices[-1] :])]


def _scatter_nd(site: Site) -> list[Shape]:
    shape, indices, updates = site.shape(0, least=1), site.shape(1, least=1), site.shape(2)
    if not indices[-1] <= len(shape) or updates != (*indices[:-1], *shape[indices[-1] :]):
        raise site.refuse(
            f"indices of {list(indices)} and updates of {list(updates)} do not fit an input of {list(shape)}"
        )
    return [shape]


RULES: dict[str, Rule] = {
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Tile": _tile,
    "Expand": _expand,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "ScatterElements": _scatter_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
}
