"""The whole of Stage2 on panels: no look-ahead, no leak, mirror symmetry, unknowns, switches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.stage2 import ANOMALIES, FACTORS, SCENARIOS, run_stage2
from aione.stage2.result import STATUSES
from config.settings import RECOMMENDATIONS, load_settings
from tests.properties.mirror import panel_in_mirror

from .conftest import (
    SYMBOLS,
    alerted,
    columns,
    daily_panel,
    inputs,
    mirrored_readings,
    random_panel,
)


def analyse(settings, panel, daily=None, **market):
    return run_stage2(*inputs(settings, panel, daily, **market), settings)


def assert_rows_equal(one, other, rows, other_rows):
    there = columns(other)
    for name, column in columns(one).items():
        np.testing.assert_array_equal(column[rows], there[name][other_rows], err_msg=name)


def test_the_future_changes_nothing(settings):
    panel, daily = random_panel(1, bars=1520), daily_panel(2)
    for stop in (1500, 1510):
        seen = analyse(settings, panel.until(stop), daily)
        changed = replace(panel, **{name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")})
        for name in ("open", "high", "low", "close"):
            getattr(changed, name)[:, stop:] *= 3.0
        assert_rows_equal(seen, analyse(settings, changed.until(stop), daily), slice(None), slice(None))


def test_levels_of_later_bars_are_not_those_of_earlier_ones(settings):
    """The check above could pass on a constant; this one could not."""
    panel = random_panel(1, bars=1520)
    earlier, later = analyse(settings, panel.until(1500)), analyse(settings, panel)
    assert (earlier.direction != later.direction).all()


def test_symbols_do_not_leak(settings):
    """Another symbol's bars enter only through the cross-section, which the readings hold."""
    panel, daily, readings, market, stage1 = inputs(settings, random_panel(3), daily_panel(4))
    whole = run_stage2(panel, daily, readings, market, stage1, settings)
    blank = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for column in blank.values():
        column[2] = np.nan
    values = {name: np.where(np.arange(len(SYMBOLS)) == 2, np.nan, column) for name, column in readings.values.items()}
    without = run_stage2(replace(panel, **blank), daily, replace(readings, values=values), market, stage1, settings)
    others = [0, 1, 3, 4, 5]
    assert_rows_equal(whole, without, others, others)
    assert STATUSES[without.status[2]] == "SKIPPED"
    assert without.recommendation_name(2) is None
    assert np.isnan([without.direction[2], without.confidence_raw[2], without.entry[2]]).all()


def test_the_order_of_symbols_does_not_matter(settings):
    panel, daily = random_panel(5), daily_panel(6)
    order = ["CUSDT", "BTCUSDT", "EUSDT", "AUSDT", "DUSDT", "BUSDT"]
    market = {"open_interest_change_frac": np.zeros(len(SYMBOLS))}
    one = analyse(settings, panel, daily, **market)
    other = analyse(settings, panel.take(order), daily, **market)
    there = columns(other)
    rows = [order.index(symbol) for symbol in SYMBOLS]
    for name, column in columns(one).items():
        np.testing.assert_allclose(column, there[name][rows], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
def test_mirrored_prices_flip_long_and_short(settings, seed):
    tick = 2.0**-10
    panel, daily, readings, market, stage1 = inputs(
        settings, random_panel(seed), daily_panel(seed), tick_size=np.full(6, tick)
    )
    centre = np.round(readings["close"] / tick) * tick
    turned = mirrored_readings(readings, centre)
    one = run_stage2(panel, daily, readings, market, stage1, settings)
    other = run_stage2(panel_in_mirror(panel, centre), panel_in_mirror(daily, centre), turned, market, stage1, settings)
    np.testing.assert_allclose(other.direction, -one.direction, atol=1e-9)
    np.testing.assert_array_equal(other.side, -one.side)
    np.testing.assert_array_equal(other.plan_side, -one.plan_side)
    np.testing.assert_allclose(other.sl, 2 * centre - one.sl, atol=1e-6)
    np.testing.assert_allclose(other.tp, 2 * centre[:, None] - one.tp, atol=1e-6)
    for name in ("confidence_raw", "quality", "risk_class", "gate_reason", "status"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), atol=1e-9, err_msg=name)
    for name in FACTORS:
        np.testing.assert_allclose(other.contributions[name], -one.contributions[name], atol=1e-9, err_msg=name)
    swap = {"BULL": "BEAR", "BEAR": "BULL"}
    for row in range(len(SYMBOLS)):
        name = one.scenario_name(row)
        expected = (swap.get(name[:4], name[:4]) + name[4:]).replace("BEARISH_BREAKOUT", "BEARISH_BREAKDOWN")
        assert other.scenario_name(row) == expected.replace("BULLISH_BREAKDOWN", "BULLISH_BREAKOUT")


def test_contributions_sum_to_the_direction(settings):
    found = analyse(settings, random_panel(7), daily_panel(8))
    total = np.nansum(np.stack(list(found.contributions.values())), axis=0)
    np.testing.assert_allclose(total, found.direction, atol=1e-12)
    np.testing.assert_allclose(found.confidence_raw, np.abs(found.direction) * found.quality)


