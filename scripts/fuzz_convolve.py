"""The fuzzer's calls of the convolve family: one prepared from a spec right or wrong, then run on views right or wrong.

A right run must give the bits of the same run on one thread, with its input whole and every view packed, and must lie near
what the plain sum of products gives. Scratch is lent to the byte, so that the address sanitizer sees the first one beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downup import kernels
from downup.kernels import FLOAT32, ffi, lib
from fuzz_cases import LIMITS, STORED_AS, Array, Block, FaultError, Maker, shown

CHANNELS = (1, 1, 2, 3, 4, 5, 8, 15, 16, 17, 21, 32, 33, 48, 64)
# Rounding of a convolution by its algorithm, as a share of the largest output; of others, that of Winograd.
ERRORS = {"direct": 1e-5, "direct_bfloat16": 1e-2}
WINOGRAD_ERROR = 1e-4
MOST_PRODUCTS = 3_000_000


@dataclass
class Convolving:
    """One preparation and one run."""

    isa: str
    threads: int
    spec: dict[str, Any]
    weight: Array
    bias: Array | None
    slopes: Array
    parts: list[Block] = field(default_factory=list)
    residual: Block | None = None
    out: Block | None = None
    views: list[Any] = field(default_factory=list)  # of the parts, the residual if there is one, the output
    must: str = "accept"
    wrong: str = "nothing"
    scratch_missing: int = 0

    def __str__(self) -> str:
        lines = [
            f"du_convolution on {self.isa}, {self.threads} threads, {self.spec}, bias {self.bias is not None}"
        ]
        for name, view in zip(
            [*(f"part {i}" for i in range(len(self.parts))), "rest", "rest"], self.views, strict=False
        ):
            lines += [f"  {name}: {shown(view)}"]
        return "\n".join([*lines, f"  wrong on purpose: {self.wrong}"])


def make_convolving(seed: int, index: int, isas: list[str]) -> Convolving:
    """The case of this seed and index."""
    make = Maker(seed, (1 << 36) + index)
    choose = make.random.choice
    spec = _spec(make)
    transposed, size = spec["transposed"], spec["window"]["size"]
    first, second = spec["in_channels"], spec["out_channels"]
    if transposed:
        first, second = second, first
    weight = make.numbers.standard_normal((second, first // spec["groups"], *size)).astype(np.float32)
    numbers = make.numbers.standard_normal((2, spec["out_channels"])).astype(np.float32)
    call = Convolving(
        choose(isas), choose((1, 2, 3, 8)), spec, weight, choose((None, numbers[0])), numbers[1]
    )
    if make.chance(0.15):
        _spoil_spec(make, call)
        return call
    batch = choose((0, 1, 1, 2))
    plane = [choose((1, 2, 3, 4, 5, 8, 9, 13, 17, 24)) for _ in range(2)]
    out_size = _out_size(call, plane)
    if out_size is None:
        call.must = "refuse size"
        return call
    if math.prod(out_size) * max(batch, 1) * weight.size > MOST_PRODUCTS:
        batch, plane = min(batch, 1), [1 + n // 4 for n in plane]
        out_size = _out_size(call, plane)
        if out_size is None or math.prod(out_size) * weight.size > 10 * MOST_PRODUCTS:
            call.must = "refuse size" if out_size is None else "nothing"
            return call
    call.parts = [_pixels(make, [batch, c, *plane], False) for c in _cut(make, spec["in_channels"])]
    call.out = _pixels(make, [batch, spec["out_channels"], *out_size], True)
    if make.chance(0.4):
        call.residual = call.out if make.chance(0.3) else _pixels(make, call.out.sizes, False)
        if call.residual is call.out and 0 not in call.out.sizes:
            call.out.array()[...] = make.numbers.standard_normal(call.out.sizes)
    blocks = [*call.parts, *([call.residual] if call.residual else []), call.out]
    call.views = [block.view() for block in blocks]
    if make.chance(0.2):
        _spoil_run(make, call, blocks)
    return call


def _spec(make: Maker) -> dict[str, Any]:
    choose = make.random.choice
    kind = choose(("any", "any", "3x3", "3x3", "1x1", "depthwise", "transposed", "upsampled"))
    size = {"3x3": [3, 3], "1x1": [1, 1], "upsampled": [3, 3]}.get(kind) or [
        choose((1, 2, 2, 3, 4, 5, 7)) for _ in "rc"
    ]
    is_plain = kind in ("3x3", "upsampled")
    stride = [1, 1] if is_plain and make.chance(0.7) else [choose((1, 1, 2, 3)) for _ in "rc"]
    dilation = [1, 1] if is_plain and make.chance(0.6) else [choose((1, 1, 1, 2, 3)) for _ in "rc"]
    groups = choose((1, 1, 1, 2, 3))
    channels = [groups * choose(CHANNELS[: 8 if groups > 1 else None]) for _ in "io"]
    if kind == "depthwise":
        groups = choose(CHANNELS)
        channels = [groups, groups * choose((1, 1, 2))]
    transposed = kind == "transposed"
    most = [max(s, d) - 1 if transposed else 0 for s, d in zip(stride, dilation, strict=True)]
    upsample = choose(([2, 2], [2, 2], [3, 2], [1, 4])) if kind == "upsampled" else [1, 1]
    return {
        "in_channels": channels[0],
        "out_channels": channels[1],
        "groups": groups,
        "window": {
            "size": size,
            "stride": stride,
            "pad_before": [choose((0, 1, 1, 2)) for _ in "rc"],
            "pad_after": [choose((0, 1, 1, 2)) for _ in "rc"],
            "dilation": dilation,
            "ceil_mode": 0,
            "adaptive": 0,
        },
        "output_padding": [make.random.randint(0, n) for n in most],
        "upsample": upsample,
        "transposed": int(transposed),
        "precision": choose((lib.DU_FAST, lib.DU_EXACT, lib.DU_BFLOAT16_PRODUCTS)),
        "algorithm": lib.DU_AUTO,
        "activation": make.random.randint(lib.DU_IDENTITY, lib.DU_TANH),
    }


def _cut(make: Maker, channels: int) -> list[int]:
    """Channels of the parts of a concatenation."""
    parts = []
    while channels and len(parts) < 4 and make.chance(0.4):
        parts.append(make.random.randint(1, channels))
        channels -= parts[-1]
    return [*parts, channels] if channels else parts


def _pixels(make: Maker, sizes: list[int], is_output: bool) -> Block:
    """Memory in which channels lie side by side, pixels and rows perhaps further apart."""
    gaps = [make.random.choice((0, 0, 1, 5)) for _ in range(3)]
    column = sizes[1] + gaps[0]
    row = column * sizes[3] + gaps[1]
    strides = [row * sizes[2] + gaps[2], 1, row, column]
    reach = sum((n - 1) * s for n, s in zip(sizes, strides, strict=True) if n > 1)
    item = STORED_AS[FLOAT32].itemsize
    guard = 64 if make.chance(0.3) else 0
    memory = np.full(reach * item + item + 2 * guard, 0xA5, np.uint8)
    block = Block(memory, guard, sizes, strides, FLOAT32)
    if not is_output and 0 not in sizes:
        block.array()[...] = make.numbers.standard_normal(sizes)
    return block


def _spoil_spec(make: Maker, call: Convolving) -> None:
    """One number of the spec that no convolution has."""
    spec, choose, axis = call.spec, make.random.choice, make.random.randrange(2)
    kind = choose(
        (
            "in_channels",
            "groups",
            "window",
            "output_padding",
            "upsample",
            "precision",
            "algorithm",
            "activation",
        )
    )
    call.must, call.wrong = "refuse spec", kind
    negative = [n for n in LIMITS if n < 0]
    if kind in ("in_channels", "groups"):
        spec[kind] = choose((0, *negative))
    elif kind == "window":
        field_name = choose(
            ("size", "stride", "dilation", "pad_before", "pad_after", "ceil_mode", "adaptive")
        )
        if field_name in ("ceil_mode", "adaptive"):
            spec["window"][field_name] = 1
        else:
            spec["window"][field_name][axis] = choose(negative)
    elif kind in ("output_padding", "upsample"):
        spec[kind][axis] = choose((*negative, 2**31, 2**62))
    else:
        spec[kind] = choose((-1, 99, 2**31 - 1))


def _spoil_run(make: Maker, call: Convolving, blocks: list[Block]) -> None:
    """One argument of the run that must be refused."""
    assert call.out is not None
    which = make.random.randrange(len(blocks))
    view = call.views[which]
    is_output = which == len(blocks) - 1
    kinds = ["type", "size", "threads"]
    kinds += ["null view"] if is_output else []
    if 0 not in call.out.sizes:
        kinds += ["no data", "scratch"]
        kinds += ["channels apart"] if view.sizes[1] > 1 else []
        kinds += ["overlap"] if is_output and max(call.out.sizes[2:]) > 1 else []
    kind = make.random.choice(kinds)
    call.must, call.wrong = "refuse", f"{kind} of view {which}"
    if kind == "null view":
        call.views[which] = ffi.NULL
    elif kind == "no data":
        view.data = ffi.NULL
    elif kind == "type":
        view.type = make.random.choice((*range(1, 5), -1, 99))
    elif kind == "threads":
        call.threads = make.random.choice((0, -1, -(2**63)))
    elif kind == "scratch":
        call.scratch_missing = make.random.choice((1, 2**62))
    elif kind == "channels apart":
        view.strides[1] = make.random.choice((0, 2, -1, *LIMITS[-3:]))
    elif kind == "overlap":
        view.strides[2 if view.sizes[2] > 1 else 3] = 0
    else:
        view.sizes[make.random.randrange(4)] = make.random.choice((-1, -(2**63), 2**31, 2**62))


def _prepare(call: Convolving, **changes: Any) -> Any:
    spec = call.spec | changes
    kernels.select_isa(call.isa)
    fields = {name: value for name, value in spec.items() if name != "activation"}
    slopes = ffi.cast("float *", call.slopes.ctypes.data)
    native = ffi.new(
        "du_convolution_spec *", fields | {"activation": (spec["activation"], 0.25, 1.5, slopes)}
    )
    bias = ffi.NULL if call.bias is None else ffi.cast("float *", call.bias.ctypes.data)
    handle = lib.du_convolution_new(native, ffi.cast("float *", call.weight.ctypes.data), bias)
    return None if handle == ffi.NULL else ffi.gc(handle, lib.du_convolution_free)


def _out_size(call: Convolving, plane: list[int]) -> list[int] | None:
    """By the library's own rule; tests/kernels compares it with that of `geometry`."""
    handle = _prepare(call)
    if handle is None:
        raise FaultError(f"a right spec was refused: {ffi.string(lib.du_last_error()).decode()}\n{call}")
    out = ffi.new("int64_t[2]")
    return list(out) if lib.du_convolution_out_size(handle, ffi.new("int64_t[2]", plane), out) == 0 else None


