"""Calls the native library with arguments right and wrong, and judges everything that it does.

    python scripts/fuzz_native.py --calls 20000
    python scripts/fuzz_native.py --seed 7 --only 1234      one case again, described before it runs
    python scripts/fuzz_native.py --family exact            the calls of one family alone

What is accepted must equal the reference; what is refused must be wrong, and have a sentence. No byte may
change that is not an element of an output. Faults that do not show, such as a read one byte too far, are for
`scripts/sanitize.py`.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import mmap
import os
import re
import struct
import sys
import threading
import time
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np

from downup import geometry, kernels
from downup.errors import ArgumentError
from downup.kernels import BFLOAT16, FLOAT32, FLOAT64, INT64, UINT8, Window, ffi, lib, reference
from fuzz_cases import (
    LIMITS,
    OUTPUTS,
    STORED_AS,
    VIEWS,
    Array,
    Block,
    Case,
    FaultError,
    from_bfloat16,
    make_case,
    to_bfloat16,
)
from fuzz_convolve import judge_convolving, make_convolving
from fuzz_engine import judge_engine_call, make_engine_call
from fuzz_exact import judge_summing, make_summing
from fuzz_rearrange import judge_rearrangement, make_rearrangement
from fuzz_resample import judge_far, judge_resampling, make_resampling

# Taps that the reference, which takes about a microsecond for each, may visit in one case.
MOST_REFERENCE_TAPS = 1500

# 256 calls take about a second; a call that hangs ends the run.
MOST_SECONDS = 300


def call(case: Case) -> int:
    """Make the call of a case on its instruction set."""
    kernels.select_isa(case.isa)
    views = [case.views[name] for name in VIEWS[case.operator]]
    return int(getattr(lib, f"du_{case.operator}")(*views, case.native_window(), case.threads))


def sentence() -> str:
    return str(ffi.string(lib.du_last_error()).decode())


def judge(case: Case) -> int:
    """Make the call; raise FaultError if anything about it is not as promised."""
    before = {name: block.memory.copy() for name, block in case.blocks.items() if block is not None}
    code = call(case)
    for name, block in case.blocks.items():
        if block is None:
            continue
        if name not in OUTPUTS[case.operator] or code == 1:
            if not np.array_equal(block.memory, before[name]):
                raise FaultError(f"{name} was changed")
        elif not block.is_untouched(before[name]):
            raise FaultError(f"bytes around the elements of {name} were changed")
    if code == 0 and case.must == "refuse":
        raise FaultError("a wrong call was accepted")
    if code and not 10 < len(sentence()) < 400:
        raise FaultError(f"refused with the sentence {sentence()!r}")
    if code == 1 and case.must == "accept":
        raise FaultError(f"a right call was refused: {sentence()}")
    if code not in (0, 1, 2) or (code == 2 and case.operator == "max_pool2d"):
        raise FaultError(f"returned {code}: {sentence()}")
    if code != 1:
        _compare(case, code)
    return code


def _compare(case: Case, code: int) -> None:
    blocks = case.blocks
    plane, samples = blocks["plane"], blocks["samples"]
    assert plane is not None
    assert samples is not None
    taps = math.prod(case.window["size"]) + 1
    is_short = math.prod(samples.sizes) * taps <= MOST_REFERENCE_TAPS and 0 not in samples.sizes
    if is_short:
        try:
            expected = _reference(case)
        except ArgumentError as error:
            if code == 0:
                raise FaultError(f"accepted, but {error}") from None
            return
        if code:
            raise FaultError(f"refused right positions: {sentence()}")
    elif max(plane.sizes) < 2**20 and 0 not in samples.sizes:
        other_code, expected = _scalar_call(case)
        if code != other_code:
            raise FaultError(f"returned {code}, but {other_code} for scattered elements: {sentence()}")
        if code:
            return
    else:
        return
    for name, values in expected.items():
        block = blocks[name]
        if block is not None:
            _check_equal(name, block, values)


def _check_equal(name: str, block: Block, expected: Array) -> None:
    found = block.array()
    if block.type == BFLOAT16:
        found, expected = from_bfloat16(found), from_bfloat16(expected)
    same = found == expected
    if found.dtype.kind == "f":
        same &= np.signbit(found) == np.signbit(expected)
        same |= np.isnan(found) & np.isnan(expected)
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        share = f"{(~same).sum()} of {same.size} differ"
        raise FaultError(f"{name}{list(place)} is {found[place]}, not {expected[place]}; {share}")


def _reference(case: Case) -> dict[str, Array]:
    """The outputs that `downup.kernels.reference` gives."""
    w = case.window
    window = Window(
        tuple(w["size"]),
        tuple(w["stride"]),
        tuple(w["pad_before"]),
        tuple(w["pad_after"]),
        tuple(w["dilation"]),
        bool(w["ceil_mode"]),
    )
    plane, samples, positions = case.blocks["plane"], case.blocks["samples"], case.blocks["positions"]
    assert plane is not None
    assert samples is not None
    if "adaptive" in w:
        in_size, out_size = (plane.sizes[2], plane.sizes[3]), (samples.sizes[2], samples.sizes[3])
        window = reference.adaptive_window(in_size, out_size)
    element_type = plane.type

    def values(block: Block) -> Array:
        array = block.array()
        if element_type != BFLOAT16:
            return array
        if any(block.strides):
            return from_bfloat16(array)
        return np.broadcast_to(from_bfloat16(array[:1, :1, :1, :1]), array.shape)

    def stored(array: Array) -> Array:
        return to_bfloat16(array) if element_type == BFLOAT16 else array

    # The sum of opposite infinities is a NaN, and no mistake.
    with np.errstate(invalid="ignore", over="ignore"):
        if case.operator == "max_pool2d":
            out, flat, offsets = reference.max_pool2d(
                values(plane), window, (samples.sizes[2], samples.sizes[3])
            )
            is_compact = positions is not None and positions.type == UINT8
            return {"samples": stored(out), "positions": offsets if is_compact else flat}
        assert positions is not None
        at, size = positions.array(), (plane.sizes[2], plane.sizes[3])
        if case.operator == "max_pool2d_backward":
            return {"plane": stored(reference.max_pool2d_backward(values(samples), at, window, size))}
        if case.operator == "max_pool2d_take":
            return {"samples": stored(reference.max_pool2d_take(values(plane), at, window))}
        if case.operator == "max_unpool2d":
            return {"plane": stored(reference.max_unpool2d(values(samples), at, window, size))}
        return {"samples": stored(reference.max_unpool2d_backward(values(plane), at, window))}


def _scalar_call(case: Case) -> tuple[int, dict[str, Array]]:
    """The same call with all elements apart, on one thread and the plainest instructions: no vectors."""
    other = Case(case.operator, "plain", 1, case.window, {})
    for name, block in case.blocks.items():
        if block is None:
            other.views[name] = ffi.NULL
            continue
        strides = [2 * math.prod(block.sizes[axis + 1 :]) for axis in range(4)]
        stored = STORED_AS[block.type]
        memory = np.zeros(2 * math.prod(block.sizes) * stored.itemsize, np.uint8)
        copy = Block(memory, 0, block.sizes, strides, block.type)
        copy.array()[...] = block.array()
        other.blocks[name], other.views[name] = copy, copy.view()
    code = call(other)
    outputs = ((name, other.blocks.get(name)) for name in OUTPUTS[case.operator])
    return code, {name: block.array() for name, block in outputs if block is not None}


# ---------------------------------------------------------------- the other entries


def judge_size_rule(case: Case) -> None:
    """The native size rule against that of `geometry`, and with numbers out of range."""
    random, axis = case.numbers, case.threads % 2
    in_size, size, stride, dilation = (int(n) for n in random.integers(1, (60, 9, 9, 5)))
    before, after = (int(n) for n in random.integers(0, 12, 2))
    ceil_mode = bool(random.integers(2))
    window = ffi.new(
        "du_window *",
        ([size] * 2, [stride] * 2, [before] * 2, [after] * 2, [dilation] * 2, ceil_mode),
    )
    try:
        expected = geometry.window_out_size(in_size, size, stride, (before, after), dilation, ceil_mode)
    except ArgumentError:
        expected = -1
    found = lib.du_window_out_size(in_size, window, axis)
    if found != expected:
        numbers = f"({in_size}, {size}, {stride}, ({before}, {after}), {dilation}, {int(ceil_mode)})"
        raise FaultError(f"du_window_out_size{numbers} is {found}, not {expected}")
    lib.du_window_out_size(int(random.choice(LIMITS)), window, int(random.integers(-2, 4)))
    lib.du_window_out_size(in_size, ffi.NULL, 0)
    absurd = ffi.new("du_window *", tuple([int(n) for n in random.choice(LIMITS, 2)] for _ in range(5)))
    lib.du_window_out_size(int(random.choice(LIMITS)), absurd, axis)
    absurd.adaptive = 1
    if lib.du_window_out_size(in_size, absurd, axis) != -1:
        raise FaultError("an adaptive window was given a number of samples")


def judge_names() -> None:
    """Instruction sets that do not exist are refused, and the one in use stays."""
    kernels.select_isa("plain")
    for name in (b"", b"none", b"AVX2", b"%s%n" * 200, ffi.NULL):
        if lib.du_isa_select(name) != 1 or lib.du_isa_active() == ffi.NULL or kernels.active_isa() != "plain":
            raise FaultError(f"du_isa_select({name!r}) was accepted")
        sentence()
    if any(lib.du_isa_name(index) != ffi.NULL for index in (-(2**31), -1, 99, 2**31 - 1)):
        raise FaultError("du_isa_name gives a name for a number out of range")


def judge_streams(seed: int, isas: list[str]) -> None:
    """Outputs so large that they are stored past the caches."""
    backward = ("max_pool2d_backward", "max_unpool2d")
    for isa in isas:
        layouts = {1, 3}
        for index in range(100):
            case = make_case(seed, index, [isa], backward, (FLOAT32,), [1, 8, 728, 728])
            plane = case.blocks["plane"]
            assert plane is not None
            layout = plane.strides.index(1) if 1 in plane.strides else 0
            if case.must == "accept" and layout in layouts:
                layouts.remove(layout)
                judge(case)
            if not layouts:
                break


def judge_extremes() -> None:
    """A legal call whose products of sizes overflow: they multiply to 2^64 - 1, so that one more is zero."""
    channels, windows, columns, rows = 3 * 5 * 641, 257, 65537 * 17, 6700417
    values, positions = np.zeros(channels), np.zeros(channels, np.int64)
    taken = np.ones((windows, channels))
    views = (
        kernels.view(values.ctypes.data, (1, channels, rows, columns), (0, 1, 0, 0), FLOAT64),
        kernels.view(positions.ctypes.data, (1, channels, 1, windows), (0, 1, 0, 0), INT64),
        kernels.view(taken.ctypes.data, (1, channels, 1, windows), (0, 1, 0, channels), FLOAT64),
    )
    # All windows lie in the padding above the plane.
    window = Window((rows, columns), (rows + 1, columns), (rows, 0), (0, (windows - 1) * columns))
    if lib.du_max_pool2d_take(*views, window.native, 2) or taken.any():
        raise FaultError(f"a huge plane of one value: {sentence()}")


def judge_threads(seed: int) -> None:
    """Two callers at once, threads of a host, and a forked child."""
    isas = kernels.available_isas()
    found = (make_case(seed, index, isas, sizes=[2, 33, 40, 50]) for index in range(1000))
    large = list(islice((case for case in found if case.must == "accept"), 4))
    for case in large:
        case.threads, case.isa = 4, isas[0]

    failures: list[BaseException] = []

    def work(case: Case) -> None:
        try:
            for _ in range(20):
                judge(case)
        except FaultError as failure:
            failures.append(failure)

    callers = [threading.Thread(target=work, args=(case,)) for case in large]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    @ffi.callback("void (void (*)(void *), void *, unsigned, unsigned)")  # type: ignore[untyped-decorator]
    def host(task: Any, data: Any, threads: int, flags: int) -> None:
        for _ in range(threads):
            task(data)

    lib.du_threads_borrow(host)
    work(large[0])
    lib.du_threads_borrow(ffi.NULL)

    child = os.fork()
    if child == 0:
        work(large[0])
        sys.exit(1 if failures else 0)
    _, status = os.waitpid(child, 0)
    if status:
        failures.append(FaultError(f"a forked child ended with status {status}"))
    if failures:
        raise failures[0]


# ---------------------------------------------------------------- the loop


def judge_with_size_rule(case: Case) -> int:
    """Both calls that a case of windows is for."""
    code = judge(case)
    judge_size_rule(case)
    return code


# What makes a call from the seed and its index, and what judges it.
FAMILIES: dict[str, tuple[Any, Any]] = {
    "select": (make_case, judge_with_size_rule),
    "rearrange": (make_rearrangement, judge_rearrangement),
    "resample2d": (make_resampling, judge_resampling),
    "engine": (make_engine_call, judge_engine_call),
    "exact": (make_summing, judge_summing),
    "convolution": (make_convolving, judge_convolving),
}


def main() -> int:
    """Run cases until one fails; the exit status says whether one did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="drawn from the clock when left out")
    parser.add_argument("--first", type=int, default=0, help="index of the first case")
    parser.add_argument(
        "--only", type=int, default=None, help="describe and run this case alone; -1: threads, names"
    )
    parser.add_argument("--family", choices=FAMILIES, default=None, help="leave out all others")
    parser.add_argument("--all", action="store_true", help="go on after a failure; show one of each kind")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long")
    parser.add_argument("--trace", default=None, help="file that always holds the index of the running case")
    arguments = parser.parse_args()
    faulthandler.enable()
    seed = time.time_ns() % 10**9 if arguments.seed is None else arguments.seed
    isas = kernels.available_isas()
    if arguments.only == -1:
        _judge_rest(seed, isas)
        return 0
    if arguments.only is not None:
        for make, judge_one in _chosen(arguments.family).values():
            one = make(seed, arguments.only, isas)
            print(one, flush=True)
            print(f"returned {judge_one(one)}", flush=True)
        return 0
    print(f"seed {seed}, {arguments.calls} calls from {arguments.first}, {', '.join(isas)}", flush=True)
    trace = _trace(arguments.trace)
    is_clean = _judge_all(arguments, seed, isas, trace)
    if not is_clean and not arguments.all:
        return 1
    struct.pack_into("q", trace, 0, -1)
    _judge_rest(seed, isas)
    return 0 if is_clean else 1


