"""How often each rewriting rule finds something in each network, and what that saves.

    python benchmarks/rewrites.py --output docs/rewrites.md

A rule's saving is the difference between the engine's plan with all of its rules and with all but that one, for a picture
of 512x512: nothing is timed.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from downup import graph
from downup.engine import Session
from downup.engine.network import DONE_BY_KERNELS
from downup.networks import MODELS, NetworkConfig, build, export_onnx
from network_page import table
from network_subjects import FIVE, NETWORKS, enlivened

SIDE = 512
# Those that the older exporter understands too.
PLAIN = ("U-Net nearest", "U-Net transposed", "dilated FCN-ResNet50")

PAGE = """# What rewriting finds, and saves

Written by `python benchmarks/rewrites.py`: `downup.graph.rewrite` on the networks of the benchmark, and on each of downup's
own with an eighth of their channels, as downup exports them: torch's exporter has taken batch norms into convolutions by
then, so there is little left to find. *As traced* is the same network from torch's older exporter without folding, as it
comes from exporters that leave that to others.

## The rules

{rules}
*Only to standard ONNX*: `downup optimize` applies it, the engine does not: its kernels do the same with less.

## How often each finds something

{found}
## What each saves

The engine's plan for a picture of 512x512 without that rule, less the plan with all: steps, million multiply-adds, and
megabytes that steps read and write; in percent of the plan with all, where there is any difference. Rules help one
another, so savings do not add up.

{saved}"""


@dataclass(frozen=True)
class Cost:
    """What a plan comes to."""

    steps: int
    multiply_adds: int
    bytes: int


def networks() -> Iterator[tuple[str, torch.nn.Module]]:
    """Those of the benchmark, and downup's own."""
    for name in FIVE:
        yield name, NETWORKS[name]()
    for model in MODELS:
        yield model, build(NetworkConfig(model=model, classes=21, width=0.125))


def exports(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each of them as a file, and those of plain torch modules once more as they are traced."""
    path, example = folder / "network.onnx", torch.zeros(2, 3, 64, 64)
    for name, network in networks():
        export_onnx(enlivened(network), example, path)
        yield name, path
        if name in PLAIN:
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
                opset_version=17,
                input_names=["pictures"],
                dynamic_axes={"pictures": {0: "n", 2: "rows", 3: "columns"}},
            )
            yield f"{name}, as traced", path


def cost_of(path: Path) -> Cost:
    """What the engine's plan for a picture comes to, with the rules that there are now."""
    steps = Session(path, 1).steps(np.zeros((1, 3, SIDE, SIDE), np.float32))
    return Cost(len(steps), sum(step.multiply_adds for step in steps), sum(step.bytes for step in steps))


def savings(path: Path, found: Counter[str]) -> Iterator[tuple[str, Cost, Cost]]:
    """For each rule that found something: its name, the plan without it, and with all."""
    whole = cost_of(path)
    for name in found:
        with mock.patch.dict(graph.RULES):
            del graph.RULES[name]
            yield name, cost_of(path), whole


def saved_line(network: str, rule: str, without: Cost, whole: Cost) -> list[str] | None:
    """A row of the table, if there is any difference."""
    if without == whole:
        return None
    pairs = [
        (without.steps, whole.steps, 1.0),
        (without.multiply_adds, whole.multiply_adds, 1e6),
        (without.bytes, whole.bytes, 1e6),
    ]
    return [
        network,
        rule,
        *(
            f"{(before - after) / unit:,.0f} ({(before - after) / after:.1%})"
            for before, after, unit in pairs
        ),
    ]


def rules_table() -> list[str]:
    """What each rule does, in the words of its own docstring."""
    lines = []
    for name, rule in graph.RULES.items():
        sentence = (inspect.getdoc(rule) or "").split("\n\n")[0].replace("\n", " ")
        lines.append([name, sentence + (" *Only to standard ONNX.*" if name in DONE_BY_KERNELS else "")])
    return table(["rule", "why"], lines)


def main() -> None:
    """Count, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed in any case")
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    saved = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in exports(Path(folder)):
            counts[name] = found = Counter(change.rule for change in graph.rewrite(graph.read(path)))
            lines = [saved_line(name, *row) for row in savings(path, found)]
            saved += [line for line in lines if line is not None]
            print(name, dict(found), flush=True)
    used = [rule for rule in graph.RULES if any(found[rule] for found in counts.values())]
    found_lines = [[name, *(str(found[rule] or "") for rule in used)] for name, found in counts.items()]
    text = PAGE.format(
        rules="\n".join(rules_table()),
        found="\n".join(table(["network", *used], found_lines)),
        saved="\n".join(table(["network", "rule", "steps", "M multiply-adds", "MB"], saved)),
    )
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
