"""Agreement is measured as it is, and a difference is found and named."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np
import pytest

from aione.errors import ServiceUnavailable
from aione.evaluate.agreement import with_oracles, with_profile, with_talib, wrong
from aione.evaluate.oracles import SymbolBars, by_sixteenths, evenly, profile, swing_pivots, wilder_rsi
from aione.panel import BarPanel

agreement = import_module("aione.evaluate.agreement")
LOOKBACK = 1500


@pytest.fixture(scope="module")
def panel(long_panel) -> BarPanel:
    return long_panel.take(["BTCUSDT", "AUSDT"])


@pytest.fixture(scope="module")
def params(short_settings):
    return short_settings.STAGE1_MONITOR_PARAMS.indicators


def test_talib_agrees_with_every_indicator_it_knows(panel):
    rows = with_talib(panel, "drawn")
    assert list(wrong(rows)) == []
    assert {"rsi", "atr", "adx", "plus_di", "minus_di", "ema 20 on 1 min", "ema 50 on 5 min"} <= {r.name for r in rows}
    by_name = {row.name: row for row in rows}
    assert by_name["rsi"].compared == 2 * (panel.shape[1] - 14)
    assert by_name["rsi"].agrees_from == 0
    assert 14 < by_name["adx"].agrees_from < 448


def test_the_definitions_agree_with_every_reading(panel, params):
    rows = with_oracles(panel, params, "drawn", LOOKBACK, 12)
    assert list(wrong(rows)) == []
    assert all(row.compared == 24 for row in rows)


def test_the_profile_is_the_oracles(panel, params):
    rows = with_profile(panel, params, "drawn", LOOKBACK, 8)
    assert [row.name for row in rows] == ["poc", "vah", "val"]
    assert all(row.agrees and row.compared == 16 for row in rows)


def test_an_average_that_forgets_faster_is_found(panel, monkeypatch):
    honest = agreement.rsi
    monkeypatch.setattr(agreement, "rsi", lambda close, period: honest(close, period - 1))
    assert [text.split(" of ")[0] for text in wrong(with_talib(panel, "drawn"))] == ["rsi"]


def test_a_reading_of_the_bar_before_is_found(panel, params, monkeypatch):
    honest = agreement.compute_readings
    monkeypatch.setattr(
        agreement, "compute_readings", lambda window, params: honest(window.until(LOOKBACK - 1), params)
    )
    found = {text.split(" of ")[0] for text in wrong(with_oracles(panel, params, "drawn", LOOKBACK, 8))}
    assert {"volume_z", "vwap", "taker_imbalance_z", "slope_t", "beta_btc", "realized_vol"} <= found


def test_a_value_that_one_alone_knows_is_found(panel, params, monkeypatch):
    monkeypatch.setitem(agreement.ORACLES, "vwap", lambda _: float("nan"))
    (told,) = wrong(with_oracles(panel, params, "drawn", LOOKBACK, 8))
    assert "16 values known to one alone" in told


def test_without_talib_it_is_said_what_is_missing(panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "talib", None)
    with pytest.raises(ServiceUnavailable, match="TA-Lib is not installed"):
        with_talib(panel, "drawn")


# ── The oracles themselves, by hand ──


def bars_of(**columns):
    size = len(next(iter(columns.values())))
    blank = dict.fromkeys(
        ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "benchmark"), np.ones(size)
    )
    return SymbolBars(open_time_ms=60_000 * np.arange(size), **{**blank, **columns})


def test_of_equal_highs_the_first_is_the_pivot():
    highs = np.array([1.0, 2, 3, 5, 5, 2, 1, 0, 9, 8])
    assert swing_pivots(highs, is_high=True) == [3]
    assert swing_pivots(-highs, is_high=False) == [3]


def test_rsi_by_hand():
    np.testing.assert_allclose(wilder_rsi(np.array([10.0, 12.0, 11.0, 14.0]), 2)[2:], [66.66666667, 88.88888889])


def test_a_bar_is_laid_over_what_it_covers():
    low, high = np.array([0.0, 1.0, 2.5]), np.array([2.0, 1.0, 3.0])
    shares = evenly(low, high, 0.0, 1.0)
    assert shares[0, :3].tolist() == [0.5, 0.5, 0.0]
    assert shares[1, 1] == shares[2, 2] == 1.0
    np.testing.assert_allclose(by_sixteenths(low, high, 0.0, 1.0).sum(axis=1), 1.0)
    assert by_sixteenths(low, high, 0.0, 1.0)[2, 2] == pytest.approx(8 / 9)  # it touches the next bin's first sixteenth


def test_the_value_area_grows_from_the_poc():
    rng = np.random.default_rng(7)
    low = 100.0 + rng.random(1440)
    bars = bars_of(low=low, high=low + 0.1, close=low, volume=rng.lognormal(0.0, 1.0, 1440))
    poc, vah, val, width = profile(bars, evenly)
    volumes = bars.volume @ evenly(bars.low, bars.high, bars.low.min(), width)
    first, stop = round((val - bars.low.min()) / width), round((vah - bars.low.min()) / width)
    inside = volumes[first:stop].sum() / volumes.sum()
    assert val < poc < vah
    assert inside >= 0.7 > inside - max(volumes[first], volumes[stop - 1]) / volumes.sum()
