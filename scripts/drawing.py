"""Grids of numbers as SVG, for the pictures of the guides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

CELL = 40
INK, PALE, LINE = "#1b2a3a", "#6b7a89", "#9aa7b4"
# One colour for each window, told apart in grey too.
WINDOWS = ("#ffd9a0", "#bfe3c0", "#c3d7f5", "#f3c6d6")
PLAIN = "#ffffff"
PADDING = "#eceff2"

Place = tuple[int, int]


class Drawing:
    """Shapes on a white ground, which also shows on a dark page."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def text(
        self, x: float, y: float, words: str, *, size: int = 15, colour: str = INK, anchor: str = "middle"
    ) -> None:
        """Words whose middle (or start) is at x, on a line whose middle is at y."""
        self.parts.append(
            f'<text x="{x:g}" y="{y + size * 0.35:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, dashed: bool = False
    ) -> None:
        """A rectangle with a thin edge."""
        dash = ' stroke-dasharray="3 3"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{LINE}"{dash}/>'
        )

    def line(
        self, x: float, y: float, to_x: float, to_y: float, *, colour: str = LINE, width: float = 1.5
    ) -> None:
        """A straight line."""
        self.parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def arrow(self, x: float, y: float, to_x: float, *, words: str = "") -> None:
        """A level arrow with words above it."""
        self.line(x, y, to_x - 6, y, colour=PALE)
        self.parts.append(f'<path d="M{to_x:g} {y:g} l-9 -5 v10 z" fill="{PALE}"/>')
        if words:
            self.text((x + to_x) / 2, y - 14, words, size=13, colour=PALE)

    def grid(
        self,
        x: float,
        y: float,
        values: Sequence[Sequence[float]] | NDArray[np.floating],
        fills: Mapping[Place, str] | None = None,
        *,
        bold: Sequence[Place] = (),
        name: str = "",
    ) -> None:
        """Cells with a number each; those of `bold` places are framed."""
        rows = np.asarray(values)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                left, top = x + j * CELL, y + i * CELL
                self.box(left, top, CELL, CELL, (fills or {}).get((i, j), PLAIN))
                zero = PALE if value == 0 else INK
                self.text(left + CELL / 2, top + CELL / 2, f"{value:.4g}", colour=zero)
        for i, j in bold:
            self.parts.append(
                f'<rect x="{x + j * CELL + 2:g}" y="{y + i * CELL + 2:g}" width="{CELL - 4}" height="{CELL - 4}" '
                f'fill="none" stroke="{INK}" stroke-width="2.5"/>'
            )
        if name:
            self.text(x + rows.shape[1] * CELL / 2, y - 16, name, size=14, colour=PALE)

    def __str__(self) -> str:
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="Helvetica, Arial, sans-serif" role="img">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n{body}\n</svg>\n'
        )
