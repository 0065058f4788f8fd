"""Factors: what each says in a plain case, and that it says nothing of what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.readings import Readings
from aione.stage2.context import market_context
from aione.stage2.factors import FACTORS, directional_factors, moved
from aione.stage2.levels import Levels

from .conftest import snapshot

NEUTRAL = {
    "close": 100.0,
    "atr": 1.0,
    "atr_frac": 0.01,
    "htf_alignment": 0.0,
    "slope_t": 0.0,
    "efficiency_ratio": 0.3,
    "rsi": 50.0,
    "plus_di": 20.0,
    "minus_di": 20.0,
    "adx": 25.0,
    "taker_imbalance_z": 0.0,
    "relative_volume": 1.5,
    "range_high_20": 102.0,
    "range_low_20": 98.0,
    "range_high_60": 104.0,
    "range_low_60": 96.0,
    "vwap_z": 0.0,
    "bullish_div": 0.0,
    "bearish_div": 0.0,
    "return_60": 0.0,
    "beta_btc": 1.0,
    "relative_strength_rank": 0.5,
}


def factors_of(support=98.0, resistance=102.0, change=0.0, breadth=0.5, regime=0.0, **facts):
    values = {name: np.array([value]) for name, value in (NEUTRAL | facts).items()}
    readings = Readings(("X",), 0, values, {"market_breadth": breadth, "btc_regime": regime})
    none, lone = np.full(1, np.nan), (np.array([support]), np.array([resistance]))
    levels = Levels(*(np.full((1, 2), np.nan) for _ in range(5)), *lone, *([none] * 4))
    context = market_context(levels, values["close"], values["atr"])
    market = snapshot(("X",), open_interest_change_frac=np.array([change]))
    return dict(zip(FACTORS, directional_factors(readings, market, context)[:, 0], strict=True))


def test_a_neutral_market_speaks_for_nothing():
    assert set(factors_of().values()) == {0.0}


@pytest.mark.parametrize(
    ("facts", "factor", "value"),
    [
        ({"htf_alignment": 1.0, "slope_t": 99.0}, "trend", 1.0),
        ({"slope_t": 99.0, "efficiency_ratio": 0.0}, "trend", 0.0),
        ({"slope_t": 99.0, "efficiency_ratio": 0.0, "return_60": 0.2}, "trend", 0.6),  # not straight, but far
        ({"slope_t": -99.0, "htf_alignment": np.nan}, "trend", -1.0),
        ({"rsi": 75.0, "plus_di": 30.0, "minus_di": 10.0}, "momentum", 1.0),
        ({"rsi": 40.0, "adx": np.nan}, "momentum", -0.5),
        ({"taker_imbalance_z": 99.0, "relative_volume": 0.75}, "flow", 0.5),
        ({"close": 105.0, "range_high_60": 104.0}, "breakout", np.tanh(6.0)),
        ({"close": 103.0}, "breakout", 0.75 * np.tanh(2.0)),
        ({"close": 97.0}, "breakout", -0.75 * np.tanh(2.0)),
        ({"close": 98.5}, "location", 0.75),
        ({"resistance": np.nan}, "location", 1.0),
        ({"support": np.nan}, "location", -1.0),
        ({"support": np.nan, "resistance": np.nan}, "location", np.nan),
        ({"vwap_z": 0.9}, "vwap", 0.0),
        ({"vwap_z": 2.0}, "vwap", -0.5),
        ({"vwap_z": -9.0}, "vwap", 1.0),
        ({"bullish_div": 0.7}, "divergence", 0.7),
        ({"bearish_div": 0.7}, "divergence", -0.7),
        ({"bearish_div": np.nan}, "divergence", np.nan),
        ({"return_60": 9.0, "change": 9.0}, "open_interest", 1.0),
        ({"return_60": -0.9, "change": 9.0}, "open_interest", -1.0),
        ({"return_60": 9.0, "change": -9.0}, "open_interest", -1.0),
        ({"return_60": 9.0, "change": np.nan}, "open_interest", np.nan),
        ({"regime": 1.0, "breadth": 1.0, "relative_strength_rank": 1.0}, "market", 1.0),
        ({"regime": 1.0, "beta_btc": np.nan, "breadth": np.nan}, "market", 0.0),
        ({"taker_imbalance_z": np.nan}, "flow", np.nan),
        ({"range_high_20": np.nan}, "breakout", np.nan),
    ],
)
def test_a_factor_says(facts, factor, value):
    assert factors_of(**facts)[factor] == pytest.approx(value, nan_ok=True)


def test_what_is_unknown_stays_unknown():
    everything = factors_of(**dict.fromkeys(NEUTRAL, np.nan), support=np.nan, breadth=np.nan, regime=np.nan)
    assert np.isnan(list(everything.values())).all()


def test_the_way_made_is_the_same_either_way():
    """110 from 100, and 90 from 100, are ten ATR each, whatever the fraction of the price now."""
    for close, expected in ((110.0, 10.0), (90.0, -10.0)):
        values = {"return_60": np.array([close / 100.0 - 1.0]), "atr_frac": np.array([1.0 / close])}
        assert moved(Readings(("X",), 0, values, {}), 60)[0] == pytest.approx(expected / 60**0.5)
