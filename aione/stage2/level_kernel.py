"""The compiled part of `aione.stage2.levels`, one symbol at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.kernel import jit
from aione.indicators.structure import previous_pivot
from aione.panel import F8

LEVEL_KINDS: Final = (
    "micro_pivot_high",
    "micro_pivot_low",
    "hour_pivot_high",
    "hour_pivot_low",
    "poc",
    "vah",
    "val",
    "day_pivot_high",
    "day_pivot_low",
    "prev_day_high",
    "prev_day_low",
    "prev_day_close",
    "prev_week_high",
    "prev_week_low",
    "prev_week_close",
)
FIRST_MESO: Final = 2
FIRST_MACRO: Final = 7

CONTEXT_FIELDS: Final = (
    "support",
    "resistance",
    "major_support",
    "major_resistance",
    "support_strength",
    "resistance_strength",
)

_WORTH: Final = (0.25, 0.25, 0.40, 0.40, 0.50, 0.35, 0.35, 0.60, 0.60, 0.60, 0.60, 0.40, 0.70, 0.70, 0.50)
"""Weight of a new candidate of each kind: how much more than nothing it says, the longer its timeframe the more."""

_HALF_LIVES: Final = (1.0, 6.0, 60.0)
"""Of micro, meso and macro candidates, in multiples of ``half_life_bars``."""

IMMEDIATE_STRENGTH: Final = 0.30
"""Least strength of an immediate support or resistance: more than one bare 1m pivot."""

MAJOR_STRENGTH: Final = 0.70
"""Strength from which a level is major whatever its kind; macro levels always are."""

_CAPACITY: Final = 256
_HOUR_MS: Final = 3_600_000
_HOURS: Final = 48


@jit
def find_levels(
    high: F8,
    low: F8,
    close: F8,
    first_ms: int,
    day_rows: NDArray[np.int64],
    day_high: F8,
    day_low: F8,
    day_close: F8,
    first_day: int,
    scalars: F8,
    options: F8,
    spans: NDArray[np.int64],
    price: F8,
    kind: NDArray[np.int8],
    touches: NDArray[np.int16],
    age: F8,
    strength: F8,
    context: F8,
) -> None:
    """Fill the last six arrays; see `aione.stage2.levels.price_levels` for what stands in them."""
    bars = high.shape[1]
    found = (np.empty(_CAPACITY), np.empty(_CAPACITY), np.empty(_CAPACITY), np.empty(_CAPACITY, dtype=np.int64))
    hour_high, hour_low = np.empty(_HOURS), np.empty(_HOURS)
    merged = (np.empty(_CAPACITY), np.empty(_CAPACITY), np.empty(_CAPACITY), np.empty((_CAPACITY, 2), dtype=np.int64))
    order = np.empty(_CAPACITY, dtype=np.int64)
    half_life = options[1]
    for s in range(high.shape[0]):
        last, atr = close[s, bars - 1], scalars[s, 0]
        if not (last > 0.0 and atr > 0.0):
            continue
        n = _pivots(high[s], low[s], max(0, bars - spans[0]), bars, spans[1], 0, 1.0, 0.0, half_life, found, 0)
        hours, idle = _hours(high[s], low[s], first_ms, hour_high, hour_low)
        n = _pivots(hour_high, hour_low, 0, hours, spans[2], FIRST_MESO, 60.0, idle, half_life, found, n)
        for i in range(3):
            n = _candidate(found, n, scalars[s, 1 + i], 4 + i, 0.0, half_life)
        now = first_ms + bars * 60_000
        row = day_rows[s]
        if row >= 0:
            days = day_high.shape[1]
            idle = (now - (first_day + days) * 86_400_000) / 60_000.0
            n = _pivots(day_high[row], day_low[row], 0, days, spans[3], FIRST_MACRO, 1440.0, idle, half_life, found, n)
            n = _week(day_high[row], day_low[row], day_close[row], first_day, now, half_life, found, n)
        since_midnight = ((now - 60_000) % 86_400_000) / 60_000.0
        for i in range(3):
            n = _candidate(found, n, scalars[s, 4 + i], 9 + i, since_midnight, half_life)
        _sort(found[0], n, order)
        count = _merge(found, n, options[0] * atr, last, order, merged)
        _lay(merged, count, last, price[s], kind[s], touches[s], age[s], strength[s], context[s])


@jit
def _candidate(found: Any, n: int, level: float, kind: int, age: float, half_life: float) -> int:
    """Add one candidate unless its price is unknown; return how many there are then."""
    if not level > 0.0 or n >= _CAPACITY:
        return n
    tier = 0 if kind < FIRST_MESO else (1 if kind < FIRST_MACRO else 2)
    life = half_life * _HALF_LIVES[tier]
    found[0][n] = level
    found[1][n] = _WORTH[kind] * life / (life + age)
    found[2][n] = age
    found[3][n] = kind
    return n + 1


@jit
def _pivots(
    high: F8,
    low: F8,
    first: int,
    stop: int,
    span: int,
    kind: int,
    bar_minutes: float,
    idle: float,
    half_life: float,
    found: Any,
    n: int,
) -> int:
    """Add the pivots of ``first <= t < stop`` that are confirmed; ``idle`` minutes passed since the last bar."""
    for side in (0, 1):
        x, sign = (high, 1.0) if side == 0 else (low, -1.0)
        t = previous_pivot(x, sign, stop - 1 - span, first, span, stop - 1)
        while t >= 0:
            n = _candidate(found, n, x[t], kind + side, (stop - 1 - t) * bar_minutes + idle, half_life)
            t = previous_pivot(x, sign, t - 1, first, span, stop - 1)
    return n


@jit
def _hours(high: F8, low: F8, first_ms: int, hour_high: F8, hour_low: F8) -> tuple[int, float]:
    """Write high and low of the whole hours, oldest first; return how many, and the minutes since the last one."""
    bars = len(high)
    start = ((-first_ms) % _HOUR_MS) // 60_000
    hours = max(0, (bars - start) // 60)
    skipped = max(0, hours - _HOURS)
    for hour in range(skipped, hours):
        begin = start + hour * 60
        top, bottom = _extremes(high[begin : begin + 60], low[begin : begin + 60])
        hour_high[hour - skipped] = top if top > 0.0 else np.nan
        hour_low[hour - skipped] = bottom if top > 0.0 else np.nan
    return hours - skipped, float(bars - start - hours * 60)


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


@jit
def _week(high: F8, low: F8, close: F8, first_day: int, now: int, half_life: float, found: Any, n: int) -> int:
    """Add high, low and close of the UTC week (Monday to Sunday) before that of the last bar."""
    today = (now - 60_000) // 86_400_000
    monday = today - (today + 3) % 7
    top, bottom, end = -np.inf, np.inf, np.nan
    for t in range(max(0, monday - 7 - first_day), min(len(high), monday - first_day)):
        if high[t] == high[t]:
            top, bottom, end = max(top, high[t]), min(bottom, low[t]), close[t]
    if not np.isnan(end):
        age = (now - monday * 86_400_000) / 60_000.0
        n = _candidate(found, n, top, 12, age, half_life)
        n = _candidate(found, n, bottom, 13, age, half_life)
        n = _candidate(found, n, end, 14, age, half_life)
    return n


@jit
def _sort(price: F8, n: int, order: NDArray[np.int64]) -> None:
    """Write the candidates' places by ascending price to ``order`` (insertion: there are some fifty)."""
    for i in range(n):
        level, j = price[i], i - 1
        while j >= 0 and price[order[j]] > level:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = i


