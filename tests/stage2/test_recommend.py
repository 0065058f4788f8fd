"""The table and the gates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.stage2.recommend import GATES, NONE, TABLE, WAIT, WORDS, gate, recommend
from aione.stage2.risk import RISK_CLASSES
from aione.stage2.scenarios import SCENARIO_SIDES, SCENARIOS
from config.models import RecoThresholds
from config.settings import RECOMMENDATIONS

MIRROR = {
    "BULLISH_BREAKOUT": "BEARISH_BREAKDOWN",
    "BULLISH_REVERSAL": "BEARISH_REVERSAL",
    "BULLISH_CONTROL": "BEARISH_CONTROL",
} | {name: name for name in ("RANGE_BOUND", "HIGH_VOLATILITY", "MANIPULATED", "UNCERTAIN")}
MIRROR |= {other: name for name, other in MIRROR.items()}
OPPOSITE = dict(WORDS.values()) | {down: up for up, down in WORDS.values()}


def ask(scenario, direction, confidence=0.5, risk="low", location=0.0):
    index = recommend(
        np.array([SCENARIOS.index(scenario)], dtype=np.int8),
        np.array([direction]),
        np.array([confidence]),
        np.array([RISK_CLASSES.index(risk)], dtype=np.int8),
        np.array([location]),
        RecoThresholds(),
    )[0]
    return None if index == NONE else RECOMMENDATIONS[index]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (("BULLISH_BREAKOUT", 0.8, 0.7), "STRONG_BUY"),
        (("BEARISH_CONTROL", -0.8, 0.7), "STRONG_SELL"),
        (("BULLISH_BREAKOUT", 0.8, 0.5), "BUY_IN_DIPS"),
        (("BULLISH_BREAKOUT", 0.8, 0.7, "high"), "BUY_IN_DIPS"),
        (("BULLISH_BREAKOUT", 0.8, 0.7, "low", -0.7), "BUY_IN_DIPS"),
        (("BEARISH_REVERSAL", -0.3, 0.4), "SELL_ON_RALLIES"),
        (("BULLISH_REVERSAL", 0.3, 0.4, "low", -0.8), "WAIT_FOR_CONFIRMATION"),
        (("BULLISH_CONTROL", 0.3, 0.4, "low", -0.95), "WAIT_FOR_CONFIRMATION"),
        (("BULLISH_CONTROL", 0.1, 0.4), "HOLD"),
        (("BULLISH_CONTROL", -0.1, 0.4), "WAIT_FOR_CONFIRMATION"),
        (("RANGE_BOUND", 0.1, 0.4, "low", 0.8), "RANGE_TRADE"),
        (("RANGE_BOUND", 0.9, 0.9, "low", 0.2), "HOLD"),
        (("RANGE_BOUND", 0.1, 0.4, "low", float("nan")), "HOLD"),
        (("HIGH_VOLATILITY", 0.9, 0.9, "medium"), "WAIT_FOR_CONFIRMATION"),
        (("HIGH_VOLATILITY", 0.9, 0.9, "high"), "AVOID_HIGH_RISK"),
        (("BULLISH_BREAKOUT", 0.9, 0.9, "extreme"), "AVOID_HIGH_RISK"),
        (("MANIPULATED", 0.9, 0.9), "AVOID"),
        (("UNCERTAIN", 0.5, 0.5), "WAIT_FOR_CONFIRMATION"),
        (("UNCERTAIN", 0.1, 0.5), "HOLD"),
        (("BULLISH_BREAKOUT", float("nan"), float("nan")), None),
    ],
)
def test_the_table_says(picture, expected):
    assert ask(*picture) == expected


@given(
    st.sampled_from(SCENARIOS),
    st.floats(-1, 1).filter(bool),
    st.floats(0, 1),
    st.sampled_from(RISK_CLASSES),
    st.floats(-1, 1) | st.just(float("nan")),
)
def test_long_and_short_are_mirror_images(scenario, direction, confidence, risk, location):
    up = ask(scenario, direction, confidence, risk, location)
    down = ask(MIRROR[scenario], -direction, confidence, risk, -location)
    assert down == OPPOSITE[up]


def test_every_recommendation_can_be_reached():
    reached = {
        ask(scenario, direction, confidence, risk, location)
        for scenario in SCENARIOS
        for direction in (-0.9, -0.3, 0.05, 0.3, 0.9)
        for confidence in (0.1, 0.9)
        for risk in RISK_CLASSES
        for location in (-1.0, 0.0, 1.0)
    }
    assert reached == set(RECOMMENDATIONS)


def test_every_row_of_the_table_is_needed(monkeypatch):
    rng = np.random.default_rng(0)
    size = 20_000
    pictures = (
        rng.integers(0, len(SCENARIOS), size).astype(np.int8),
        rng.uniform(-1, 1, size),
        rng.uniform(0, 1, size),
        rng.integers(0, 4, size).astype(np.int8),
        rng.uniform(-1, 1, size),
        RecoThresholds(),
    )
    whole = recommend(*pictures)
    for at in range(len(TABLE)):
        monkeypatch.setattr("aione.stage2.recommend.TABLE", TABLE[:at] + TABLE[at + 1 :])
        assert (recommend(*pictures) != whole).any(), TABLE[at]


def test_every_scenario_has_a_side_and_a_mirror():
    assert set(SCENARIO_SIDES) == set(MIRROR) == set(SCENARIOS)
    assert all(SCENARIO_SIDES[name] == -SCENARIO_SIDES[other] for name, other in MIRROR.items())


@pytest.mark.parametrize("name", GATES)
def test_each_gate_holds_entries_back_and_nothing_else(name):
    reco = np.array([RECOMMENDATIONS.index("STRONG_BUY"), RECOMMENDATIONS.index("HOLD"), NONE], dtype=np.int8)
    shut = {other: np.full(3, other == name) for other in GATES}
    final, reason = gate(reco, np.array([True, False, False]), shut)
    assert final.tolist() == [WAIT, reco[1], NONE]
    assert reason.tolist() == [GATES.index(name), NONE, NONE]


def test_the_first_gate_gives_the_reason():
    shut = {name: np.array([name != "stale_data"]) for name in GATES}
    _, reason = gate(np.zeros(1, dtype=np.int8), np.array([True]), shut)
    assert GATES[reason[0]] == "no_plan"


def test_open_gates_change_nothing():
    shut = {name: np.array([False]) for name in GATES}
    final, reason = gate(np.array([0], dtype=np.int8), np.array([True]), shut)
    assert (final[0], reason[0]) == (0, NONE)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_direction_is_no_entry_even_if_none_is_asked_for(scenario):
    easy = RecoThresholds(entry_direction=0.0, strong_direction=0.0, strong_confidence=0.0)
    index = recommend(
        np.array([SCENARIOS.index(scenario)], dtype=np.int8),
        np.zeros(1),
        np.ones(1),
        np.zeros(1, dtype=np.int8),
        np.zeros(1),
        easy,
    )[0]
    assert RECOMMENDATIONS[index] not in {"STRONG_BUY", "STRONG_SELL", "BUY_IN_DIPS", "SELL_ON_RALLIES"}
