"""Options and fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

# A test never writes outside its own folder, and a progress bar never paints over its output.
os.environ.setdefault("NO_COLOR", "1")
# Keras asks for its backend once, when it is imported; what another one gives is computed in a process of its own.
os.environ["KERAS_BACKEND"] = "torch"
# Tests run side by side: a thread that waits gives its core away.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the same checks with larger counts")


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether the long counts were asked for (`make test-long`)."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a line at the end of the run: what was counted."""
    return lambda line: record_property("told", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "told"
    ]
    if told:
        terminalreporter.section("what was counted")
    for line in told:
        terminalreporter.write_line(str(line))
