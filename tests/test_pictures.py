"""The pictures of the guides are those that the operators draw today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
SCRIPT = ROOT / "scripts" / "make_pictures.py"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, str(SCRIPT), "--output", str(folder)], check=True, capture_output=True)
    return folder


def test_every_picture_of_the_page_is_there_and_none_more() -> None:
    page = (ROOT / "docs" / "down_and_up.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(pictures/([\w.]+)\)", page)) == {path.name for path in FOLDER.iterdir()}


def test_drawings_are_up_to_date(drawn: Path) -> None:
    for path in FOLDER.glob("*.svg"):
        assert (drawn / path.name).read_text() == path.read_text(), path.name


def test_photographs_are_up_to_date(drawn: Path) -> None:
    for path in FOLDER.glob("*.png"):
        with Image.open(path) as kept, Image.open(drawn / path.name) as new:
            assert kept.size == new.size, path.name
            difference = np.abs(np.asarray(kept, dtype=np.int16) - np.asarray(new, dtype=np.int16))
        # Decoders of JPEG differ by a step of grey, which three times stronger differences show as up to six.
        assert (difference <= 6).mean() > 0.999, path.name
