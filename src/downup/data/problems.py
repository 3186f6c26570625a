"""A problem with a file: what is wrong with it, and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from downup.errors import DataError


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file or folder, and what to do about it.

    Args:
        file: the file or folder.
        message: the predicate of a sentence that begins with the file.
        cure: what to do, as a command.

    >>> str(Problem(Path("images/a.png"), "is empty (0 bytes)", "copy it again"))
    'images/a.png is empty (0 bytes); copy it again'
    """

    file: Path
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file} {self.message}; {self.cure}"


class FileError(DataError):
    """A DataError about one file, with its parts at hand."""

    def __init__(self, file: Path, message: str, cure: str) -> None:
        self.problem = Problem(file, message, cure)
        super().__init__(str(self.problem))
