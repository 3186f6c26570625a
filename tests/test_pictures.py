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


def test_every_picture_of_a_page_is_there_and_none_more() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert set(re.findall(r"\]\((?:docs/)?pictures/([\w.]+)\)", shown)) == {
        path.name for path in FOLDER.iterdir()
    }


def test_drawings_are_up_to_date(drawn: Path) -> None:
    for new in drawn.glob("*.svg"):
        assert new.read_text() == (FOLDER / new.name).read_text(), new.name


def test_photographs_are_up_to_date(drawn: Path) -> None:
    for path in drawn.glob("*.png"):
        with Image.open(FOLDER / path.name) as kept, Image.open(path) as new:
            assert kept.size == new.size, path.name
            difference = np.abs(np.asarray(kept, dtype=np.int16) - np.asarray(new, dtype=np.int16))
        # Decoders of JPEG differ by a step of grey, which three times stronger differences show as up to six.
        assert (difference <= 6).mean() > 0.999, path.name
