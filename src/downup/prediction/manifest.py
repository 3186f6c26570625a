"""What is known of a picture's labels on their way: from what they are made, and which windows are done.

Lines of JSON, only ever added to. The first tells what is made from what; each other line a window that is done, with the
checksums of its bytes, or numbers of the whole picture that windows ask for. A line may be on the disk before the bytes that
it tells of: the checksums show it, and the window is made again. So no window waits for the disk.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.errors import DataError

_VERSION = 1
_SYNC_SECONDS = 5.0


class Manifest:
    """The file of lines, held by one process at a time.

    Args:
        path: the file; made if it is not there.

    Raises:
        DataError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _locked(path)
        self._synced = monotonic()
        self.about: dict[str, Any] | None = None
        self.done: dict[int, list[int]] = {}
        self.known: dict[str, NDArray[np.float32]] = {}
        self.is_finished = False
        self._load()

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write down what is made from what, forgetting whatever stood there."""
        self.about, self.done, self.known, self.is_finished = dict(about), {}, {}, False
        os.ftruncate(self._descriptor, 0)
        self._add({"manifest": _VERSION, **about})
        self.sync()

    def add(self, window: int, checksums: Sequence[int]) -> bool:
        """Note that a window is done; returns whether it is time to `sync`."""
        self.done[window] = list(checksums)
        self._add({"window": window, "crc32": list(checksums)})
        return monotonic() - self._synced > _SYNC_SECONDS

    def learn(self, known: Mapping[str, NDArray[np.float32]]) -> None:
        """Note numbers of the whole picture."""
        self.known = dict(known)
        # Their bits, so that not even an infinity is another one afterwards.
        plain = {name: [list(array.shape), array.tobytes().hex()] for name, array in known.items()}
        self._add({"known": plain})
        self.sync()

    def finish(self) -> None:
        """Note that the results are written."""
        self._add({"finished": True})
        self.sync()

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        os.fsync(self._descriptor)
        self._synced = monotonic()

    def check(self, about: Mapping[str, Any]) -> None:
        """Refuse to go on with anything else than what was begun.

        Raises:
            DataError: names what changed.
        """
        begun = self.about or {}
        for part, values in about.items():
            before = begun.get(part, {})
            # Where the picture or the model lies may change, what it is may not.
            changed = [
                name
                for name in {**before, **values}
                if name != "path" and before.get(name) != _plain(values.get(name))
            ]
            if changed:
                told = ", ".join(
                    f"{name} was {before.get(name)!r} and is {values.get(name)!r}" for name in changed
                )
                raise DataError(
                    f"{self.path.parent}: the {part} changed since this work began: {told}; "
                    f"give the same again, or remove {self.path.parent} to begin anew"
                )

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _add(self, line: Mapping[str, Any]) -> None:
        data = memoryview(json.dumps(line).encode() + b"\n")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _load(self) -> None:
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            content = file.read()
        # A process that was killed may leave half a line.
        whole = content[: content.rfind(b"\n") + 1]
        lines = []
        good = 0
        for raw in whole.splitlines(keepends=True):
            try:
                lines.append(json.loads(raw))
            except ValueError:
                # After a power cut a line may hold anything; what follows it is not trusted.
                break
            good += len(raw)
        os.ftruncate(self._descriptor, good)
        if not lines:
            return
        head = lines[0]
        if not isinstance(head, dict) or head.pop("manifest", None) != _VERSION:
            raise DataError(
                f"{self.path}: was written by another version of downup; "
                f"remove {self.path.parent} to begin anew"
            )
        self.about = head
        self.done = {line["window"]: line["crc32"] for line in lines[1:] if "window" in line}
        for line in lines[1:]:
            for name, (shape, numbers) in line.get("known", {}).items():
                self.known[name] = np.frombuffer(bytes.fromhex(numbers), np.float32).reshape(shape)
        self.is_finished = lines[-1].get("finished", False)


def _plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    return json.loads(json.dumps(value))


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise DataError(
                f"{path.parent}: another process is labelling into this output; wait for it or choose another"
            ) from error
        # The one before may have finished and removed the file between the two calls.
        if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
