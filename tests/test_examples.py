"""Every example in a docstring is run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import torch

SOURCES = Path(__file__).resolve().parent.parent / "src"
MODULES = [
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCES.rglob("*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    # Examples of the rooms that work on tensors take torch for granted.
    outcome = doctest.testmod(module, extraglobs={"torch": torch})
    assert outcome.failed == 0


def test_the_guide_to_geometry_prints_what_it_says() -> None:
    outcome = doctest.testfile(str(SOURCES.parent / "docs" / "geometry.md"), module_relative=False)
    assert outcome.attempted > 10
    assert outcome.failed == 0
