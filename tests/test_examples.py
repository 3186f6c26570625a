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


@pytest.mark.parametrize(("page", "least"), [("geometry.md", 10), ("down_and_up.md", 40)])
def test_the_guides_print_what_they_say(page: str, least: int) -> None:
    outcome = doctest.testfile(str(SOURCES.parent / "docs" / page), module_relative=False)
    assert outcome.attempted > least
    assert outcome.failed == 0
