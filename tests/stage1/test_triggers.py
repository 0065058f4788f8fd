"""One contract for every trigger, then each one's own definition."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aione.stage1 import TriggerInput
from config.config import TRIGGER_NAME_MAP

NAMES = sorted(set(TRIGGER_NAME_MAP.values()))
MIRROR = {
    "bull_vol_spike": "bear_vol_spike",
    "breakout_up": "breakout_down",
    "near_high": "near_low",
    "near_daily_resistance": "near_daily_support",
    "rsi_overbought": "rsi_oversold",
    "bearish_div": "bullish_div",
}
MIRROR |= {twin: name for name, twin in MIRROR.items()}
SURGE = {"volume_z": 3.75, "relative_volume": 1.5}
UP = {"close": 105.5, "prev_close": 105.0}
AWAY = {"vwap_z": 3.0, "close": 103.0, "prev_close": 101.0}
"""Three deviations of 1 above a VWAP of 100; the close before was one above it."""

# name: (what is changed in a calm market, side, value, threshold, strength)
FIRES = {
    "volume_spike": (SURGE, 0, 3.75, 2.5, 0.75),
    "bull_vol_spike": (SURGE | {"body_frac": 0.5, "taker_imbalance": 0.1}, 1, 3.75, 2.5, 0.75),
    "bear_vol_spike": (SURGE | {"body_frac": -0.5, "taker_imbalance": -0.1}, -1, 3.75, 2.5, 0.75),
    "volatility_burst": ({"true_range": 3.75}, 0, 3.75, 2.5, 0.75),
    "breakout_up": (UP, 1, 0.5, 0.1, 0.3 + 0.35 * 0.5),
    "breakout_down": ({"close": 94.5, "prev_close": 95.0}, -1, 0.5, 0.1, 0.3 + 0.35 * 0.5),
    "near_high": ({"close": 104.875, "prev_close": 104.0}, 0, 0.125, 0.25, 0.75),
    "near_low": ({"close": 95.125, "prev_close": 96.0}, 0, 0.125, 0.25, 0.75),
    "near_daily_resistance": ({"daily_resistance": 100.25, "prev_close": 99.0}, 0, 0.25, 0.25, 0.5),
    "near_daily_support": ({"daily_support": 100.0, "prev_close": 101.0}, 0, 0.0, 0.25, 1.0),
    "rsi_overbought": ({"rsi": 85.0}, -1, 85.0, 70.0, 0.75),
    "rsi_oversold": ({"rsi": 15.0}, 1, 15.0, 30.0, 0.75),
    "bullish_div": ({"bullish_div": 0.6}, 1, 0.6, 0.0, 0.6),
    "bearish_div": ({"bearish_div": 0.6}, -1, 0.6, 0.0, 0.6),
    "vwap_deviation": (AWAY, -1, 3.0, 2.0, 0.75),
    "order_imbalance": ({"taker_imbalance_z": -3.75}, -1, -3.75, 2.5, 0.75),
    "liquidity_gap": ({"spread_frac": 0.0009, "atr_frac": 0.004}, 0, 4.5, 3.0, 0.75),
}


def run(name, inputs):
    return import_module(f"aione.stage1.triggers.{name}").evaluate(inputs)


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


# ── Each one's own ──


@pytest.mark.parametrize(
    ("body", "imbalance"), [(0.5, -0.1), (-0.5, 0.1), (0.0, 0.1), (0.5, 0.0), (np.nan, 0.1), (0.5, np.nan)]
)
def test_a_sided_volume_spike_needs_body_and_takers_to_agree(body, imbalance, market, settings):
    one = market().set("BUSDT", **SURGE, body_frac=body, taker_imbalance=imbalance)
    assert run("volume_spike", one.inputs(settings)).fired[1]
    assert not run("bull_vol_spike", one.inputs(settings)).fired[1]
    assert not run("bear_vol_spike", one.inputs(settings)).fired[1]


@pytest.mark.parametrize(
    ("volume", "shown"),
    [({"volume_z": 2.4}, 0), ({"volume_z": 3.0}, 1), ({"volume_z": 2.4, "relative_volume": 9.0}, 0)],
)
def test_a_volume_that_falls_short_tells_what_it_fell_short_of(volume, shown, market, settings):
    found = run("volume_spike", market().set("BUSDT", **volume).inputs(settings))
    assert not found.fired.any()
    assert found.names[found.which[1]] == ("volume_z", "relative_volume")[shown]
    assert found.value[1] < found.threshold[1]
    assert found.threshold[1] == (2.5, 1.5)[shown]


def test_a_burst_may_come_from_the_ratio_alone_and_then_tells_that_one(market, settings):
    one = market().set("BUSDT", vol_ratio=3.0).set("CUSDT", vol_ratio=3.0, true_range=np.nan)
    found = run("volatility_burst", one.inputs(settings))
    assert found.fired.tolist() == [False, True, True]
    np.testing.assert_allclose(found.value[1:], 3.0)
    np.testing.assert_allclose(found.threshold[1:], 2.0)
    np.testing.assert_allclose(found.strength[1:], 0.75)
    assert found.which.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("before", "true_range", "fires"),
    [
        (1.0, 1.0, True),
        (2.0, 1.0, True),
        (2.01, 1.0, False),
        (2.01, 3.0, True),
        (np.nan, 1.0, False),
        (np.nan, 3.0, True),
        (2.01, np.nan, False),
        (np.nan, np.nan, False),
    ],
)
def test_a_volatility_that_lasts_is_no_burst(before, true_range, fires, market, settings):
    one = market().set("BUSDT", vol_ratio=3.0, vol_ratio_prev=before, true_range=true_range)
    found = run("volatility_burst", one.inputs(settings))
    assert found.fired.tolist() == [False, fires, False]
    if true_range == 3.0:
        assert (found.value[1], found.threshold[1], found.which[1]) == (3.0, 2.5, 0)


def test_a_burst_of_both_tells_the_one_further_out(market, settings):
    one = market().set("AUSDT", vol_ratio=3.0, true_range=3.0).set("BUSDT", vol_ratio=3.0, true_range=5.0)
    found = run("volatility_burst", one.inputs(settings))
    np.testing.assert_allclose(found.value[:2], [3.0, 5.0])
    np.testing.assert_allclose(found.threshold[:2], [2.0, 2.5])
    np.testing.assert_allclose(found.strength[:2], [0.75, 1.0])


@pytest.mark.parametrize(
    ("prices", "fires"),
    [
        ({"close": 103.0, "prev_close": 101.9}, True),  # 1.9 deviations before
        ({"close": 103.0, "prev_close": 102.0}, False),  # it was there already
        ({"close": 103.0, "prev_close": 104.0}, False),  # it comes back
        ({"close": 103.0, "prev_close": 95.0}, True),  # as far on the other side
        ({"close": 103.0, "prev_close": 102.5, "range_high_20": 102.9}, True),  # there, and out of its range
        ({"close": 103.0, "prev_close": 102.5, "range_high_20": 103.0}, False),
        ({"close": 103.0, "prev_close": 102.5, "range_low_20": 104.0}, False),  # the other end of the range
        ({"close": 103.0, "prev_close": 102.5, "range_high_20": np.nan}, False),
        ({"close": 101.9, "prev_close": 100.0, "vwap_z": 1.9}, False),
    ],
)
def test_a_deviation_fires_when_it_begins_and_when_it_reaches_on(prices, fires, market, settings):
    one = market().set("BUSDT", **{"vwap_z": 3.0, **prices})
    assert run("vwap_deviation", one.inputs(settings)).fired.tolist() == [False, fires, False]
    below = run("vwap_deviation", one.mirrored().inputs(settings))
    assert below.fired.tolist() == [False, fires, False]
    assert below.side[1] == fires


BREAKOUT_NEEDS = ("close", "atr", "prev_close")
APPROACH_NEEDS = ("close", "atr", "prev_close")
NEEDS = {
    "volume_spike": ("volume_z", "relative_volume"),
    "bull_vol_spike": ("volume_z", "relative_volume", "body_frac", "taker_imbalance"),
    "bear_vol_spike": ("volume_z", "relative_volume", "body_frac", "taker_imbalance"),
    "breakout_up": (*BREAKOUT_NEEDS, "range_high_20", "prev_range_high_20"),
    "breakout_down": (*BREAKOUT_NEEDS, "range_low_20", "prev_range_low_20"),
    "near_high": (*APPROACH_NEEDS, "range_high_20"),
    "near_low": (*APPROACH_NEEDS, "range_low_20"),
    "near_daily_resistance": (*APPROACH_NEEDS, "daily_resistance"),
    "near_daily_support": (*APPROACH_NEEDS, "daily_support"),
    "rsi_overbought": ("rsi",),
    "rsi_oversold": ("rsi",),
    "bullish_div": ("bullish_div",),
    "bearish_div": ("bearish_div",),
    "vwap_deviation": ("vwap_z", "vwap", "close", "prev_close"),
    "order_imbalance": ("taker_imbalance_z",),
}


@pytest.mark.parametrize(("name", "needed"), [(name, needed) for name in NEEDS for needed in NEEDS[name]])
def test_one_unknown_input_is_enough_to_know_nothing(name, needed, market, settings):
    one = market().set("BUSDT", **FIRES[name][0]).set("BUSDT", **{needed: np.nan})
    found = run(name, one.inputs(settings))
    assert not found.fired[1]
    assert np.isnan(found.value[1])


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_what_a_trigger_does_not_need_does_not_silence_it(name, market, settings):
    fires = market().set("BUSDT", **FIRES[name][0])
    others = fires.values.keys() - set(NEEDS[name])
    assert run(name, fires.set("BUSDT", **dict.fromkeys(others, np.nan)).inputs(settings)).fired[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"spread_frac": 0.75, "spread_median_frac": 0.25},
        {"depth_bid_quote": 0.3333, "depth_ask_quote": 1.0, "depth_median_quote": 1.0},
    ],
)
def test_a_gap_is_beyond_and_not_at_its_threshold(changes, market, settings):
    assert not run("liquidity_gap", market().set("BUSDT", **changes).inputs(settings)).fired.any()


@pytest.mark.parametrize("changes", [{"true_range": 2.5}, {"vol_ratio": 2.0}])
def test_a_burst_is_beyond_and_not_at_its_threshold(changes, market, settings):
    assert not run("volatility_burst", market(base=changes).inputs(settings)).fired.any()


@pytest.mark.parametrize("changes", [{"prev_close": 105.01}, {"close": 105.05}, {"atr": 0.0}])
def test_a_breakout_starts_inside_and_ends_clearly_outside(changes, market, settings):
    assert run("breakout_up", market(base=UP).inputs(settings)).fired.all()
    assert not run("breakout_up", market(base=UP | changes).inputs(settings)).fired.any()


def test_a_breakout_is_judged_by_the_range_that_the_bar_before_saw(market, settings):
    """The bar before closed inside its own range, though its high now belongs to this bar's range."""
    one = market(base={"prev_range_high_20": 103.0, "range_high_20": 104.0, "prev_close": 102.9, "close": 104.5})
    assert run("breakout_up", one.inputs(settings)).fired.all()
    one = market(base={"prev_range_high_20": 103.0, "range_high_20": 104.0, "prev_close": 103.5, "close": 104.5})
    assert not run("breakout_up", one.inputs(settings)).fired.any()


