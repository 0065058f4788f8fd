"""Labels of horizontal lines, in a margin beside the chart, none on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aione.ui.chart_parts import FAINT, set_apart

LINE_POINTS: Final = 12.5
"""Height of a label's line."""


@dataclass(frozen=True, slots=True)
class Note:
    """A label: the price that it belongs to, its text and colour."""

    price: float
    text: str
    colour: str
    is_bold: bool = False


def draw_notes(axes: Any, notes: list[Note], lowest: float, highest: float, heading: str = "") -> None:
    """Write the notes in a margin that shares the chart's prices, each led to its price.

    A note whose price is outside of the picture stands at that edge, with an arrow that says so.
    """
    axes.set_xlim(0, 1)
    axes.set_axis_off()
    if not notes:
        return
    axes.text(0.095, 1.005, heading, transform=axes.transAxes, va="bottom", ha="left", fontsize=7.5, color=FAINT)
    height_points = axes.get_window_extent().height / axes.figure.dpi * 72.0
    gap = (highest - lowest) * LINE_POINTS / height_points
    inner = (lowest + gap / 2, highest - gap / 2)
    ordered = sorted(notes, key=lambda note: note.price)
    places = set_apart([min(max(note.price, lowest), highest) for note in ordered], gap, *inner)
    shrunk = min(1.0, (inner[1] - inner[0]) / max(1e-300, gap * (len(ordered) - 1)))
    for note, place in zip(ordered, places, strict=True):
        arrow = "▲ " if note.price > highest else "▼ " if note.price < lowest else ""
        if not arrow:
            axes.plot([0.0, 0.05, 0.08], [note.price, place, place], color=note.colour, lw=0.9, clip_on=False)
        axes.text(
            0.095, place, arrow + note.text, va="center", ha="left", fontsize=8 * max(0.7, shrunk), color="#111111",
            fontweight="bold" if note.is_bold else "normal", clip_on=False,
        )  # fmt: skip
        axes.plot([0.083], [place], marker="s", ms=4, color=FAINT if arrow else note.colour, clip_on=False)


__all__ = ["Note", "draw_notes"]
