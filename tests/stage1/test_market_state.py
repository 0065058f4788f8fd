from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.indicators.readings import Readings
from aione.stage1 import market_states, run_stage1
from aione.stage1.market_state import UNKNOWN, VOLATILITY_STATES
from config.models import MarketStateParams

PARAMS = MarketStateParams()


def readings(rank, ratio, **market):
    values = {"atr_percentile": np.array(rank, dtype=float), "vol_ratio": np.array(ratio, dtype=float)}
    return Readings(tuple(f"S{row}" for row in range(len(rank))), 0, values, market)


@pytest.mark.parametrize(
    ("rank", "ratio", "state"),
    [
        (0.5, 1.2, "ordinary"),
        (0.2, 1.0, "calm"),
        (0.2, 1.01, "ordinary"),
        (0.21, 1.0, "ordinary"),
        (0.9, 0.5, "wild"),
        (0.89, 1.79, "ordinary"),
        (0.1, 1.8, "wild"),
        (np.nan, 1.8, "wild"),
        (0.95, np.nan, "wild"),
        (np.nan, 1.0, "unknown"),
        (0.1, np.nan, "unknown"),
        (np.nan, np.nan, "unknown"),
    ],
)
def test_the_state_is_told_by_the_cuts(rank, ratio, state):
    assert market_states(readings([rank], [ratio]), PARAMS).label(0) == state


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 5.0)), max_size=8))
def test_every_known_symbol_is_in_one_state_and_wilder_is_never_calmer(pairs):
    rank, ratio = [one for one, _ in pairs], [one for _, one in pairs]
    now = market_states(readings(rank, ratio), PARAMS).volatility
    wilder = market_states(readings([x + 0.1 for x in rank], [x + 0.1 for x in ratio]), PARAMS).volatility
    assert ((now >= 0) & (now < len(VOLATILITY_STATES))).all()
    assert (wilder >= now).all()


@pytest.mark.parametrize(
    ("market", "trending"),
    [
        ({"btc_regime": 1.0}, True),
        ({"btc_regime": -1.0}, True),
        ({"btc_regime": 0.0}, False),
        ({"btc_regime": np.nan}, False),
        ({}, False),
    ],
)
def test_btc_trends_either_way(market, trending):
    states = market_states(readings([0.5], [1.2], **market), PARAMS)
    assert states.is_btc_trending is trending
    assert states.label(0) == ("ordinary+btc_trend" if trending else "ordinary")


def test_no_symbols_are_in_no_state():
    assert market_states(readings([], []), PARAMS).volatility.shape == (0,)


# ── In a run ──


def test_a_run_tells_the_states_itself_and_lays_their_thresholds_on(market, settings):
    one = market().set("AUSDT", atr_percentile=0.1, vol_ratio=0.9).set("BUSDT", atr_percentile=0.95)
    one.set("CUSDT", atr_percentile=np.nan)
    found = run_stage1(one.readings(), one.snapshot(), settings, {})
    assert [found.market_state.label(row) for row in range(3)] == ["calm", "wild", "unknown"]
    assert found.market_state.volatility[2] == UNKNOWN
    np.testing.assert_allclose(found.thresholds["volume_z"], [2.5, 3.0, 2.5])
    np.testing.assert_allclose(found.thresholds["vwap_z"], [2.5, 2.0, 2.0])
    assert found.thresholds["rsi_overbought"].tolist() == [75.0, 70.0, 70.0]
    assert found.thresholds["rsi_oversold"].tolist() == [25.0, 30.0, 30.0]
    assert found.explain(0)["triggers"][list(found.triggers).index("vwap_deviation")]["layer"] == "market_state:calm"


def test_a_caller_may_bring_the_states_or_turn_them_off(market, settings):
    one = market(base={"atr_percentile": 0.95})
    others = market_states(market().readings(), settings.STAGE1_MONITOR_PARAMS.market_state)
    for brought in (others, {}):
        found = run_stage1(one.readings(), one.snapshot(), settings, {}, market_state=brought)
        assert found.thresholds.layer("volume_z", 0) == "global"


def test_the_default_thresholds_of_the_states_are_symmetrical(settings):
    changes = settings.STAGE1_MONITOR_PARAMS.market_state_thresholds
    for wanted in changes.values():
        over, under = wanted.get("rsi_overbought"), wanted.get("rsi_oversold")
        assert (over is None) == (under is None)
        if over is not None:
            assert (over.factor, over.add) == (under.factor, -under.add)
            assert over.factor == 1.0