def _judge_rest(seed: int, isas: list[str]) -> None:
    judge_names()
    judge_extremes()
    judge_far(seed, isas)
    judge_threads(seed)
    judge_streams(seed, isas)


def _chosen(family: str | None) -> dict[str, tuple[Any, Any]]:
    return {family: FAMILIES[family]} if family else FAMILIES


def _judge_all(arguments: argparse.Namespace, seed: int, isas: list[str], trace: Any) -> bool:
    operators: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    failures: Counter[str] = Counter()
    families = _chosen(arguments.family)
    end = time.monotonic() + 60 * arguments.minutes
    for index in range(arguments.first, arguments.first + arguments.calls):
        if index % 256 == 0 or index == arguments.first:
            faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        struct.pack_into("q", trace, 0, index)
        for family, (make, judge_one) in families.items():
            one = make(seed, index, isas)
            operators[one.operator if family == "select" else family] += 1
            try:
                codes[judge_one(one)] += 1
            except FaultError as failure:
                kind = f"{family}: {re.sub('[-+.0-9a-z]*[0-9]+', '#', str(failure))}"
                failures[kind] += 1
                if failures[kind] == 1:
                    print(f"FAILED: {failure}\n{one}")
                    again = f"--seed {seed} --family {family} --only {index}"
                    print(f"again: python scripts/fuzz_native.py {again}", flush=True)
        if failures and not arguments.all:
            return False
        if index % 256 == 0 and time.monotonic() > end:
            break
    faulthandler.cancel_dump_traceback_later()
    print(f"{operators.total()} calls: " + ", ".join(f"{name} {n}" for name, n in sorted(operators.items())))
    print(f"{codes[0]} accepted, {codes[1]} refused for their arguments, {codes[2]} for their positions")
    for kind, count in failures.most_common():
        print(f"{count} failures: {kind}")
    return not failures


def _trace(path: str | None) -> Any:
    """Eight bytes that outlive a crash of this process."""
    if path is None:
        return bytearray(8)
    with open(path, "w+b") as file:
        file.write(bytes(8))
        file.flush()
        return mmap.mmap(file.fileno(), 8)


if __name__ == "__main__":
    sys.exit(main())
