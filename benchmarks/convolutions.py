"""Convolutions of the native library beside torch's in channels-last, and beside what the processor can multiply and add.

    python benchmarks/convolutions.py --threads 1 2 --output convolutions.md

Ours writes to memory that is used again. The multiply-add rate is that of independent sums in registers, measured in the
same run; an algorithm with fewer products than the definition may pass it.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cffi
import numpy as np
import torch
from torch.nn import functional as F

from downup.kernels import Window
from downup.kernels.convolve import Convolution, ConvolutionSpec, channels_last, empty_channels_last
from measure import Call, geometric_mean, in_turns, machine, ratio

PEAK = r"""
typedef float Vector __attribute__((vector_size(BYTES)));
#define SUMS 12
void multiply_add(long rounds, float* out) {
  Vector sums[SUMS], x, y;
  for (int i = 0; i < BYTES / 4; ++i) x[i] = 0.999f + out[0], y[i] = 0.001f;
  for (int i = 0; i < SUMS; ++i) sums[i] = x;
  for (long k = 0; k < rounds; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * x + y;
  }
  float total = 0;
  for (int i = 0; i < SUMS; ++i) total += sums[i][0];
  out[0] = total * 0;
}
"""
SUMS, ROUNDS = 12, 2_000_000


@dataclass(frozen=True)
class Case:
    """A convolution of [1, in_channels, size, size] with padding that keeps the size, but for the stride."""

    what: str
    in_channels: int
    out_channels: int
    kernel: int
    size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    upsample: int = 1
    transposed: bool = False

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"{self.what}, {self.in_channels} to {self.out_channels} at {self.size}x{self.size}"


CASES = (
    Case("1x1", 64, 64, 1, 128),
    Case("1x1", 256, 256, 1, 64),
    Case("1x1", 2048, 512, 1, 32),
    Case("1x1, classes", 64, 21, 1, 256),
    Case("3x3", 32, 32, 3, 256),
    Case("3x3", 64, 64, 3, 256),
    Case("3x3, odd", 67, 65, 3, 129),
    Case("3x3", 128, 128, 3, 128),
    Case("3x3", 256, 256, 3, 64),
    Case("3x3", 512, 512, 3, 32),
    Case("3x3, dilated by 2", 256, 256, 3, 64, dilation=2),
    Case("3x3, stride 2", 64, 128, 3, 128, stride=2),
    Case("7x7, stride 2", 3, 64, 7, 256, stride=2),
    Case("nearest x2, 3x3", 64, 32, 3, 128, upsample=2),
    Case("nearest x2, 3x3", 256, 128, 3, 64, upsample=2),
    Case("transposed 2x2", 128, 64, 2, 128, stride=2, transposed=True),
    Case("transposed 4x4", 64, 64, 4, 64, stride=2, transposed=True),
    Case("depthwise 3x3", 96, 96, 3, 128, groups=96),
    Case("depthwise 5x5, stride 2", 240, 240, 5, 64, stride=2, groups=240),
    Case("3x3, groups of 4", 128, 128, 3, 64, groups=32),
)


def multiply_adds_of(case: Case, out_pixels: int) -> int:
    """By the definition: each output one for each tap and channel; transposed, each input."""
    pixels = case.size**2 if case.transposed else out_pixels
    return case.in_channels // case.groups * case.out_channels * case.kernel**2 * pixels


def make(case: Case, precision: str, threads: int) -> tuple[Call, Call, str, int]:
    """The two calls, ours first, the algorithm of ours, and the number of multiply-adds."""
    random = np.random.default_rng(0)
    pad = (1, 1) if case.kernel == 4 else (case.kernel // 2 * case.dilation,) * 2
    pad = (0, 0) if case.transposed and case.kernel == 2 else pad
    window = Window((case.kernel,) * 2, (case.stride,) * 2, pad, pad, (case.dilation,) * 2)
    spec = ConvolutionSpec(
        case.in_channels,
        case.out_channels,
        window,
        groups=case.groups,
        upsample=(case.upsample,) * 2,
        transposed=case.transposed,
        precision=precision,
    )
    weight = random.standard_normal(spec.weight_shape).astype(np.float32)
    convolution = Convolution(spec, weight)
    x = channels_last(random.standard_normal((1, case.in_channels, case.size, case.size)))
    out_size = convolution.out_size((case.size, case.size))
    out = empty_channels_last((1, case.out_channels, *out_size))
    scratch = np.empty(convolution.scratch_bytes(1, (case.size, case.size), threads), np.uint8)

    tensor = torch.from_numpy(x)
    filters = torch.from_numpy(weight).contiguous(memory_format=torch.channels_last)

    def ours() -> object:
        return convolution.run(x, out, threads=threads, scratch=scratch)

    def peer() -> object:
        if case.transposed:
            return F.conv_transpose2d(
                tensor, filters, None, case.stride, pad[0], 0, case.groups, case.dilation
            )
        wide = F.interpolate(tensor, scale_factor=case.upsample) if case.upsample > 1 else tensor
        return F.conv2d(wide, filters, None, case.stride, pad, case.dilation, case.groups)

    error = np.linalg.norm(ours() - peer().numpy()) / np.linalg.norm(out)  # type: ignore[attr-defined]
    assert error < 1e-5, f"{case.name}: {error}"
    return ours, peer, convolution.algorithm, multiply_adds_of(case, out_size[0] * out_size[1])


def multiply_add_call(folder: str) -> tuple[Call, int]:
    """A call that multiplies and adds in registers on one thread, and how often; built with the system's C compiler."""
    source, library = Path(folder) / "peak.c", Path(folder) / "peak.so"
    source.write_text(PEAK, encoding="utf-8")
    has_avx512 = "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    width = 64 if has_avx512 else 32
    options = ["-O2", "-march=native", "-ffp-contract=fast", f"-DBYTES={width}", "-shared", "-fPIC"]
    subprocess.run(["cc", *options, str(source), "-o", str(library)], check=True)
    ffi = cffi.FFI()
    ffi.cdef("void multiply_add(long rounds, float* out);")
    native, out = ffi.dlopen(str(library)), ffi.new("float[1]")
    return lambda: native.multiply_add(ROUNDS, out), SUMS * width // 4 * ROUNDS


