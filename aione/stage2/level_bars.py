"""The bars on which levels are found and visited, of all tiers in one array: minutes, hours, then days and hours.

The array ``bars`` is float64 (5, N): high, low, close, and how many minutes ago each bar ended and began.
``blocks`` is float64 (2, N / 8): the highest high and lowest low of each eight of them, so that what does not come near
a level is passed over in one step.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.indicators.kernel import jit
from aione.panel import F8

HOURS: Final = 48
"""Whole hours that are looked at, at most."""

DAYS: Final = 60
"""Closed days whose visits count, at most."""

BLOCK: Final = 8

_HOUR_MS: Final = 3_600_000


@jit
def minutes_of(high: F8, low: F8, close: F8, first: int, bars: F8) -> int:
    """Write the minutes from ``first`` on; return how many there are."""
    count = len(high) - first
    for i in range(count):
        bars[0, i], bars[1, i], bars[2, i] = high[first + i], low[first + i], close[first + i]
        bars[3, i] = count - 1.0 - i
    return count


@jit
def hours_of(high: F8, low: F8, close: F8, first_ms: int, bars: F8, at: int) -> tuple[int, float]:
    """Write the whole hours to the places from ``at`` on, oldest first, and behind them the running one.

    Return how many whole ones there are, and the minutes since the last of them.
    """
    count = len(high)
    start = ((-first_ms) % _HOUR_MS) // 60_000
    hours = max(0, (count - start) // 60)
    skipped = max(0, hours - HOURS)
    for number in range(skipped, hours):
        begin = start + number * 60
        top, bottom = _extremes(high[begin : begin + 60], low[begin : begin + 60])
        _bar(bars, at + number - skipped, top, bottom, close, begin, begin + 60)
    begin = min(count, start + hours * 60)
    top, bottom = -np.inf, np.inf
    for t in range(begin, count):
        top, bottom = max(top, high[t]), min(bottom, low[t])
    _bar(bars, at + hours - skipped, top, bottom, close, begin, count)
    return hours - skipped, float(count - begin)


@jit
def days_of(high: F8, low: F8, close: F8, since: float, bars: F8, at: int) -> int:
    """Write the last closed days, the newest of which ended ``since`` minutes ago; return how many."""
    days = min(DAYS, len(high))
    skipped = len(high) - days
    for i in range(days):
        bars[0, at + i], bars[1, at + i], bars[2, at + i] = high[skipped + i], low[skipped + i], close[skipped + i]
        bars[3, at + i] = since + (days - 1 - i) * 1440.0
    return days


@jit
def hours_since(bars: F8, first: int, stop: int, since: float, at: int) -> int:
    """Copy the hours of ``first <= t < stop`` that began within the last ``since`` minutes; return how many."""
    count = 0
    for t in range(first, stop):
        if bars[4, t] <= since:
            for field in range(4):
                bars[field, at + count] = bars[field, t]
            count += 1
    return count


@jit
def mean_range(bars: F8, first: int, stop: int) -> float:
    """Return the mean of high - low of the known bars; 0 without one."""
    total, known = 0.0, 0
    for t in range(first, stop):
        if bars[0, t] >= bars[1, t]:
            total += bars[0, t] - bars[1, t]
            known += 1
    return total / known if known else 0.0


@jit
def blocks_of(bars: F8, count: int, blocks: F8) -> None:
    """Write the extremes of every whole block of the first ``count`` bars; of none that is known, infinities."""
    for block in range(count // BLOCK):
        top, bottom = -np.inf, np.inf
        for t in range(block * BLOCK, (block + 1) * BLOCK):
            top, bottom = max(top, bars[0, t]), min(bottom, bars[1, t])
        blocks[0, block], blocks[1, block] = top, bottom


@jit
def _bar(bars: F8, at: int, top: float, bottom: float, close: F8, begin: int, end: int) -> None:
    """Write one hour; NaN where none of its bars is known. Its close is the last one known."""
    t = end - 1
    while t >= begin and np.isnan(close[t]):
        t -= 1
    bars[0, at] = top if top > 0.0 else np.nan
    bars[1, at] = bottom if top > 0.0 else np.nan
    bars[2, at] = close[t] if t >= begin else np.nan
    bars[3, at], bars[4, at] = float(len(close) - end), float(len(close) - begin)


@jit
def _extremes(high: F8, low: F8) -> tuple[float, float]:
    """Return the highest high and lowest low of the known ones of 60 bars; infinities where none is known.

    Four chains of comparisons run side by side, because one would wait for itself.
    """
    a, b, c, d = -np.inf, -np.inf, -np.inf, -np.inf
    e, f, g, h = np.inf, np.inf, np.inf, np.inf
    for t in range(0, 60, 4):
        a = max(a, high[t])
        b = max(b, high[t + 1])
        c = max(c, high[t + 2])
        d = max(d, high[t + 3])
        e = min(e, low[t])
        f = min(f, low[t + 1])
        g = min(g, low[t + 2])
        h = min(h, low[t + 3])
    return max(a, b, c, d), min(e, f, g, h)


__all__ = ["BLOCK", "DAYS", "HOURS", "blocks_of", "days_of", "hours_of", "hours_since", "mean_range", "minutes_of"]
