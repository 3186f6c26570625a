"""What the fuzzer calls: blocks of memory with views into them, windows, and positions, right and wrong.

A case is made from two numbers, the seed and its index, and from nothing else: any one can be made again.
Sizes are bounded so that every call that the library may accept is short.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import geometry, kernels
from downup.kernels import BFLOAT16, FLOAT32, FLOAT64, INT64, UINT8, ffi, lib

Array = np.ndarray[Any, Any]

# What a block holds; NumPy has no bfloat16, so its bits are kept.
STORED_AS: dict[int, np.dtype[Any]] = {
    FLOAT32: np.dtype(np.float32),
    FLOAT64: np.dtype(np.float64),
    BFLOAT16: np.dtype(np.uint16),
    UINT8: np.dtype(np.uint8),
    INT64: np.dtype(np.int64),
}
FLOATS = (FLOAT32, FLOAT64, BFLOAT16)
OPERATORS = (
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_take",
    "max_unpool2d",
    "max_unpool2d_backward",
)
POOLINGS = OPERATORS[:3]
# The views of each call, in the order of its arguments; the last of each pair below is written to.
VIEWS = {
    "max_pool2d": ("plane", "samples", "positions"),
    "max_pool2d_backward": ("samples", "positions", "plane"),
    "max_pool2d_take": ("plane", "positions", "samples"),
    "max_unpool2d": ("samples", "positions", "plane"),
    "max_unpool2d_backward": ("plane", "positions", "samples"),
}
OUTPUTS = {
    "max_pool2d": ("samples", "positions"),
    "max_pool2d_backward": ("plane",),
    "max_pool2d_take": ("samples",),
    "max_unpool2d": ("plane",),
    "max_unpool2d_backward": ("samples",),
}
GUARD = 64
SMALL_LIMITS = (-(2**31), -2, -1, 0, 1, 255, 256, 257, 2**30, 2**30 + 1, 2**31 - 1, 2**31)
LIMITS = (*SMALL_LIMITS, -(2**63), -(2**62), 2**32, 2**61, 2**62, 2**63 - 1)


def shown(view: Any) -> str:
    """A view in words."""
    if view == ffi.NULL:
        return "NULL"
    data = " no data" if view.data == ffi.NULL else ""
    return f"type {view.type} sizes {list(view.sizes)} strides {list(view.strides)}{data}"


class FaultError(Exception):
    """What the library did wrong."""


@dataclass
class Block:
    """Memory with a view into it, and bytes around and between its elements that nobody may change."""

    memory: Array  # bytes
    first: int  # of the element [0, 0, 0, 0], in bytes
    sizes: list[int]
    strides: list[int]
    type: int

    @property
    def address(self) -> int:
        """Where the element [0, 0, 0, 0] is."""
        return int(self.memory.ctypes.data) + self.first

    def view(self) -> Any:
        """The `du_view` of the elements."""
        return kernels.view(self.address, self.sizes, self.strides, self.type)

    def array(self) -> Array:
        """The elements, as an array over the same memory."""
        return self._elements(self.memory, STORED_AS[self.type])

    def _elements(self, memory: Array, stored: np.dtype[Any]) -> Array:
        if 0 in self.sizes:
            return np.empty(self.sizes, stored)
        steps = zip(self.sizes, self.strides, strict=True)
        strides = [stride * stored.itemsize if size > 1 else 0 for size, stride in steps]
        return np.ndarray(self.sizes, stored, memory, self.first, strides)

    def is_untouched(self, before: Array) -> bool:
        """Whether all bytes that are not elements are as they were."""
        is_element = np.zeros(self.memory.shape, np.uint8)
        self._elements(is_element, np.dtype(f"V{STORED_AS[self.type].itemsize}"))[...] = b"\1" * 8
        return bool(np.array_equal(self.memory[is_element == 0], before[is_element == 0]))


@dataclass
class Case:
    """One call: its views by role, its window and threads, and what is known about it beforehand."""

    operator: str
    isa: str
    threads: int
    window: dict[str, Any]
    blocks: dict[str, Block | None]
    must: str = ""  # "accept", "refuse", or empty where the positions decide
    wrong: list[str] = field(default_factory=list)  # what was made wrong on purpose
    views: dict[str, Any] = field(default_factory=dict)
    numbers: np.random.Generator = field(default_factory=np.random.default_rng)  # for what else a judge draws

    def native_window(self) -> Any:
        """The `du_window` of the call."""
        names = ("size", "stride", "pad_before", "pad_after", "dilation", "ceil_mode", "adaptive")
        return ffi.new("du_window *", tuple(self.window.get(name, 0) for name in names))

    def __str__(self) -> str:
        lines = [f"du_{self.operator} on {self.isa}, threads {self.threads}, must {self.must or 'either'}"]
        lines += [f"  window {self.window}"]
        for name in VIEWS[self.operator]:
            block = self.blocks[name]
            memory = "" if block is None else f", a block of {block.memory.size} bytes"
            lines += [f"  {name}: {shown(self.views[name])}{memory}"]
        return "\n".join([*lines, f"  wrong on purpose: {', '.join(self.wrong) or 'nothing'}"])


class Maker:
    """Makes one case."""

    def __init__(self, seed: int, index: int) -> None:
        number = (seed << 40) + index
        self.random = random.Random(number)
        self.numbers = np.random.Generator(np.random.PCG64(number))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return self.random.random() < share

    # ------------------------------------------------------------ memory

    def block(self, sizes: list[int], element_type: int, is_output: bool) -> Block:
        """Memory for these sizes, with contents."""
        strides = self.strides(sizes, is_output)
        reach = [(n - 1) * s if n > 1 else 0 for n, s in zip(sizes, strides, strict=True)]
        item = STORED_AS[element_type].itemsize
        before = -sum(step for step in reach if step < 0) * item
        length = before + sum(step for step in reach if step > 0) * item + item
        # Without a guard the memory ends with the view, and the address sanitizer sees the first byte beyond.
        guard = GUARD if self.chance(0.3) else 0
        memory = np.empty(length + 2 * guard, np.uint8)
        block = Block(memory, guard + before, sizes, strides, element_type)
        if is_output or element_type == UINT8:
            memory[:] = self.numbers.integers(0, 256, memory.size, np.uint8)
        elif element_type != INT64:
            memory[:] = 0xA5
            if 0 not in sizes:
                block.array()[...] = self.values(sizes, element_type)
        else:
            memory[:] = 0
        return block

    def strides(self, sizes: list[int], is_output: bool) -> list[int]:
        """Strides of one of the two layouts or any other; for inputs also ones that meet."""
        kind = self.random.choice(("first", "first", "last", "last", "any"))
        order = {"first": [0, 1, 2, 3], "last": [0, 2, 3, 1]}.get(kind) or self.random.sample(range(4), 4)
        gap = self.random.choice((0, 0, 0, 1, 3)) if kind != "any" else self.random.choice((0, 1, 5))
        gap_axis = self.random.choice(order)
        strides, step = [0] * 4, 1
        for axis in reversed(order):
            strides[axis] = step
            step = step * max(sizes[axis], 1) + (gap if axis == gap_axis else 0)
        for axis in range(4):
            if self.chance(0.04):
                strides[axis] = -strides[axis]
            if not is_output and self.chance(0.04):
                strides[axis] = self.random.choice((0, 0, 1))
            if sizes[axis] == 1 and self.chance(0.1):  # a stride that leads nowhere
                strides[axis] = self.random.choice(LIMITS)
        return strides

    def values(self, sizes: list[int], element_type: int) -> Array:
        """Normal numbers, many ties, or many that are not finite."""
        kind = self.random.choice(("normal", "ties", "special", "special"))
        if kind == "ties":
            values = self.numbers.integers(-2, 3, sizes).astype(np.float64)
        else:
            values = self.numbers.standard_normal(sizes)
        if kind == "special":
            places = self.numbers.random(sizes)
            for share, value in (
                (0.03, math.nan),
                (0.06, -math.inf),
                (0.07, math.inf),
                (0.12, -0.0),
                (0.15, 0.0),
            ):
                values[(places > share - 0.03) & (places < share)] = value
        if element_type == FLOAT64:
            return values
        single = values.astype(np.float32)
        return to_bfloat16(single) if element_type == BFLOAT16 else single

    # ------------------------------------------------------------ window and sizes

    def window(self) -> dict[str, Any]:
        """A window as networks have them, or another, or one that reaches far into the padding."""
        pick = self.random.randint
        kind = self.random.choice(("net", "any", "any", "far"))
        if kind == "net":
            one, step, pad = self.random.choice(
                ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 3, 0), (1, 2, 0))
            )
            return {
                "size": [one, one],
                "stride": [step, step],
                "pad_before": [pad, pad],
                "pad_after": [pad, pad],
                "dilation": [1, 1],
                "ceil_mode": int(self.chance(0.3)),
            }
        size = [pick(1, 7), pick(1, 7)] if self.chance(0.97) else [pick(8, 20), pick(8, 20)]
        dilation = [pick(1, 3), pick(1, 3)] if self.chance(0.4) else [1, 1]
        stride = [pick(1, n + 2) if self.chance(0.7) else pick(1, 3) for n in size]
        most = [
            (d * (n - 1) + 1) * (3 if kind == "far" else 1) // 2 for n, d in zip(size, dilation, strict=True)
        ]
        return {
            "size": size,
            "stride": stride,
            "pad_before": [pick(0, n) for n in most],
            "pad_after": [pick(0, n) for n in most],
            "dilation": dilation,
            "ceil_mode": int(self.chance(0.3)),
        }

    def sizes(self, most: int) -> list[int]:
        """Four sizes of at most so many elements, many of them about the length of a vector."""
        pick, choose = self.random.randint, self.random.choice
        around = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 35, 63, 64, 65, 66, 67)
        sizes = [choose((1, 1, 1, 2, 3)), choose((1, 1, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64)), pick(1, 12)]
        sizes.append(choose(around) if self.chance(0.6) else pick(1, 150))
        if self.chance(0.02):
            sizes[0] = 0
        while math.prod(sizes) > most:
            axis = max(range(4), key=lambda i: sizes[i])
            sizes[axis] = sizes[axis] // 2
        return sizes


def to_bfloat16(single: Array) -> Array:
    """The bits of float32 values rounded to bfloat16, ties to even."""
    bits = np.ascontiguousarray(single, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(single), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def from_bfloat16(bits: Array) -> Array:
    """The float32 values of bfloat16 bits."""
    return (np.ascontiguousarray(bits).astype(np.uint32) << 16).view(np.float32)


# ---------------------------------------------------------------- whole cases


def make_case(
    seed: int,
    index: int,
    isas: list[str],
    operators: tuple[str, ...] = OPERATORS,
    floats: tuple[int, ...] = FLOATS,
    sizes: list[int] | None = None,
) -> Case:
    """The case of this seed and index; `sizes` fixes those of what was pooled."""
    make = Maker(seed, index)
    operator, element_type = make.random.choice(operators), make.random.choice(floats)
    is_large = sizes is not None or make.chance(0.01)
    pooled_from = sizes or make.sizes(150_000 if is_large else make.random.choice((60, 60, 400, 4000)))
    window, out = _fitting_window(make, pooled_from)
    threads = make.random.choice((1, 1, 2, 3, 8))
    case = Case(operator, make.random.choice(isas), threads, window, {}, must="accept", numbers=make.numbers)
    plane = list(pooled_from)
    if operator in POOLINGS[::2] and make.chance(0.04):
        plane, out = _far_plane(make, case)
    elif make.chance(0.08) and not is_large:
        _make_absurd(make, case)
        absurd_out = [_out_size(plane[2 + axis], window, axis) for axis in (0, 1)]
        out = [n if 1 <= n <= 64 else o for n, o in zip(absurd_out, out, strict=True)]
        case.must = "" if out == absurd_out or "unpool" in operator else "refuse"
    if "unpool" in operator and make.chance(0.3):
        plane[2:] = [make.random.randint(1, n + 3) for n in plane[2:]]
    if not case.wrong and make.chance(0.15):
        out = _make_adaptive(make, case, plane)
    _fill_blocks(make, case, [plane, [*plane[:2], *out], pooled_from], element_type)
    for name in VIEWS[operator]:
        block = case.blocks[name]
        case.views[name] = ffi.NULL if block is None else block.view()
    # An adaptive window fits any sizes, so that few of its calls are wrong.
    if make.chance(0.12) and "adaptive" not in case.window:
        _spoil(make, case)
    return case


def _fitting_window(make: Maker, in_size: list[int]) -> tuple[dict[str, Any], list[int]]:
    while True:
        window = make.window()
        out = [_out_size(in_size[2 + axis], window, axis) for axis in (0, 1)]
        if min(out) >= 1 and max(out) <= 2 * max(in_size) + 16:
            return window, out


def _make_adaptive(make: Maker, case: Case, plane: list[int]) -> list[int]:
    """Any number of windows along each axis; what else the window says does not count."""
    out = [make.random.randint(1, min(n + 3, 64)) for n in plane[2:]]
    case.window["size"] = [geometry.adaptive_window_size(n, m) for n, m in zip(plane[2:], out, strict=True)]
    for name in ("stride", "pad_before", "pad_after", "dilation"):
        case.window[name] = [make.random.choice(LIMITS) for _ in range(2)]
    case.window["adaptive"] = make.random.choice((1, -1, 2**31 - 1))
    return out


def _fill_blocks(make: Maker, case: Case, all_sizes: list[list[int]], floats: int) -> None:
    plane, samples, pooled_from = all_sizes
    form = make.random.choice((UINT8, INT64))
    written = OUTPUTS[case.operator]
    if max(plane) < 2**20:
        case.blocks["plane"] = make.block(plane, floats, "plane" in written)
    else:
        case.blocks["plane"] = _one_value(make, plane, floats)
    case.blocks["samples"] = make.block(samples, floats, "samples" in written)
    if case.operator == "max_pool2d" and make.chance(0.2):
        case.blocks["positions"] = None
        return
    case.blocks["positions"] = make.block(samples, form, "positions" in written)
    if form == UINT8 and math.prod(case.window["size"]) > 256:
        case.must = "refuse"
    if case.operator != "max_pool2d" and samples[0]:
        _fill_positions(make, case, pooled_from)


def _out_size(in_size: int, window: dict[str, Any], axis: int) -> int:
    return int(lib.du_window_out_size(in_size, Case("", "", 1, window, {}).native_window(), axis))


def _make_absurd(make: Maker, case: Case) -> None:
    """Extreme numbers in the window; whether it is then legal is the library's to say."""
    for _ in range(make.random.choice((1, 1, 1, 2, 3))):
        name = make.random.choice(tuple(case.window))
        value = make.random.choice(LIMITS)
        if name == "ceil_mode":
            case.window[name] = make.random.choice((-1, 2, -(2**31), 2**31 - 1))
        else:
            case.window[name][make.random.randrange(2)] = value
            if make.chance(0.3):
                case.window[name] = [value, value]
        case.wrong.append(f"window {name}")


