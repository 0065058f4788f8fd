"""`series`: every reading that has a series, under the reading's name."""

from __future__ import annotations

import numpy as np

from aione.evaluate.series import REMEMBERS_ALL, averages, series
from aione.indicators import compute_readings
from aione.indicators.last_bar import NAMES

BARE = {"open", "high", "low", "close", "volume", "quote_volume", "trade_count", "ready_frac", "bars_age"}
OF_DAYS = {"prev_day_high", "prev_day_low", "prev_day_close", "daily_support", "daily_resistance"}


def test_every_reading_has_a_series_but_those_of_the_bar_and_of_days(long_panel, short_settings):
    params = short_settings.STAGE1_MONITOR_PARAMS.indicators
    panel = long_panel.until(1_600)
    found, readings = series(panel, params), compute_readings(panel, params)
    assert set(found) == set(readings.values) - BARE - OF_DAYS
    assert set(NAMES) <= set(found)
    assert set(averages(panel, params)) == REMEMBERS_ALL
    for name, column in found.items():
        assert column.shape == panel.shape
        np.testing.assert_allclose(column[:, -1], readings[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_without_the_benchmark_what_needs_it_is_unknown(long_panel, short_settings):
    params = short_settings.STAGE1_MONITOR_PARAMS.indicators
    found = series(long_panel.until(400), params, benchmark="NONEUSDT")
    assert np.isnan(found["beta_btc"]).all()
    assert np.isnan(found["relative_strength"]).all()


def test_one_bar_has_a_series(long_panel, short_settings):
    found = series(long_panel.until(1), short_settings.STAGE1_MONITOR_PARAMS.indicators)
    assert all(column.shape == (len(long_panel.symbols), 1) for column in found.values())
