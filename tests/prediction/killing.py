"""Labels a picture while it is killed at random moments; `python killing.py FOLDER KILLS SEED`, prints what it did."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downup.data.colors import ClassInfo
from downup.prediction import Settings, label_image

CLASSES = [ClassInfo("dark", (0, 0, 0)), ClassInfo("light", (255, 255, 255))]
PICTURE = np.random.default_rng(4).integers(0, 256, (300, 400, 3), np.uint8)


class SlowSession:
    """Takes two milliseconds for a window."""

    halo, stride, multiple, class_count, caveat, gathering = 2, 4, 1, 2, "", None

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        time.sleep(0.002)
        return (picture[:, :, 0] > 127).astype(np.uint8)


def label(out: Path) -> int:
    done = label_image(
        SlowSession(),  # type: ignore[arg-type]
        PICTURE,
        out,
        Settings(CLASSES, "rgb", window=32, resume=True),
    )
    return done.resumed


def main(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    label(folder / "whole.tif")
    whole = (folder / "whole.tif").read_bytes()
    killed, finished, resumed = 0, 0, 0
    while killed < kills or not finished:
        out = folder / "a.tif"
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if label(out) == 0 else 3
            finally:
                os._exit(status)
        # A whole run takes some 0.3 seconds.
        time.sleep(chance.uniform(0, 0.25) if killed < kills else 5)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        assert os.WEXITSTATUS(status) in (0, 3), status
        resumed += os.WEXITSTATUS(status) == 3
        finished += 1
        assert out.read_bytes() == whole
        assert sorted(path.name for path in folder.iterdir()) == ["a.tif", "whole.tif"]
        out.unlink()
    print(f"{killed} kills, {finished} runs to the end, {resumed} of them resumed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
