"""How near a step comes to what the machine can do."""

from __future__ import annotations

import pytest

from downup.engine import Ceilings, measure_ceilings


@pytest.mark.parametrize(
    ("algorithm", "multiply_adds", "size", "seconds"),
    [
        ("direct", 2000, 30, 2.0),
        ("direct", 2000, 30_000, 3.0),
        ("winograd", 144_000, 0, 36.0),
        ("winograd_repeated", 144_000, 0, 25.0),
        ("copy", 0, 5000, 0.5),
    ],
)
def test_the_longer_of_products_and_traffic_counts(algorithm, multiply_adds, size, seconds):
    ceilings = Ceilings(threads=1, multiply_adds=1e3, bytes=1e4)
    assert ceilings.seconds(algorithm, multiply_adds, size) == pytest.approx(seconds)


def test_a_machine_multiplies_faster_than_it_copies():
    found = measure_ceilings(1)
    assert found.threads == 1
    assert found.multiply_adds > found.bytes / 4 > 0
