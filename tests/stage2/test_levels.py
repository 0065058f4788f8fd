"""Levels, against a plain and slow way to find the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from aione.panel import DAY_MS, MINUTE_MS
from aione.stage2.level_bars import BLOCK, blocks_of
from aione.stage2.level_kinds import (
    APART_ATR,
    DRAWN_STRENGTH,
    FIRST_MACRO,
    FIRST_MESO,
    HALF_LIVES,
    IMMEDIATE_STRENGTH,
    LEVEL_KINDS,
    MAJOR_STRENGTH,
    WORTH,
)
from aione.stage2.level_visits import TOLERANCES, TOUCH_ATR, TOUCH_WORTH, visits
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


# ── Drawn by hand ──


def drawn(closes, end_ms=END_MS):
    """One symbol whose bars are dots: open, high, low and close are the same price."""
    panel = random_panel(0, symbols=("AUSDT",), bars=len(closes), end_ms=end_ms)
    dots = np.array([closes], dtype=float)
    return replace(panel, open=dots, high=dots, low=dots, close=dots)


def joined(closes):
    """One symbol whose bars begin where the one before ended."""
    panel = drawn(closes)
    opened = np.concatenate([panel.close[:, :1], panel.close[:, :-1]], axis=1)
    return replace(panel, open=opened, high=np.maximum(opened, panel.close), low=np.minimum(opened, panel.close))


def levels_of(panel, atr=1.0, **params):
    one = np.array([np.nan])
    found = price_levels(panel, None, np.array([atr]), (one,) * 3, (one,) * 3, PARAMS.model_copy(update=params))
    seen = found.kind[0] >= 0
    names = ("price", "kind", "touches", "breaks", "age_bars", "strength")
    return {row[0]: row[1:] for row in zip(*(getattr(found, name)[0][seen].tolist() for name in names), strict=True)}


def ramp(*corners, bars):
    """Straight lines from corner to corner, each of so many bars."""
    steps = [np.linspace(a, b, bars, endpoint=False) for a, b in pairwise(corners)]
    return [*np.concatenate(steps).tolist(), float(corners[-1])]


@pytest.mark.parametrize(
    ("closes", "touches", "breaks"),
    [
        ([-2, -1, -0.3, -1, -2], 1, 0),  # came from below, turned
        ([2, 0.3, 2, 0.4, 2], 2, 0),  # came from above twice
        ([-2, -0.2, 0.2, -0.1, -2], 1, 0),  # sat on it: one visit
        ([-2, 0, 2], 0, 1),  # went through
        ([-2, 0, 2, 0.1, 2], 1, 1),  # went through, then held from the other side
        ([0, 2], 0, 0),  # nobody saw from where it came
        ([0, 2, 0, 2], 1, 0),
        ([-2, -0.2], 1, 0),  # is there now and below: it holds so far
        ([-2, 2], 0, 1),  # leapt over it
        ([-2, 2, 0.3, 2, -2], 1, 2),
        ([-2, 0.2], 0, 1),  # is there now and beyond
        ([-2, np.nan, -0.3, np.nan, -2], 1, 0),  # gaps say nothing
        ([-2, -0.3, np.nan, -0.3, -2], 1, 0),
        ([-2, -0.6, -2], 0, 0),  # never reached it
        ([np.nan, np.nan], 0, 0),
        ([-2] * 20 + [-0.3] + [-2] * 20 + [-0.3] + [-2] * 20, 2, 0),
        ([-2] * 20 + [0.3] + [2] * 20 + [-0.3] + [-2] * 20, 0, 2),
    ],
)
def test_a_visit_that_turns_is_a_touch_and_one_that_goes_through_a_break(closes, touches, breaks):
    """Level 0, reached within 0.5."""
    bars = np.array([closes, closes, closes, np.arange(len(closes))[::-1]], dtype=float)
    blocks = np.empty((2, len(closes) // BLOCK + 1))
    blocks_of(bars, len(closes), blocks)
    for sign in (1, -1):
        turned = np.array([sign * bars[0], sign * bars[0], sign * bars[0], bars[3]])
        blocks_of(turned, len(closes), blocks)
        assert visits(turned, blocks, 0, len(closes), 0.0, 0.5, 480.0)[:2] == (touches, breaks)


def test_the_first_touch_makes_a_level_and_each_further_one_adds_the_less_the_older_it_is():
    closes = [-2, 0, -2, 0, -2, 0, -2]
    bars = np.array([closes, closes, closes, [600, 480, 400, 240, 100, 0, 0]], dtype=float)
    _, _, doubt = visits(bars, np.empty((2, 0)), 0, 7, 0.0, 0.5, 480.0)
    assert doubt == pytest.approx((1 - 0.15 * 480 / 720) * (1 - 0.15))


def test_a_double_top_is_one_level_with_two_touches():
    """Tops of 110.0 at bar 10 and 109.9 at bar 30, bottoms of 100 at bar 20 and 103 at bar 40; the last bar is 45."""
    found = levels_of(drawn([*ramp(100, 110, 100, 109.9, 103, bars=10), 104, 105, 106, 107, 108]))
    assert list(found) == [100.0, 109.9], "110.0 merged into the younger top; 103 was gone through three times"
    kind, touches, breaks, age, strength = found[109.9]
    assert (LEVEL_KINDS[kind], touches, breaks, age) == ("micro_pivot_high", 2, 0, 15)
    doubt = (1 - 0.25 * 480 / (480 + 35)) * (1 - 0.25 * 480 / (480 + 15)) * (1 - 0.15 * 480 / (480 + 15))
    assert strength == pytest.approx(1 - doubt)
    assert found[100.0][1:4] == (1, 0, 25)


def test_a_level_that_was_closed_through_often_is_weaker():
    """The same top at 105, visited after it by prices that turn, and by prices that go through each time."""
    top = ramp(100, 105, 100, bars=5)
    held = levels_of(joined([*top, *ramp(100, 105, 100, 105, 100, bars=5)[1:]]))
    broken = levels_of(joined([*top, *ramp(100, 110, 100, 110, 100, bars=5)[1:]]))
    once = levels_of(joined([*top, *ramp(100, 105, 100, 110, bars=5)[1:], 110, 110, 110, 110]))
    assert held[105.0][1:3] == (3, 0)
    assert 105.0 not in broken, "four breaks leave too little to draw"
    assert once[105.0][1:3] == (2, 1)
    assert held[105.0][4] > once[105.0][4]


def test_of_two_levels_within_one_atr_the_stronger_is_kept():
    """Tops of 105.0 and 105.9: 105.9 was reached once, 105.0 three times."""
    path = [*ramp(100, 105, 100, 105, 100, 105.9, 100, 105, 100, bars=6)]
    found = levels_of(drawn(path))
    assert 105.0 in found
    assert 105.9 not in found
    assert 105.9 in levels_of(drawn(path), atr=0.5)


def test_an_hourly_top_is_found_and_visited_by_hours():
    """Hours of one price each, the third reaching 110 within, and a visit to 109.6 that ended an hour ago."""
    end_ms = END_MS // 3_600_000 * 3_600_000 - MINUTE_MS
    hours = [np.full(60, float(price)) for price in (101, 102, 104, 103, 102, 101, 109.6, 102)]
    hours[2][30] = 110.0
    hours[6][59] = 103.0
    found = levels_of(drawn(np.concatenate(hours), end_ms), micro_lookback=1)
    kind, touches, breaks, age, strength = found[110.0]
    assert (LEVEL_KINDS[kind], touches, breaks, age) == ("hour_pivot_high", 2, 0, 300)
    doubt = (1 - 0.4 * 2880 / (2880 + 300)) * (1 - 0.15 * 2880 / (2880 + 60))
    assert strength == pytest.approx(1 - doubt)


def test_levels_grow_with_the_price():
    panel, daily = random_panel(8), daily_panel(9)

    def scaled(bars):
        return replace(bars, high=1e-3 * bars.high, low=1e-3 * bars.low, close=1e-3 * bars.close)

    one = price_levels(panel, daily, atr_of(panel), NO, NO, PARAMS)
    other = price_levels(scaled(panel), scaled(daily), 1e-3 * atr_of(panel), NO, NO, PARAMS)
    np.testing.assert_allclose(other.price, 1e-3 * one.price, rtol=1e-12)
    for name in ("kind", "touches", "breaks", "age_bars"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(other.strength, one.strength, rtol=1e-12)


# ── Rules ──


def test_no_two_levels_stand_within_the_merging_distance():
    panel = random_panel(1)
    found = price_levels(panel, daily_panel(2), atr_of(panel), NO, NO, PARAMS)
    gaps = np.diff(found.price, axis=1)
    is_across = (found.price[:, :-1] < panel.close[:, -1:]) & (found.price[:, 1:] > panel.close[:, -1:])
    assert (gaps[~np.isnan(gaps) & ~is_across] >= APART_ATR * 0.15).all()
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
        for name in ("touches", "breaks", "age_bars"):
            np.testing.assert_array_equal(getattr(one, name)[row][seen], getattr(other, name)[row][seen][::-1])


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
    assert len(LEVEL_KINDS) == len(WORTH)
