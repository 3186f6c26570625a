"""Line charts: valid SVG, points where the axes say."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from downup.evaluation.charts import Line, Mark, _ticks, _whole_ticks, line_chart


def test_a_chart_is_valid_and_keeps_foreign_text_as_text():
    line = Line('<b>"A" & B', [(1, 0.5), (2, math.nan), (3, 2.0), (4, 1.0)])
    svg = ElementTree.fromstring(line_chart("Loss <i>", "epoch", "loss", [line], mark=Mark(3, 2.0, "a < b")))
    texts = [element.text for element in svg.iter("text")]
    assert {'<b>"A" & B', "epoch", "loss", "a < b"} <= set(texts)
    assert svg.get("role") == "img"
    assert "lowest 0.5, highest 2" in (svg.get("aria-label") or "")
    # The gap splits the line: one point alone, then two.
    assert len(svg.findall("circle[@class='dot one']")) == 1
    (stretch,) = svg.findall("polyline")
    assert len((stretch.get("points") or "").split()) == 2


def test_points_lie_where_the_ticks_are():
    svg = line_chart("t", "x", "y", [Line("a", [(0, 0.0), (10, 1.0)])], y_range=(0, 1))
    first, last = re.search(r'points="([\d.]+,[\d.]+) ([\d.]+,[\d.]+)"', svg).groups()
    grid = [float(y) for y in re.findall(r'class="grid".*? y1="([\d.]+)"', svg)]
    x_ticks = [float(x) for x in re.findall(r'class="axis" x1="([\d.]+)"', svg)][1:]
    assert first == f"{min(x_ticks)},{max(grid)}"
    assert last == f"{max(x_ticks)},{min(grid)}"


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 1e9])
def test_one_point_alone_is_drawn(value: float):
    svg = line_chart("t", "x", "y", [Line("a", [(1, value)]), Line("none", [(1, math.nan)])])
    assert "nan" not in svg
    assert 'class="dot one"' in svg


@pytest.mark.parametrize(
    ("low", "high"), [(0.13, 1.9), (-5, 7), (1e-6, 3e-6), (0, 12345), (0.7, 0.7), (-2, -2)]
)
def test_ticks_enclose_the_data_and_are_few(low: float, high: float):
    ticks = _ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 3 <= len(ticks) <= 8


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 2), (1, 7), (1, 40), (1, 500), (3, 1000)])
def test_epochs_have_whole_ticks_inside_the_axis(low: int, high: int):
    ticks = _whole_ticks(low, high)
    assert all(low <= tick <= high and tick == int(tick) for tick in ticks)
    assert 1 <= len(ticks) <= 9
