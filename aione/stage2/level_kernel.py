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
        _sort(found, n)
        count = _merge(found, n, options[0] * atr, last, merged)
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
        top, bottom = -np.inf, np.inf
        begin = start + hour * 60
        for t in range(begin, begin + 60):
            top = max(top, high[t]) if high[t] == high[t] else top
            bottom = min(bottom, low[t]) if low[t] == low[t] else bottom
        hour_high[hour - skipped] = top if top > 0.0 else np.nan
        hour_low[hour - skipped] = bottom if top > 0.0 else np.nan
    return hours - skipped, float(bars - start - hours * 60)


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
def _sort(found: Any, n: int) -> None:
    """Sort the candidates by price (insertion: there are some fifty)."""
    price, weight, age, kind = found
    for i in range(1, n):
        p, w, a, c = price[i], weight[i], age[i], kind[i]
        j = i - 1
        while j >= 0 and price[j] > p:
            price[j + 1], weight[j + 1], age[j + 1], kind[j + 1] = price[j], weight[j], age[j], kind[j]
            j -= 1
        price[j + 1], weight[j + 1], age[j + 1], kind[j + 1] = p, w, a, c


@jit
def _merge(found: Any, n: int, width: float, last: float, merged: Any) -> int:
    """Let the heaviest candidate take in its neighbours, again and again; return the number of levels, sorted.

    Of equally heavy ones the nearer to the close comes first.
    """
    price, weight, age, kind = found
    m_price, m_strength, m_age, m_what = merged
    owner = np.full(n, -1, dtype=np.int64)
    while True:
        best = -1
        for i in range(n):
            if owner[i] >= 0:
                continue
            nearer = abs(price[i] - last) < abs(price[best] - last)
            if best < 0 or weight[i] > weight[best] or (weight[i] == weight[best] and nearer):
                best = i
        if best < 0:
            break
        i = best
        while i >= 0 and owner[i] < 0 and price[best] - price[i] <= width:
            owner[i] = best
            i -= 1
        i = best + 1
        while i < n and owner[i] < 0 and price[i] - price[best] <= width:
            owner[i] = best
            i += 1
    count = -1
    for i in range(n):
        if i == 0 or owner[i] != owner[i - 1]:
            count += 1
            m_price[count], m_age[count], m_strength[count] = price[owner[i]], age[i], 1.0
            m_what[count, 0], m_what[count, 1] = kind[owner[i]], 0
        m_strength[count] *= 1.0 - weight[i]
        m_age[count] = min(m_age[count], age[i])
        m_what[count, 1] += 1
    for i in range(count + 1):
        m_strength[i] = 1.0 - m_strength[i]
    return count + 1


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
