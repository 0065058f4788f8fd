"""Levels, against a plain and slow way to find the same."""

from __future__ import annotations

import numpy as np
import pytest

from aione.panel import DAY_MS, MINUTE_MS
from aione.stage2.level_kinds import (
    APART_ATR,
    DRAWN_STRENGTH,
    FIRST_MACRO,
    FIRST_MESO,
    HALF_LIVES,
    IMMEDIATE_STRENGTH,
    MAJOR_STRENGTH,
    WORTH,
)
from aione.stage2.level_visits import TOLERANCES, TOUCH_ATR, TOUCH_WORTH
from aione.stage2.levels import price_levels

from .conftest import SYMBOLS, daily_panel, random_panel
from .levelling import PARAMS, atr_of


def slow_pivots(high, low, span, kind, minutes, idle, first=0):
    """(price, kind, age) of every confirmed pivot at ``first`` or later."""
    found = []
    for t in range(max(first, span), len(high) - span):
        around = [t + k for k in range(-span, span + 1) if k]
        age = (len(high) - 1 - t) * minutes + idle
        if all(high[t] > high[i] if i < t else high[t] >= high[i] for i in around):
            found.append((high[t], kind, age))
        if all(low[t] < low[i] if i < t else low[t] <= low[i] for i in around):
            found.append((low[t], kind + 1, age))
    return found


