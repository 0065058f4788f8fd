from __future__ import annotations

import dataclasses
import json

import numpy as np
import orjson
import pytest

from aione.stage1 import MonitorState, MonitorStates

SOME = {
    "AUSDT": MonitorState(True, -1, 60_000, 3, 0.75, {"-1:breakout_down": 60_000}, 180_000),
    "币安人生USDT": MonitorState(last_bar_ms=180_000),
    "GONEUSDT": MonitorState(last_bar_ms=120_000),
}


def test_a_state_survives_json():
    state = SOME["AUSDT"]
    assert MonitorState.from_dict(orjson.loads(orjson.dumps(state.to_dict()))) == state


def test_a_state_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SOME["AUSDT"].side = 1


def test_a_state_of_another_release_keeps_what_it_says():
    """A field that is not known is left out, one that is missing takes its default."""
    stored = SOME["AUSDT"].to_dict()
    assert MonitorState.from_dict({**stored, "colour": "red"}) == SOME["AUSDT"]
    for name, fresh in MonitorState().to_dict().items():
        without = {key: value for key, value in stored.items() if key != name}
        assert MonitorState.from_dict(without) == dataclasses.replace(SOME["AUSDT"], **{name: fresh})


@pytest.mark.parametrize(
    "change",
    [
        {"is_alert": "yes"},
        {"is_alert": 1},
        {"side": 2},
        {"side": -1.0},
        {"side": None},
        {"since_ms": -1},
        {"since_ms": 180_001},
        {"bars_held": -1},
        {"bars_held": 2**70},
        {"evidence": None},
        {"evidence": 1.5},
        {"evidence": float("nan")},
        {"evidence": "0.7"},
        {"announced": None},
        {"announced": ["x"]},
        {"announced": {"x": "soon"}},
        {"announced": {"x": 180_001}},
        {"last_bar_ms": 2**70},
        {"last_bar_ms": True},
    ],
)
def test_what_no_monitor_can_have_been_in_is_no_state(change):
    assert MonitorState.from_dict({**SOME["AUSDT"].to_dict(), **change}) == MonitorState()


@pytest.mark.parametrize("stored", [None, 7, "x", [], {}])
def test_what_is_no_mapping_is_no_state(stored):
    assert MonitorState.from_dict(stored) == MonitorState()


def test_columns_give_back_the_records_they_were_made_of():
    states = MonitorStates.aligned(("币安人生USDT", "AUSDT"), SOME)
    assert dict(states) == SOME
    assert states == SOME
    assert list(states) == ["币安人生USDT", "AUSDT", "GONEUSDT"]
    assert len(states) == 3
    assert list(states.others) == ["GONEUSDT"]


def test_records_hold_plain_values():
    state = MonitorStates.aligned(("AUSDT",), SOME)["AUSDT"]
    assert json.loads(json.dumps(state.to_dict())) == SOME["AUSDT"].to_dict()
    assert type(state.is_alert) is bool
    assert type(state.since_ms) is int


def test_a_symbol_without_a_state_gets_a_fresh_one():
    states = MonitorStates.aligned(("NEWUSDT",), {})
    assert states["NEWUSDT"] == MonitorState()
    assert "AUSDT" not in states
    with pytest.raises(KeyError):
        _ = states["AUSDT"]


def test_aligning_to_the_same_symbols_costs_nothing_and_to_others_loses_nothing():
    states = MonitorStates.aligned(("AUSDT", "GONEUSDT"), SOME)
    assert MonitorStates.aligned(("AUSDT", "GONEUSDT"), states) is states
    again = MonitorStates.aligned(("GONEUSDT", "NEWUSDT"), states)
    assert again == {**SOME, "NEWUSDT": MonitorState()}


def test_no_symbols_are_no_columns():
    states = MonitorStates.aligned((), {})
    assert len(states) == 0
    assert states.is_alert.dtype == np.bool_
    assert repr(states) == "MonitorStates(0 symbols, 0 in ALERT)"
