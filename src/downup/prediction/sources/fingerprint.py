"""Knowing a file again without reading all of it."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

_SAMPLE_BYTES = 1 << 16
_SAMPLES = 64


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and time of a file, and a hash of its beginning, its end and places between.

    A small file is hashed whole.
    """
    about = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        last = max(about.st_size - _SAMPLE_BYTES, 0)
        places = sorted({last * number // (_SAMPLES - 1) for number in range(_SAMPLES)})
        for place in places:
            digest.update(os.pread(file.fileno(), _SAMPLE_BYTES, place))
    return {
        "path": str(path.resolve()),
        "bytes": about.st_size,
        "modified_ns": about.st_mtime_ns,
        "samples_sha256": digest.hexdigest(),
    }


def file_sha256(path: Path) -> str:
    """The hash of all of a file; remembered while its size and time stay."""
    about = path.stat()
    return _sha256(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
