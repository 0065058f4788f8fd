"""Pieces of a chart: bars, the volume at prices, and labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from aione.panel import F8, BarPanel

INK: Final = "#222222"
FAINT: Final = "#8a8a8a"
RISE, FALL = "#ffffff", "#4d4d4d"
"""A bar that rose is hollow, one that fell is filled: told apart without any colour."""

BODY_WIDTH: Final = 0.62


def draw_bars(axes: Any, panel: BarPanel, row: int = 0) -> None:
    """Draw a symbol's bars as candles at 0, 1, 2, ...; what is missing leaves its place empty."""
    opened, high, low, close = (column[row] for column in (panel.open, panel.high, panel.low, panel.close))
    known = np.flatnonzero(~np.isnan(opened + high + low + close))
    lower, upper = np.minimum(opened, close), np.maximum(opened, close)
    wicks = [((at, low[at]), (at, lower[at])) for at in known] + [((at, upper[at]), (at, high[at])) for at in known]
    half = BODY_WIDTH / 2
    bodies = [
        [(at - half, lower[at]), (at - half, upper[at]), (at + half, upper[at]), (at + half, lower[at])] for at in known
    ]
    colours = [RISE if close[at] >= opened[at] else FALL for at in known]
    axes.add_collection(LineCollection(wicks, colors=FALL, linewidths=0.8, zorder=3))
    axes.add_collection(PolyCollection(bodies, facecolors=colours, edgecolors=FALL, linewidths=0.7, zorder=3))


def volume_at_prices(high: F8, low: F8, volume: F8, bins: int) -> tuple[F8, F8]:
    """Return the edges of equal price bins and the volume in each, a bar's spread evenly over its high-low.

    Parameters
    ----------
    high, low, volume : float64 (T,)
        NaN bars are left out.
    bins : int

    Returns
    -------
    edges : float64 (bins + 1,)
    volumes : float64 (bins,)
        Both empty where the bars have but one price, or none is known.

    Examples
    --------
    >>> edges, volumes = volume_at_prices(np.array([12.0, 11.0]), np.array([10.0, 10.0]), np.array([2.0, 9.0]), 2)
    >>> edges.tolist(), volumes.tolist()
    ([10.0, 11.0, 12.0], [10.0, 1.0])
    """
    known = ~np.isnan(high + low + volume)
    high, low, volume = high[known], low[known], volume[known]
    if not known.any() or not high.max() > low.min():
        return np.empty(0), np.empty(0)
    edges = np.linspace(low.min(), high.max(), bins + 1)
    width = high - low
    inside = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    share = np.clip(inside, 0.0, None) / np.where(width > 0, width, 1.0)[:, None]
    at = np.minimum(np.searchsorted(edges, low, side="right") - 1, bins - 1)
    flat = np.flatnonzero(width == 0)
    share[flat, at[flat]] = 1.0
    return edges, share.T @ volume


def set_apart(wanted: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Return places at least ``gap`` apart, as near to the wanted ones as can be, in their order.

    Neighbours that are too close make a block around their mean; blocks that meet become one. Where there is no room
    for all, the gap shrinks.

    Examples
    --------
    >>> set_apart([0.0, 5.0, 5.2], gap=1.0, lowest=0.0, highest=10.0)
    [0.0, 4.6, 5.6]
    >>> set_apart([9.9, 9.8, 1.0], gap=1.0, lowest=0.0, highest=10.0)
    [10.0, 9.0, 1.0]
    """
    if not wanted:
        return []
    gap = min(gap, (highest - lowest) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []  # place of the first, count
    sums: list[float] = []
    for index in order:
        blocks.append((_held(wanted[index], 1, gap, lowest, highest), 1))
        sums.append(wanted[index])
        while len(blocks) > 1 and blocks[-2][0] + blocks[-2][1] * gap > blocks[-1][0]:
            (_, count), (_, more) = blocks[-2:]
            total = sums.pop() + sums.pop()
            count += more
            centre = total / count
            blocks[-2:] = [(_held(centre - (count - 1) * gap / 2, count, gap, lowest, highest), count)]
            sums.append(total)
    places = [first + step * gap for first, count in blocks for step in range(count)]
    found = [0.0] * len(wanted)
    for index, place in zip(order, places, strict=True):
        found[index] = round(place, 12)
    return found


def _held(first: float, count: int, gap: float, lowest: float, highest: float) -> float:
    """Return the first place of a block that stays inside."""
    return max(lowest, min(first, highest - (count - 1) * gap))


__all__ = ["FAINT", "FALL", "INK", "RISE", "draw_bars", "set_apart", "volume_at_prices"]