def _one_value(make: Maker, sizes: list[int], element_type: int) -> Block:
    """One element seen as a huge array: every stride is zero."""
    item = STORED_AS[element_type].itemsize
    memory = make.numbers.integers(0, 127, item, np.uint8)
    return Block(memory, 0, sizes, [0] * 4, element_type)


def _far_plane(make: Maker, case: Case) -> tuple[list[int], list[int]]:
    """A plane of up to 2^58 places and a handful of windows on it."""
    huge = make.random.choice((2**31 - 1, 2**31 - 2, 2**30, 2**24 + 1))
    plane = [1, make.random.choice((1, 2)), make.random.choice((3, 2**20, 2**26)), huge]
    case.window, _ = _fitting_window(make, [1, 1, 40, 40])
    case.window["stride"] = [max(1, plane[2] // 2), huge // make.random.choice((2, 3, 20))]
    case.window["dilation"] = [1, make.random.choice((1, 3))]
    case.wrong += ["a plane of one value"]
    case.window["size"][0] = 1
    return plane, [_out_size(plane[2 + axis], case.window, axis) for axis in (0, 1)]


def _fill_positions(make: Maker, case: Case, pooled_from: list[int]) -> None:
    samples, positions = case.blocks["samples"], case.blocks["positions"]
    plane = case.blocks["plane"]
    assert samples is not None
    assert positions is not None
    assert plane is not None
    array = positions.array()
    size = case.window["size"]
    taps = size[0] * size[1]
    places = plane.sizes[2] * plane.sizes[3]
    kind = make.random.choice(("right", "right", "right", "anywhere"))
    if kind == "right":
        right = _right_positions(make, case, pooled_from, positions)
        if right is None:
            kind = "anywhere"
        else:
            array[...] = right
    if kind == "anywhere":
        low, high = (0, places) if positions.type == INT64 else (0, min(max(taps, 1), 256))
        array[...] = make.numbers.integers(low, high, array.shape, STORED_AS[positions.type])
    if make.chance(0.3):
        wrong: tuple[int, ...] = (
            -1,
            0,
            places - 1,
            places,
            2**31,
            2**31 - 1,
            2**32,
            2**62,
            -(2**63),
            2**63 - 1,
        )
        if positions.type == UINT8:
            wrong = (0, 255, taps % 256, (taps - 1) % 256)
        for _ in range(make.random.choice((1, 1, 3))):
            array[tuple(make.random.randrange(n) for n in array.shape)] = make.random.choice(wrong)


def _right_positions(make: Maker, case: Case, pooled_from: list[int], positions: Block) -> Array | None:
    """The positions of a pooling with this window; none where it takes no such pooling."""
    x = make.numbers.integers(-9, 9, pooled_from).astype(np.float32)
    if 0 in pooled_from:
        return None
    out, right = np.empty(positions.sizes, np.float32), np.empty(positions.sizes, STORED_AS[positions.type])
    views = [kernels.array_view(array) for array in (x, out, right)]
    lib.du_isa_select(b"plain")
    return None if lib.du_max_pool2d(*views, case.native_window(), 1) else right


def _spoil(make: Maker, case: Case) -> None:
    """Make one argument wrong in a way that must be refused."""
    name = make.random.choice([n for n in VIEWS[case.operator] if case.blocks[n] is not None])
    view, block = case.views[name], case.blocks[name]
    assert block is not None
    is_optional = (case.operator, name) == ("max_pool2d", "positions")
    kinds = ["null view", "type", "size", "threads", "window", "wild strides"]
    kinds += ["no data"] if block.sizes[0] else []
    kinds += ["overlap"] if name in OUTPUTS[case.operator] and max(block.sizes) > 1 and block.sizes[0] else []
    kinds += ["shared memory"] if name in OUTPUTS[case.operator] and block.sizes[0] else []
    kind = make.random.choice(kinds)
    if kind in ("null view", "no data") and is_optional:
        kind = "type"
    case.must, case.wrong = "refuse", [*case.wrong, f"{kind} of {name}"]
    if kind == "null view":
        case.views[name] = ffi.NULL
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "type":
        integers = {UINT8, INT64} if name != "positions" else set()
        others = integers | {FLOAT32, FLOAT64, BFLOAT16, -1, 5, 99, 2**31 - 1, -(2**31)} - {view.type}
        view.type = make.random.choice(sorted(others))
    elif kind == "size":
        _spoil_size(make, view, name)
    elif kind == "threads":
        case.threads = make.random.choice((0, -1, -(2**31), -(2**63)))
    elif kind == "window":
        case.window[make.random.choice(("size", "stride", "dilation"))][make.random.randrange(2)] = (
            make.random.choice((0, -1, -(2**31), 2**31, 2**62, -(2**63)))
        )
    elif kind == "overlap":
        axis = make.random.choice([axis for axis in range(4) if view.sizes[axis] > 1])
        view.strides[axis] = 0
    elif kind == "shared memory":
        # Twice as long as all views need, so that even an accepted call would stay inside.
        other = make.random.choice(
            [n for n in VIEWS[case.operator] if n != name and case.blocks[n] is not None]
        )
        view.data = case.views[other].data
        _share(case, name, other)
    else:
        # Never accepted, so the strides may lead anywhere.
        for axis in range(4):
            if make.chance(0.6):
                view.strides[axis] = make.random.choice(LIMITS)
        late = case.views["positions"] if case.blocks["positions"] is not None else case.views["samples"]
        _spoil_size(make, late, "samples")


def _spoil_size(make: Maker, view: Any, name: str) -> None:
    """A size that no call accepts; the height and width of a plane may be any that fit."""
    axis = make.random.randrange(4)
    choices = [-1, -(2**31), -(2**63), 2**31, 2**62, 2**63 - 1]
    if axis > 0:
        choices.append(0)
    if axis < 2 or name != "plane":
        choices += [view.sizes[axis] + 1, view.sizes[axis] + 1, max(view.sizes[axis] - 1, 0), 2**31 - 1]
    view.sizes[axis] = make.random.choice([n for n in choices if n != view.sizes[axis]])


def _share(case: Case, name: str, other: str) -> None:
    """Both views in one block that is large enough for either."""
    a, b = case.blocks[name], case.blocks[other]
    assert a is not None
    assert b is not None
    size = a.memory.size + b.memory.size + 16
    memory = np.zeros(size, np.uint8)
    first = max(a.first, b.first) // 8 * 8 + 8
    for block, key in ((a, name), (b, other)):
        moved = Block(memory, first, block.sizes, block.strides, block.type)
        case.blocks[key] = moved
        case.views[key].data = ffi.cast("void *", moved.address)
