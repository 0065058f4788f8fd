"""Levels that a person can check by hand, and the rules that they follow."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from aione.panel import DAY_MS, MINUTE_MS
from aione.stage2.level_bars import BLOCK, blocks_of
from aione.stage2.level_kinds import (
    APART_ATR,
    LEVEL_KINDS,
    WORTH,
)
from aione.stage2.level_visits import visits
from aione.stage2.levels import price_levels
from tests.properties.mirror import panel_in_mirror

from .conftest import END_MS, SYMBOLS, daily_panel, random_panel
from .levelling import PARAMS, atr_of, drawn, joined

UNKNOWN = np.full(len(SYMBOLS), np.nan)


NO = (UNKNOWN, UNKNOWN, UNKNOWN)


# ── Drawn by hand ──


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
    other = price_levels(panel_in_mirror(panel, centre), panel_in_mirror(daily, centre), atr_of(panel), NO, NO, PARAMS)
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
