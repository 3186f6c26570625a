"""Files get to their place whole or not at all: written beside it, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write(temporary path)` fill a file beside `path`, then put it there in one step.

    Whenever the process or the machine stops, `path` is the old file or the new one, whole.
    """
    # The process number keeps two commands apart that write the same file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        # Some writers make a file that its owner alone can read; a run's files follow the user's umask.
        temporary.chmod(mode)
        move_file(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_file(written: Path, path: Path) -> None:
    """Put a file that was written elsewhere on the same disk at `path` in one step, safe from a power cut."""
    _sync(written)
    written.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_parts(folder: Path) -> None:
    """Remove the half-written files that a killed process left in `folder`."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)
