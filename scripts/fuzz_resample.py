"""The fuzzer's calls of the resample family: planners with any arguments, and the kernel with any two tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import BFLOAT16, FLOAT32, FLOAT64, INT64, UINT8, ffi, lib, reference
from downup.taps import Taps
from fuzz_cases import LIMITS, STORED_AS, Array, Block, FaultError, Maker, from_bfloat16, shown

# The slow reference visits each tap of each output sample.
MOST_REFERENCE_TAPS = 3000
NUMBERS = (0.0, -0.0, -1.0, 0.5, 1.0, 2.0, 1e-300, 1e9, 1e300, -1e300, math.inf, -math.inf, math.nan)


@dataclass
class Resampling:
    """One call of du_resample2d, and one of each planner with wild arguments before it."""

    isa: str
    threads: int
    given: Block
    out: Block
    tables: list[Taps]
    arguments: list[Any] = field(default_factory=list)
    must: str = "accept"
    wrong: str = "nothing"
    wild: Any = None

    def __str__(self) -> str:
        lines = [f"du_resample2d on {self.isa}, {self.threads} threads, {self.tables}"]
        for name, view in zip(("in", "out"), self.arguments[:2], strict=True):
            lines += [f"  {name}: {shown(view)}"]
        return "\n".join([*lines, f"  wrong on purpose: {self.wrong}"])


def make_resampling(seed: int, index: int, isas: list[str]) -> Resampling:
    """The call of this seed and index."""
    make = Maker(seed, (1 << 38) + index)
    choose = make.random.choice
    sizes = make.sizes(4000)
    tables = [make_table(make, sizes[2], choose), make_table(make, sizes[3], choose)]
    while math.prod(sizes[:2]) * tables[0].out_size * tables[1].out_size > 20_000:
        sizes[:2] = [max(n // 2, min(n, 1)) for n in sizes[:2]]
        if max(sizes[:2]) <= 1:
            break
    element = choose((FLOAT32, FLOAT32, FLOAT64, BFLOAT16, UINT8))
    out_sizes = [*sizes[:2], tables[0].out_size, tables[1].out_size]
    given, out = make.block(sizes, element, False), make.block(out_sizes, element, True)
    call = Resampling(choose(isas), choose((1, 2, 3, 8)), given, out, tables)
    call.arguments = [given.view(), out.view(), *(table.native for table in tables), call.threads]
    call.wild = make.random
    if make.chance(0.25):
        _spoil(make, call)
    return call


def make_table(make: Maker, size: int, choose: Any) -> Taps:
    """A table as operators use them, or one with no sense in it."""
    kind = choose(("window", "window", "adaptive", "binomial", "sampled", "sampled", "custom"))
    new = make.random.randint(1, 2 * size + 4)
    if kind == "window":
        window = make.window()
        native = ffi.new("du_window *", tuple(window.values()))
        handle = lib.du_taps_window(size, native, choose((0, 1)), choose((0, 1, 2)), choose((2.0, -3.5)))
        # A window that does not fit is refused: then every sample by itself.
        table = Taps(handle) if handle != ffi.NULL else Taps(lib.du_taps_adaptive(size, size))
    elif kind == "adaptive":
        table = Taps(lib.du_taps_adaptive(size, new))
    elif kind == "binomial":
        table = Taps(
            lib.du_taps_binomial(
                size, make.random.randint(1, 12), make.random.randint(1, 5), choose((0, 1, 2))
            )
        )
    elif kind == "sampled":
        numbers = [choose((0, 1, 2, 3)), *(make.random.randrange(n) for n in (5, 6, 2, 2))]
        sampling = (
            *numbers,
            choose((-1.0, -1.0, size / new, 0.0, min(size, make.random.uniform(0, 3)))),
            choose((-0.75, -0.5)),
        )
        table = Taps(lib.du_taps_sampled(size, new, ffi.new("du_sampling *", sampling)))
    else:
        counts = make.numbers.integers(0, 5, new)
        start = np.concatenate([[0], np.cumsum(counts)])
        index, weight = make.numbers.integers(0, size, start[-1]), make.numbers.standard_normal(start[-1])
        table = Taps(lib.du_taps_of(size, new, len(index), *map(_pointer, (start, index, weight))))
    return _back(table) if make.chance(0.4) and table.out_size == size else table


def _back(table: Taps) -> Taps:
    return table.transposed


def _pointer(array: Array) -> Any:
    kept = np.ascontiguousarray(array, np.float64 if array.dtype.kind == "f" else np.int64)
    pointer = ffi.from_buffer("double[]" if kept.dtype.kind == "f" else "int64_t[]", kept)
    return pointer


def _spoil(make: Maker, call: Resampling) -> None:
    """Make one argument wrong in a way that must be refused."""
    which = make.random.randrange(2)
    view, block = call.arguments[which], (call.given, call.out)[which]
    kinds = ["null view", "null taps", "other taps", "type", "size", "threads"]
    if block.sizes[0]:
        kinds += ["no data"]
        kinds += ["shared memory"] if 0 not in call.out.sizes else []
        kinds += ["overlap"] if which and max(block.sizes) > 1 else []
    kind = make.random.choice(kinds)
    call.must, call.wrong = "refuse", f"{kind} of {('in', 'out')[which]}"
    if kind == "null view":
        call.arguments[which] = ffi.NULL
    elif kind == "null taps":
        call.arguments[2 + which] = ffi.NULL
    elif kind == "other taps":
        table = call.tables[which]
        call.tables.append(Taps(lib.du_taps_adaptive(table.in_size + which, table.out_size + 1 - which)))
        call.arguments[2 + which] = call.tables[-1].native
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "type":
        view.type = make.random.choice([t for t in (*STORED_AS, -1, 5, 2**31 - 1) if t != view.type])
        if view.type == INT64:
            call.arguments[1 - which].type = INT64
    elif kind == "threads":
        call.arguments[4] = make.random.choice((0, -1, -(2**63)))
    elif kind == "overlap":
        view.strides[make.random.choice([axis for axis in range(4) if view.sizes[axis] > 1])] = 0
    elif kind == "shared memory":
        call.arguments[1 - which].data = view.data
        for other in call.arguments[:2]:
            for axis in range(4):
                other.strides[axis] = abs(other.strides[axis]) if other.sizes[axis] > 1 else 1
        call.arguments[1].strides = [math.prod(call.out.sizes[axis + 1 :]) for axis in range(4)]
    else:
        axis = make.random.randrange(4)
        view.sizes[axis] = make.random.choice([-1, 2**31, view.sizes[axis] + 1, *([0] if axis else [])])


def judge_far(seed: int, isas: list[str]) -> None:
    """Windows wider than a line of the kernel, output samples without a tap, and tables that are too long."""
    for index, isa in enumerate(isas * 4):
        make = Maker(seed, (1 << 37) + index)
        channels, columns = ((1, 9000), (3, 5000), (32, 700), (2100, 12))[index // len(isas)]
        table = Taps(lib.du_taps_adaptive(columns, 1 + index % 3))
        rows = (
            Taps(lib.du_taps_adaptive(2, 1)).transposed
            if index % 2
            else Taps(lib.du_taps_binomial(2, 3, 1, 1))
        )
        element = make.random.choice((FLOAT32, FLOAT64, BFLOAT16, UINT8))
        given, out = (
            make.block([1, channels, r, c], element, i == 1)
            for i, (r, c) in enumerate(((rows.in_size, columns), (rows.out_size, table.out_size)))
        )
        call = Resampling(isa, 2, given, out, [rows, table])
        call.arguments = [given.view(), out.view(), rows.native, table.native, 2]
        call.wild = make.random
        judge_resampling(call)
    window = ffi.new("du_window *", ([2**20] * 2, [1] * 2, [2**19] * 2, [2**19] * 2, [1] * 2))
    if lib.du_taps_window(2**20, window, 0, 0, 0.0) != ffi.NULL:
        raise FaultError("a table of 2^39 taps was made")


def judge_resampling(call: Resampling) -> int:
    """Make the calls; raise FaultError if anything about them is not as promised."""
    _judge_planners(call.wild)
    for table in call.tables:
        _judge_table(table)
    kernels.select_isa(call.isa)
    before = call.given.memory.copy(), call.out.memory.copy()
    code = int(lib.du_resample2d(*call.arguments))
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
        _compare(call)
    return code


def _compare(call: Resampling) -> None:
    """The same bits as with all elements apart, on one thread and the plainest instructions; and near the reference."""
    found, sizes = call.out.array(), call.out.sizes
    stored = STORED_AS[call.given.type]
    copies = []
    for block in (call.given, call.out):
        strides = [2 * math.prod(block.sizes[axis + 1 :]) for axis in range(4)]
        copy = Block(
            np.zeros(2 * math.prod(block.sizes) * stored.itemsize, np.uint8),
            0,
            block.sizes,
            strides,
            block.type,
        )
        copy.array()[...] = block.array()
        copies.append(copy)
    kernels.select_isa("plain")
    kernels.check(lib.du_resample2d(*(copy.view() for copy in copies), *call.arguments[2:4], 1))
    values = [
        from_bfloat16(a) if call.given.type == BFLOAT16 else a
        for a in (found, copies[1].array(), copies[0].array())
    ]
    same = values[0] == values[1]
    if values[0].dtype.kind == "f":
        same = (same & (np.signbit(values[0]) == np.signbit(values[1]))) | (
            np.isnan(values[0]) & np.isnan(values[1])
        )
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        raise FaultError(
            f"out{list(place)} is {values[0][place]}, not {values[1][place]} as with elements apart"
        )
    rows, columns = call.tables[:2]
    if (
        rows.count * columns.count * sizes[0] * sizes[1] > MOST_REFERENCE_TAPS
        or not np.isfinite(values[2]).all()
    ):
        return
    exact = reference.resample2d(values[2].astype(np.float64), rows, columns)
    bound = _magnitude(rows) @ np.abs(values[2].astype(np.float64)) @ _magnitude(columns).T
    unit = {FLOAT64: 2.0**-52, BFLOAT16: 2.0**-8}.get(call.given.type, 2.0**-23)
    error = np.abs(
        values[0].astype(np.float64) - (np.clip(exact, 0, 255) if call.given.type == UINT8 else exact)
    )
    allowed = (rows.count + columns.count + 4) * unit * bound + (0.51 if call.given.type == UINT8 else 1e-30)
    if (error > allowed).any():
        place = tuple(int(i) for i in np.argwhere(error > allowed)[0])
        raise FaultError(f"out{list(place)} is {values[0][place]}, not about {exact[place]}")


def _magnitude(table: Taps) -> Array:
    """The absolute weights as a matrix; taps of one sample may cancel each other, but not their errors."""
    start, index, weight, divisor = table.table
    rows = np.repeat(np.arange(table.out_size), np.diff(start))
    matrix = np.zeros((table.out_size, table.in_size))
    np.add.at(matrix, (rows, index), np.abs(weight / divisor[rows]))
    return matrix


def _judge_table(table: Taps) -> None:
    """What a table promises, and that its transpose is one."""
    start, index, weight, divisor = table.table
    if start[0] != 0 or start[-1] != table.count or (np.diff(start) < 0).any():
        raise FaultError(f"{table} starts at {start}")
    if table.count and not 0 <= index.min() <= index.max() < table.in_size:
        raise FaultError(f"{table} reads sample {index.min()} to {index.max()}")
    if (weight == 0).any() or (divisor == 0).any():
        raise FaultError(f"{table} has a weight or a divisor of zero")
    if table.in_size * table.out_size < 5000:
        np.testing.assert_allclose(table.transposed.dense(), table.dense().T, rtol=1e-14, atol=0)


def _judge_planners(random: Any) -> None:
    """Planners with arguments out of every range: an answer that is a table, or a refusal with a sentence."""

    def number() -> int:
        return int(
            random.choice((*LIMITS, random.randint(1, 40), random.randint(1, 40), random.randint(1, 40)))
        )

    def real() -> float:
        return float(random.choice((*NUMBERS, random.uniform(-2, 5))))

    window = ffi.new("du_window *", tuple([number(), number()] for _ in range(5)))
    choices = [random.randint(-1, 6) for _ in range(5)]
    sampling = ffi.new("du_sampling *", (*choices, real(), real()))
    planner = random.randrange(6)
    handle = (
        lambda: lib.du_taps_window(
            number(), random.choice((window, ffi.NULL)), random.randint(-1, 2), choices[0], real()
        ),
        lambda: lib.du_taps_adaptive(number() % 5000, number() % 5000),
        lambda: lib.du_taps_binomial(number() % 5000, number(), number(), choices[0]),
        lambda: lib.du_taps_sampled(
            number() % 300, number() % 300, random.choice((sampling, sampling, ffi.NULL))
        ),
        lambda: lib.du_taps_transposed(ffi.NULL),
        lambda: lib.du_taps_of(number() % 50, 1, random.choice((1, 0, -1)), *_starts(random)),
    )[planner]()
    if handle == ffi.NULL:
        if not 10 < len(ffi.string(lib.du_last_error())) < 400:
            raise FaultError(f"planner {planner} refused without a sentence")
        return
    try:
        made = Taps(handle)
    except ArgumentError as error:
        raise FaultError(f"planner {planner} made no table: {error}") from error
    if made.count < 10**5:
        _judge_table(made)


def _starts(random: Any) -> list[Any]:
    start = ffi.new("int64_t[2]", [random.choice((0, 1, -1, 2**62)), random.choice((0, 1, 2, -5, 2**62))])
    return [start, ffi.new("int64_t[1]", [random.choice((0, 1, -1, 49, 2**62))]), ffi.new("double[1]", [1.0])]