@jit
def _merge(found: Any, n: int, width: float, last: float, order: NDArray[np.int64], merged: Any) -> int:
    """Merge the candidates, sorted by ``order``; return the number of levels, sorted by price.

    A gap wider than ``width`` parts what cannot merge, so each stretch between two gaps is merged by itself.
    """
    price = found[0]
    count, start = 0, 0
    for i in range(n):
        if i + 1 == n or price[order[i + 1]] - price[order[i]] > width:
            count = _merge_stretch(found, order, start, i + 1, width, last, merged, count)
            start = i + 1
    return count


@jit
def _merge_stretch(
    found: Any, order: NDArray[np.int64], start: int, end: int, width: float, last: float, merged: Any, count: int
) -> int:
    """Let the heaviest candidate take in its neighbours, again and again; return how many levels there are then.

    Of equally heavy ones the nearer to the close comes first. ``order[start:end]`` holds the candidates that are left.
    """
    price, weight, age, kind = found
    m_price, m_strength, m_age, m_what = merged
    while end > start:
        at, best = start, order[start]
        for i in range(start + 1, end):
            rival = order[i]
            nearer = abs(price[rival] - last) < abs(price[best] - last)
            if weight[rival] > weight[best] or (weight[rival] == weight[best] and nearer):
                at, best = i, rival
        first, stop = at, at + 1
        while first > start and price[best] - price[order[first - 1]] <= width:
            first -= 1
        while stop < end and price[order[stop]] - price[best] <= width:
            stop += 1
        miss, youngest = 1.0, age[best]
        for i in range(first, stop):
            miss *= 1.0 - weight[order[i]]
            youngest = min(youngest, age[order[i]])
        place = count
        while place > 0 and m_price[place - 1] > price[best]:
            m_price[place], m_strength[place] = m_price[place - 1], m_strength[place - 1]
            m_age[place] = m_age[place - 1]
            m_what[place, 0], m_what[place, 1] = m_what[place - 1, 0], m_what[place - 1, 1]
            place -= 1
        m_price[place], m_strength[place], m_age[place] = price[best], 1.0 - miss, youngest
        m_what[place, 0], m_what[place, 1] = kind[best], stop - first
        count += 1
        for i in range(stop, end):
            order[first + i - stop] = order[i]
        end -= stop - first
    return count


