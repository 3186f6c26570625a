"""What a training run says while it runs: a table that grows by a row per epoch, live on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

_WIDTHS = {"epoch": 9, "loss": 9, "mIoU train": 12, "mIoU val": 10, "": 2, "rate": 9, "left": 9}


class TrainProgress:
    """Says nothing; the two below say more. `train` calls these methods in this order.

    A caller who wants something else (a window, a log) overrides what it needs.
    """

    def note(self, text: str) -> None:
        """Take a sentence that the user should read."""

    @contextmanager
    def running(self, epochs: int, steps: int) -> Iterator[None]:
        """Wrap the epochs; `steps` is the number of steps in each."""
        yield

    def step_done(self, epoch: int, step: int, loss: float, rate: float) -> None:
        """Take the mean loss so far of `epoch` after `step` steps (both from 1)."""

    def picture_labelled(self, epoch: int, done: int, total: int) -> None:
        """Take how many validation pictures of `epoch` are labelled."""

    def epoch_done(self, row: Mapping[str, Any], is_best: bool) -> None:
        """Take the row of history.csv of a finished epoch."""


class TableProgress(TrainProgress):
    """Prints one line per epoch and, on a terminal, a last line that moves.

    Args:
        console: where to; on anything but a terminal the output is plain text without control codes.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._clock = _Clock()
        self._epochs = self._steps = 1
        self._live: _LiveLine | None = None

    def note(self, text: str) -> None:
        """Print the sentence above the table."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def running(self, epochs: int, steps: int) -> Iterator[None]:
        """Print the head of the table and keep the live line while the epochs run."""
        self._epochs, self._steps = epochs, steps
        self._print_row(list(_WIDTHS), "bold")
        if not self.console.is_terminal:
            yield
            return
        self._live = _LiveLine(self.console)
        with self._live:
            yield
        self._live = None

    def step_done(self, epoch: int, step: int, loss: float, rate: float) -> None:
        """Move the live line."""
        self._clock.step_done((epoch - 1) * self._steps + step)
        if self._live:
            row = self._row(epoch, loss, None, None, False, rate)
            self._live.show(row, f"step {step}/{self._steps}", step / self._steps)

    def picture_labelled(self, epoch: int, done: int, total: int) -> None:
        """Move the live line's bar through the validation pictures."""
        if self._live:
            self._live.show(None, f"validating {done}/{total}", done / total)

    def epoch_done(self, row: Mapping[str, Any], is_best: bool) -> None:
        """Print the row of the epoch."""
        self._clock.step_done(row["epoch"] * self._steps)
        cells = self._row(
            row["epoch"], row["train_loss"], row["train_mean_iou"], row["val_mean_iou"], is_best, row["rate"]
        )
        if self._live:
            self._live.show([""] * len(_WIDTHS), "", 0.0)
        self._print_row(cells, "green" if is_best else "")

    def _row(
        self, epoch: int, loss: float, train: float | None, val: float | None, is_best: bool, rate: float
    ) -> list[str]:
        seconds = self._clock.seconds_left(self._epochs * self._steps)
        return [
            f"{epoch}/{self._epochs}",
            f"{loss:.4f}",
            "" if train is None else f"{train:.4f}",
            "" if val is None else f"{val:.4f}",
            "*" if is_best else "",
            f"{rate:.1e}",
            "" if seconds is None else as_clock(seconds),
        ]

    def _print_row(self, cells: list[str], style: str) -> None:
        self.console.print(Text(_aligned(cells), style=style), soft_wrap=True)


class _LiveLine:
    """The row of the epoch under way, and a bar."""

    def __init__(self, console: Console) -> None:
        self._row = Text("")
        self._bar = Progress(TextColumn("  {task.description:<20}"), BarColumn(46), console=console)
        self._task: TaskID = self._bar.add_task("reading pictures", total=1.0)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, row: list[str] | None, doing: str, share: float) -> None:
        if row is not None:
            self._row = Text(_aligned(row), style="dim")
        self._bar.update(self._task, description=doing, completed=share)

    def _render(self) -> Group:
        return Group(self._row, self._bar)


class _Clock:
    """Estimates the time left from the steps done in this process, validation included."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def step_done(self, step: int) -> None:
        self._last = (time.monotonic(), step)
        # The first step also reads files and warms caches: time starts after it.
        self._first = self._first or self._last

    def seconds_left(self, steps: int) -> float | None:
        if self._first is None or self._last[1] == self._first[1]:
            return None
        per_step = (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])
        return per_step * (steps - self._last[1])


def as_clock(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds.

    >>> as_clock(75), as_clock(7384)
    ('1:15', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _aligned(cells: list[str]) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS.values(), strict=True)).rstrip()
