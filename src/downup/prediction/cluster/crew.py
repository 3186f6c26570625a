"""Hands windows out to workers, and again where a worker was lost."""

from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from downup.errors import DataError
from downup.prediction.cluster.worker import Result, Task
from downup.prediction.windows import Window

# Windows at a worker at a time: one is read, one labelled, one written.
AHEAD = 3
# A window is given up that failed so often while nothing else ran beside it.
_TRIES = 3
# Workers lost one after the other without a window done between them: then it is not chance.
_MOST_LOST = 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WindowsError(DataError):
    """Some windows could not be labelled; the others were."""


@dataclass(eq=False)
class _Seat:
    """A worker's place: whoever sits there.

    running: the calls that have not come back, with the number of their window.
    is_alone: whether the one window there is tried by itself.
    """

    worker: Any
    running: dict[Any, int] = field(default_factory=dict)
    is_alone: bool = False


class Crew:
    """Workers on one picture.

    A worker that is lost takes the windows that it had with it, and one of them may have been the reason. So each of these
    runs alone from then on, and is given up when it fails that way again and again, or when its worker does.

    Args:
        ray: the module.
        hire: makes a worker.
        count: how many there are.
        tell: takes a sentence about what went wrong and how it goes on.
    """

    def __init__(
        self, ray: Any, hire: Callable[[], Any], count: int, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ray, self._hire, self._count, self._tell = ray, hire, count, tell
        self._seats: list[_Seat] = []
        self._lost = 0

    def label(self, task: Task, todo: Iterable[int], note: Callable[[int, Any], None]) -> None:
        """Label windows, in any order.

        Args:
            task: the picture.
            todo: the numbers of the windows.
            note: takes the number of each window that is done, and the checksums of its layers or what was gathered.

        Raises:
            WindowsError: some windows fail again and again; all others are done.
            DataError: no worker can open the files, or workers are lost faster than windows are done.
            OSError: there is no room on the disk.
        """
        self._fresh, self._suspects = deque(todo), deque[int]()
        self._tries: Counter[int] = Counter()
        self._failed: dict[int, str] = {}
        self._seats = [_Seat(self._hire()) for _ in range(min(self._count, len(self._fresh)))]
        self._openings = {seat.worker.open.remote(): seat for seat in self._seats}
        try:
            while (
                self._openings or self._fresh or self._suspects or any(seat.running for seat in self._seats)
            ):
                self._step(note)
        finally:
            for seat in self._seats:
                self._ray.kill(seat.worker)
        if self._failed:
            raise WindowsError(_names(task, self._failed))

    def _step(self, note: Callable[[int, Any], None]) -> None:
        """Wait for one call to come back."""
        calls = {call: seat for seat in self._seats for call in seat.running} | self._openings
        (call,), _ = self._ray.wait(list(calls), num_returns=1)
        seat = calls[call]
        try:
            found = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._replace(seat, error)
            return
        if call in self._openings:
            del self._openings[call]
            if found:
                raise DataError(
                    f"a worker cannot begin: {found}; every machine must see the same files by the same paths"
                )
        else:
            self._take(seat, seat.running.pop(call), found, note)
        self._fill(seat)

    def _take(self, seat: _Seat, number: int, result: Result, note: Callable[[int, Any], None]) -> None:
        was_alone, seat.is_alone = seat.is_alone, False
        if result.errno in _FULL:
            raise OSError(result.errno, result.error)
        if result.error:
            self._doubt(number, was_alone, result.error)
            return
        self._lost = 0
        note(number, result.checksums if result.parts is None else result.parts)

    def _doubt(self, number: int, was_alone: bool, why: str) -> None:
        """A window failed, perhaps by its own fault."""
        self._tries[number] += was_alone
        if self._tries[number] < _TRIES:
            self._suspects.append(number)
        else:
            self._failed[number] = why

    def _replace(self, seat: _Seat, error: Exception) -> None:
        """A worker was lost: hire another."""
        self._lost += 1
        if self._lost > _MOST_LOST:
            why = (str(error).split("\n") or [""])[-1].strip()
            raise DataError(
                f"{self._lost} workers were lost one after the other, and no window was done between them; see why on their "
                f"machines (memory, disk; Ray says: {why}), and go on with --resume"
            ) from error
        numbers = list(seat.running.values())
        for number in numbers:
            self._doubt(number, seat.is_alone, "its worker was lost each time")
        self._tell(f"a worker was lost; another takes its place and does {len(numbers)} windows again")
        self._seats.remove(seat)
        self._openings = {call: other for call, other in self._openings.items() if other is not seat}
        new = _Seat(self._hire())
        self._seats.append(new)
        self._openings[new.worker.open.remote()] = new

    def _fill(self, seat: _Seat) -> None:
        """Give a worker what it can take."""
        if self._suspects:
            # Workers finish what they have first: so there soon is one with nothing else.
            if not seat.running:
                seat.is_alone = True
                self._give(seat, self._suspects.popleft())
            return
        while self._fresh and len(seat.running) < AHEAD and not seat.is_alone:
            self._give(seat, self._fresh.popleft())

    def _give(self, seat: _Seat, number: int) -> None:
        seat.running[seat.worker.label.remote(number)] = number


def _names(task: Task, failed: dict[int, str]) -> str:
    told = "; ".join(
        f"{_place(number, task.windows[number])}: {why}" for number, why in sorted(failed.items())[:5]
    )
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    return (
        f"{task.picture}: {len(failed)} of {len(task.windows)} windows cannot be labelled ({told}{more}); the others are "
        "done and kept: mend the cause and go on with --resume"
    )


def _place(number: int, window: Window) -> str:
    rows, columns = window.rows, window.columns
    return f"window {number}, rows {rows.first} to {rows.last}, columns {columns.first} to {columns.last}"
