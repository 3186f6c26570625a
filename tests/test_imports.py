"""Imports point down only, and what needs no torch works without it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parent.parent / "src" / "downup"

# From the top down; a room imports those of lower floors, and itself.
FLOORS = (
    ("cli", "__main__"),
    ("explorer",),
    ("loading",),
    ("training", "keras"),
    ("prediction",),  # a training run is scored by the loop that labels pictures
    ("networks", "engine", "evaluation"),
    ("nn", "data", "graph"),
    ("ops",),
    ("taps", "catalog"),
    ("kernels",),
    ("geometry",),
    ("errors", "files", "precision"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WITH_TORCH = {"ops", "nn", "networks", "training", "keras"}
WITHOUT_TORCH = (
    "downup",
    "downup.errors",
    "downup.files",
    "downup.geometry",
    "downup.catalog",
    "downup.kernels",
    "downup.taps",
    "downup.data",
    "downup.engine",
    "downup.evaluation",
    "downup.graph",
    "downup.explorer",
    "downup.prediction",
    "downup.training.run_folder",
    "downup.cli",
)


def _room(path: Path) -> str:
    return path.relative_to(SOURCES).parts[0].removesuffix(".py")


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module that a file imports, wherever in the file it does so."""
    package = ["downup", *path.relative_to(SOURCES).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "downup":
                yield from ((node.lineno, f"downup.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def _files() -> list[Path]:
    return sorted(path for path in SOURCES.rglob("*.py") if path != SOURCES / "__init__.py")


def test_every_room_has_its_floor() -> None:
    assert {_room(path) for path in _files()} <= set(FLOOR)


def test_imports_point_down_only() -> None:
    wrong = []
    for path in _files():
        room = _room(path)
        for line, name in _imported(path):
            if not name.startswith("downup."):
                continue
            other = name.split(".")[1]
            if other in FLOOR and other != room and FLOOR[other] <= FLOOR[room]:
                wrong.append(f"{path.relative_to(SOURCES)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_torch_stays_in_the_rooms_that_need_it() -> None:
    wrong = [
        f"{path.relative_to(SOURCES)}:{line} imports {name}"
        for path in _files()
        if _room(path) not in WITH_TORCH
        for line, name in _imported(path)
        if name.split(".")[0] in ("torch", "torchvision", "tensorflow", "keras")
    ]
    assert not wrong, "\n".join(wrong)


def test_what_needs_no_torch_is_imported_without_it() -> None:
    program = (
        "import sys, importlib\n"
        "sys.modules['torch'] = None  # any import of torch now fails\n"
        f"for name in {WITHOUT_TORCH!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ops", "nn"])
def test_the_public_door_loads_a_room_when_it_is_asked_for(name: str) -> None:
    program = (
        f"import sys, downup; assert 'torch' not in sys.modules; downup.{name}; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
