"""The compiled part of `aione.stage2.levels`, one symbol at a time: bars, candidates, levels, what is kept."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.kernel import jit
from aione.indicators.structure import previous_pivot
from aione.panel import F8
from aione.stage2.level_bars import (
    BLOCK,
    DAYS,
    HOURS,
    blocks_of,
    days_of,
    hours_of,
    hours_since,
    mean_range,
    minutes_of,
)
from aione.stage2.level_keep import keep_levels
from aione.stage2.level_kinds import (
    APART_ATR,
    CONTEXT_FIELDS,
    FIRST_MACRO,
    FIRST_MESO,
    HALF_LIVES,
    IMMEDIATE_STRENGTH,
    LEVEL_KINDS,
    MAJOR_STRENGTH,
    WORTH,
)
from aione.stage2.level_merge import merge
from aione.stage2.level_visits import TOLERANCES, TOUCH_ATR

_CAPACITY: Final = 256


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
    out: F8,
    context: F8,
) -> None:
    """Fill ``out`` (S, 6, K) and ``context`` (S, 6).

    See `aione.stage2.levels.price_levels` for what goes in, `aione.stage2.level_keep` for what comes out.
    """
    minutes, days = high.shape[1], day_high.shape[1]
    room = spans[0] + 2 * (HOURS + 1) + DAYS
    bars, blocks, tiers = np.empty((5, room)), np.empty((2, room // BLOCK)), np.empty((3, 4))
    found, merged, order = np.empty((4, _CAPACITY)), np.empty((7, _CAPACITY)), np.empty(_CAPACITY, dtype=np.int64)
    half_life, first, now = options[1], max(0, minutes - spans[0]), first_ms + minutes * 60_000
    since_midnight = ((now - 60_000) % 86_400_000) / 60_000.0
    for s in range(high.shape[0]):
        last, atr = close[s, minutes - 1], scalars[s, 0]
        if not (last > 0.0 and atr > 0.0):
            continue
        row, since = day_rows[s], np.inf
        a = minutes_of(high[s], low[s], close[s], first, bars)
        n = _pivots(high[s], low[s], first, spans[1], 0, 1.0, 0.0, half_life, found, 0)
        hours, idle = hours_of(high[s], low[s], close[s], first_ms, bars, a)
        b = a + hours + (idle > 0.0)
        n = _pivots(
            bars[0, a : a + hours], bars[1, a : a + hours], 0, spans[2], FIRST_MESO, 60.0, idle, half_life, found, n
        )
        for i in range(3):
            n = _candidate(found, n, scalars[s, 1 + i], 4 + i, 0.0, half_life)
        c = b
        if row >= 0 and days > 0:
            since = (now - (first_day + days) * 86_400_000) / 60_000.0
            n = _pivots(day_high[row], day_low[row], 0, spans[3], FIRST_MACRO, 1440.0, since, half_life, found, n)
            n = _week(day_high[row], day_low[row], day_close[row], first_day, now, half_life, found, n)
            c += days_of(day_high[row], day_low[row], day_close[row], since, bars, b)
        for i in range(3):
            n = _candidate(found, n, scalars[s, 4 + i], 9 + i, since_midnight, half_life)
        _tier(tiers, 0, 0, a, TOUCH_ATR * atr, half_life)
        _tier(tiers, 1, a, b, max(tiers[0, 2], TOLERANCES[1] * mean_range(bars, a, a + hours)), half_life)
        _tier(tiers, 2, b, c, max(tiers[1, 2], TOLERANCES[2] * mean_range(bars, b, c)), half_life)
        tiers[2, 1] += hours_since(bars, a, b, since, c)
        blocks_of(bars, int(tiers[2, 1]), blocks)
        count = merge(found, n, options[0] * atr, last, order, merged)
        keep_levels(merged, count, last, APART_ATR * atr, bars, blocks, tiers, out[s], context[s])


@jit
def _tier(tiers: F8, tier: int, first: int, stop: int, tolerance: float, half_life: float) -> None:
    """Write where a tier's bars stand, within which distance they reach a level, and how fast touches age."""
    tiers[tier, 0], tiers[tier, 1], tiers[tier, 2] = first, stop, tolerance
    tiers[tier, 3] = half_life * HALF_LIVES[tier]


@jit
def _candidate(found: F8, n: int, level: float, kind: int, age: float, half_life: float) -> int:
    """Add one candidate unless its price is unknown; return how many there are then."""
    if not level > 0.0 or n >= _CAPACITY:
        return n
    tier = 0 if kind < FIRST_MESO else (1 if kind < FIRST_MACRO else 2)
    life = half_life * HALF_LIVES[tier]
    found[0, n], found[1, n], found[2, n], found[3, n] = level, WORTH[kind] * life / (life + age), age, kind
    return n + 1


@jit
def _pivots(
    high: F8,
    low: F8,
    first: int,
    span: int,
    kind: int,
    bar_minutes: float,
    idle: float,
    half_life: float,
    found: F8,
    n: int,
) -> int:
    """Add the confirmed pivots from ``first`` on; ``idle`` minutes passed since the last bar."""
    end = len(high) - 1
    for side in (0, 1):
        x, sign = (high, 1.0) if side == 0 else (low, -1.0)
        t = previous_pivot(x, sign, end - span, first, span, end)
        while t >= 0:
            n = _candidate(found, n, x[t], kind + side, (end - t) * bar_minutes + idle, half_life)
            t = previous_pivot(x, sign, t - 1, first, span, end)
    return n


@jit
def _week(high: F8, low: F8, close: F8, first_day: int, now: int, half_life: float, found: F8, n: int) -> int:
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


__all__ = [
    "CONTEXT_FIELDS",
    "FIRST_MACRO",
    "FIRST_MESO",
    "IMMEDIATE_STRENGTH",
    "LEVEL_KINDS",
    "MAJOR_STRENGTH",
    "find_levels",
]
