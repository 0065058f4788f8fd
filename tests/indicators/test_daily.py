from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators.daily import daily_pivots, days_before, nearest_levels, previous_day
from aione.panel import DAY_MS, VALUE_FIELDS, BarPanel
from aione.panel.resample import resample


def days(high, low, close, last_ms, symbols=("AUSDT",)):
    shape = np.asarray(high).shape
    values = dict.fromkeys(VALUE_FIELDS, np.ones(shape))
    values |= {"high": np.array(high, float), "low": np.array(low, float), "close": np.array(close, float)}
    times = last_ms - DAY_MS * np.arange(shape[1] - 1, -1, -1)
    return BarPanel(symbols, times, valid=~np.isnan(values["close"]), interval_ms=DAY_MS, **values)


@pytest.fixture(scope="module")
def panel(make_panel):
    """From 23:53 to 03:13 two days later: one whole day lies inside."""
    return make_panel(1640, seed=61, symbols=("AUSDT", "BUSDT", "NANUSDT"))


def test_yesterday_from_the_minutes(panel):
    day = resample(panel, 1440)
    for ours, theirs in zip(previous_day(panel), (day.high, day.low, day.close), strict=True):
        np.testing.assert_array_equal(ours, theirs[:, 0])


def test_yesterday_is_unknown_without_enough_minutes(panel):
    assert np.isnan(previous_day(panel.tail(1400))).all()
    assert np.isnan(previous_day(panel.until(1))).all()


def test_daily_bars_come_first_and_fill_only_what_they_know(panel):
    yesterday = int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS - DAY_MS
    daily = days([[7.0], [np.nan]], [[5.0], [np.nan]], [[6.0], [np.nan]], yesterday, ("NANUSDT", "BUSDT"))
    high, low, close = previous_day(panel, daily)
    assert (high[2], low[2], close[2]) == (7.0, 5.0, 6.0)
    np.testing.assert_array_equal(high[:2], previous_day(panel)[0][:2])


def test_the_running_day_and_stale_days_are_not_yesterday(panel):
    today = int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS
    running = days([[1.0, 9.0]] * 3, [[1.0, 9.0]] * 3, [[1.0, 9.0]] * 3, today, panel.symbols)
    assert previous_day(panel, running)[0].tolist() == [1.0, 1.0, 1.0]
    stale = days([[8.0]] * 3, [[8.0]] * 3, [[8.0]] * 3, today - 2 * DAY_MS, panel.symbols)
    np.testing.assert_array_equal(previous_day(panel, stale)[0], previous_day(panel)[0])


def test_pivots_of_closed_days(panel):
    today = int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS
    high = [[1.0, 2.0, 9.0, 3.0, 2.0, 99.0]] * 3
    daily = days(high, np.array(high) - 0.5, high, today, panel.symbols)
    tops, bottoms = daily_pivots(panel, daily, 2)
    assert tops[0][~np.isnan(tops[0])].tolist() == [9.0]
    assert np.isnan(bottoms).all()


def test_nearest_levels_on_either_side():
    close = np.array([10.0, 10.0, np.nan])
    levels = [np.array([9.0, np.nan, 1.0]), np.array([[7.0, 12.0], [10.0, np.nan], [1.0, 2.0]])]
    below, above = nearest_levels(close, levels)
    np.testing.assert_array_equal(below, [9.0, np.nan, np.nan])
    np.testing.assert_array_equal(above, [12.0, np.nan, np.nan])


def test_refuses_bars_that_are_not_daily(panel):
    with pytest.raises(InvalidInput, match="interval of 86400000 ms, was 60000"):
        days_before(0, panel.symbols, panel)
