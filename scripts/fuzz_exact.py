"""The fuzzer's calls of sums without rounding, and of the counted multiply-adds.

Sums are judged by Python's integers: a float32 is a whole number of the smallest one, 2^-149. A right call must give this
number whatever the instruction set, the threads and the layout; and parts of a plane, added in any order, its mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import kernels
from downup.kernels import FLOAT32, INT64, ffi, lib
from fuzz_cases import LIMITS, STORED_AS, Array, Block, FaultError, Maker, shown

WORDS = lib.DU_EXACT_WORDS
DIGITS = WORDS - 2
CHANNELS = (1, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65)
COLUMNS = (1, 1, 2, 3, 5, 16, 31, 32, 33, 65)
COUNTS = (1, 2, 3, 7, 1000, 2**24 + 1, 2**53 + 1, 2**62 + 1, 2**63 - 1)
# Of du_multiply_adds; rounds on all threads together.
MOST_THREADS, MOST_ROUNDS = 2**16, 2**32


@dataclass
class Summing:
    """One call of du_sum_exactly, du_mean_exactly or du_multiply_adds."""

    name: str
    isa: str
    threads: int
    given: Block
    out: Block
    count: int = 1  # that the mean divides by; rounds of multiply-adds
    views: list[Any] = field(default_factory=list)  # of both blocks
    must: str = "accept"
    wrong: str = "nothing"

    def __str__(self) -> str:
        lines = [f"du_{self.name} on {self.isa}, {self.threads} threads, count {self.count}"]
        lines += [f"  {name}: {shown(view)}" for name, view in zip(("in", "out"), self.views, strict=False)]
        return "\n".join([*lines, f"  wrong on purpose: {self.wrong}"])


def make_summing(seed: int, index: int, isas: list[str]) -> Summing:
    """The call of this seed and index."""
    make = Maker(seed, (1 << 35) + index)
    choose = make.random.choice
    name = choose(
        ("sum_exactly", "sum_exactly", "sum_exactly", "mean_exactly", "mean_exactly", "multiply_adds")
    )
    sizes = [choose((0, 1, 1, 1, 2, 3)), choose(CHANNELS), choose((1, 1, 2, 3, 9)), choose(COLUMNS)]
    # More than one piece of a plane, cut along rows or along columns.
    is_large = make.chance(0.005)
    if is_large:
        sizes = [1, choose((1, 9, 33)), *choose(((1, 140_000), (70, 65), (140_000, 1)))]
    while math.prod(sizes[1:]) > (200_000 if is_large else 1500):
        sizes[max((1, 2, 3), key=lambda i: sizes[i])] //= 2
    of_sums = [*sizes[:2], 1, WORDS]
    is_sum = name == "sum_exactly"
    call = Summing(
        name,
        choose(isas),
        choose((1, 2, 3, 8)),
        make.block(sizes if is_sum else of_sums, FLOAT32 if is_sum else INT64, False),
        make.block(of_sums if is_sum else [*sizes[:2], 1, 1], INT64 if is_sum else FLOAT32, True),
        count=choose(COUNTS) if name == "mean_exactly" else make.random.randint(1, 3000),
    )
    if sizes[0]:
        array = call.given.array()
        array[...] = _singles(make, array.shape) if is_sum else _words(make, array.shape)
    call.views = [call.given.view(), call.out.view()]
    if is_sum and make.chance(0.05):
        call.threads = choose((2**32, 2**63 - 1))
    if make.chance(0.25):
        _spoil(make, call)
    return call


def _singles(make: Maker, shape: tuple[int, ...]) -> Array:
    """float32 of one kind: of one size, of all sizes, any bits at all, or pairs of which little is left."""
    kind = make.random.choice(("normal", "sizes", "small", "large", "bits", "few infinities"))
    numbers = make.numbers
    if kind in ("bits", "small"):
        bits = numbers.integers(0, 2**32, shape, np.uint32)
        # Without the upper bits of the exponent: the smallest, half of them denormal.
        return (bits & np.uint32(0x80FFFFFF) if kind == "small" else bits).view(np.float32)
    values = numbers.standard_normal(shape)
    if kind == "sizes":
        values *= 2.0 ** numbers.integers(-149, 120, shape)
        values[..., 1::2] = -values[..., : values.shape[-1] // 2 * 2 : 2]
    single = values.astype(np.float32)
    if kind == "large":
        single = np.copysign(np.finfo(np.float32).max, single)
    if kind == "few infinities":
        single[numbers.random(shape) < 0.02] = make.random.choice((np.inf, -np.inf, np.nan))
    return single


def _words(make: Maker, shape: tuple[int, ...]) -> Array:
    """Words as sums have them, or any at all."""
    if make.chance(0.5):
        words = make.numbers.integers(-(2**63), 2**63 - 1, shape)
    else:
        bits = make.random.choice((3, 32, 40, 55))
        words = make.numbers.integers(-(2**bits), 2**bits, shape)
    words[..., make.numbers.random(WORDS) < make.random.choice((0.0, 0.5, 0.9))] = 0
    if make.chance(0.3):
        # Of one sign and near a half of the last place, or of that which is next to it.
        words[..., :DIGITS] = make.random.choice((0, 2**31, 2**32 - 1, -1, 2**63 - 1, -(2**63)))
    if make.chance(0.8):
        words[..., DIGITS:] = 0
    return words


def _spoil(make: Maker, call: Summing) -> None:
    """Make one argument wrong in a way that must be refused."""
    choose = make.random.choice
    call.must = "refuse"
    if call.name == "multiply_adds":
        call.wrong = choose(("threads", "rounds", "both"))
        if call.wrong == "threads":
            call.threads = choose((0, -1, -(2**63), MOST_THREADS + 1, 2**60, 2**63 - 1))
        elif call.wrong == "rounds":
            call.count = choose((0, -1, -(2**63), MOST_ROUNDS + 1, 2**60, 2**63 - 1))
        else:
            call.threads = choose((2, 3, MOST_THREADS))
            call.count = MOST_ROUNDS // call.threads + 1
        return
    which = make.random.randrange(2)
    view, block = call.views[which], (call.given, call.out)[which]
    kinds = ["null view", "type", "size", "threads", "wild strides"]
    kinds += ["count"] if call.name == "mean_exactly" else []
    if 0 not in block.sizes:
        kinds += ["no data", "shared"]
        kinds += ["overlap"] if which and max(block.sizes) > 1 else []
    kind = choose(kinds)
    call.wrong = f"{kind} of view {which}"
    if kind == "null view":
        call.views[which] = ffi.NULL
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "shared":
        view.data = call.views[1 - which].data
    elif kind == "type":
        view.type = choose([t for t in (*STORED_AS, -1, 5, 99, 2**31 - 1) if t != block.type])
    elif kind == "threads":
        call.threads = choose((0, -1, -(2**63)))
    elif kind == "count":
        call.count = choose((0, -1, -(2**63)))
    elif kind == "overlap":
        view.strides[choose([axis for axis in range(4) if view.sizes[axis] > 1])] = 0
    else:
        axis = make.random.randrange(4)
        # Of planes, any number of rows and columns fits.
        is_free = call.name == "sum_exactly" and which == 0 and axis > 1
        choices = [
            -1,
            -(2**63),
            2**31,
            2**62,
            *([0] if axis else []),
            *([] if is_free else [view.sizes[axis] + 1]),
        ]
        view.sizes[axis] = choose(choices)
        for axis in range(4):
            if kind == "wild strides" and make.chance(0.6):
                view.strides[axis] = choose(LIMITS)


def _run(call: Summing) -> int:
    kernels.select_isa(call.isa)
    if call.name == "sum_exactly":
        return int(lib.du_sum_exactly(*call.views, call.threads))
    return int(lib.du_mean_exactly(*call.views, call.count, call.threads))


def judge_summing(call: Summing) -> int:
    """Make the call; raise FaultError if anything about it is not as promised."""
    if call.name == "multiply_adds":
        return _judge_multiply_adds(call)
    blocks = (call.given, call.out)
    before = [block.memory.copy() for block in blocks]
    code = _run(call)
    _judge_code(call, code)
    for block, memory in zip(blocks, before, strict=True):
        is_written = block is call.out and code == 0
        if not (block.is_untouched(memory) if is_written else np.array_equal(block.memory, memory)):
            raise FaultError(f"{'out' if block is call.out else 'in'} was changed where it may not be")
    if code or 0 in call.out.sizes:
        return code
    if call.name == "mean_exactly":
        _compare(call.out.array(), _means(call.given.array(), call.count), "mean")
        return code
    for place in np.ndindex(*call.out.sizes[:2]):
        found, expected = _total(call.out.array()[place]), _sum(call.given.array()[place])
        if found != expected:
            raise FaultError(f"the sum of plane {list(place)} is {found}, not {expected}")
    _judge_parts(call)
    return code


def _judge_code(call: Summing, code: int) -> None:
    sentence = ffi.string(lib.du_last_error()).decode() if code else ""
    if code not in (0, 1) or (code == 0) != (call.must == "accept"):
        raise FaultError(f"returned {code}: {sentence}")
    if code and not 10 < len(sentence) < 400:
        raise FaultError(f"refused with the sentence {sentence!r}")


def _judge_multiply_adds(call: Summing) -> int:
    kernels.select_isa(call.isa)
    found = lib.du_multiply_adds(call.count, call.threads)
    code = lib.du_last_code() if found < 0 else 0
    _judge_code(call, code)
    # Sixteen pieces for each thread.
    if code == 0 and found != -(-call.count // 16) * call.threads * lib.du_multiply_adds(1, 1):
        raise FaultError(f"{found} multiply-adds were counted")
    return code


def _judge_parts(call: Summing) -> None:
    """The parts of the plane, summed in another order by other instructions and threads, have the plane's mean."""
    x = call.given.array()
    row, column = x.shape[2] // 2, x.shape[3] // 3
    parts = [x[:, :, row:, column:], x[:, :, row:, :column], x[:, :, :row, ::-1]]
    sums, own = np.zeros(call.out.sizes, np.int64), np.empty(call.out.sizes, np.int64)
    kernels.select_isa(kernels.available_isas()[call.count % len(kernels.available_isas())])
    for part in parts:
        if part.size:
            kernels.check(lib.du_sum_exactly(kernels.array_view(part), kernels.array_view(own), 3))
            sums += own
    means = np.empty((*x.shape[:2], 1, 1), np.float32)
    kernels.check(lib.du_mean_exactly(kernels.array_view(sums), kernels.array_view(means), call.count, 1))
    _compare(means, _means(call.out.array(), call.count), "mean of all parts")


