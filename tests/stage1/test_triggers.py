"""One contract for every trigger, then each one's own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aione.stage1 import TriggerInput
from config.config import TRIGGER_NAME_MAP

from .triggering import FIRES, MIRROR, run

NAMES = sorted(set(TRIGGER_NAME_MAP.values()))


def test_there_are_seventeen_and_each_is_tested():
    assert len(NAMES) == 17
    assert sorted(FIRES) == NAMES


# ── The contract of every trigger ──


@pytest.mark.parametrize("name", NAMES)
def test_nothing_fires_in_a_calm_market_and_value_and_threshold_are_told(name, market, settings):
    found = run(name, market().inputs(settings))
    assert not found.fired.any()
    assert not found.strength.any()
    assert not found.side.any()
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.threshold).all()


@pytest.mark.parametrize("name", NAMES)
def test_fires_as_defined_for_that_symbol_alone(name, market, settings):
    changes, side, value, threshold, strength = FIRES[name]
    found = run(name, market().set("BUSDT", **changes).inputs(settings))
    assert found.fired.tolist() == [False, True, False]
    assert found.side.tolist() == [0, side, 0]
    np.testing.assert_allclose(
        [found.value[1], found.threshold[1], found.strength[1]], [value, threshold, strength], rtol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_symbol_never_fires(name, market, settings):
    found = run(name, market().set("BUSDT", **FIRES[name][0]).blank("BUSDT").inputs(settings))
    assert (found.fired[1], found.side[1], found.strength[1]) == (False, 0, 0.0)
    assert np.isnan(found.value[1])


@pytest.mark.parametrize("name", NAMES)
@effort(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_keeps_to_types_and_bounds_whatever_the_market(name, market, settings, seed):
    found = run(name, market.random(seed).inputs(settings))
    assert (found.fired.dtype, found.side.dtype) == (np.bool_, np.int8)
    for column in (found.strength, found.value, found.threshold):
        assert column.dtype == np.float64
        assert column.shape == found.fired.shape
    assert ((found.strength >= 0.0) & (found.strength <= 1.0)).all()
    assert (found.strength[~found.fired] == 0.0).all()
    assert (found.strength[found.fired] > 0.0).all()
    assert np.isfinite(found.value[found.fired]).all()
    assert (found.side[~found.fired] == 0).all()
    assert set(found.side.tolist()) <= {-1, 0, 1}


@pytest.mark.parametrize("name", NAMES)
@effort(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_market_upside_down_fires_the_mirror_image(name, market, settings, seed):
    straight = market.random(seed)
    found = run(name, straight.inputs(settings))
    twin = run(MIRROR.get(name, name), straight.mirrored().inputs(settings))
    np.testing.assert_array_equal(found.fired, twin.fired)
    np.testing.assert_array_equal(found.side, -twin.side)
    np.testing.assert_allclose(found.strength, twin.strength, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@effort(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_symbols_do_not_leak(name, market, settings, seed):
    """Reordering, dropping or blanking the others leaves a symbol's answer alone."""
    everyone = market.random(seed, size=6)
    found = run(name, everyone.inputs(settings))
    chosen = ("S4USDT", "S1USDT")
    few = everyone.take("S4USDT", "S0USDT", "S1USDT").blank("S0USDT")
    alone = run(name, few.inputs(settings))
    for symbol in chosen:
        row, other = everyone.symbols.index(symbol), few.symbols.index(symbol)
        for column in ("fired", "side", "strength", "value", "threshold"):
            np.testing.assert_array_equal(getattr(found, column)[row], getattr(alone, column)[other])


@pytest.mark.parametrize("name", NAMES)
def test_no_symbols_at_all_is_an_empty_answer(name, market, settings):
    found = run(name, market("AUSDT").take().inputs(settings))
    assert found.fired.shape == found.value.shape == found.threshold.shape


@pytest.mark.parametrize("name", NAMES)
def test_the_inputs_are_left_as_they_were(name, market, settings):
    one = market().set("BUSDT", **FIRES[name][0])
    before = {key: column.copy() for key, column in {**one.values, **one.book}.items()}
    run(name, one.inputs(settings))
    for key, column in {**one.values, **one.book}.items():
        np.testing.assert_array_equal(column, before[key])


# ── Thresholds ──


OWN = {"bullish_div", "bearish_div"}
"""Triggers without a threshold that can be set."""


