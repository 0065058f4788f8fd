"""What is each trigger's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from .triggering import FIRES, SURGE, UP, run

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
