"""The warm-up audit: what is declared is what is measured, and a declaration that is too short is found."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.evaluate.warmup import audit_warmup, late_history
from aione.indicators import compute_readings
from aione.indicators.warmup import required_bars

warmup_module = import_module("aione.evaluate.warmup")


@pytest.fixture(scope="module")
def late(stretch):
    return replace(stretch, start=3_000, stop=stretch.panel.shape[1])


@pytest.fixture(scope="module")
def report(late):
    return audit_warmup(late, stops=8, short=300, long=3_000, ladder=(120,))


def by_name(report):
    return {row.name: row for row in report.rows if row.kind == "indicator"}


def test_what_is_declared_within_the_screenings_history_is_measured(report):
    for name, row in by_name(report).items():
        if row.declared_bars is not None and row.declared_bars <= report.usual:
            assert row.is_declared, (name, row.declared_bars, row.agrees_from)


def test_windows_agree_with_their_length_and_unknown_ones_are_told(report):
    rows = by_name(report)
    assert rows["volume_z"].differs_frac == rows["volume_z"].unknown_frac == 0.0
    assert rows["vol_ratio_p95"].unknown_frac == 1.0  # 300 bars are not 90 % of its windows
    assert rows["vol_ratio_p95"].agrees_from == 481
    assert rows["rsi"].largest_frac < 1e-8
    assert rows["ema_dist_15m"].beyond_differs_frac > 0.5
    assert rows["ema_dist_5m"].beyond_frac > 1e-6


def test_a_declaration_that_is_too_short_is_found(late, monkeypatch):
    honest = warmup_module.required_bars
    monkeypatch.setattr(warmup_module, "required_bars", lambda params: {**honest(params), "beta_btc": 61})
    report = audit_warmup(late, stops=8, short=300, long=3_000, ladder=())
    row = by_name(report)["beta_btc"]
    assert (row.declared_bars, row.agrees_from, row.is_declared) == (61, 241, False)


def test_a_symbol_that_was_listed_late_has_the_same_readings_as_a_short_array(report):
    assert not [name for name in report.late_differs if name.startswith("indicator")]


def test_late_history_is_missing_before_and_as_it_was_after(long_panel):
    window = long_panel.window(1_000, 600)
    late = late_history(window, 500)
    assert late.shape == window.shape
    assert not late.valid[:, :100].any()
    assert np.isnan(late.close[:, :100]).all()
    np.testing.assert_array_equal(late.close[:, 100:], window.close[:, 100:])


def test_too_short_a_recording_is_refused(stretch):
    with pytest.raises(InvalidInput, match="begin after 10000 bars"):
        audit_warmup(stretch, stops=8)


EXACT = {
    *("volume_z", "relative_volume", "taker_imbalance", "taker_imbalance_z", "realized_vol", "vol_ratio"),
    *("vol_ratio_prev", "slope_t", "efficiency_ratio", "beta_btc", "corr_btc", "relative_strength", "return_15"),
    *("return_60", "prev_close", "true_range", "range_high_20", "range_low_60", "prev_range_high_20"),
    *("band_frac_20", "volatility.max_5bar_move", "volatility.max_60bar_return"),
}
SLOW = {"ema_dist_15m", "ema_dist_1h", "ema_dist_4h", "htf_alignment", "ready_frac"}


@pytest.fixture(scope="module")
def params(short_settings):
    return short_settings.STAGE1_MONITOR_PARAMS.indicators


def test_every_reading_has_a_declared_warm_up(long_panel, params):
    assert set(required_bars(params)) == set(compute_readings(long_panel.tail(10), params).values)


@pytest.mark.parametrize("has_daily", [True, False])
def test_more_bars_than_declared_change_nothing(stretch, params, has_daily):
    panel = stretch.panel
    daily = stretch.daily if has_daily else None
    whole = compute_readings(panel, params, daily)
    needs = required_bars(params, has_daily=has_daily)
    for bars in sorted({*needs.values()} - {needs[name] for name in SLOW}):
        short = compute_readings(panel.tail(bars), params, daily)
        for name, column in whole.values.items():
            if needs[name] <= bars and name not in SLOW:
                np.testing.assert_allclose(
                    short[name], column, rtol=1e-9, atol=1e-12, err_msg=f"{name} with {bars} bars"
                )


def test_one_bar_less_than_a_window_is_unknown(long_panel, params):
    needs = required_bars(params)
    for name in sorted(EXACT):
        short = compute_readings(long_panel.tail(needs[name] - 1), params) if needs[name] > 1 else None
        value = np.nan if short is None else short[name][0]
        if name == "taker_imbalance_z":  # given from 90 % of its window on, so one bar less is another value
            assert value != compute_readings(long_panel, params)[name][0]
        else:
            assert np.isnan(value), name


def test_periods_move_the_warm_up(params):
    other = params.model_copy(update={"beta_lookback": 500, "wilder_period": 7, "profile_bars": 100})
    needs = required_bars(other)
    assert (needs["beta_btc"], needs["rsi"], needs["poc"]) == (501, 197, 100)