def slow_candidates(panel, daily, row, profile, previous_day):
    high, low, times = panel.high[row], panel.low[row], panel.open_time_ms
    found = slow_pivots(high, low, PARAMS.micro_span, 0, 1, 0, len(high) - PARAMS.micro_lookback)
    hours = {}
    for t, at in enumerate(times):
        hours.setdefault(int(at) // 3_600_000, []).append(t)
    whole = [rows for rows in hours.values() if len(rows) == 60]
    idle = (times[-1] + MINUTE_MS) // MINUTE_MS % 60
    tops, bottoms = [max(high[rows]) for rows in whole], [min(low[rows]) for rows in whole]
    found += slow_pivots(tops, bottoms, PARAMS.meso_span, FIRST_MESO, 60, idle)
    found += [(column[row], FIRST_MESO + 2 + i, 0.0) for i, column in enumerate(profile)]
    since_midnight = times[-1] % DAY_MS // MINUTE_MS
    if daily is not None:
        at = daily.symbols.index(panel.symbols[row])
        idle = (times[-1] + MINUTE_MS - daily.open_time_ms[-1] - DAY_MS) // MINUTE_MS
        found += slow_pivots(daily.high[at], daily.low[at], PARAMS.macro_span, FIRST_MACRO, 1440, idle)
        today = int(times[-1]) // DAY_MS
        monday = today - np.datetime64(today, "D").item().weekday()
        week = [i for i, day in enumerate(daily.open_time_ms // DAY_MS) if monday - 7 <= day < monday]
        age = (times[-1] + MINUTE_MS - monday * DAY_MS) / MINUTE_MS
        values = (max(daily.high[at][week]), min(daily.low[at][week]), daily.close[at][week[-1]])
        found += [(value, 12 + i, age) for i, value in enumerate(values)]
    found += [(column[row], 9 + i, since_midnight) for i, column in enumerate(previous_day)]
    return [(float(price), kind, float(age)) for price, kind, age in found if not np.isnan(price)]


def life_of(kind):
    return PARAMS.half_life_bars * HALF_LIVES[(kind >= FIRST_MESO) + (kind >= FIRST_MACRO)]


def slow_bars(panel, daily, row):
    """[(high, low, close, age)] of the minutes, of the hours, and of the days with today's hours."""
    now = panel.open_time_ms[-1] + MINUTE_MS
    each = [
        (panel.high[row, t], panel.low[row, t], panel.close[row, t], (now - at) // MINUTE_MS - 1)
        for t, at in enumerate(panel.open_time_ms)
    ]
    hours = {}
    for t, at in enumerate(panel.open_time_ms):
        hours.setdefault(int(at) // 3_600_000, []).append(each[t])
    first = int(panel.open_time_ms[0])
    joined = {
        hour: (max(b[0] for b in rows), min(b[1] for b in rows), rows[-1][2], rows[-1][3])
        for hour, rows in hours.items()
        if hour * 3_600_000 >= first
    }
    whole = [joined[hour] for hour in joined if len(hours[hour]) == 60]
    days, since = [], 0
    if daily is not None:
        at = daily.symbols.index(panel.symbols[row])
        days = [
            (daily.high[at, t], daily.low[at, t], daily.close[at, t], (now - open_ms - DAY_MS) // MINUTE_MS)
            for t, open_ms in enumerate(daily.open_time_ms)
        ]
        since = int(daily.open_time_ms[-1]) + DAY_MS
    today = [bar for hour, bar in joined.items() if hour * 3_600_000 >= since]
    return each[-PARAMS.micro_lookback :], list(joined.values()), days + today, whole, days


def slow_visits(bars, level, tolerance, life):
    """(touches, breaks, doubt): cut the bars into runs that reach the level, then look at both ends of each."""
    side = [np.sign(bar[2] - level) for bar in bars]
    reach = [bar[1] <= level + tolerance and bar[0] >= level - tolerance for bar in bars]
    touches, breaks, doubt, t = 0, 0, 1.0, 0
    known = [s for s in side if s in {-1, 1}]
    before = known[0] if known else 0
    while t < len(bars):
        if not reach[t]:
            t += 1
            continue
        end = t
        while end + 1 < len(bars) and reach[end + 1]:
            end += 1
        came = next((s for s in reversed(side[:t]) if s), 0)
        breaks += came == -before != 0
        went = next((s for s in reversed(side[: end + 2]) if s), 0)
        if came and came == went:
            touches += 1
            doubt *= 1 - TOUCH_WORTH * life / (life + bars[end][3]) if touches > 1 else 1
        elif came:
            breaks += 1
        before = went or before
        t = end + 1
    breaks += bool(known) and known[-1] == -before
    return touches, breaks, doubt


def slow_levels(candidates, width, close, atr, bars):
    """{price: (kind, touches, breaks, age, strength)} after merging and counting."""

    def weight(candidate):
        life = life_of(candidate[1])
        return WORTH[candidate[1]] * life / (life + candidate[2])

    minutes, hours, days, whole, closed = bars
    least = TOUCH_ATR * atr
    spans = [np.mean([bar[0] - bar[1] for bar in rows]) if rows else 0.0 for rows in (whole, closed)]
    hourly = max(least, TOLERANCES[1] * spans[0])
    tiers = [(minutes, least), (hours, hourly), (days, max(hourly, TOLERANCES[2] * spans[1]))]
    left = sorted(candidates, key=lambda c: (-weight(c), abs(c[0] - close)))
    levels = {}
    while left:
        centre = left[0]
        members = [c for c in left if abs(c[0] - centre[0]) <= width]
        left = [c for c in left if abs(c[0] - centre[0]) > width]
        rows, tolerance = tiers[(centre[1] >= FIRST_MESO) + (centre[1] >= FIRST_MACRO)]
        touches, breaks, doubt = slow_visits(rows, centre[0], tolerance, life_of(centre[1]))
        strength = 1 - doubt * np.prod([1 - weight(c) for c in members])
        strength *= (1 + touches) / (1 + touches + breaks)
        levels[centre[0]] = (centre[1], touches, breaks, min(c[2] for c in members), strength)
    return dict(sorted(levels.items()))


def slow_kept(levels, outward, apart):
    """The prices kept on one side, the immediate one and the major one, from the prices seen walking outward."""
    kept, room, rest = [], PARAMS.max_levels // 2, []
    for at, price in enumerate(outward):
        is_near = kept and abs(price - kept[-1]) < apart
        if len(kept) == room and not is_near:
            rest = outward[at:]
            break
        if is_near:
            kept[-1] = max(kept[-1], price, key=lambda p: levels[p][4])
        elif levels[price][4] >= DRAWN_STRENGTH:
            kept.append(price)

    def is_major(price):
        kind, strength = levels[price][0], levels[price][4]
        return strength >= MAJOR_STRENGTH or (kind >= FIRST_MACRO and strength >= DRAWN_STRENGTH)

    immediate = next((p for p in kept if levels[p][4] >= IMMEDIATE_STRENGTH), np.nan)
    if np.isnan(immediate):
        return kept, np.nan, np.nan
    major = next((p for p in kept[kept.index(immediate) + 1 :] + rest if is_major(p)), np.nan)
    if major in rest:
        kept = [*kept[:-2], immediate, major] if kept[-1] == immediate else [*kept[:-1], major]
    return kept, immediate, major


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("with_days", [True, False])
def test_levels_are_what_the_slow_way_finds(seed, with_days):
    panel = random_panel(seed)
    daily = daily_panel(seed + 50) if with_days else None
    atr, close = atr_of(panel), panel.close[:, -1]
    profile = (close * 1.001, close * 1.004, close * 0.997)
    previous = (close * 1.01, close * 0.99, close * 1.002)
    found = price_levels(panel, daily, atr, profile, previous, PARAMS)
    for row in range(len(SYMBOLS)):
        width, last = PARAMS.merge_atr * atr[row], close[row]
        candidates = slow_candidates(panel, daily, row, profile, previous)
        slow = slow_levels(candidates, width, last, atr[row], slow_bars(panel, daily, row))
        apart = APART_ATR * atr[row]
        down, support, major_support = slow_kept(slow, [p for p in slow if p < last][::-1], apart)
        up, resistance, major_resistance = slow_kept(slow, [p for p in slow if p > last], apart)
        seen = found.kind[row] >= 0
        assert found.price[row][seen].tolist() == sorted(down) + up
        for price, *shown in zip(
            *(found.price[row][seen], found.kind[row][seen], found.touches[row][seen], found.breaks[row][seen]),
            *(found.age_bars[row][seen], found.strength[row][seen]),
            strict=True,
        ):
            assert shown == [pytest.approx(value) for value in slow[price]]
        around = (support, resistance, major_support, major_resistance)
        names = ("support", "resistance", "major_support", "major_resistance")
        np.testing.assert_equal([getattr(found, name)[row] for name in names], around)
        if not np.isnan(support):
            assert found.support_strength[row] == pytest.approx(slow[support][4])
