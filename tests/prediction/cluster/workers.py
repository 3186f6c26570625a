"""Workers that die, for the tests; Ray's processes find them by their name."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

from downup.prediction.cluster import Worker
from downup.prediction.cluster.worker import Result


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class SlowWorker(Worker):
    """Takes some time, so that there is a moment to be stopped at."""

    def label(self, number: int) -> Result:
        time.sleep(0.03)
        return super().label(number)


class MortalWorker(SlowWorker):
    """Dies at a random moment, as long as there are lives left in the folder of the picture, a file each."""

    def open(self) -> str:
        lives = sorted(self._task.picture.parent.glob("life_*"))
        if lives:
            try:
                lives[0].unlink()
                threading.Timer(random.uniform(0.3, 1.5), die).start()
            except FileNotFoundError:
                pass  # another one took it
        return super().open()


class PoisonedWorker(Worker):
    """Dies of window 5."""

    def label(self, number: int) -> Result:
        if number == 5:
            die()
        return super().label(number)


def lives(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"life_{number}").touch()
