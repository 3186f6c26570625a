"""Options and fixtures shared by all tests."""

from __future__ import annotations

import os

import pytest

# A test never writes outside its own folder, and a progress bar never paints over its output.
os.environ.setdefault("NO_COLOR", "1")
# Keras asks for its backend once, when it is imported; what another one gives is computed in a process of its own.
os.environ["KERAS_BACKEND"] = "torch"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the same checks with larger counts")


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether the long counts were asked for (`make test-long`)."""
    return bool(request.config.getoption("--long"))