@pytest.mark.parametrize("name", NAMES)
@effort(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_threshold_that_is_shown_is_the_one_that_is_named(name, market, settings, seed):
    inputs = market.random(seed).inputs(settings)
    found = run(name, inputs)
    assert all(threshold in inputs.thresholds for threshold in found.names)
    assert bool(found.names) == (name not in OWN)
    which = np.broadcast_to(found.which, found.fired.shape)
    for number, threshold in enumerate(found.names):
        np.testing.assert_array_equal(found.threshold[which == number], inputs.thresholds[threshold][which == number])
    assert set(which.tolist()) <= {-1, *range(len(found.names))}


@pytest.mark.parametrize("name", sorted(set(NAMES) - OWN))
def test_a_trigger_names_every_threshold_that_it_reads(name, market, settings):
    asked = set()

    class Asked:
        symbols = ("AUSDT", "BUSDT", "CUSDT")

        def __getitem__(self, threshold):
            asked.add(threshold)
            return inputs.thresholds[threshold]

    inputs = market().inputs(settings)
    found = run(name, TriggerInput(inputs.readings, inputs.market, Asked()))
    assert asked == set(found.names)


THRESHOLDS = [
    ("volume_spike", {"volume_z": 3.76}),
    ("volume_spike", {"relative_volume": 1.51}),
    ("bull_vol_spike", {"volume_z": 3.76}),
    ("bear_vol_spike", {"relative_volume": 1.51}),
    ("volatility_burst", {"burst_atr_mult": 3.75}),
    ("breakout_up", {"breakout_atr_buffer": 0.51}),
    ("breakout_down", {"breakout_atr_buffer": 0.51}),
    ("near_high", {"near_atr_mult": 0.12}),
    ("near_low", {"near_atr_mult": 0.12}),
    ("near_daily_resistance", {"near_atr_mult": 0.24}),
    ("rsi_overbought", {"rsi_overbought": 85.1}),
    ("rsi_oversold", {"rsi_oversold": 14.9}),
    ("vwap_deviation", {"vwap_z": 3.01}),
    ("order_imbalance", {"imbalance_z": 3.76}),
    ("liquidity_gap", {"spread_median_mult": 4.51}),
]


@pytest.mark.parametrize(("name", "override"), THRESHOLDS)
def test_a_stricter_threshold_silences_it(name, override, market, settings):
    one = market().set("BUSDT", **FIRES[name][0])
    assert run(name, one.inputs(settings)).fired[1]
    assert not run(name, one.inputs(settings, override=override)).fired[1]


def test_each_symbol_is_held_to_its_own_threshold(market, changed):
    settings = changed(STAGE1_MONITOR_PARAMS={"symbol_thresholds": {"BUSDT": {"rsi_overbought": 90.0}}})
    found = run("rsi_overbought", market(base={"rsi": 80.0}).inputs(settings))
    assert found.fired.tolist() == [True, False, True]
    assert found.threshold.tolist() == [70.0, 90.0, 70.0]


@pytest.mark.parametrize(
    ("name", "reading", "edge", "beyond"),
    [
        ("volume_spike", "volume_z", 2.5, np.nextafter(2.5, 0.0)),
        ("rsi_overbought", "rsi", 70.0, np.nextafter(70.0, 0.0)),
        ("rsi_oversold", "rsi", 30.0, np.nextafter(30.0, 100.0)),
        ("vwap_deviation", "vwap_z", -2.0, np.nextafter(-2.0, 0.0)),
        ("order_imbalance", "taker_imbalance_z", 2.5, np.nextafter(2.5, 0.0)),
    ],
)
def test_reaching_the_threshold_is_enough(name, reading, edge, beyond, market, settings):
    one = market(base={"relative_volume": 9.0}).set("AUSDT", **{reading: edge}).set("BUSDT", **{reading: beyond})
    found = run(name, one.inputs(settings))
    assert found.fired.tolist() == [True, False, False]
    assert found.strength[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "override"), [("rsi_overbought", {"rsi_overbought": 100.0}), ("rsi_oversold", {"rsi_oversold": 0.0})]
)
def test_a_threshold_at_the_end_of_the_scale_still_measures(name, override, market, settings):
    one = market().set("AUSDT", rsi=override[name])
    assert run(name, one.inputs(settings, override=override)).strength.tolist() == [0.5, 0.0, 0.0]
