"""The page about whole networks."""

from __future__ import annotations

from engines import BFLOAT16, COMPILED, ENGINES, EXACT
from measure import geometric_mean
from network_subjects import Case, Numbers, cases

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
to the positions that float64 takes.
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
        engines = ("downup", EXACT, *ENGINES[1:], BFLOAT16)
        lines += ["## Error", "", *ERRORS.splitlines(), ""]
        body = [[*_name(case)[:2], *(f"{n[key]:.1e}" for key in engines)] for case, n in had["error"]]
        lines += table(["network", "picture", *engines], body)
    return "\n".join(lines).rstrip() + "\n"


KINDS = ("time", "compiled", "memory", "error")


def _name(case: Case) -> list[str]:
    return [case.network, f"{case.columns}x{case.rows}", str(case.threads)]


def _ms(numbers: Numbers, *engines: str) -> list[str]:
    return [f"{numbers[engine]:.0f} ± {numbers[f'{engine} ±']:.0%}" for engine in engines]


def _times(had: list[tuple[Case, Numbers]]) -> list[str]:
    ratios = {case: min(n[e] for e in ENGINES[1:]) / n["downup"] for case, n in had}
    lost = [
        f"{case.network}, {case.columns}x{case.rows}, {case.threads}" for case, r in ratios.items() if r < 1
    ]
    mean = geometric_mean(list(ratios.values()))
    lines = [f"In the geometric mean of {len(had)} cases downup is {mean:.2f} times as fast as the fastest other float32 "
             f"engine in each, from {min(ratios.values()):.2f} to {max(ratios.values()):.2f}; "
             + (f"it is slower in: {'; '.join(lost)}." if lost else "it is slower in none."), ""]  # fmt: skip
    head = ["network", "picture", "threads", *ENGINES, "times faster", BFLOAT16]
    body = [[*_name(case), *_ms(n, *ENGINES), f"{ratios[case]:.2f}", *_ms(n, BFLOAT16)] for case, n in had]
    return [*lines, *table(head, body)]