@pytest.mark.parametrize(
    ("changes", "strength"),
    [
        ({}, 0.3 + 0.175),
        ({"range_high_60": 105.0}, 0.65),
        ({"range_high_60": 108.0}, 0.3),
        ({"range_high_60": 105.0, "volume_z": 2.5}, 0.825),
        ({"range_high_60": 105.0, "volume_z": 50.0}, 1.0),
        ({"range_high_60": np.nan, "volume_z": np.nan}, 0.3),
        ({"volume_z": -3.0}, 0.475),
    ],
)
def test_a_breakout_grows_with_the_long_range_and_the_volume(changes, strength, market, settings):
    found = run("breakout_up", market(base=UP | changes).inputs(settings))
    np.testing.assert_allclose(found.strength, strength)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"close": 104.875, "prev_close": 104.875}, "it stands still"),
        ({"close": 104.875, "prev_close": 104.9}, "it moves away"),
        ({"close": 105.01, "prev_close": 104.0}, "it has passed the level"),
        ({"close": 104.7, "prev_close": 104.0}, "it is too far"),
    ],
)
def test_near_high_is_an_approach_from_below(changes, why, market, settings):
    assert not run("near_high", market(base=changes).inputs(settings)).fired.any(), why


@effort(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_symbol_approaches_both_sides_at_once(market, settings, seed):
    inputs = market.random(seed, size=200, unknown=0.0).inputs(settings, override={"near_atr_mult": 4.0})
    up = run("near_high", inputs).fired | run("near_daily_resistance", inputs).fired
    down = run("near_low", inputs).fired | run("near_daily_support", inputs).fired
    assert not (up & down).any()


def test_a_flat_symbol_has_no_scale_to_be_near_by(market, settings):
    found = run("near_high", market(base={"atr": 0.0, "close": 105.0, "prev_close": 104.0}).inputs(settings))
    assert not found.fired.any()
    assert np.isnan(found.value).all()


@pytest.mark.parametrize(
    ("changes", "value", "threshold", "strength"),
    [
        ({"depth_bid_quote": 16_665.0}, 0.16665, 0.3333, 0.75),
        ({"depth_ask_quote": 0.0}, 0.0, 0.3333, 1.0),
        ({"depth_ask_quote": 0.0, "spread_frac": 0.0009, "atr_frac": 0.004}, 0.0, 0.3333, 1.0),
        ({"depth_bid_quote": 30e3, "spread_frac": 0.0012}, 6.0, 3.0, 1.0),
        ({"depth_bid_quote": 16_665.0, "spread_frac": np.nan}, 0.16665, 0.3333, 0.75),
        ({"spread_frac": 0.0009, "atr_frac": 0.004, "depth_median_quote": np.nan}, 4.5, 3.0, 0.75),
    ],
)
def test_a_liquidity_gap_tells_what_is_further_out(changes, value, threshold, strength, market, settings):
    found = run("liquidity_gap", market().set("BUSDT", **changes).inputs(settings))
    assert found.fired.tolist() == [False, True, False]
    np.testing.assert_allclose(
        [found.value[1], found.threshold[1], found.strength[1]], [value, threshold, strength], rtol=1e-9
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"spread_frac": np.nan, "depth_bid_quote": np.nan},
        {"spread_median_frac": 0.0, "depth_median_quote": 0.0},
    ],
)
def test_a_book_without_a_past_is_unknown(changes, market, settings):
    found = run("liquidity_gap", market().set("BUSDT", **changes).inputs(settings))
    assert not found.fired.any()
    assert np.isnan(found.value[1])


@pytest.mark.parametrize(("atr_frac", "fires"), [(0.0089, True), (0.0091, False), (np.nan, True)])
def test_a_spread_of_a_tenth_of_the_atr_is_no_gap_however_many_medians_it_is(atr_frac, fires, market, settings):
    one = market().set("BUSDT", spread_frac=0.0009, atr_frac=atr_frac)
    assert bool(run("liquidity_gap", one.inputs(settings)).fired[1]) == fires