def test_factors_stay_in_their_bounds(settings):
    for seed in range(8):
        found = analyse(settings, random_panel(seed), daily_panel(seed))
        for group, low in ((found.factors, -1.0), (found.qualities, 0.0)):
            for name, column in group.items():
                known = column[~np.isnan(column)]
                assert ((known >= low) & (known <= 1.0)).all(), name


@pytest.mark.parametrize("bars", [1, 2, 30, 130])
def test_a_short_panel_is_skipped_or_scored_on_what_is_known(settings, bars):
    found = analyse(settings, random_panel(9, bars=bars))
    for row in range(len(SYMBOLS)):
        view = found.view(row, 0.001)
        assert view["risk_parameters"] is None or view["confidence_metrics"]["unknown"]
    assert not found.is_signal.any()


def test_a_flat_series_is_no_signal(settings):
    panel = random_panel(9)
    flat = {name: np.full(panel.shape, 100.0) for name in ("open", "high", "low", "close", "volume")}
    found = analyse(settings, replace(panel, **flat))
    assert not found.side.any()
    assert (found.levels.kind == -1).all()


def test_the_switch_turns_everything_off():
    off = load_settings(environ={"AIONE_STAGE2_CONFIG__switches__use_qde": "false"})
    found = analyse(off, random_panel(1))
    assert {STATUSES[status] for status in found.status} == {"OFF"}
    assert (found.recommendation == -1).all()
    assert not found.is_signal.any()
    assert all(np.isnan(column).all() for column in (found.direction, found.entry, found.scenario_scores))
    view = found.view(0, 0.01)
    assert (view["status"], view["recommendation"], view["risk_parameters"]) == ("off", None, None)


def test_a_factor_that_is_switched_off_is_gone(settings):
    off = load_settings(environ={"AIONE_STAGE2_CONFIG__switches__factors": "{trend: false}"})
    with_it, without = analyse(settings, random_panel(1)), analyse(off, random_panel(1))
    assert np.isnan(without.factors["trend"]).all()
    assert not np.isnan(with_it.factors["trend"]).any()
    np.testing.assert_array_equal(without.factors["momentum"], with_it.factors["momentum"])


def test_only_an_alerted_symbol_gives_a_signal():
    easy = load_settings(
        environ={
            "AIONE_STAGE2_CONFIG__risk__min_rr": "0",
            "AIONE_STAGE2_CONFIG__thresholds__entry_confidence": "0",
            "AIONE_STAGE2_CONFIG__thresholds__entry_direction": "0",
        }
    )
    signals = set()
    for seed in range(12):
        given = inputs(easy, random_panel(seed))
        calm = run_stage2(*given[:4], replace(given[4], alert=np.zeros(len(SYMBOLS), dtype=np.bool_)), easy)
        assert {calm.signal(row) for row in range(len(SYMBOLS))} == {"NONE"}
        found = run_stage2(*given[:4], alerted(given[4]), easy)
        for row in range(len(SYMBOLS)):
            signals.add(found.signal(row))
            expected = {1: "ALERT_BUY", -1: "ALERT_SELL", 0: "NONE"}[int(found.side[row])]
            assert found.signal(row) == expected
    assert signals == {"ALERT_BUY", "ALERT_SELL", "NONE"}


def test_gates_keep_what_they_held_back(settings):
    held = set()
    for seed in range(10):
        found = analyse(settings, random_panel(seed), spread_frac=np.full(6, 9e-4))
        for row in np.flatnonzero(found.gate_reason >= 0):
            view = found.view(int(row), 0.001)
            held.add(view["reco_gate_reason"])
            assert view["recommendation"] == "WAIT_FOR_CONFIRMATION"
            assert view["reco_original"] in settings.BUY_SET | settings.SELL_SET
            assert found.side[row] == 0
    assert "insufficient_rr" in held


def test_a_late_symbol_is_not_entered(settings):
    panel = random_panel(1)
    arrays = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume", "valid")}
    for name, column in arrays.items():
        column[1:, -1] = False if name == "valid" else np.nan
    found = analyse(settings, replace(panel, **arrays))
    assert found.anomalies["stale_data"].tolist() == [False, True, True, True, True, True]
    assert not found.side[1:].any()


def test_arguments_that_do_not_belong_together_are_refused(settings):
    panel, daily, readings, market, stage1 = inputs(settings, random_panel(1), None)
    with pytest.raises(InvalidInput, match="readings must hold the panel's 5 symbols, held 6"):
        run_stage2(panel.take(SYMBOLS[:5]), daily, readings, market, stage1, settings)
    with pytest.raises(InvalidInput, match="readings must be of the panel's last bar"):
        run_stage2(panel.until(1400), daily, readings, market, stage1, settings)


def test_the_columns_have_the_shapes_that_they_promise(settings):
    found = analyse(settings, random_panel(1), daily_panel(1))
    size = len(SYMBOLS)
    assert found.scenario_scores.shape == (size, len(SCENARIOS))
    assert found.tp.shape == (size, 3)
    assert set(found.anomalies) == set(ANOMALIES)
    assert all(column.dtype == np.bool_ for column in found.anomalies.values())
    assert set(np.unique(found.recommendation)) <= set(range(-1, len(RECOMMENDATIONS)))
