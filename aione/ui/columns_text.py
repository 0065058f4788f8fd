"""Aligned columns of plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from aione.ui.figures import UNKNOWN


def table(rows: Sequence[Sequence[str]], align: str, indent: int = 2) -> list[str]:
    """Return rows as lines in which every column has one width.

    Parameters
    ----------
    rows : sequence of rows of text
    align : str
        ``<`` or ``>`` for each column.
    indent : int
        Spaces before each line.

    Examples
    --------
    >>> table([("a", "1.5"), ("long", "12")], "<>", indent=0)
    ['a     1.5', 'long   12']
    """
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(align))]
    return [
        " " * indent
        + "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)).rstrip()
        for row in rows
    ]


def number(value: float | str | bool | None, digits: int = 4) -> str:
    """Write a value of an explanation with so many significant digits; a word as it is; None is an en dash.

    Examples
    --------
    >>> number(0.00027541), number(12_345_678.0), number(2.50), number("listed"), number(None), number(True)
    ('0.0002754', '12.3M', '2.5', 'listed', '–', 'yes')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.1f}{suffix}"
    if value == 0 or abs(value) < 10.0 ** -(digits + 2):
        return f"{value + 0.0:.{digits}g}"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


__all__ = ["number", "table"]
