"""Handing windows out to workers, with workers that are lost or fail when a test says so; no Ray."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from downup.errors import DataError
from downup.prediction.cluster import Crew, Task, WindowsError
from downup.prediction.cluster.worker import Result
from downup.prediction.windows import split

COUNT = 30


class LostError(Exception):
    """What Ray raises for the calls of a worker that is gone."""


class FakeRay:
    """Calls come back when they are waited for, the oldest one first; a worker's death fails all its calls."""

    exceptions = SimpleNamespace(RayActorError=LostError)

    def __init__(self, act: Callable[[int], Result | None], opening: str = "") -> None:
        self.act, self.opening = act, opening
        self.waiting: dict[str, tuple[Any, int | None]] = {}
        self.dead: set[Any] = set()
        self.killed: list[Any] = []
        self.beside: list[int] = []
        self._names = (f"call {number}" for number in itertools.count())

    def hire(self) -> Any:
        worker = SimpleNamespace()
        worker.open = SimpleNamespace(remote=lambda: self._begin(worker, None))
        worker.label = SimpleNamespace(remote=lambda number: self._begin(worker, number))
        return worker

    def _begin(self, worker: Any, number: int | None) -> str:
        name = next(self._names)
        self.waiting[name] = (id(worker), number)
        return name

    def wait(self, calls: list[str], num_returns: int) -> tuple[list[str], list[str]]:
        assert num_returns == 1
        first = next(call for call in self.waiting if call in calls)
        return [first], [call for call in calls if call != first]

    def get(self, call: str) -> Any:
        worker, number = self.waiting[call]
        self.beside.append(sum(other == worker for other, _ in self.waiting.values()))
        del self.waiting[call]
        if worker in self.dead:
            raise LostError
        if number is None:
            return self.opening
        found = self.act(number)
        if found is None:
            self.dead.add(worker)
            raise LostError
        return found

    def kill(self, worker: Any) -> None:
        self.killed.append(worker)


def run(
    act: Callable[[int], Result | None], opening: str = "", workers: int = 2
) -> tuple[list[int], list[str], FakeRay]:
    ray, done, told = FakeRay(act, opening), [], []
    windows = split(COUNT * 8, 8, window=8, halo=0, stride=8)
    task = Task(Path("m.onnx"), Path("earth.tif"), (), windows, "rgb", (), 0, 1, "plain")
    crew = Crew(ray, ray.hire, workers, told.append)
    crew.label(task, range(COUNT), lambda number, checksums: done.append(number))
    return done, told, ray


def test_every_window_is_done_once():
    done, told, ray = run(lambda number: Result((number,)))
    assert sorted(done) == list(range(COUNT))
    assert told == []
    assert max(ray.beside) == 3
    assert len(ray.killed) == 2


def test_windows_of_lost_workers_are_done_again():
    losses = {4: 1, 5: 2, 17: 1, 29: 2}

    def act(number: int) -> Result | None:
        losses[number] = losses.get(number, 0) - 1
        return None if losses[number] >= 0 else Result((0,))

    done, told, _ = run(act)
    assert sorted(done) == list(range(COUNT))
    assert told[0] == "a worker was lost; another takes its place and does 3 windows again"


def test_a_window_that_always_kills_its_worker_is_named_and_the_others_are_done():
    done: list[int] = []

    def act(number: int) -> Result | None:
        if number == 7:
            return None
        done.append(number)
        return Result((0,))

    with pytest.raises(
        WindowsError, match=r"1 of 30 windows .*window 7, rows 56 to 64, columns 0 to 8: its worker was lost"
    ):
        run(act)
    assert sorted(done) == [number for number in range(COUNT) if number != 7]


def test_a_window_that_always_fails_is_named_with_the_reason():
    seen: list[int] = []

    def act(number: int) -> Result:
        seen.append(number)
        return Result(error="earth.tif: is damaged") if number in (3, 9) else Result((0,))

    with pytest.raises(
        WindowsError, match=r"2 of 30 .*window 3, .*: earth.tif: is damaged; window 9, .* go on with --resume"
    ):
        run(act)
    assert set(seen) == set(range(COUNT))
    assert seen.count(3) == 4  # once among others, then three times alone


def test_a_full_disk_ends_the_work():
    with pytest.raises(OSError, match="No space") as caught:
        run(lambda _: Result(error="No space left on device", errno=errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC


def test_a_worker_that_cannot_open_the_files_says_why():
    with pytest.raises(
        DataError, match=r"cannot begin: m.onnx: does not exist; every machine must see the same files"
    ):
        run(lambda _: Result((0,)), opening="m.onnx: does not exist")


def test_workers_that_are_always_lost_are_given_up():
    with pytest.raises((DataError, WindowsError), match="workers were lost one after the other"):
        run(lambda _: None)


def test_no_windows_need_no_workers():
    ray = FakeRay(lambda _: Result())
    task = Task(Path("m.onnx"), Path("earth.tif"), (), [], "rgb", (), 0, 1, "plain")
    Crew(ray, ray.hire, 2).label(task, [], lambda *_: None)
    assert ray.killed == []
