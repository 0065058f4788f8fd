"""Levels, against a plain and slow way to find the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.panel import DAY_MS, MINUTE_MS
from aione.stage2.level_kernel import _HALF_LIVES, _WORTH, FIRST_MACRO, FIRST_MESO, LEVEL_KINDS, MAJOR_STRENGTH
from aione.stage2.levels import price_levels
from config.models import LevelParams

from .conftest import END_MS, SYMBOLS, daily_panel, mirrored_panel, random_panel

PARAMS = LevelParams()
UNKNOWN = np.full(len(SYMBOLS), np.nan)
NO = (UNKNOWN, UNKNOWN, UNKNOWN)


def atr_of(panel):
    return np.full(len(panel.symbols), 0.15)


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


def slow_levels(candidates, width, close):
    """{price: (kind, touches, age, strength)} after merging."""

    def weight(candidate):
        life = PARAMS.half_life_bars * _HALF_LIVES[(candidate[1] >= FIRST_MESO) + (candidate[1] >= FIRST_MACRO)]
        return _WORTH[candidate[1]] * life / (life + candidate[2])

    left = sorted(candidates, key=lambda c: (-weight(c), abs(c[0] - close)))
    levels = {}
    while left:
        centre = left[0]
        members = [c for c in left if abs(c[0] - centre[0]) <= width]
        left = [c for c in left if abs(c[0] - centre[0]) > width]
        strength = 1 - np.prod([1 - weight(c) for c in members])
        levels[centre[0]] = (centre[1], len(members), min(c[2] for c in members), strength)
    return dict(sorted(levels.items()))


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
        width = PARAMS.merge_atr * atr[row]
        slow = slow_levels(slow_candidates(panel, daily, row, profile, previous), width, close[row])
        seen = found.kind[row] >= 0
        for price, kind, touches, age, strength in zip(
            *(column[row][seen] for column in (found.price, found.kind, found.touches, found.age_bars, found.strength)),
            strict=True,
        ):
            assert slow[price] == (kind, touches, pytest.approx(age), pytest.approx(strength))
        below, above = [p for p in slow if p < close[row]], [p for p in slow if p > close[row]]
        kept = set(found.price[row][seen])
        assert set(below[-5:]) | set(above[:5]) <= kept
        assert len(kept) <= PARAMS.max_levels
        strong = [p for p in below if slow[p][3] >= 0.3]
        expected = strong[-1] if strong else np.nan
        np.testing.assert_equal(found.support[row], expected)
        major = [p for p in below if p < expected and (slow[p][0] >= FIRST_MACRO or slow[p][3] >= MAJOR_STRENGTH)]
        np.testing.assert_equal(found.major_support[row], major[-1] if major else np.nan)
        assert not major or major[-1] in kept


def test_no_two_levels_stand_within_the_merging_distance():
    panel = random_panel(1)
    found = price_levels(panel, daily_panel(2), atr_of(panel), NO, NO, PARAMS)
    gaps = np.diff(found.price, axis=1)
    assert (gaps[~np.isnan(gaps)] > PARAMS.merge_atr * 0.15).all()
    known = found.strength[found.kind >= 0]
    assert ((known > 0) & (known < 1)).all()


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_prices_give_mirrored_levels(seed):
    panel, daily, centre = random_panel(seed), daily_panel(seed + 9), 300.0
    one = price_levels(panel, daily, atr_of(panel), NO, NO, PARAMS)
    other = price_levels(mirrored_panel(panel, centre), mirrored_panel(daily, centre), atr_of(panel), NO, NO, PARAMS)
    for name in ("support", "major_support"):
        opposite = getattr(other, name.replace("support", "resistance"))
        np.testing.assert_allclose(getattr(one, name), 2 * centre - opposite, rtol=1e-12)
    for row in range(len(SYMBOLS)):
        seen = one.kind[row] >= 0
        turned = 2 * centre - other.price[row][seen][::-1]
        np.testing.assert_allclose(one.price[row][seen], turned, rtol=1e-12)
        np.testing.assert_allclose(one.strength[row][seen], other.strength[row][seen][::-1])


def test_a_pivot_is_known_only_when_it_is_confirmed():
    panel = random_panel(3, bars=400)
    top = np.nanmax(panel.high) * 1.02
    for late in range(1, 5):
        high = panel.high.copy()
        high[:, -late] = top
        found = price_levels(replace(panel, high=high), None, atr_of(panel), NO, NO, PARAMS)
        assert (found.price == top).any() == (late > PARAMS.micro_span)


def test_a_day_that_is_not_over_is_not_looked_at():
    panel, daily = random_panel(4), daily_panel(5)
    with_today = random_panel(5, bars=31, interval_ms=DAY_MS, end_ms=END_MS // DAY_MS * DAY_MS)
    history = {
        name: np.concatenate([getattr(daily, name), getattr(with_today, name)[:, -1:]], axis=1)
        for name in (
            "open",
            "high",
            "low",
            "close",
            "volume",
            "quote_volume",
            "taker_buy_volume",
            "trade_count",
            "valid",
        )
    }
    longer = replace(with_today, **history)
    one = price_levels(panel, daily, atr_of(panel), NO, NO, PARAMS)
    other = price_levels(panel, longer, atr_of(panel), NO, NO, PARAMS)
    np.testing.assert_array_equal(one.price, other.price)


def test_daily_bars_of_other_symbols_in_another_order_find_their_rows():
    panel, daily = random_panel(4), daily_panel(5)
    mixed = daily.take(["DUSDT", "AUSDT", "BTCUSDT"])
    found = price_levels(panel, mixed, atr_of(panel), NO, NO, PARAMS)
    whole = price_levels(panel, daily, atr_of(panel), NO, NO, PARAMS)
    without = price_levels(panel, None, atr_of(panel), NO, NO, PARAMS)
    for row, symbol in enumerate(SYMBOLS):
        expected = whole if symbol in mixed.symbols else without
        np.testing.assert_array_equal(found.price[row], expected.price[row])


def test_gaps_are_passed_over():
    panel = random_panel(6)
    high, low, close = panel.high.copy(), panel.low.copy(), panel.close.copy()
    for column in (high, low, close):
        column[1, 300:360] = np.nan
        column[2, :] = np.nan
        column[3, -1] = np.nan
    found = price_levels(replace(panel, high=high, low=low, close=close), None, atr_of(panel), NO, NO, PARAMS)
    assert (found.kind[1] >= 0).any()
    assert not (found.kind[2:4] >= 0).any()
    assert np.isnan(found.support[2:4]).all()
    whole = price_levels(panel, None, atr_of(panel), NO, NO, PARAMS)
    np.testing.assert_array_equal(found.price[[0, 4, 5]], whole.price[[0, 4, 5]])


@pytest.mark.parametrize("bars", [1, 2, 7, 61])
def test_a_short_panel_is_no_error(bars):
    panel = random_panel(7, bars=bars)
    found = price_levels(panel, None, atr_of(panel), NO, NO, PARAMS)
    assert found.price.shape == (len(SYMBOLS), PARAMS.max_levels)


def test_an_unknown_atr_leaves_no_level():
    panel = random_panel(7)
    found = price_levels(panel, daily_panel(1), UNKNOWN, NO, NO, PARAMS)
    assert (found.kind == -1).all()


def test_every_kind_has_a_weight():
    assert len(LEVEL_KINDS) == len(_WORTH)