def _compare(found: Array, expected: Array, name: str) -> None:
    is_same = (found == expected) & (np.signbit(found) == np.signbit(expected))
    is_same |= np.isnan(found) & np.isnan(expected)
    if not is_same.all():
        place = tuple(int(i) for i in np.argwhere(~is_same)[0])
        raise FaultError(f"the {name} {list(place)} is {found[place]}, not {expected[place]}")


# ---------------------------------------------------------------- the rule, in Python's integers


def _sum(plane: Array) -> tuple[int, int, int]:
    """In units of the smallest float32; then how many infinities of each sign there are, NaN counted as one of both."""
    is_finite = np.isfinite(plane)
    up, down = ~is_finite & ~(plane < 0), ~is_finite & ~(plane > 0)
    bits = plane[is_finite].view(np.uint32)
    exponent, mantissa = (bits >> 23 & 0xFF).astype(np.int64), (bits & 0x7FFFFF).astype(np.int64)
    mantissa[exponent > 0] += 1 << 23
    of_exponent = np.zeros(256, np.int64)
    np.add.at(of_exponent, np.maximum(exponent, 1) - 1, np.where(bits >> 31, -mantissa, mantissa))
    total = sum(int(n) << place for place, n in enumerate(of_exponent) if n)
    return total, int(up.sum()), int(down.sum())


def _total(words: Array) -> tuple[int, int, int]:
    *digits, up, down = (int(word) for word in words.ravel())
    return sum(word << 32 * i for i, word in enumerate(digits)), up, down


def _means(sums: Array, count: int) -> Array:
    means = np.empty((*sums.shape[:2], 1, 1), np.float32)
    for place in np.ndindex(*sums.shape[:2]):
        total, up, down = _total(sums[place])
        # Python rounds to the nearest double, ties to even; powers of two are exact.
        mean = float(total) * 2.0**-149 / float(count)
        if up or down:
            mean = math.nan if up and down else math.inf if up else -math.inf
        with np.errstate(over="ignore"):
            means[place] = np.float64(mean).astype(np.float32)
    return means
