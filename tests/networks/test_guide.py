"""The guide to networks, read as its readers do."""

from __future__ import annotations

import doctest
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"


def test_the_guide_to_networks_prints_what_it_says() -> None:
    outcome = doctest.testfile(str(GUIDE), module_relative=False)
    assert outcome.attempted > 10
    assert outcome.failed == 0
