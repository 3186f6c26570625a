"""The page about whole networks."""

from __future__ import annotations

from engines import BFLOAT16, COMPILED, ENGINES, EXACT, LOADERS, OURS_BFLOAT16
from measure import geometric_mean
from network_subjects import ODD, Case, Numbers, cases

INTRODUCTION = """# Networks, side by side

Written by `python benchmarks/networks.py`; every case it measured is here, whoever won.

{notes}

How to read it:

- Times are medians of runs in turns in one process, in milliseconds, with half the distance of the extremes behind them,
  on one picture of three channels. *Times faster* is downup against the fastest float32 engine of others in that row;
  bfloat16 is told, not counted.
- Weights are He's and the statistics of batch norm random, so that no error hides behind the last bias.
- ONNX Runtime: the faster of threads that spin and threads that do not. torch: eager, channels-last.
- *U-Net*: widths 32 to 512, batch norm, up by nearest doubling and 3x3 or by transposed 2x2. *U-Net on ResNet-18* and
  *SegNet-VGG16* are downup's own; *dilated FCN-ResNet50* has stride 8 and a head of 3x3 and 1x1.
"""


ERRORS = """Relative (L2) to float64. *exact* is `precision="exact"`: no Winograd.
With un-pooling, rounding can move a position, whoever rounds: then the error is of another order. So SegNet's pools are held
to the positions that float64 takes. *U-Net of `downup demo`* is trained, and sees a part of the Earth.
"""


ODDITIES = """Time for a pixel over that of the same network at 512x512, or with the widths 32 to 512, on as many threads.
*Odd* is the U-Net with widths 33, 65, 129, 257 and 513: a channel more than whole vectors hold.
"""

LIMITS = """Kept from AVX-512: downup by `DOWNUP_ISA`, OpenVINO by `ONEDNN_MAX_CPU_ISA`, torch by that and
`ATEN_CPU_CAPABILITY`. ONNX Runtime cannot be kept from it, and was not. Milliseconds; each engine in processes of its
own, in turns.
"""

LOADS = """Milliseconds from the file to the first output, less those of a run, in a new process that has imported the
engine. What that import takes, with NumPy there already, stands apart. *Together* has both.
"""


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    """A table whose first column is words."""
    rule = "|---|" + "--:|" * (len(head) - 1)
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(line)} |" for line in lines), ""]


def report(rows: dict[str, Numbers], notes: list[str]) -> str:
    """The page about the rows that there are."""
    had = {kind: [(c, rows[str(c)]) for c in cases() if c.kind == kind and str(c) in rows] for kind in KINDS}
    limits = rows["ceilings"]
    for threads in (1, 2):
        rate, bandwidth = limits[f"multiply {threads}"], limits[f"copy {threads}"]
        notes.append(f"{threads} threads: {rate:.0f} billion multiply-adds a second in torch's best matrix product, "
                     f"copies at {bandwidth:.0f} GB/s")  # fmt: skip
    lines = INTRODUCTION.format(notes="\n".join(f"- {note}" for note in notes)).splitlines()
    if had["time"]:
        lines += ["", "## Time", "", *_times(had["time"])]
    if had["compiled"]:
        head = ["network", "picture", "threads", "downup", COMPILED, "times faster"]
        body = [
            [
                *_name(case),
                *(f"{n[key]:.0f}" for key in ("downup", COMPILED)),
                f"{n[COMPILED] / n['downup']:.2f}",
            ]
            for case, n in had["compiled"]
        ]
        lines += ["Against `torch.compile`:", "", *table(head, body)]
    if odd := _odd(rows):
        lines += ["## Odd sizes and channels", "", *ODDITIES.splitlines(), "", *odd]
    if had["avx2"]:
        lines += ["## AVX2", "", *LIMITS.splitlines(), "", *_limited(had["avx2"])]
    if had["load"]:
        lines += ["## Loading", "", *LOADS.splitlines(), "", *_loads(had["load"])]
    if had["memory"]:
        lines += [
            "## Memory",
            "",
            "Megabytes that a process of its own comes to which loads the network and runs it: once, and a second time.",
        ]
        head = ["network", "picture", "threads", *ENGINES, "of ONNX Runtime, once", "twice"]
        body = [
            [
                *_name(case),
                *(f"{n[key]:.0f}, {n[f'{key} again']:.0f}" for key in ENGINES),
                *(f"{n[f'downup{run}'] / n[f'ONNX Runtime{run}']:.2f}" for run in ("", " again")),
            ]
            for case, n in had["memory"]
        ]
        lines += ["", *table(head, body)]
    if had["error"]:
        engines = ("downup", EXACT, *ENGINES[1:], OURS_BFLOAT16, BFLOAT16)
        lines += ["## Error", "", *ERRORS.splitlines(), ""]
        body = [
            [*_name(case)[:2], *(f"{n[key]:.1e}" if key in n else "-" for key in engines)]
            for case, n in had["error"]
        ]
        lines += table(["network", "picture", *engines], body)
    return "\n".join(lines).rstrip() + "\n"


