from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.indicators.trend import (
    bucket_offset,
    efficiency_ratio,
    ema,
    ema_distance,
    htf_alignment,
    ols_slope_t,
)
from aione.panel.resample import resample


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(1700, seed=21, symbols=("BTCUSDT", "AUSDT", "GAPUSDT"))


def test_slope_agrees_with_polyfit(panel):
    """Slope over the root of its variance, as `numpy.polyfit` gives them."""
    ours = ols_slope_t(panel.close)
    for t in (59, 60, 333, 1699):
        for row in range(2):
            window = np.log(panel.close[row, t - 59 : t + 1])
            (slope, _), covariance = np.polyfit(np.arange(60.0), window, 1, cov=True)
            np.testing.assert_allclose(ours[row, t], slope / np.sqrt(covariance[0, 0]), rtol=1e-8)


def test_efficiency_agrees_with_pandas(panel):
    close = pd.DataFrame(panel.close.T)
    expected = (close - close.shift(60)).abs() / close.diff().abs().rolling(60).sum()
    np.testing.assert_allclose(efficiency_ratio(panel.close).T, expected, rtol=1e-9)


def test_ema_agrees_with_pandas(panel):
    expected = pd.DataFrame(panel.close.T).ewm(span=20, adjust=True, ignore_na=True, min_periods=20).mean()
    expected = expected.where(pd.DataFrame(panel.close.T).notna())
    np.testing.assert_allclose(ema(panel.close, 20).T, expected, rtol=1e-12)


@pytest.mark.parametrize("minutes", [5, 15, 60, 240])
def test_ema_distance_agrees_with_pandas_on_resampled_bars(panel, minutes):
    longer = resample(panel, minutes)
    ours = ema_distance(panel.high, panel.low, panel.close, panel.open_time_ms, minutes)
    closes_at = np.searchsorted(panel.open_time_ms, longer.open_time_ms) + minutes - 1
    for row in range(3):
        close = pd.Series(longer.close[row])
        gap = close.ewm(span=20, ignore_na=True).mean() - close.ewm(span=50, ignore_na=True).mean()
        before = close.shift(1)
        span = np.fmax(longer.high[row], before) - np.fmin(longer.low[row], before)
        span = span.where(close.notna() & before.notna())
        expected = (gap / wilder(span)).where(close.notna().cumsum() >= 5)
        np.testing.assert_allclose(ours[row, closes_at], expected, rtol=1e-9, atol=1e-12)
        held = np.repeat(ours[row, closes_at], minutes)[: panel.shape[1] - closes_at[0]]
        np.testing.assert_array_equal(ours[row, closes_at[0] : closes_at[0] + len(held)], held)
    assert np.isnan(ours[:, : closes_at[0]]).all()


def wilder(span):
    mean, seen, out = 0.0, 0, []
    for x in span:
        if not np.isnan(x):
            seen += 1
            mean += (x - mean) / min(seen, 14)
        out.append(mean if seen else np.nan)
    return out


def test_four_hours_are_known_in_1500_minutes_wherever_they_begin(make_panel):
    for minute in (0, 1, 100, 239):
        p = make_panel(1500, symbols=("BTCUSDT",), first_ms=1_747_699_200_000 + 60_000 * minute)
        assert np.isfinite(ema_distance(p.high, p.low, p.close, p.open_time_ms, 240)[0, -1])


def test_alignment_is_the_mean_of_the_known():
    one, unknown = np.array([[1.0]]), np.array([[np.nan]])
    np.testing.assert_allclose(htf_alignment([one, unknown, -2.0 * one]), (np.tanh(1.0) + np.tanh(-2.0)) / 2.0)
    assert np.isnan(htf_alignment([unknown, unknown]))[0, 0]


@pytest.mark.parametrize(("minute", "size", "offset"), [(0, 5, 0), (1, 5, 4), (239, 240, 1), (240, 240, 0)])
def test_buckets_begin_at_whole_multiples_in_utc(minute, size, offset):
    assert bucket_offset(60_000 * minute, size) == offset


def test_refusals():
    x = np.ones((1, 9))
    with pytest.raises(InvalidInput, match="lookback must be at least 3, was 2"):
        ols_slope_t(x, 2)
    with pytest.raises(InvalidInput, match="lookback must be at least 1"):
        efficiency_ratio(x, 0)
    with pytest.raises(InvalidInput, match="period must be at least 1"):
        ema(x, 0)
    with pytest.raises(InvalidInput, match="multiple of the bar's 300000 ms, was 7"):
        ema_distance(x, x, x, np.arange(9), 7, interval_ms=300_000)
    with pytest.raises(InvalidInput, match="slow must be at least 1"):
        ema_distance(x, x, x, np.arange(9), 5, slow=0)
