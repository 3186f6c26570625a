"""The files of the page, and a folder of them that any web server can offer."""

from __future__ import annotations

from pathlib import Path

from downup.errors import DataError
from downup.files import replace_file

_STATIC = Path(__file__).parent / "static"

# Their types, so that nothing of the system's own table is believed.
FILES = {
    "index.html": "text/html; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "kernels.bin": "application/octet-stream",
}


def read_file(name: str) -> bytes:
    """The contents of one of `FILES`."""
    return (_STATIC / name).read_bytes()


def write_page(folder: Path) -> None:
    """Write the page into a folder, which is made where there is none.

    Raises:
        DataError: the folder holds something else than an earlier page.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; name a folder")
    foreign = (
        sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.exists() else []
    )
    if foreign:
        raise DataError(
            f"{folder}: holds {foreign[0]!r}, which is not of the page; name an empty or a new folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        contents = read_file(name)
        replace_file(folder / name, lambda path, contents=contents: path.write_bytes(contents))  # type: ignore[misc]
