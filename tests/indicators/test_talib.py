"""TA-Lib as the oracle: equal to 1e-9, from the first value where the seeds are the same, else after warm-up."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from aione.indicators import compute_readings
from aione.indicators.cross_section import beta_corr
from aione.indicators.momentum import adx, rsi, simple_return
from aione.indicators.structure import prior_range
from aione.indicators.trend import ema
from aione.indicators.volatility import atr, realized_vol, true_range
from aione.indicators.volume import volume_z
from aione.panel import BarPanel
from config.models import IndicatorParams

TIGHT = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(scope="module", params=["random", "recorded"])
def panel(request, make_panel) -> BarPanel:
    if request.param == "recorded":
        return request.getfixturevalue("recorded_panel")
    return make_panel(2500, seed=3, symbols=("BTCUSDT", "AUSDT", "BUSDT"))


def by_symbol(function, *arrays):
    return np.array([function(*rows) for rows in zip(*arrays, strict=True)])


@pytest.mark.parametrize("period", [2, 5, 14, 50])
def test_rsi(panel, period):
    expected = by_symbol(lambda c: talib.RSI(c, period), panel.close)
    np.testing.assert_allclose(rsi(panel.close, period), expected, **TIGHT)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_atr(panel, period):
    bars = (panel.high, panel.low, panel.close)
    np.testing.assert_allclose(atr(*bars, period), by_symbol(lambda *b: talib.ATR(*b, period), *bars), **TIGHT)


def test_true_range(panel):
    bars = (panel.high, panel.low, panel.close)
    np.testing.assert_array_equal(true_range(*bars), by_symbol(talib.TRANGE, *bars))


@pytest.mark.parametrize("period", [7, 14])
def test_adx_and_directional_indices_after_warm_up(panel, period):
    bars, late = (panel.high, panel.low, panel.close), slice(32 * period, None)
    ours = adx(*bars, period)
    for column, function in zip(ours, (talib.ADX, talib.PLUS_DI, talib.MINUS_DI), strict=True):
        expected = by_symbol(lambda *b, f=function: f(*b, period), *bars)
        np.testing.assert_allclose(column[:, late], expected[:, late], **TIGHT)
        assert np.array_equal(np.isnan(column), np.isnan(expected))


@pytest.mark.parametrize("period", [5, 20, 50])
def test_ema_after_warm_up(panel, period):
    late = slice(12 * period, None)
    expected = by_symbol(lambda c: talib.EMA(c, period), panel.close)
    np.testing.assert_allclose(ema(panel.close, period)[:, late], expected[:, late], **TIGHT)


def test_ranges(panel):
    high, low = prior_range(panel.high, panel.low, 20)
    np.testing.assert_array_equal(high[:, 20:], by_symbol(lambda x: talib.MAX(x, 20), panel.high)[:, 19:-1])
    np.testing.assert_array_equal(low[:, 20:], by_symbol(lambda x: talib.MIN(x, 20), panel.low)[:, 19:-1])


def test_returns_and_their_deviation(panel):
    np.testing.assert_allclose(
        simple_return(panel.close, 15), by_symbol(lambda c: talib.ROCP(c, 15), panel.close), **TIGHT
    )
    steps = np.diff(np.log(panel.close), axis=1)
    expected = by_symbol(lambda x: talib.STDDEV(1e3 * x, 60) / 1e3, steps)
    np.testing.assert_allclose(realized_vol(panel.close)[:, 61:], expected[:, 60:], rtol=1e-9)


def test_correlation(panel):
    steps = np.diff(np.log(panel.close), axis=1)
    expected = by_symbol(lambda x: talib.CORREL(x, steps[0], 240), steps)
    corr = beta_corr(panel.close, panel.close[0])[1]
    np.testing.assert_allclose(corr[:, 240:], expected[:, 239:], rtol=1e-7, atol=1e-9)


def test_volume_z(panel):
    quote = panel.quote_volume
    mean = by_symbol(lambda x: talib.SMA(x, 50), quote)[:, 49:-1]
    deviation = by_symbol(lambda x: talib.STDDEV(x, 50), quote)[:, 49:-1]
    np.testing.assert_allclose(volume_z(quote)[:, 50:], (quote[:, 50:] - mean) / deviation, rtol=1e-8, atol=1e-9)


def test_readings_of_the_last_bar(panel):
    """What the scan reads over a short memory is what TA-Lib says of the whole history."""
    readings = compute_readings(panel, IndicatorParams())
    bars = (panel.high, panel.low, panel.close)
    for name, function in (
        ("atr", talib.ATR),
        ("adx", talib.ADX),
        ("plus_di", talib.PLUS_DI),
        ("minus_di", talib.MINUS_DI),
    ):
        expected = by_symbol(lambda *b, f=function: f(*b, 14)[-1:], *bars)[:, 0]
        np.testing.assert_allclose(readings[name], expected, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(
        readings["rsi"], by_symbol(lambda c: talib.RSI(c, 14)[-1:], panel.close)[:, 0], rtol=1e-9
    )
