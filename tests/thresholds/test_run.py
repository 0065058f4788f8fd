"""From readings to what each stage is told, and rules that change while the system runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import yaml

from aione.indicators.readings import Readings, compute_readings
from aione.panel import MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1.run import run_stage1
from aione.thresholds import RuleState, apply_rules, load_book
from aione.thresholds.files import BASE
from config.settings import SettingsError, load_settings

SYMBOLS = ("BTCUSDT", "WIFUSDT")


@pytest.fixture(scope="module")
def settings():
    return load_settings(environ={})


@pytest.fixture(scope="module")
def readings(settings) -> Readings:
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_normal((2, 600)), axis=1))
    volume = rng.lognormal(3.0, 1.0, (2, 600))
    panel = BarPanel(
        SYMBOLS, MINUTE_MS * np.arange(600), close, close * 1.001, close * 0.999, close, volume, volume * close,
        volume / 2, volume, np.ones((2, 600), dtype=bool),
    )  # fmt: skip
    found = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators)
    ordinary = {"atr_percentile": np.full(2, 0.5), "vol_ratio": np.ones(2)}
    return replace(found, values={**found.values, **ordinary}, market={**found.market, "btc_regime": 0.0})


def write(folder, rules, name=BASE, **sections):
    (folder / name).write_text(yaml.safe_dump({"rules": rules, **sections}))


def rule(name, actions, metric="rsi", op=">", value=-1, **more):
    return {"id": name, "when": {"metric": metric, "op": op, "value": value}, "actions": actions, **more}


def at(readings, minute, **over):
    values = {name: np.asarray(column, dtype=float) for name, column in over.items()}
    return replace(readings, open_time_ms=MINUTE_MS * minute, values={**readings.values, **values})


def applied(folder, readings, settings, state=None):
    state = RuleState() if state is None else state
    book, problem = load_book(folder, state)
    return apply_rules(book, readings, MarketSnapshot.of(SYMBOLS), settings, state), problem


def test_stage1_gets_thresholds_with_the_rule_as_their_layer(tmp_path, readings, settings):
    write(
        tmp_path,
        [
            rule("sets", {"stage1.volume_z": 4.0}),
            rule("halves", {"stage1.vwap_z_factor": 0.5, "stage1.low_gate_factor": 2.0}),
            rule("far", {"stage1.rsi_overbought_factor": 3.0}),
        ],
    )
    outcome, problem = applied(tmp_path, readings, settings)
    assert problem is None
    plain = run_stage1(readings, MarketSnapshot.of(SYMBOLS), settings, {})
    found = run_stage1(readings, MarketSnapshot.of(SYMBOLS), settings, {}, rules=outcome.stage1).thresholds
    np.testing.assert_array_equal(found["volume_z"], [4.0, 4.0])
    np.testing.assert_allclose(found["vwap_z"], 0.5 * plain.thresholds["vwap_z"])
    np.testing.assert_allclose(found["low_gate"], 2.0 * plain.thresholds["low_gate"], err_msg="of each symbol's class")
    np.testing.assert_array_equal(found["rsi_overbought"], [100.0, 100.0], err_msg="it stops at the bound")
    assert [found.layer(name, 1) for name in ("volume_z", "vwap_z", "relative_volume")] == [
        "rules:sets", "rules:halves", "global",
    ]  # fmt: skip


def test_a_factor_that_stops_at_a_bound_is_said_and_what_set_each_value_too(tmp_path, readings, settings):
    write(tmp_path, [rule("far", {"stage1.rsi_overbought_factor": 3.0, "stage3.sl_mult_factor": 0.8}, value=50)])
    outcome, _ = applied(tmp_path, at(readings, 1, rsi=[60, 60]), settings)
    (line,) = outcome.clamped
    assert line.startswith(
        "stage1.rsi_overbought of BTCUSDT and 1 more stopped at its bound 100, rules:far asked for 2"
    )
    outcome, _ = applied(tmp_path, at(readings, 1, rsi=[40, 60]), settings)
    assert outcome.set_by["stage3.sl_mult_factor"] == ("", "far")
    assert "of WIFUSDT stopped" in outcome.clamped[0]


def test_a_factor_multiplies_what_another_rule_has_set(tmp_path, readings, settings):
    write(tmp_path, [rule("a", {"stage1.volume_z": 4.0}), rule("b", {"stage1.volume_z_factor": 1.5})])
    outcome, _ = applied(tmp_path, readings, settings)
    thresholds = run_stage1(readings, MarketSnapshot.of(SYMBOLS), settings, {}, rules=outcome.stage1).thresholds
    np.testing.assert_array_equal(thresholds["volume_z"], [6.0, 6.0])


def test_stage2_and_stage3_get_theirs_and_moves_are_always_there(tmp_path, readings, settings):
    write(
        tmp_path,
        [rule("x", {"stage2.entry_confidence": 0.5, "stage3.sl_mult_factor": 0.8, "stage2.move_pct_up_factor": 2.0})],
    )
    write(tmp_path, [rule("x", {"stage2.tp_mult_factor": 2.0})], "threshold_rules_WIFUSDT.yaml")
    outcome, _ = applied(tmp_path, readings, settings)
    np.testing.assert_array_equal(outcome.stage2["entry_confidence"], [0.5, np.nan])
    np.testing.assert_array_equal(outcome.stage2["tp_mult_factor"], [np.nan, 2.0])
    np.testing.assert_array_equal(outcome.stage3["sl_mult_factor"], [0.8, np.nan])
    np.testing.assert_allclose(outcome.moves["move_pct_up"], [0.01 + 0.4 * 0.01, 0.01])
    np.testing.assert_array_equal(outcome.moves["move_pct_down"], [0.01, 0.01])


def test_each_change_is_told_with_what_was_and_what_is(tmp_path, readings, settings):
    write(tmp_path, [rule("x", {"stage1.volume_z": 4.0}, value=50)])
    state = RuleState()
    first, _ = applied(tmp_path, at(readings, 1, rsi=[60, 40]), settings, state)
    assert first.changes == (
        {"symbol": "BTCUSDT", "key": "stage1.volume_z", "old": 2.5, "new": 4.0, "rule": "x", "source": BASE},
    )
    second, _ = applied(tmp_path, at(readings, 2, rsi=[60, 40]), settings, state)
    assert second.changes == (), "what stays is no change"
    third, _ = applied(tmp_path, at(readings, 3, rsi=[40, 40]), settings, state)
    assert third.changes == (
        {"symbol": "BTCUSDT", "key": "stage1.volume_z", "old": 4.0, "new": 2.5, "rule": None, "source": None},
    )
    (stats,) = third.stats
    assert (stats["evaluations"], stats["matched"], stats["applied"], stats["last_ms"]) == (6, 2, 2, 2 * MINUTE_MS)


def test_a_restart_between_any_two_minutes_changes_nothing(tmp_path, readings, settings):
    limits = {"hold_s": 120, "min_interval_s": 180}
    write(tmp_path, [rule("x", {"stage1.volume_z": 4.0}, value=50, limits=limits)], smoothing={"stage1.volume_z": 0.3})
    rng, whole, parts = np.random.default_rng(4), RuleState(), RuleState()
    for minute in range(1, 40):
        now = at(readings, minute, rsi=rng.uniform(0, 100, 2))
        one, _ = applied(tmp_path, now, settings, whole)
        other, _ = applied(tmp_path, now, settings, parts)
        np.testing.assert_array_equal(one.stage1.values, other.stage1.values)
        assert one.changes == other.changes
        parts = RuleState.from_dict(orjson.loads(orjson.dumps(parts.to_dict())))
    assert whole.to_dict() == parts.to_dict()


def test_the_example_of_the_page_goes_as_the_page_says(tmp_path, readings, settings):
    page = (Path(__file__).parents[2] / "docs" / "threshold-rules.md").read_text(encoding="utf-8")
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "id: loud" in block)
    (tmp_path / BASE).write_text(text)
    state = RuleState()
    rows = re.findall(r"^\| (\d) \| ([\d.]+|unknown) \| ([\d.]+) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for minute, score, breadth, _, volume_z, vwap_z in rows:
        now = at(readings, int(minute), volume_z=[np.nan if score == "unknown" else float(score)] * 2)
        now = replace(now, market={**now.market, "market_breadth": float(breadth)})
        outcome, problem = applied(tmp_path, now, settings, state)
        assert problem is None
        found = run_stage1(now, MarketSnapshot.of(SYMBOLS), settings, {}, rules=outcome.stage1).thresholds
        expected = [float(cell.split("= ")[-1]) for cell in (volume_z, vwap_z)]
        assert [found["volume_z"][0], found["vwap_z"][0]] == pytest.approx(expected), f"bar {minute}"


def test_a_move_that_begins_out_of_its_bounds_is_refused():
    with pytest.raises(
        SettingsError, match=r"episodes.move_pct_up must be within .* 0.002 and move_pct_most 0.1, was 0.2"
    ):
        load_settings(environ={}, overrides={"STAGE2_CONFIG": {"episodes": {"move_pct_up": 0.2}}})


# ── Files that change ──


def test_an_edit_takes_effect_at_the_next_look(tmp_path, readings, settings):
    state = RuleState()
    write(tmp_path, [rule("x", {"stage1.volume_z": 4.0})])
    assert applied(tmp_path, at(readings, 1), settings, state)[0].changes[0]["new"] == 4.0
    write(tmp_path, [rule("x", {"stage1.volume_z": 5.0})])
    assert applied(tmp_path, at(readings, 2), settings, state)[0].changes[0]["new"] == 5.0
    (tmp_path / BASE).unlink()
    assert applied(tmp_path, at(readings, 3), settings, state)[0].changes[0]["new"] == 2.5, "as without rules"


def test_a_broken_edit_leaves_the_last_good_rules_in_force_in_another_process_too(tmp_path, readings, settings):
    state = RuleState()
    write(tmp_path, [rule("x", {"stage1.volume_z": 4.0})])
    applied(tmp_path, at(readings, 1), settings, state)
    write(tmp_path, [rule("x", {"stage1.volume_y": 5.0})])
    state = RuleState.from_dict(orjson.loads(orjson.dumps(state.to_dict())))
    outcome, problem = applied(tmp_path, at(readings, 2), settings, state)
    assert f"{BASE}: rule x: rules[0].actions.stage1.volume_y: there is no key 'stage1.volume_y'" in problem
    assert outcome.stage1.values[0].tolist() == [4.0, 4.0]
    assert outcome.changes == ()
    write(tmp_path, [rule("x", {"stage1.volume_z": 5.0})])
    outcome, problem = applied(tmp_path, at(readings, 3), settings, state)
    assert problem is None
    assert outcome.stage1.values[0].tolist() == [5.0, 5.0]


def test_last_good_rules_that_a_new_grammar_refuses_are_no_rules_and_it_is_said(tmp_path):
    state = RuleState(sources={BASE: "rules: [{id: x}]"})
    book, problem = load_book(tmp_path / "none", state)
    assert book.rules == ()
    assert "no such directory" in problem
    assert "of those that were good before: threshold_rules.yaml: rule x: rules[0].when: is missing" in problem


def test_without_any_good_rules_there_are_none_and_it_is_said(tmp_path, readings, settings):
    outcome, problem = applied(tmp_path / "none", readings, settings)
    assert "no such directory of threshold rules" in problem
    assert np.isnan(outcome.stage1.values).all()
    assert outcome.stats == ()


def test_the_shipped_rules_run_over_whatever_is_unknown(readings, settings):
    blank = replace(readings, values={name: np.full(2, np.nan) for name in readings.values}, market={})
    outcome, problem = applied(None, blank, settings)
    assert problem is None
    assert outcome.changes == ()
    assert np.isnan(outcome.stage1.values).all()
