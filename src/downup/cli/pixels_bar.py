"""Progress of labelling: pixels, the rate and the time left; on a terminal a bar, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 30.0


@contextmanager
def pixels_bar(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of (pixels done, pixels, name of the picture)."""
    if not console.is_terminal:
        yield _Lines().tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]} of {task.fields[all]} Mpx, {task.fields[rate]} Mpx/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, done="0", all="?", rate="?")
        rate = _Rate()

        def tell(done: int, total: int, name: str) -> None:
            is_new = rate.see(done, total, name)
            if is_new:
                bar.reset(task, total=total)
            bar.update(
                task,
                description=name,
                completed=done,
                total=total,
                done=f"{done / 1e6:.1f}",
                all=f"{total / 1e6:.1f}",
                rate=f"{rate.per_second / 1e6:.2f}",
            )

        yield tell


class _Rate:
    """Pixels a second, from the first window of a picture on: what a resumed run found done does not count."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._name, self._first, self._since = "", 0, 0.0

    def see(self, done: int, total: int, name: str) -> bool:
        now = time.monotonic()
        is_new = name != self._name
        if is_new:
            self._name, self._first, self._since = name, done, now
        elif now > self._since:
            self.per_second = (done - self._first) / (now - self._since)
        return is_new


class _Lines:
    """For log files: how far a long run is, every half minute."""

    def __init__(self) -> None:
        self._rate, self._told = _Rate(), time.monotonic()

    def tell(self, done: int, total: int, name: str) -> None:
        self._rate.see(done, total, name)
        now = time.monotonic()
        if now - self._told < _LINE_SECONDS or not self._rate.per_second:
            return
        self._told = now
        left = (total - done) / self._rate.per_second
        print(
            f"{name}: {done / 1e6:.1f} of {total / 1e6:.1f} Mpx, {self._rate.per_second / 1e6:.2f} Mpx/s, "
            f"{left / 60:.1f} minutes left",
            file=sys.stderr,
            flush=True,
        )