def _run(call: Convolving, handle: Any, views: list[Any], threads: int) -> int:
    """The run of a prepared convolution on views of the parts, of the residual if there is one, and of the output."""
    assert call.out is not None
    count = len(views) - 1 - (call.residual is not None)
    plane = call.parts[0].sizes
    needed = lib.du_convolution_scratch_bytes(handle, plane[0], plane[2], plane[3], max(1, threads))
    if needed < 0:
        raise FaultError(f"scratch: {ffi.string(lib.du_last_error()).decode()}")
    scratch = np.full(needed, 0xA5, np.uint8)
    missing = call.scratch_missing if needed else 0
    parts = ffi.new("du_view[]", [view[0] for view in views[:count]])
    residual = views[count] if call.residual is not None else ffi.NULL
    address = ffi.cast("void *", scratch.ctypes.data)
    return int(
        lib.du_convolution_run(handle, count, parts, residual, views[-1], address, needed - missing, threads)
    )


def judge_convolving(call: Convolving) -> int:
    """Prepare and run; raise FaultError if anything about it is not as promised."""
    handle = _prepare(call)
    if (handle is None) != (call.must == "refuse spec"):
        raise FaultError(f"the spec was {'refused' if handle is None else 'accepted'}")
    if not call.parts:
        return 1
    assert call.out is not None
    blocks = [*call.parts, *([call.residual] if call.residual else []), call.out]
    before = [block.memory.copy() for block in blocks]
    packed = [_packed([block.array() for block in call.parts])]
    packed += [_packed([block.array()]) for block in blocks[len(call.parts) :]]
    code = _run(call, handle, call.views, call.threads)
    if call.scratch_missing and code == 0:
        needed = lib.du_convolution_scratch_bytes(handle, *_run_sizes(call))
        if needed:
            raise FaultError("a scratch too small was accepted")
        call.must = "accept"
    if code not in (0, 1) or (code == 0) != (call.must == "accept"):
        raise FaultError(f"returned {code}: {ffi.string(lib.du_last_error()).decode() if code else ''}")
    for block, memory in zip(blocks, before, strict=True):
        is_written = block is call.out and code == 0
        if not (block.is_untouched(memory) if is_written else np.array_equal(block.memory, memory)):
            raise FaultError(f"{'out' if block is call.out else 'an input'} was changed where it may not be")
    if code or 0 in call.out.sizes:
        return code
    _compare(call, handle, packed)
    return code


