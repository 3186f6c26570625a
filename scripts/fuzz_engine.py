"""The fuzzer's calls of what stands between convolutions: elementwise, reduce, matmul and labels.

A right call must give the bits that the same call gives with every element apart, on one thread and the plainest
instructions (those in use for a matrix product, which fuses multiplications and additions). Their nearness to the reference
is the business of tests/kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import kernels
from downup.kernels import FLOAT32, INT64, UINT8, ffi, lib
from downup.taps import Taps
from fuzz_cases import LIMITS, STORED_AS, Array, Block, FaultError, Maker, shown
from fuzz_resample import make_table

LARGEST_SIZES = (1, 1, 2, 3, 4, 7, 8, 15, 16, 17, 21, 31, 33, 64, 65, 130)
FUNCTIONS = ("activate", "combine", "affine", "reduce", "matmul", "softmax", "argmax", "resample_argmax")
LABELS = ("argmax", "resample_argmax")


@dataclass
class EngineCall:
    """One call: its inputs and its output, and what else it is given."""

    name: str
    isa: str
    threads: int
    given: list[Block]
    out: Block
    views: list[Any] = field(default_factory=list)  # of the inputs, then of the output
    operation: int = 0
    kind: int = 0  # of the activation
    numbers: tuple[float, float] = (0.0, 0.0)
    channels: list[Array] = field(default_factory=list)  # scale, shift and slopes, one number a channel
    tables: list[Taps] = field(default_factory=list)
    must: str = "accept"
    wrong: str = "nothing"
    nulls: set[str] = field(default_factory=set)  # pointers that are left out

    def __str__(self) -> str:
        lines = [
            f"du_{self.name} on {self.isa}, {self.threads} threads, operation {self.operation}, activation {self.kind} "
            f"{self.numbers}, {self.tables}"
        ]
        for name, view in zip((*"ab"[: len(self.given)], "out"), self.views, strict=True):
            lines += [f"  {name}: {shown(view)}"]
        return "\n".join([*lines, f"  wrong on purpose: {self.wrong}"])


def make_engine_call(seed: int, index: int, isas: list[str]) -> EngineCall:
    """The call of this seed and index."""
    make = Maker(seed, (1 << 37) + index)
    choose = make.random.choice
    name = choose(FUNCTIONS)
    sizes = [choose((0, 1, 1, 2)), *(choose(LARGEST_SIZES) for _ in range(3))]
    while math.prod(sizes[1:]) > 4000:
        axis = max((1, 2, 3), key=lambda i: sizes[i])
        sizes[axis] //= 2
    tables: list[Taps] = []
    inputs, out_sizes, out_type = [sizes], list(sizes), FLOAT32
    if name == "combine":
        inputs = [[1 if make.chance(0.2) else n for n in sizes] for _ in range(2)]
        inputs[make.random.randrange(2)] = sizes
    elif name == "reduce":
        out_sizes = [n if make.chance(0.5) else min(n, 1) for n in sizes]
        # No element has no largest one.
        inputs = [[max(n, 1) for n in sizes]]
        out_sizes = [max(n, 1) for n in out_sizes]
    elif name == "matmul":
        inner = choose((1, 2, 5, 16, 33))
        left, right = [*sizes[:3], inner], [*sizes[:2], inner, sizes[3]]
        shared = choose((left, right, None))
        if shared is not None and sizes[0]:
            shared[:2] = [n if make.chance(0.5) else 1 for n in shared[:2]]
        inputs = [left, right]
    elif name in LABELS:
        out_type = choose((UINT8, INT64))
        out_sizes[1] = 1
    if name == "resample_argmax":
        tables = [make_table(make, n, choose) for n in sizes[2:]]
        out_sizes[2:] = [table.out_size for table in tables]
    call = EngineCall(
        name,
        choose(isas),
        choose((1, 2, 3, 8)),
        [make.block(each, FLOAT32, False) for each in inputs],
        make.block(out_sizes, out_type, True),
        operation=make.random.randint(0, 5 if name == "combine" else 2),
        kind=make.random.randint(lib.DU_IDENTITY, lib.DU_ABS),
        numbers=(choose((-1.0, 0.0, 0.01, 0.2)), choose((0.5, 1.0, 6.0))),
        channels=[make.numbers.standard_normal(sizes[1]).astype(np.float32) for _ in range(3)],
        tables=tables,
    )
    if make.chance(0.2):
        call.nulls.add("activation")
    if name in ("activate", "affine") and make.chance(0.2):
        call.given[0] = call.out  # in place
    call.views = [block.view() for block in (*call.given, call.out)]
    if make.chance(0.25):
        _spoil(make, call)
    return call


def _spoil(make: Maker, call: EngineCall) -> None:
    """Make one argument wrong in a way that must be refused."""
    which = make.random.randrange(len(call.views))
    view, block = call.views[which], (*call.given, call.out)[which]
    is_output = which == len(call.given)
    kinds = ["null view", "type", "size", "threads", "wild strides"]
    kinds += ["operation"] if call.name in ("combine", "reduce") else []
    kinds += ["activation"] if call.name in ("activate", "combine", "affine") else []
    kinds += ["null numbers"] if call.name == "affine" else []
    kinds += ["no taps"] if call.tables else []
    if 0 not in block.sizes:
        kinds += ["no data"]
        kinds += ["overlap"] if is_output and max(block.sizes) > 1 else []
    kind = make.random.choice(kinds)
    call.must, call.wrong = "refuse", f"{kind} of view {which}"
    if kind == "null view":
        call.views[which] = ffi.NULL
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "type":
        allowed = {UINT8, INT64} if is_output and call.name in LABELS else {FLOAT32}
        view.type = make.random.choice([t for t in (*STORED_AS, -1, 5, 99, 2**31 - 1) if t not in allowed])
    elif kind == "threads":
        call.threads = make.random.choice((0, -1, -(2**63)))
    elif kind == "operation":
        call.operation = make.random.choice((-1, 6, 17, 2**31 - 1, -(2**31)))
    elif kind == "activation":
        call.nulls.discard("activation")
        call.kind = make.random.choice((-1, lib.DU_ABS + 1, 2**31 - 1, -(2**31), lib.DU_PRELU))
        if call.kind == lib.DU_PRELU:
            call.nulls.add("slopes")
    elif kind == "null numbers":
        call.nulls.add(make.random.choice(("scale", "shift")))
    elif kind == "no taps":
        call.nulls.add(make.random.choice(("rows", "columns")))
    elif kind == "overlap":
        view.strides[make.random.choice([axis for axis in range(4) if view.sizes[axis] > 1])] = 0
    else:
        axis = make.random.randrange(4)
        choices = [-1, -(2**63), 2**31, 2**62, *([0] if axis else [])]
        view.sizes[axis] = make.random.choice(choices)
        for axis in range(4):
            if kind == "wild strides" and make.chance(0.6):
                view.strides[axis] = make.random.choice(LIMITS)


def _run(call: EngineCall, views: list[Any], isa: str, threads: int) -> int:
    kernels.select_isa(isa)
    pointers = {
        name: ffi.NULL if name in call.nulls else ffi.cast("float *", numbers.ctypes.data)
        for name, numbers in zip(("scale", "shift", "slopes"), call.channels, strict=True)
    }
    activation = ffi.NULL
    if "activation" not in call.nulls:
        activation = ffi.new("du_activation *", (call.kind, *call.numbers, pointers["slopes"]))
    rest: list[Any] = []
    if call.name in ("combine", "reduce"):
        rest += [call.operation]
    if call.name == "affine":
        rest += [pointers["scale"], pointers["shift"]]
    if call.name in ("activate", "combine", "affine"):
        rest += [activation]
    rest += [
        ffi.NULL if name in call.nulls else table.native
        for name, table in zip(("rows", "columns"), call.tables, strict=False)
    ]
    return int(getattr(lib, f"du_{call.name}")(*views, *rest, threads))


def judge_engine_call(call: EngineCall) -> int:
    """Make the call; raise FaultError if anything about it is not as promised."""
    blocks = [*call.given, call.out]
    before = [block.memory.copy() for block in blocks]
    plain = _apart(call)
    code = _run(call, call.views, call.isa, call.threads)
    if code not in (0, 1) or (code == 0) != (call.must == "accept"):
        raise FaultError(f"returned {code}: {ffi.string(lib.du_last_error()).decode() if code else ''}")
    for block, memory in zip(blocks, before, strict=True):
        is_written = block is call.out and code == 0
        if not (block.is_untouched(memory) if is_written else np.array_equal(block.memory, memory)):
            raise FaultError(f"{'out' if block is call.out else 'an input'} was changed where it may not be")
    if code or 0 in call.out.sizes:
        return code
    isa = call.isa if call.name == "matmul" else "plain"
    if _run(call, [block.view() for block in plain], isa, 1):
        raise FaultError("was refused with every element apart")
    found, expected = call.out.array(), plain[-1].array()
    is_same = found == expected
    if found.dtype.kind == "f":
        is_same = (is_same & (np.signbit(found) == np.signbit(expected))) | (
            np.isnan(found) & np.isnan(expected)
        )
    if not is_same.all():
        place = tuple(int(i) for i in np.argwhere(~is_same)[0])
        raise FaultError(f"out{list(place)} is {found[place]}, not {expected[place]}")
    return code


def _apart(call: EngineCall) -> list[Block]:
    """Copies of all blocks in which no two elements lie side by side."""
    copies = []
    for block in (*call.given, call.out):
        strides = [2 * math.prod(block.sizes[axis + 1 :]) for axis in range(4)]
        size = 2 * math.prod(block.sizes) * STORED_AS[block.type].itemsize
        copy = Block(np.zeros(size, np.uint8), 0, block.sizes, strides, block.type)
        copy.array()[...] = block.array()
        copies.append(copy)
    return copies
