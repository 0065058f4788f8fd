"""Small plots for Markdown artifacts: drawn as SVG, carried inside the text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

ROW: Final = 22
LABELS: Final = 150
WIDTH: Final = 420
NUMBERS: Final = 80


def bars(rows: Sequence[tuple[str, float]], title: str) -> str:
    """Return Markdown of a bar chart, one bar a row, each as long as its value to the largest.

    Examples
    --------
    >>> bars([("volume", 40), ("spread", 10)], "Symbols left").partition(",")[0]
    '![Symbols left](data:image/svg+xml;base64'
    """
    most = max((value for _, value in rows), default=0) or 1
    lines = [_row(at, label, value, value / most) for at, (label, value) in enumerate(rows)]
    size = f'width="{LABELS + WIDTH + NUMBERS}" height="{ROW * len(rows) + 4}"'
    style = 'font-family="sans-serif" font-size="12"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(lines)}</svg>'
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _row(at: int, label: str, value: float, share: float) -> str:
    y = ROW * at + 2
    long = max(1.0, WIDTH * share)
    name = f'<text x="{LABELS - 8}" y="{y + 14}" text-anchor="end" fill="#808080">{escape(label)}</text>'
    bar = f'<rect x="{LABELS}" y="{y}" width="{long:.1f}" height="{ROW - 6}" rx="2" fill="#2a7de1"/>'
    number = f'<text x="{LABELS + long + 6:.1f}" y="{y + 14}" fill="#808080">{value:g}</text>'
    return name + bar + number


__all__ = ["bars"]
