"""Anomalies: each fires on its own picture and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aione.stage2.anomalies import ANOMALIES, anomalies
from config.models import RecoThresholds

from .conftest import SYMBOLS, inputs, random_panel

CALM = {
    "volume_z": 0.0,
    "vwap": 1.0,
    "high": 101.0,
    "low": 99.0,
    "close": 100.0,
    "range_high_20": 102.0,
    "range_low_20": 98.0,
    "upper_wick_frac": 0.2,
    "lower_wick_frac": 0.2,
    "atr_prev": 1.0,
    "atr_frac": 0.001,
    "bars_age": 0.0,
}


def found(settings, spread=2e-4, closes=None, **facts):
    """The names of the anomalies of one symbol."""
    panel, _, readings, market, stage1 = inputs(settings, random_panel(1), None)
    if closes is not None:
        panel = replace(panel, close=np.tile(closes, (len(SYMBOLS), 1)))
    values = dict(readings.values) | {name: np.full(len(SYMBOLS), value) for name, value in (CALM | facts).items()}
    market = replace(market, spread_frac=np.full(len(SYMBOLS), spread))
    columns = anomalies(panel, replace(readings, values=values), market, stage1.thresholds, RecoThresholds())
    assert tuple(columns) == ANOMALIES
    return {name for name, column in columns.items() if column[0]}


def test_a_calm_bar_has_none(settings):
    assert found(settings) == set()


def test_each_fires_on_its_own_picture(settings):
    back_and_forth = 100.0 + np.resize([1.0, -1.0], 1500)
    assert found(settings, volume_z=2.6) == {"volume_spike"}
    assert found(settings, spread=1.2e-3) == {"wide_spread"}
    assert found(settings, spread=7e-4) == {"wide_spread"}
    assert found(settings, vwap=100.0, closes=back_and_forth) == {"vwap_whipsaw"}
    assert found(settings, high=103.0, upper_wick_frac=0.6) == {"wick_trap"}
    assert found(settings, low=97.0, lower_wick_frac=0.6) == {"wick_trap"}
    assert found(settings, bars_age=1.0) == {"stale_data"}
    assert found(settings, bars_age=np.nan) == {"stale_data"}


def test_a_small_wick_and_a_spread_of_a_few_small_ticks_are_nothing(settings):
    assert found(settings, high=102.1, low=101.0, close=101.3, upper_wick_frac=0.7) == set()
    assert found(settings, spread=7e-4, atr_frac=0.01) == set()


def test_a_breakout_is_no_trap(settings):
    assert found(settings, high=103.0, close=102.5, upper_wick_frac=0.6) == set()


def test_what_is_unknown_is_no_anomaly(settings):
    unknown = dict.fromkeys(CALM, np.nan) | {"bars_age": 0.0}
    assert found(settings, spread=np.nan, **unknown) == set()