def table(threads: int, precision: str, rounds: int) -> list[str]:
    """One row for each case."""
    torch.set_num_threads(threads)
    lines = [
        "| convolution | algorithm | ours ms | torch ms | torch / ours | GFLOP/s | of the multiply-add rate |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        peak, count = multiply_add_call(folder)
        (time,) = in_turns([peak], 5, 0.02)
        # The best round: whatever else runs only makes it slower.
        rate = 2 * count / min(time.rounds) * threads
        for case in CASES:
            ours, peer, algorithm, multiply_adds = make(case, precision, threads)
            first, second = in_turns([ours, peer], rounds, 0.02)
            ratios.append(ratio(second, first))
            achieved = 2 * multiply_adds / first.median
            lines.append(
                f"| {case.name} | {algorithm} | {first.median * 1e3:.2f} | {second.median * 1e3:.2f} "
                f"| {ratios[-1]:.2f} | {achieved / 1e9:.0f} | {achieved / rate:.2f} |"
            )
    lines.append(f"\nGeometric mean of torch / ours: {geometric_mean(ratios):.2f}.")
    noun = "thread" if threads == 1 else "threads"
    return [f"\n## {threads} {noun}, {rate / 1e9:.0f} GFLOP/s of multiply-adds in registers\n", *lines]


def main() -> None:
    """Print the tables, or write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--precision", choices=("fast", "exact"), default="fast")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = ["# Convolutions", "", *(f"- {line}" for line in machine()), f"- precision {arguments.precision}"]
    for threads in arguments.threads:
        lines += table(threads, arguments.precision, arguments.rounds)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
