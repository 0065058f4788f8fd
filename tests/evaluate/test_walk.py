"""`walk`: history through the engine, one bar at a time."""

from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.evaluate import walk
from aione.evaluate.walk import scored_readings
from aione.panel import BAR_RECORD, MINUTE_MS, BarPanel
from aione.thresholds import RuleBook
from config.settings import load_settings

BARS = 640


@pytest.fixture(scope="module")
def settings():
    return load_settings(environ={}, overrides={"SCREENING_LOOKBACK": 600})


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(3)
    records = {}
    for symbol in ("BTCUSDT", "AUSDT"):
        rows = np.zeros(BARS, dtype=BAR_RECORD)
        rows["open_time_ms"] = 1_747_742_400_000 + MINUTE_MS * np.arange(BARS)
        close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_normal(BARS)))
        rows["open"] = np.concatenate([[100.0], close[:-1]])
        rows["high"], rows["low"] = np.maximum(rows["open"], close) * 1.0005, np.minimum(rows["open"], close) * 0.9995
        rows["close"], rows["volume"] = close, rng.lognormal(3.0, 1.0, BARS)
        rows["quote_volume"], rows["taker_buy_volume"] = close * rows["volume"], rows["volume"] * rng.random(BARS)
        records[symbol] = rows
    return BarPanel.from_records(records, end_ms=int(rows["open_time_ms"][-1]), bars=BARS)


def test_a_step_is_what_a_cycle_of_that_minute_would_have_found(panel, settings):
    steps = list(walk(panel, None, settings, start=610, stop=613))
    assert [step.at for step in steps] == [610, 611, 612]
    alone = scored_readings(panel.until(613).tail(600), None, settings)
    for name, column in steps[-1].readings.values.items():
        np.testing.assert_array_equal(column, alone[name], err_msg=name)
    assert steps[-1].open_time_ms == panel.open_time_ms[612]
    assert steps[-1].window.shape == (2, 600)


def test_the_monitors_memory_goes_from_bar_to_bar(panel, settings):
    steps = list(walk(panel, None, settings, start=610, stop=620))
    assert all(state.last_bar_ms == step.open_time_ms for step in steps for state in step.stage1.states.values())
    again = list(walk(panel, None, settings, start=615, stop=620, states=steps[4].stage1.states))
    for whole, rest in zip(steps[5:], again, strict=True):
        np.testing.assert_array_equal(whole.stage1.alert, rest.stage1.alert)
        np.testing.assert_array_equal(whole.stage1.announced, rest.stage1.announced)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (5, 9999)])
def test_bars_that_are_not_there_are_refused(panel, settings, start, stop):
    with pytest.raises(InvalidInput, match="640 bars"):
        next(walk(panel, None, settings, start=start, stop=stop))


def test_rules_apply_and_remember_from_bar_to_bar(panel, settings):
    text = (
        "rules:\n- {id: a, when: {metric: rsi, op: '>=', value: 0}, limits: {min_interval_s: 7200, hold_s: 180},"
        " actions: {stage1.volume_z: 2.0, stage2.scenario_floor: 1.0}}\n"
    )
    rules = RuleBook.parse({"threshold_rules.yaml": text})
    steps = list(walk(panel, None, settings, start=610, stop=615, rules=rules))
    assert [float(step.stage1.thresholds["volume_z"][0]) == 2.0 for step in steps] == [True] * 3 + [False] * 2
    assert {step.stage2.scenario_name(0) for step in steps[:3]} == {"UNCERTAIN"}
