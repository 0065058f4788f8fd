from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators import compute_readings, pivot_levels, volume_profile
from aione.indicators.momentum import rsi
from aione.panel import DAY_MS
from aione.panel.resample import resample
from config.models import IndicatorParams

PARAMS = IndicatorParams()


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(1500, seed=71)


@pytest.fixture(scope="module")
def readings(panel):
    return compute_readings(panel, PARAMS)


def test_bare_values_are_the_last_bars(panel, readings):
    assert readings.symbols == panel.symbols
    assert readings.open_time_ms == panel.open_time_ms[-1]
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "trade_count"):
        np.testing.assert_array_equal(readings[name], getattr(panel, name)[:, -1])


def test_an_unknown_name_is_named(readings):
    with pytest.raises(InvalidInput, match="no reading is called 'rsy'"):
        readings["rsy"]


def test_readings_do_not_change_the_panel(panel):
    before = panel.close.copy()
    compute_readings(panel, PARAMS)["close"][:] = 0.0
    np.testing.assert_array_equal(panel.close, before)


def test_the_same_panel_gives_the_same_bytes(panel, readings):
    again = compute_readings(panel, PARAMS)
    for name, values in readings.values.items():
        assert values.tobytes() == again[name].tobytes(), name


def test_without_the_benchmark_only_what_needs_it_is_unknown(panel, readings):
    alone = compute_readings(panel, PARAMS, benchmark="NONEUSDT")
    needs = {"beta_btc", "corr_btc", "relative_strength", "relative_strength_rank"}
    for name, values in readings.values.items():
        if name in needs:
            assert np.isnan(alone[name]).all()
        else:
            np.testing.assert_array_equal(alone[name], values)
    assert np.isnan([alone.market[name] for name in ("btc_regime", "btc_return_60", "btc_atr_percentile")]).all()
    assert alone.market["market_breadth"] == readings.market["market_breadth"]


def test_market_is_the_benchmarks_own_readings(readings):
    assert readings.market["btc_return_60"] == readings["return_60"][0]
    assert readings.market["btc_atr_percentile"] == readings["atr_percentile"][0]
    known = ~np.isnan(readings["vwap"])
    assert readings.market["market_breadth"] == (readings["close"] > readings["vwap"])[known].mean()
    assert readings.market["btc_regime"] in {-1.0, 0.0, 1.0}


def test_readiness(panel):
    valid = panel.valid.copy()
    valid[0, -3:] = False
    readings = compute_readings(replace(panel, valid=valid), PARAMS)
    assert readings["bars_age"][:3].tolist() == [3.0, 0.0, 0.0]
    assert np.isnan(readings["bars_age"][3])
    np.testing.assert_allclose(readings["ready_frac"][[0, 3]], [1497 / 1500, 0.0])


def test_levels_of_the_days_before(make_panel):
    long = make_panel(6 * 1440, seed=72)
    daily = resample(long, 1440)
    recent = long.tail(1500)
    readings = compute_readings(recent, replace_span(1), daily)
    np.testing.assert_array_equal(readings["prev_day_high"], daily.high[:, -1])
    np.testing.assert_array_equal(readings["prev_day_low"], daily.low[:, -1])
    np.testing.assert_array_equal(readings["prev_day_close"], daily.close[:, -1])
    close = readings["close"]
    support, resistance = readings["daily_support"], readings["daily_resistance"]
    assert (support[:2] < close[:2])[~np.isnan(support[:2])].all()
    assert (resistance[:2] > close[:2])[~np.isnan(resistance[:2])].all()
    assert int(daily.open_time_ms[-1]) == int(recent.open_time_ms[-1]) // DAY_MS * DAY_MS - DAY_MS


def replace_span(span):
    return PARAMS.model_copy(update={"pivot_span": span})


def test_parameters_reach_the_indicators(panel):
    other = compute_readings(
        panel, PARAMS.model_copy(update={"wilder_period": 7, "profile_bars": 200, "profile_bins": 9})
    )
    np.testing.assert_allclose(other["rsi"], rsi(panel.close, 7)[:, -1], rtol=1e-9)
    np.testing.assert_array_equal(other["poc"], volume_profile(panel, 200, 9)[0])


def test_odd_parameters_are_no_harm(panel):
    """Lookbacks of one bar and longer than the panel: unknown or a number, never a crash."""
    for bars in (1, 2, 5000):
        names = [
            name
            for name, field in IndicatorParams.model_fields.items()
            if "Bars" in str(field) or field.annotation is int
        ]
        odd = PARAMS.model_copy(update=dict.fromkeys(names, bars))
        for stop in (1, 2, 700):
            compute_readings(panel.until(stop), odd)


def test_last_pivot_is_the_newest_of_the_levels(panel, readings):
    high, _, low, _ = pivot_levels(panel.high, panel.low, 3, 240)
    np.testing.assert_array_equal(readings["pivot_high"], high[:, 0])
    np.testing.assert_array_equal(readings["pivot_low"], low[:, 0])


def test_refuses_no_bar_and_other_intervals(panel):
    with pytest.raises(InvalidInput, match="1-minute bars, at least one"):
        compute_readings(panel.until(0), PARAMS)
    with pytest.raises(InvalidInput, match="of 300000 ms"):
        compute_readings(resample(panel, 5), PARAMS)