@jit
def _lay(
    merged: Any,
    count: int,
    last: float,
    price: F8,
    kind: NDArray[np.int8],
    touches: NDArray[np.int16],
    age: F8,
    strength: F8,
    context: F8,
) -> None:
    """Write the levels nearest to the close on each side, and the context that they make."""
    m_price, m_strength, m_age, m_what = merged
    above = 0
    while above < count and m_price[above] <= last:
        above += 1
    below = above - 1
    while below >= 0 and m_price[below] >= last:
        below -= 1
    half = len(price) // 2
    if above - below - 1 + 2 * half > len(price):
        half -= 1
    first, stop = max(0, below + 1 - half), min(count, above + half)
    chosen = np.arange(first, stop)
    for side in (0, 1):
        i, step, major = (below, -1, -1) if side == 0 else (above, 1, -1)
        while 0 <= i < count:
            if np.isnan(context[side]):
                if m_strength[i] >= IMMEDIATE_STRENGTH:
                    context[side], context[4 + side] = m_price[i], m_strength[i]
            elif m_what[i, 0] >= FIRST_MACRO or m_strength[i] >= MAJOR_STRENGTH:
                context[2 + side], major = m_price[i], i
                break
            i += step
        if 0 <= major < first:
            chosen[0] = major
        elif major >= stop:
            chosen[-1] = major
    for at, level in enumerate(chosen):
        price[at], strength[at], age[at] = m_price[level], m_strength[level], m_age[level]
        kind[at], touches[at] = m_what[level, 0], m_what[level, 1]


__all__ = [
    "CONTEXT_FIELDS",
    "FIRST_MACRO",
    "FIRST_MESO",
    "IMMEDIATE_STRENGTH",
    "LEVEL_KINDS",
    "MAJOR_STRENGTH",
    "find_levels",
]
