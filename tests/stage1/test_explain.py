"""`Stage1Result.explain`: the words of the page that shows a symbol, checked against the columns they come from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import orjson
import pytest

from aione.panel import MINUTE_MS
from aione.stage1 import effective_thresholds, run_stage1
from aione.stage1.explain import OWN_THRESHOLD
from aione.stage1.monitor import SILENCES

BREAKOUT = {
    "close": 106.5,
    "prev_close": 104.0,
    "volume_z": 5.0,
    "relative_volume": 3.0,
    "body_frac": 0.8,
    "taker_imbalance": 0.4,
}
KEYS = [
    *("scored", "evidence", "side", "alert", "announced", "silence", "alert_on", "alert_off", "held_bars"),
    *("min_hold_bars", "cooldown_until_ms", "gated", "low_gate", "triggers", "failures", "context"),
]
TRIGGER_KEYS = ["name", "fired", "counted", "side", "strength", "weight", "value", "threshold", "layer"]


def run(one, settings, states=None, minute=0, **layers):
    readings = replace(one.readings(), open_time_ms=one.readings().open_time_ms + minute * MINUTE_MS)
    return run_stage1(readings, one.snapshot(), settings, states or {}, **layers)


def of(told, name):
    (found,) = (trigger for trigger in told["triggers"] if trigger["name"] == name)
    return found


def test_it_has_its_keys_and_survives_json(market, settings):
    told = run(market().set("BUSDT", **BREAKOUT), settings).explain(1)
    assert list(told) == KEYS
    assert all(list(trigger) == TRIGGER_KEYS for trigger in told["triggers"])
    assert list(told["low_gate"]) == ["value", "threshold", "layer"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert orjson.loads(orjson.dumps(told)) == told


def test_every_active_trigger_is_told_with_value_threshold_and_layer(market, settings):
    found = run(market().set("BUSDT", **BREAKOUT), settings, rules={"BUSDT": {"volume_z": (2.0, "rules:night")}})
    told = found.explain(1)
    assert [trigger["name"] for trigger in told["triggers"]] == list(found.triggers)
    assert of(told, "volume_spike") == {
        "name": "volume_spike",
        "fired": True,
        "counted": True,
        "side": 0,
        "strength": 1.0,
        "weight": 0.35,
        "value": 5.0,
        "threshold": 2.0,
        "layer": "rules:night",
    }
    quiet = of(told, "rsi_oversold")
    assert (quiet["fired"], quiet["counted"], quiet["strength"], quiet["value"], quiet["threshold"]) == (
        *(False, False, 0.0),
        *(50.0, 30.0),
    )
    assert (quiet["layer"], of(told, "bullish_div")["layer"]) == ("global", OWN_THRESHOLD)
    assert (told["alert"], told["announced"], told["side"], told["silence"]) == (True, True, 1, None)
    assert (told["alert_on"], told["alert_off"], told["held_bars"], told["min_hold_bars"]) == (0.6, 0.4, 1, 2)


def test_a_threshold_of_the_triggers_own_is_told_as_such(market, settings):
    told = run(market().set("AUSDT", vol_ratio=3.0), settings).explain(0)
    burst = of(told, "volatility_burst")
    assert (burst["value"], burst["threshold"], burst["layer"]) == (3.0, 2.0, OWN_THRESHOLD)


@pytest.mark.parametrize("seed", range(3))
def test_every_row_says_what_the_columns_say(market, settings, seed):
    one = market.random(seed, size=25)
    found = run(one, settings)
    thresholds = effective_thresholds(one.symbols, settings, market_state=found.market_state)
    for row in range(25):
        told = found.explain(row)
        assert told["scored"] == found.scored[row]
        assert told["low_gate"]["layer"] == thresholds.layer("low_gate", row)
        evidence = told["evidence"]
        assert (evidence is None) == bool(np.isnan(found.evidence[row]))
        doubt = 1.0
        for trigger in told["triggers"]:
            column = found.triggers[trigger["name"]]
            assert trigger["fired"] == column.fired[row]
            assert trigger["side"] == column.side[row]
            assert trigger["strength"] == column.strength[row]
            for name in ("value", "threshold"):
                known = getattr(column, name)[row]
                assert trigger[name] == (None if np.isnan(known) else known)
            named = [name for name in column.names if thresholds[name][row] == trigger["threshold"]]
            assert trigger["layer"] in {OWN_THRESHOLD, *(thresholds.layer(name, row) for name in named)}
            doubt *= 1.0 - trigger["weight"] * trigger["strength"] * trigger["counted"]
        if evidence is not None:
            assert evidence == pytest.approx(1.0 - doubt, abs=1e-12)


def test_a_gate_that_blocks_is_told_with_its_value(market, settings):
    told = run(market().set("BUSDT", **BREAKOUT, atr_frac=0.0003), settings).explain(1)
    assert told["gated"]
    assert told["low_gate"] == {"value": 0.0003, "threshold": 0.0004, "layer": "global"}
    assert (of(told, "volume_spike")["fired"], of(told, "volume_spike")["counted"]) == (True, False)
    assert of(told, "breakout_up")["counted"]


def test_what_is_unknown_is_none(market, settings):
    told = run(market().blank("BUSDT"), settings).explain(1)
    assert (told["scored"], told["alert"], told["evidence"], told["low_gate"]["value"]) == (False, False, None, None)
    assert all(trigger["value"] is None for trigger in told["triggers"])
    assert of(told, "liquidity_gap")["threshold"] is not None
    assert set(told["context"].values()) == {None}


def test_the_context_is_told(market, settings):
    one = market()
    readings = one.readings()
    known = {"relative_strength_rank": 0.9, "relative_strength": 0.01, "beta_btc": 1.5, "corr_btc": 0.8}
    values = {**readings.values, **{name: np.full(3, value) for name, value in known.items()}}
    shared = {"market_breadth": 0.25, "btc_regime": -1.0, "btc_return_60": float("nan"), "btc_atr_percentile": 0.5}
    found = run_stage1(replace(readings, values=values, market=shared), one.snapshot(), settings, {})
    assert found.explain(2)["context"] == {
        "rank_relative_strength": 0.9,
        "relative_strength": 0.01,
        "beta_btc": 1.5,
        "corr_btc": 0.8,
        "market_breadth": 0.25,
        "btc_regime": -1.0,
        "btc_return_60": None,
    }


# ── Why nothing is announced ──


RSI = {"on": 0.0, "between": 15.0, "off": 50.0, "over": 100.0}


def follow(market, settings, *bars):
    """Walk one symbol bar by bar and return what is told of each."""
    states, told = {}, []
    for minute, bar in enumerate(bars):
        found = run(market("AUSDT", base={"rsi": RSI[bar]}), settings, states, minute)
        states = found.states
        told.append(found.explain(0))
    return told


@pytest.fixture
def single(changed):
    """An RSI of 0 is 0.8 of evidence, one of 15 is 0.6, one of 50 is none; ALERT from 0.7, down to 0.5."""
    params = {
        "trigger_weights": {"rsi_oversold": 0.8, "rsi_overbought": 0.8},
        "alert_on": 0.7,
        "alert_off": 0.5,
        "min_hold_bars": 3,
    }
    return changed(STAGE1_MONITOR_PARAMS=params)


def test_a_silence_has_its_reason(market, single):
    bars = ["on", "on", "between", "off", "on", "off", "off", "off", "on"]
    told = follow(market, single, *bars)
    assert [one["alert"] for one in told] == [True, True, True, False, True, True, True, False, True]
    assert [one["announced"] for one in told] == [True, *[False] * 8]
    assert [one["silence"] for one in told] == [
        *(None, "ongoing", "held", None),
        *("cooldown", "min_hold", "min_hold", None, "cooldown"),
    ]
    assert {one["silence"] or "" for one in told} <= set(SILENCES)


def test_the_end_of_the_cooldown_is_told_until_it_is_over(market, single, bar_ms):
    bars = ["on", *["off"] * 20]
    told = follow(market, single, *bars)
    cooldown_ms = round(single.STAGE1_MONITOR_PARAMS.cooldown_s * 1000)
    assert [one["cooldown_until_ms"] for one in told] == [*[bar_ms + cooldown_ms] * 15, *[None] * 6]


def test_the_cooldown_of_an_alert_is_its_own_not_that_of_the_last_one(market, single, bar_ms):
    told = follow(market, single, *["on", *["off"] * 4, "over", *["off"] * 3, "on"])
    assert [one["announced"] for one in told] == [True, *[False] * 4, True, *[False] * 4]
    cooldown_ms = round(single.STAGE1_MONITOR_PARAMS.cooldown_s * 1000)
    assert (told[-2]["silence"], told[-2]["cooldown_until_ms"]) == (None, bar_ms + 5 * MINUTE_MS + cooldown_ms)
    assert (told[-1]["silence"], told[-1]["cooldown_until_ms"]) == ("cooldown", bar_ms + cooldown_ms)


def test_a_bar_that_was_seen_says_so(market, single):
    one = market("AUSDT", base={"rsi": 0.0})
    first = run(one, single)
    assert run(one, single, first.states).explain(0)["silence"] == "seen"


def test_a_result_that_is_changed_tells_the_change(market, settings):
    found = run(market().set("BUSDT", **BREAKOUT), settings)
    assert not found.explain(0)["alert"]
    assert replace(found, alert=np.ones(3, dtype=bool)).explain(0)["alert"]