KINDS = ("time", "compiled", "avx2", "load", "memory", "error")


def _name(case: Case) -> list[str]:
    return [case.network, f"{case.columns}x{case.rows}", str(case.threads)]


def _ms(numbers: Numbers, *engines: str) -> list[str]:
    """Of an engine that an older row does not have: a dash."""
    return [
        f"{numbers[engine]:.0f} ± {numbers[f'{engine} ±']:.0%}" if engine in numbers else "-"
        for engine in engines
    ]


def _odd(rows: dict[str, Numbers]) -> list[str]:
    """What odd sizes and channels cost a pixel, where the even ones were measured too."""
    body = []
    for case in cases():
        even = Case("time", ODD.get(case.network, case.network), 512, 512, case.threads)
        is_odd = case.kind == "time" and (case.network in ODD or (case.rows, case.columns) == (387, 509))
        if is_odd and {str(case), str(even)} <= set(rows):
            pixels = 512 * 512 / (case.rows * case.columns)
            costs = [pixels * rows[str(case)][e] / rows[str(even)][e] for e in ENGINES]
            body.append([*_name(case), *(f"{cost:.2f}" for cost in costs)])
    return table(["network", "picture", "threads", *ENGINES], body) if body else []


def _limited(had: list[tuple[Case, Numbers]]) -> list[str]:
    head = ["network", "picture", "threads", *ENGINES, *(f"of {engine}" for engine in ENGINES[1:])]
    return table(
        head,
        [
            [*_name(case), *_ms(n, *ENGINES), *(f"{n['downup'] / n[engine]:.2f}" for engine in ENGINES[1:])]
            for case, n in had
        ],
    )


def _loads(had: list[tuple[Case, Numbers]]) -> list[str]:
    head = [
        "network",
        *LOADERS,
        "of ONNX Runtime",
        *(f"import {engine}" for engine in LOADERS),
        "together, of ONNX Runtime",
    ]
    body = []
    for case, n in had:
        both = {engine: n[engine] + n[f"{engine} import"] for engine in LOADERS}
        body.append(
            [
                case.network,
                *_ms(n, *LOADERS),
                f"{n['downup'] / n['ONNX Runtime']:.2f}",
                *(f"{n[f'{engine} import']:.0f}" for engine in LOADERS),
                f"{both['downup'] / both['ONNX Runtime']:.2f}",
            ]
        )
    return table(head, body)


def _times(had: list[tuple[Case, Numbers]]) -> list[str]:
    ratios = {case: min(n[e] for e in ENGINES[1:]) / n["downup"] for case, n in had}
    lost = [
        f"{case.network}, {case.columns}x{case.rows}, {case.threads}" for case, r in ratios.items() if r < 1
    ]
    mean = geometric_mean(list(ratios.values()))
    lines = [f"In the geometric mean of {len(had)} cases downup is {mean:.2f} times as fast as the fastest other float32 "
             f"engine in each, from {min(ratios.values()):.2f} to {max(ratios.values()):.2f}; "
             + (f"it is slower in: {'; '.join(lost)}." if lost else "it is slower in none."), ""]  # fmt: skip
    head = ["network", "picture", "threads", *ENGINES, "times faster", OURS_BFLOAT16, BFLOAT16]
    told = (OURS_BFLOAT16, BFLOAT16)
    body = [[*_name(case), *_ms(n, *ENGINES), f"{ratios[case]:.2f}", *_ms(n, *told)] for case, n in had]
    return [*lines, *table(head, body)]
