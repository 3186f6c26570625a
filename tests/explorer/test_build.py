"""The files in git are those that the sources make."""

from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from downup.explorer import FILES

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_explorer", ROOT / "explorer" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_was_built_from_the_sources_that_are_here(build: ModuleType) -> None:
    assert build.BUILT.read_text().strip() == build.hash_sources(), "run: make explorer"


def test_the_page_loads_in_less_than_300_kilobytes(build: ModuleType) -> None:
    assert sorted(path.name for path in build.STATIC.iterdir()) == sorted(FILES)
    assert sum((build.STATIC / name).stat().st_size for name in FILES) < 300_000


def test_the_page_tells_how_far_the_networks_see(build: ModuleType, is_long: bool) -> None:
    told = json.loads(build.FIELDS.read_text())
    halos = [network.pop("halo") for network in told]
    assert told == build.fields_of_networks()
    assert all(halo >= max(one["before"], one["after"]) for halo, one in zip(halos, told, strict=True))
    if is_long:
        assert halos == build.halos_of_networks()


def test_building_again_makes_the_same_files(build: ModuleType, is_long: bool, tmp_path: Path) -> None:
    """The short run builds nothing where the tools are not: it reads back what the kernels are compressed from."""
    kernels = gzip.decompress((build.STATIC / "kernels.bin").read_bytes())
    assert kernels.startswith(b"\0asm")
    if not is_long:
        return
    subprocess.run(
        [sys.executable, str(ROOT / "explorer" / "build.py"), "--output", str(tmp_path)], check=True
    )
    assert gzip.decompress((tmp_path / "kernels.bin").read_bytes()) == kernels
    for name in ("main.js", "style.css", "index.html"):
        assert (tmp_path / name).read_bytes() == (build.STATIC / name).read_bytes(), name
