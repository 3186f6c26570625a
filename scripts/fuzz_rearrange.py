"""The fuzzer's calls of the rearrange pair: one made from the seed and its index, judged as the others are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import kernels
from downup.kernels import ffi, lib, reference
from fuzz_cases import LIMITS, STORED_AS, Array, Block, FaultError, Maker, shown

# Larger ones are compared with a formula of NumPy's.
MOST_REFERENCE_SAMPLES = 400
ORDERS = ("CRD", "DCR")


@dataclass
class Rearrangement:
    """One call of du_pixel_shuffle (up) or du_pixel_unshuffle."""

    name: str
    isa: str
    factor: int
    order: int
    threads: int
    given: Block
    out: Block
    views: list[Any] = field(default_factory=list)
    must: str = "accept"
    wrong: str = "nothing"

    def __str__(self) -> str:
        lines = [
            f"du_{self.name} on {self.isa}, factor {self.factor}, order {self.order}, threads {self.threads}"
        ]
        for name, view in zip(("in", "out"), self.views, strict=True):
            lines += [f"  {name}: {shown(view)}"]
        return "\n".join([*lines, f"  wrong on purpose: {self.wrong}"])


def make_rearrangement(seed: int, index: int, isas: list[str]) -> Rearrangement:
    """The call of this seed and index."""
    make = Maker(seed, (1 << 39) + index)
    choose = make.random.choice
    factor = choose((1, 2, 2, 2, 3, 4, 5, 6, 7, 11))
    columns = choose((1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130))
    plane = [choose((0, 1, 1, 2)), choose((1, 1, 2, 3, 4, 8, 16, 17, 33, 65)), choose((1, 2, 3)), columns]
    while math.prod(plane[1:]) * factor**2 > (60_000 if make.chance(0.05) else 6_000):
        axis = max((1, 2, 3), key=lambda i: plane[i])
        plane[axis] //= 2
    small = [plane[0], plane[1] * factor**2, *plane[2:]]
    large = [*plane[:2], plane[2] * factor, plane[3] * factor]
    name, element = choose(("pixel_shuffle", "pixel_unshuffle")), choose(tuple(STORED_AS))
    sizes = (small, large) if name == "pixel_shuffle" else (large, small)
    call = Rearrangement(
        name,
        choose(isas),
        factor,
        choose((0, 1)),
        choose((1, 2, 3, 8)),
        make.block(sizes[0], element, False),
        make.block(sizes[1], element, True),
    )
    if 0 not in sizes[0]:
        bits = make.numbers.integers(0, 256, (*sizes[0], STORED_AS[element].itemsize), np.uint8)
        array = call.given.array()
        array[...] = bits.view(array.dtype)[..., 0]
    call.views = [call.given.view(), call.out.view()]
    if make.chance(0.25):
        _spoil(make, call)
    return call


def _spoil(make: Maker, call: Rearrangement) -> None:
    """Make one argument wrong in a way that must be refused."""
    which = make.random.randrange(2)
    view, block = call.views[which], (call.given, call.out)[which]
    kinds = ["null view", "type", "size", "threads", "factor", "order", "wild strides"]
    if block.sizes[0]:
        kinds += ["no data", "shared memory"]
        kinds += ["overlap"] if which and max(block.sizes) > 1 else []
    kind = make.random.choice(kinds)
    call.must, call.wrong = "refuse", f"{kind} of {('in', 'out')[which]}"
    if kind == "null view":
        call.views[which] = ffi.NULL
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "type":
        view.type = make.random.choice([t for t in (*STORED_AS, -1, 5, 99, 2**31 - 1) if t != view.type])
    elif kind == "threads":
        call.threads = make.random.choice((0, -1, -(2**63)))
    elif kind == "order":
        call.order = make.random.choice((-1, 2, 2**31 - 1, -(2**31)))
    elif kind == "factor":
        factors = (0, -1, call.factor + 1, call.factor + 2, 46340, 46341, 65536, 2**32, *LIMITS)
        call.factor = make.random.choice([f for f in factors if f != call.factor])
    elif kind == "overlap":
        view.strides[make.random.choice([axis for axis in range(4) if view.sizes[axis] > 1])] = 0
    elif kind == "shared memory":
        _share(call)
    else:
        axis = make.random.randrange(4)
        choices = [-1, -(2**63), 2**31, 2**62, view.sizes[axis] + 1, 2**31 - 1, *([0] if axis else [])]
        view.sizes[axis] = make.random.choice(choices)
        for axis in range(4):
            if kind == "wild strides" and make.chance(0.6):
                view.strides[axis] = make.random.choice(LIMITS)


def _share(call: Rearrangement) -> None:
    """Both views in one block that is large enough for either."""
    memory = np.zeros(call.given.memory.size + call.out.memory.size + 16, np.uint8)
    first = max(call.given.first, call.out.first) // 8 * 8 + 8
    for name, view in zip(("given", "out"), call.views, strict=True):
        block = getattr(call, name)
        moved = Block(memory, first, block.sizes, block.strides, block.type)
        setattr(call, name, moved)
        view.data = ffi.cast("void *", moved.address)


def judge_rearrangement(call: Rearrangement) -> int:
    """Make the call; raise FaultError if anything about it is not as promised."""
    kernels.select_isa(call.isa)
    before = call.given.memory.copy(), call.out.memory.copy()
    code = int(getattr(lib, f"du_{call.name}")(*call.views, call.factor, call.order, call.threads))
    if code not in (0, 1) or (code == 0) != (call.must == "accept"):
        raise FaultError(f"returned {code}: {ffi.string(lib.du_last_error()).decode() if code else ''}")
    if not np.array_equal(call.given.memory, before[0]):
        raise FaultError("in was changed")
    if code:
        if not np.array_equal(call.out.memory, before[1]):
            raise FaultError("out was changed by a call that was refused")
        return code
    if not call.out.is_untouched(before[1]):
        raise FaultError("bytes around the elements of out were changed")
    if 0 not in call.out.sizes:
        found, expected = _bits(call.out.array()), _bits(_expected(call))
        if not np.array_equal(found, expected):
            place = tuple(int(i) for i in np.argwhere(found != expected)[0])
            raise FaultError(f"out{list(place)} is {found[place]}, not {expected[place]}")
    return code


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def _expected(call: Rearrangement) -> Array:
    array, order, r = call.given.array(), ORDERS[call.order], call.factor
    if array.size <= MOST_REFERENCE_SAMPLES:
        return np.asarray(getattr(reference, call.name)(array, r, order))
    n, c, h, w = array.shape
    if call.name == "pixel_shuffle":
        if order == "CRD":
            moved = array.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
        else:
            moved = array.reshape(n, r, r, c // r**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = array.reshape(n, c, h // r, r, w // r, r)
        moved = blocks.transpose((0, 1, 3, 5, 2, 4) if order == "CRD" else (0, 3, 5, 1, 2, 4))
    return moved.reshape(call.out.sizes)
