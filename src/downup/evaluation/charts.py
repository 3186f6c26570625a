"""Line charts as inline SVG: axes with ticks, a legend, colours left to the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# In units of the drawing, which the page scales: narrow enough that the letters can be read on a phone.
_WIDTH, _HEIGHT = 420, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 34, 46


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: what the legend calls it.
        points: (x, y), by rising x; where y is not finite the line has a gap.
        style: a class of the page's style sheet, which gives the colour: "one", "two" or "level".
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "one"


@dataclass(frozen=True)
class Mark:
    """A point of a chart that is marked and named."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class _Axes:
    """Where the numbers of a chart lie in the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low
        # A single epoch stands in the middle.
        share = (value - self.x_low) / span if span else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def line_chart(
    title: str,
    x_name: str,
    y_name: str,
    lines: Sequence[Line],
    y_range: tuple[float, float] | None = None,
    mark: Mark | None = None,
) -> Markup:
    """Draw lines over a common x axis of whole numbers, such as epochs.

    Args:
        title: what screen readers read first.
        x_name: the name of the x axis, with its unit.
        y_name: the name of the y axis, with its unit.
        lines: at least one point among them has a finite y.
        y_range: lowest and highest y; by default round numbers around the data.
        mark: one point to be marked.

    Returns:
        an `<svg>` element.
    """
    points = [point for line in lines for point in line.points if math.isfinite(point[1])]
    low, high = y_range or (min(y for _, y in points), max(y for _, y in points))
    y_ticks = _ticks(low, high)
    axes = _Axes(min(x for x, _ in points), max(x for x, _ in points), y_ticks[0], y_ticks[-1])
    label = f"{title}: " + "; ".join(_spoken(line) for line in lines)
    svg = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">']
    svg += _drawn_axes(axes, y_ticks, x_name, y_name)
    svg += _drawn_legend(lines)
    for line in lines:
        svg += _drawn_line(axes, line)
    if mark is not None:
        svg += _drawn_mark(axes, mark)
    # Everything that came from outside is a number or went through escape.
    return Markup("\n".join([*svg, "</svg>"]))


def _drawn_axes(axes: _Axes, y_ticks: Sequence[float], x_name: str, y_name: str) -> list[str]:
    base, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    svg = []
    for tick in y_ticks:
        y = axes.y(tick)
        svg.append(f'<line class="grid" x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>')
        svg.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    svg.append(f'<line class="axis" x1="{_LEFT}" x2="{end}" y1="{base}" y2="{base}"/>')
    for tick in _whole_ticks(axes.x_low, axes.x_high):
        x = axes.x(tick)
        svg.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>')
        svg.append(f'<text class="tick" x="{x:.1f}" y="{base + 18}" text-anchor="middle">{tick:g}</text>')
    x, y = (_LEFT + end) / 2, (_TOP + base) / 2
    svg.append(f'<text class="name" x="{x}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    turned = f'transform="translate(13 {y}) rotate(-90)"'
    svg.append(f'<text class="name" {turned} text-anchor="middle">{escape(y_name)}</text>')
    return svg


def _drawn_legend(lines: Sequence[Line]) -> list[str]:
    svg = []
    left = _LEFT
    for line in lines:
        svg.append(f'<line class="line {line.style}" x1="{left}" x2="{left + 18}" y1="14" y2="14"/>')
        svg.append(f'<text class="key" x="{left + 23}" y="18">{escape(line.name)}</text>')
        # Without the font at hand: about the width of its mean letter at the size that the style sheet gives.
        left += 23 + 15 * len(line.name) // 2 + 14
    return svg


def _drawn_line(axes: _Axes, line: Line) -> list[str]:
    svg = []
    for stretch in _stretches(line.points):
        places = [(axes.x(x), axes.y(min(max(y, axes.y_low), axes.y_high))) for x, y in stretch]
        if len(places) == 1:
            svg.append(
                f'<circle class="dot {line.style}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3.5"/>'
            )
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            svg.append(f'<polyline class="line {line.style}" points="{path}"/>')
    return svg


def _drawn_mark(axes: _Axes, mark: Mark) -> list[str]:
    x, y = axes.x(mark.x), axes.y(mark.y)
    # The text stays inside the drawing, and below the point: a best score has its line to the left and below.
    anchor, offset = ("end", 4) if x > _WIDTH / 2 else ("start", -4)
    place = f'x="{x + offset:.1f}" y="{y + 24:.1f}" text-anchor="{anchor}"'
    return [
        f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
        f'<text class="mark-text" {place}>{escape(mark.text)}</text>',
    ]


def _stretches(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The points between two gaps, each stretch a list.

    >>> _stretches([(1, 5.0), (2, math.nan), (3, 6.0), (4, 7.0)])
    [[(1, 5.0)], [(3, 6.0), (4, 7.0)]]
    """
    stretches: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            stretches[-1].append(point)
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, about five, the first at or below `low`, the last at or above `high`.

    >>> _ticks(0.13, 1.9)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> _ticks(0.5, 0.5)
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    """
    if low == high:
        low, high = min(0.0, low), max(0.0, high) or 1.0
    step = _round_step((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Twelve digits drop what the multiplication adds, so that a tick reads 0.6 and not 0.6000000000000001.
    return [float(f"{tick * step:.12g}") for tick in range(first, last + 1)]


def _whole_ticks(low: float, high: float) -> list[float]:
    """Whole numbers from `low` to `high`, about six, at round steps.

    >>> _whole_ticks(1, 40)
    [10.0, 20.0, 30.0, 40.0]
    >>> _whole_ticks(1, 3)
    [1.0, 2.0, 3.0]
    """
    step = max(1.0, _round_step((high - low) / 6)) if high > low else 1.0
    return [tick * step for tick in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _round_step(step: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten at or above `step`, give or take a tenth."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.9 * step)


def _spoken(line: Line) -> str:
    values = [y for _, y in line.points if math.isfinite(y)]
    if not values:
        return f"{line.name} has no values"
    low, high = min(values), max(values)
    if low == high:
        return f"{line.name} at {high:.3g}"
    return f"{line.name} from {values[0]:.3g} to {values[-1]:.3g}, lowest {low:.3g}, highest {high:.3g}"
