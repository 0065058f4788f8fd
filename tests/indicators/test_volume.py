from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.indicators.volume import (
    relative_volume,
    session_bars,
    session_vwap,
    taker_imbalance,
    taker_imbalance_z,
    volume_z,
)


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(1700, seed=11, symbols=("BTCUSDT", "AUSDT", "GAPUSDT"))


@pytest.fixture(scope="module", params=["random", "recorded"])
def any_panel(request, panel):
    return panel if request.param == "random" else request.getfixturevalue("recorded_panel")


def test_unusual_volume_agrees_with_pandas(any_panel):
    quote = pd.DataFrame(any_panel.quote_volume.T)
    before = quote.shift(1).rolling(50)
    np.testing.assert_allclose(
        volume_z(any_panel.quote_volume).T, (quote - before.mean()) / before.std(ddof=0), rtol=1e-7
    )
    np.testing.assert_allclose(relative_volume(any_panel.quote_volume).T, quote / before.median(), rtol=1e-12)


def test_taker_imbalance_agrees_with_pandas(panel):
    volume, taker = pd.DataFrame(panel.volume[:2].T), pd.DataFrame(panel.taker_buy_volume[:2].T)
    expected = 2.0 * taker.rolling(5).sum() / volume.rolling(5).sum() - 1.0
    ours = taker_imbalance(panel.volume[:2], panel.taker_buy_volume[:2])
    np.testing.assert_allclose(ours.T, expected, rtol=1e-9, atol=1e-12)
    before = expected.shift(1).rolling(240)
    score = (expected - before.mean()) / before.std(ddof=0)
    np.testing.assert_allclose(
        taker_imbalance_z(panel.volume[:2], panel.taker_buy_volume[:2]).T[245:], score[245:], rtol=1e-7
    )


def test_extremes_of_taker_imbalance():
    volume = np.full((1, 5), 2.0)
    assert taker_imbalance(volume, volume)[0, -1] == 1.0
    assert taker_imbalance(volume, 0.0 * volume)[0, -1] == -1.0
    assert np.isnan(taker_imbalance(0.0 * volume, 0.0 * volume)).all()
    assert np.isnan(taker_imbalance(volume, np.nan * volume)).all()


def test_session_starts_at_midnight_but_looks_back_240_bars(any_panel):
    """Each bar by hand: from 00:00 UTC of its day, or 240 bars if those are more."""
    p = any_panel
    vwap, deviation, z = session_vwap(p.high, p.low, p.close, p.volume, session_bars(p.open_time_ms))
    typical = (p.high + p.low + p.close) / 3.0
    for t in (245, 246, 247, 600, 1446, 1447, 1500, 1690):
        since = int(p.open_time_ms[t] % 86_400_000 // 60_000) + 1
        first = t + 1 - max(since, 240)
        if first < 0:
            continue
        x, v = typical[:, first : t + 1], p.volume[:, first : t + 1]
        known = ~np.isnan(x)
        x, v = np.where(known, x, 0.0), np.where(known, v, 0.0)
        mean = (x * v).sum(axis=1) / v.sum(axis=1)
        spread = np.sqrt((v * (x - mean[:, None]) ** 2).sum(axis=1) / v.sum(axis=1))
        at_bar = p.valid[:, t]
        np.testing.assert_allclose(vwap[at_bar, t], mean[at_bar], rtol=1e-12)
        np.testing.assert_allclose(deviation[at_bar, t], (p.close[:, t] / mean - 1.0)[at_bar], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(z[at_bar, t], ((p.close[:, t] - mean) / spread)[at_bar], rtol=1e-7, atol=1e-9)


def test_vwap_needs_nine_tenths_of_its_window():
    price, volume = np.full((1, 20), 5.0), np.ones((1, 20))
    price[0, :2] = np.nan
    window = np.full(20, 20)
    assert session_vwap(price, price, price, volume, window)[0][0, -1] == 5.0
    price[0, 2] = np.nan
    assert np.isnan(session_vwap(price, price, price, volume, window)[0][0, -1])


def test_nothing_traded_has_no_vwap():
    price = np.full((1, 5), 5.0)
    assert np.isnan(session_vwap(price, price, price, 0.0 * price, np.full(5, 3))[0]).all()


def test_volume_that_never_changes_has_no_score():
    assert np.isnan(volume_z(np.full((1, 80), 0.1))).all()
    assert np.isnan(relative_volume(np.zeros((1, 80)))).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: volume_z(x, 1),
        lambda x: relative_volume(x, 0),
        lambda x: taker_imbalance(x, x, 0),
        lambda x: taker_imbalance_z(x, x, 5, 1),
        lambda x: session_bars(x[0], 0),
    ],
)
def test_refusals(call):
    with pytest.raises(InvalidInput, match="must be at least"):
        call(np.ones((1, 50)))


def test_refuses_a_window_of_another_length():
    x = np.ones((1, 5))
    with pytest.raises(InvalidInput, match=r"window must have shape \(5,\), was \(4,\)"):
        session_vwap(x, x, x, x, np.ones(4))