def _run_sizes(call: Convolving) -> tuple[int, int, int, int]:
    plane = call.parts[0].sizes
    return plane[0], plane[2], plane[3], call.threads


def _compare(call: Convolving, handle: Any, packed: list[Block]) -> None:
    assert call.out is not None
    found = call.out.array()
    call.scratch_missing = 0
    given = [block.memory.copy() for block in packed]
    for of_handle, error in ((handle, 0.0), (_prepare(call, precision=lib.DU_EXACT), None)):
        for block, memory in zip(packed, given, strict=True):
            block.memory[:] = memory
        if _run(call, of_handle, [block.view() for block in packed], 1):
            raise FaultError(f"was refused when packed: {ffi.string(lib.du_last_error()).decode()}")
        expected = packed[-1].array()
        if error is None:
            algorithm = ffi.string(lib.du_convolution_algorithm(handle)).decode()
            share = ERRORS.get(algorithm, WINOGRAD_ERROR)
            error = share * (1 + float(np.abs(expected).max()) + 10 * math.sqrt(call.weight[0].size))
        is_near = np.abs(found - expected) <= error
        if not is_near.all():
            place = tuple(int(i) for i in np.argwhere(~is_near)[0])
            how = "" if error else " when packed"
            raise FaultError(f"out{list(place)} is {found[place]}, not {expected[place]}{how}")


def _packed(arrays: list[Array]) -> Block:
    """One block of all channels, without gaps."""
    whole = np.concatenate(arrays, axis=1)
    n, c, h, w = whole.shape
    strides = [h * w * c, 1, w * c, c]
    block = Block(np.zeros(max(whole.nbytes, 4), np.uint8), 0, [n, c, h, w], strides, FLOAT32)
    block.array()[...] = whole
    return block
