"""`downup check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from downup.cli.console import output, progress_bar, say, say_error, swatch, table

if TYPE_CHECKING:
    from downup.data import CheckReport


def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Pictures and masks, as for downup train.")],
) -> None:
    """Find everything that is wrong with the data in DATA, and show how the classes are balanced.

    Each problem is named with its file and its cure; if there is any, the exit status is 1.
    """
    from downup.data import check_dataset

    console = output()
    with progress_bar(console, "reading") as progress:
        report = check_dataset(data, progress=lambda done, total: progress(done, total, ""))
    if report.splits:
        console.print(_balance_table(report))
    for note in report.notes:
        say(console, f"note: {note}")
    for problem in report.problems:
        say_error(str(problem))
    if report.problems:
        raise typer.Exit(1)
    pictures = sum(balance.pictures for balance in report.splits.values())
    say(console, f"No problem found in {pictures} pictures and their masks.", "green")


def _balance_table(report: CheckReport) -> Any:
    """One row per class: its pixels over all splits, and its share of those that count in each."""
    splits = report.splits
    heads = [f"{name} ({balance.pictures} pictures)" for name, balance in splits.items()]
    made = table(f"Classes in {report.path}", "label", "", "class", "pixels", *heads, text_columns=3)
    for label, item in enumerate(report.classes):
        pixels = sum(balance.class_pixels[label] for balance in splits.values())
        shares = [f"{balance.class_shares[label]:.2%}" for balance in splits.values()]
        made.add_row(str(label), swatch(item.color), item.name, f"{pixels:,}", *shares)
    made.add_section()
    ignored = [balance.ignored_pixels for balance in splits.values()]
    made.add_row("255", "", "ignored", f"{sum(ignored):,}", *("" for _ in ignored))
    return made
