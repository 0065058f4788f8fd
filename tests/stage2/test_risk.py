"""The plan: stop, targets, ticks, reward to risk; and the risk class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.prices import get_tick_size, round_to_tick
from aione.stage2.levels import Levels
from aione.stage2.risk import RISK_CLASSES, Plan, corrected, make_plan, risk_class, tick_sizes
from config.models import RecoThresholds, RiskParams

from .conftest import snapshot

PARAMS = RiskParams()


def levels_at(*prices, strength=0.9):
    size = len(prices)
    blank = np.full(1, np.nan)
    return Levels(
        np.array([sorted(prices)], dtype=np.float64).reshape(1, size),
        np.zeros((1, size), dtype=np.int8),
        np.ones((1, size), dtype=np.int16),
        np.zeros((1, size)),
        np.full((1, size), strength),
        *([blank] * 6),
    )


def plan(side=1, *prices, close=100.0, atr=1.0, spread=0.0, tick=0.01, params=PARAMS, strength=0.9) -> Plan:
    return make_plan(
        np.array([side], dtype=np.int8),
        np.array([close]),
        np.array([atr]),
        levels_at(*prices, strength=strength),
        np.array([spread]),
        np.array([tick]),
        params,
    )


def test_without_levels_the_stop_stands_at_its_atr_multiple():
    found = plan(1)
    assert found.sl[0] == pytest.approx(98.5)
    np.testing.assert_allclose(found.tp[0], [101.5, 103.0, 104.5])


def test_the_stop_goes_beyond_a_nearer_level():
    assert plan(1, 99.0).sl[0] == pytest.approx(98.9)
    assert plan(-1, 101.0).sl[0] == pytest.approx(101.1)


def test_a_level_inside_the_noise_is_no_place_for_a_stop():
    assert plan(1, 99.5).sl[0] == pytest.approx(98.5)
    assert plan(1, 99.5, 99.1).sl[0] == pytest.approx(99.0)
    assert plan(1, 99.3).sl[0] == pytest.approx(99.2)  # the buffer brings it out of the noise


def test_a_level_further_than_the_atr_multiple_does_not_widen_the_stop():
    assert plan(1, 97.0).sl[0] == pytest.approx(98.5)


def test_a_weak_level_moves_nothing():
    np.testing.assert_array_equal(plan(1, 99.0, 101.3, strength=0.2).tp, plan(1).tp)
    assert plan(1, 99.0, strength=0.2).sl[0] == plan(1).sl[0]


def test_a_target_moves_in_front_of_the_level_before_it():
    np.testing.assert_allclose(plan(1, 101.3, 104.0).tp[0], [101.2, 103.0, 103.9])
    np.testing.assert_allclose(plan(1, 103.05).tp[0], [101.5, 102.95, 104.5])  # the level it would touch
    np.testing.assert_allclose(plan(1, 102.0).tp[0], [101.5, 103.0, 104.5])  # too far in front


def test_reward_to_risk_pays_fees_and_spread():
    cost = 100.0 * (2 * PARAMS.fee_frac + 0.001)
    found = plan(1, spread=0.001)
    assert found.rr[0] == pytest.approx((4.5 - cost) / (1.5 + cost))
    assert found.rr_mean[0] == pytest.approx((3.0 - cost) / (1.5 + cost))
    unknown = plan(1, spread=np.nan)
    cost = 100.0 * (2 * PARAMS.fee_frac + PARAMS.unknown_spread_frac)
    assert unknown.rr[0] == pytest.approx((4.5 - cost) / (1.5 + cost))


def test_multipliers_move_stop_and_targets():
    found = plan(1, params=RiskParams(tp_mult=2.0, sl_mult=0.5))
    assert found.sl[0] == pytest.approx(99.25)
    np.testing.assert_allclose(found.tp[0], [101.5, 103.0, 104.5])


def test_no_side_no_plan():
    found = plan(0, 99.0)
    assert found.side[0] == 0
    assert np.isnan([found.entry[0], found.sl[0], found.rr[0], *found.tp[0]]).all()


@pytest.mark.parametrize("broken", [{"atr": np.nan}, {"close": np.nan}, {"tick": 50.0}, {"atr": 80.0}, {"atr": 0.0}])
def test_a_plan_that_cannot_stand_loses_its_side(broken):
    assert plan(1, **broken).side[0] == 0


@given(
    st.sampled_from([1, -1]),
    st.floats(0.001, 90_000),
    st.floats(0.0005, 0.02),
    st.lists(st.floats(-6, 6), max_size=8),
    st.sampled_from([1e-7, 1e-5, 0.001, 0.01, 0.1]),
)
def test_every_plan_is_in_order_on_the_tick_and_outside_of_the_noise(side, close, atr_frac, places, tick):
    atr = close * atr_frac
    found = plan(side, *(close + place * atr for place in places), close=close, atr=atr, tick=tick)
    if found.side[0] == 0:
        return
    ladder = side * np.array([found.sl[0], found.entry[0], *found.tp[0]])
    assert (np.diff(ladder) > 0).all()
    for price in (found.sl[0], found.entry[0], *found.tp[0]):
        assert round_to_tick(price, tick) == pytest.approx(price, rel=1e-9)
    distance = abs(found.entry[0] - found.sl[0])
    assert PARAMS.noise_atr * atr - 1e-9 * close <= distance <= PARAMS.stop_atr * atr + tick + 1e-9 * close
    assert found.rr[0] >= found.rr_mean[0]


@given(st.lists(st.floats(-6, 6), max_size=8), st.floats(0.2, 3.0))
def test_a_short_is_a_mirrored_long(places, atr):
    up = plan(1, *(100 + place for place in places), atr=atr, tick=2.0**-10)
    down = plan(-1, *(100 - place for place in places), atr=atr, tick=2.0**-10)
    np.testing.assert_allclose(200 - down.sl, up.sl, atol=1e-9)
    np.testing.assert_allclose(200 - down.tp, up.tp, atol=1e-9)
    np.testing.assert_allclose(down.rr, up.rr, atol=1e-9)


def test_stop_and_targets_on_the_wrong_sides_are_turned_over():
    side = np.array([1, -1, 1, 1, 0], dtype=np.int8)
    entry = np.full(5, 100.0)
    sl = np.array([101.0, 99.0, 99.0, 101.0, np.nan])
    tp = np.array([[99.0, 98.0], [101.0, 102.0], [101.0, 102.0], [101.0, 102.0], [np.nan, np.nan]])
    blank = np.full(5, np.nan)
    found = corrected(Plan(side, entry, sl, tp, blank, blank, np.zeros(5, dtype=np.bool_)))
    assert found.swapped.tolist() == [True, True, False, False, False]
    assert found.side.tolist() == [1, -1, 1, 0, 0]
    assert found.sl[:3].tolist() == [99.0, 101.0, 99.0]
    assert found.tp[:3].tolist() == [[101.0, 102.0], [99.0, 98.0], [101.0, 102.0]]


def test_tick_sizes_are_those_of_the_scalar_function(settings):
    symbols = ("BTCUSDT", "AUSDT", "BUSDT", "CUSDT", "ETHUSDT", "DUSDT")
    close = np.array([95_000.0, 0.005, 5.0, 10.0, 2_500.0, 5_000.0])
    exchange = np.array([np.nan, np.nan, 0.25, np.nan, 0.5, np.nan])
    found = tick_sizes(snapshot(symbols, tick_size=exchange), close, settings)
    expected = [
        get_tick_size(symbol, price, settings, None if np.isnan(tick) else tick)
        for symbol, price, tick in zip(symbols, close, exchange, strict=True)
    ]
    assert found.tolist() == expected


def test_risk_points_add_up():
    cases = [
        ({}, "low"),
        ({"rank": 0.95}, "medium"),
        ({"rank": 0.99}, "high"),
        ({"rank": 0.99, "spread": 0.0006}, "extreme"),
        ({"spread": 0.0012}, "high"),
        ({"spread": 0.004}, "extreme"),
        ({"depth": 1000.0}, "medium"),
        ({"ready": 0.7}, "medium"),
        ({"ready": 0.3}, "extreme"),
        ({"rank": np.nan, "spread": np.nan, "depth": np.nan}, "low"),
    ]
    facts = [{"rank": 0.5, "spread": 1e-4, "depth": 1e6, "ready": 1.0} | case for case, _ in cases]
    market = snapshot(
        tuple(str(at) for at in range(len(cases))),
        spread_frac=np.array([fact["spread"] for fact in facts]),
        depth_bid_quote=np.array([fact["depth"] for fact in facts]),
    )
    readings = {
        "atr_percentile": np.array([fact["rank"] for fact in facts]),
        "ready_frac": np.array([fact["ready"] for fact in facts]),
    }
    found = risk_class(readings, market, RecoThresholds())
    assert [RISK_CLASSES[index] for index in found] == [expected for _, expected in cases]
