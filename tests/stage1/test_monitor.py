"""The alert logic, fed with triggers made by hand: one symbol's evidence bar by bar."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aione.errors import ConfigError
from aione.panel import MINUTE_MS
from aione.stage1 import MonitorState, TriggerResult
from aione.stage1.monitor import UNGATED, step_monitor, weigh
from config.models import Stage1MonitorParams

START_MS = 1_750_000_020_000
PARAMS = Stage1MonitorParams()


def fired(*strengths: float, side: int = 0) -> TriggerResult:
    """One trigger's answer; a strength above 0 is a trigger that fired."""
    strength = np.array(strengths, dtype=np.float64)
    on = strength > 0.0
    return TriggerResult(on, np.where(on, side, 0).astype(np.int8), strength, strength, np.zeros(len(strengths)))


def together(triggers, weights=None, *, low_volatility=None):
    size = len(next(iter(triggers.values())).fired)
    gate = np.zeros(size, dtype=bool) if low_volatility is None else np.array(low_volatility)
    return weigh(triggers, weights or dict.fromkeys(triggers, 1.0), gate)


class Symbol:
    """One symbol followed bar by bar; ``bar`` returns whether it is in ALERT and whether that was announced."""

    def __init__(self, params: Stage1MonitorParams = PARAMS, *, survives_restart: bool = False) -> None:
        self.params, self.states, self.now_ms, self.restarts = params, {}, START_MS - MINUTE_MS, survives_restart

    def bar(self, evidence, *, name="x", side=0, minutes=1, scored=True):
        self.now_ms += minutes * MINUTE_MS
        if self.restarts:
            stored = orjson.dumps({symbol: state.to_dict() for symbol, state in self.states.items()})
            self.states = {symbol: MonitorState.from_dict(value) for symbol, value in orjson.loads(stored).items()}
        weighed = together({name: fired(evidence, side=side)})
        found = step_monitor(("AUSDT",), self.now_ms, weighed, np.array([scored]), self.states, self.params)
        self.states = found.states
        return bool(found.alert[0]), bool(found.announced[0])

    @property
    def state(self):
        return self.states["AUSDT"]


# ── Evidence, side, gate ──


@given(
    strengths=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6),
    weights=st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6),
)
@effort(deadline=None)
def test_evidence_is_what_independent_witnesses_leave_of_doubt(strengths, weights):
    names = [f"t{k}" for k in range(len(strengths))]
    weighed = together(
        {name: fired(s) for name, s in zip(names, strengths, strict=True)}, dict(zip(names, weights, strict=False))
    )
    doubt = 1.0
    for strength, weight in zip(strengths, weights, strict=False):
        doubt *= 1.0 - weight * strength
    assert weighed.evidence[0] == pytest.approx(1.0 - doubt, abs=1e-12)
    assert 0.0 <= weighed.evidence[0] <= 1.0


def test_no_trigger_is_no_evidence():
    weighed = weigh({}, {}, np.zeros(3, dtype=bool))
    assert weighed.evidence.tolist() == [0.0, 0.0, 0.0]
    assert weighed.side.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("up", "down", "neutral", "side"), [(0.5, 0.4, 1.0, 1), (0.4, 0.5, 1.0, -1), (0.5, 0.5, 1.0, 0), (0.0, 0.0, 1.0, 0)]
)
def test_side_is_the_weighted_vote_of_the_sided(up, down, neutral, side):
    triggers = {"u": fired(up, side=1), "d": fired(down, side=-1), "n": fired(neutral)}
    assert together(triggers).side.tolist() == [side]


def test_a_heavy_trigger_outvotes_a_strong_one():
    triggers = {"u": fired(0.5, side=1), "d": fired(1.0, side=-1)}
    assert together(triggers, {"u": 0.9, "d": 0.4}).side.tolist() == [1]


def test_a_tie_by_different_ways_of_adding_is_a_tie():
    """0.1 + 0.2 is not 0.3 in floating point, and that is no reason to take a side."""
    triggers = {"a": fired(0.1, side=1), "b": fired(0.2, side=1), "c": fired(0.3, side=-1)}
    assert together(triggers).side.tolist() == [0]


def test_the_gate_blocks_all_but_breakouts_and_vwap():
    assert {"breakout_up", "breakout_down", "vwap_deviation"} == UNGATED
    triggers = {"breakout_up": fired(0.5, 0.5, side=1), "volume_spike": fired(0.5, 0.5), "near_low": fired(0.0, 0.0)}
    weighed = together(triggers, low_volatility=[False, True])
    np.testing.assert_allclose(weighed.evidence, [0.75, 0.5])
    assert weighed.gated.tolist() == [False, True]
    assert [weighed.key(0), weighed.key(1)] == ["+1:breakout_up,volume_spike", "+1:breakout_up"]


def test_a_closed_gate_that_blocked_nothing_is_not_told():
    weighed = together({"vwap_deviation": fired(0.5), "near_low": fired(0.0)}, low_volatility=[True])
    assert weighed.gated.tolist() == [False]


# ── Hysteresis and hold ──


def test_alert_begins_at_on_and_ends_below_off():
    one = Symbol()
    assert [one.bar(e)[0] for e in (0.59, 0.60, 0.45, 0.40, 0.39, 0.59)] == [False, True, True, True, False, False]


@pytest.mark.parametrize("hold", [1, 2, 5])
def test_an_alert_holds_its_bars_whatever_comes(hold):
    one = Symbol(PARAMS.model_copy(update={"min_hold_bars": hold}))
    assert one.bar(0.9)[0]
    assert [one.bar(0.0)[0] for _ in range(hold)] == [True] * (hold - 1) + [False]


def test_the_state_counts_bars_and_tells_since_when():
    one = Symbol()
    one.bar(0.0)
    assert (one.state.bars_held, one.state.since_ms, one.state.is_alert) == (0, START_MS, False)
    one.bar(0.9)
    one.bar(0.5)
    assert (one.state.bars_held, one.state.since_ms) == (2, START_MS + MINUTE_MS)
    assert one.state.evidence == 0.5
    one.bar(0.1)
    assert (one.state.bars_held, one.state.since_ms, one.state.side) == (0, START_MS + 3 * MINUTE_MS, 0)


def test_bars_that_no_run_saw_count_as_held():
    one = Symbol()
    one.bar(0.9)
    assert one.bar(0.5, minutes=5) == (True, False)
    assert one.state.bars_held == 6
    assert one.bar(0.0) == (False, False)


def test_the_side_of_an_alert_is_the_last_vote_that_was_no_tie():
    one = Symbol()
    one.bar(0.9, side=-1)
    assert one.state.side == -1
    one.bar(0.5, side=0)
    assert one.state.side == -1


def test_an_alert_lapses_when_nobody_scored_it_for_longer_than_the_cooldown():
    one = Symbol()
    one.bar(0.9)
    assert one.bar(0.5, minutes=15)[0]
    assert one.bar(0.5, minutes=16)[0] is False


def test_without_cooldown_an_alert_still_holds():
    one = Symbol(PARAMS.model_copy(update={"cooldown_s": 0.0}))
    assert [one.bar(e)[0] for e in (0.9, 0.5, 0.5)] == [True, True, True]


def test_inverted_hysteresis_is_refused():
    with pytest.raises(ConfigError, match=r"alert_off must not be above alert_on 0\.6, was 0\.7"):
        Symbol(PARAMS.model_copy(update={"alert_off": 0.7})).bar(0.9)


# ── Announcing ──


@pytest.mark.parametrize("survives_restart", [False, True])
def test_the_same_alert_is_announced_once_in_its_cooldown(survives_restart):
    one = Symbol(survives_restart=survives_restart)
    told = [one.bar(0.9 if minute % 4 == 0 else 0.0)[1] for minute in range(33)]
    assert [minute for minute, was in enumerate(told) if was] == [0, 16, 32]


def test_the_cooldown_ends_with_its_last_second():
    for minutes, again in ((14, False), (15, True)):
        one = Symbol()
        assert one.bar(0.9) == (True, True)
        for _ in range(3):
            one.bar(0.0)
        assert one.bar(0.9, minutes=minutes - 3) == (True, again)


def test_another_trigger_set_or_side_is_another_alert():
    one = Symbol()
    for minute, (name, side, announced) in enumerate(
        [("x", 0, True), ("y", 0, True), ("x", 1, True), ("x", -1, True), ("x", 1, False), ("y", 0, False)]
    ):
        assert one.bar(0.9, name=name, side=side) == (True, announced), minute
        one.bar(0.0)
        one.bar(0.0)


def test_an_alert_that_goes_on_is_not_new():
    one = Symbol()
    assert one.bar(0.9, name="x")[1]
    assert not one.bar(0.9, name="y")[1]
    assert not one.bar(0.9, name="y", side=1)[1]


def test_an_alert_that_turns_over_is_new_when_the_evidence_is_enough():
    one = Symbol()
    assert one.bar(0.9, side=1) == (True, True)
    assert one.bar(0.5, side=-1) == (True, False)
    assert one.bar(0.9, side=1) == (True, False)
    assert one.bar(0.9, side=-1) == (True, True)
    assert one.state.bars_held == 1


def test_what_was_announced_is_forgotten_after_its_cooldown():
    one = Symbol()
    for minute in range(60):
        one.bar(0.9 if minute % 3 == 0 else 0.0, name=f"t{minute}")
        assert len(one.state.announced) <= 5


# ── Running again, not scored, not in the run ──


def test_the_same_bar_twice_changes_nothing():
    one = Symbol()
    one.bar(0.0)
    assert one.bar(0.9) == (True, True)
    before = dict(one.states)
    assert one.bar(0.9, minutes=0) == (True, False)
    assert one.bar(0.0, minutes=0) == (True, False)
    assert dict(one.states) == before


def test_an_older_bar_changes_nothing():
    one = Symbol()
    one.bar(0.9)
    one.bar(0.9)
    before = dict(one.states)
    one.bar(0.0, minutes=-1)
    assert dict(one.states) == before


def test_a_symbol_that_is_not_scored_is_not_alerted_and_keeps_its_state():
    one = Symbol()
    assert one.bar(0.9, scored=False) == (False, False)
    assert one.state == MonitorState()
    one.bar(0.9)
    before = one.state
    assert one.bar(0.9, scored=False) == (False, False)
    assert one.state == before
    assert one.bar(0.5) == (True, False)


def test_a_symbol_that_leaves_the_run_is_remembered_until_it_can_not_matter():
    weighed = together({"x": fired(0.9)})
    yes = np.array([True])
    states = step_monitor(("AUSDT",), START_MS, weighed, yes, {}, PARAMS).states
    for minute in range(1, 16):
        states = step_monitor(("BUSDT",), START_MS + minute * MINUTE_MS, weighed, yes, states, PARAMS).states
        assert states["AUSDT"].is_alert
    states = step_monitor(("BUSDT",), START_MS + 16 * MINUTE_MS, weighed, yes, states, PARAMS).states
    assert list(states) == ["BUSDT"]


@effort(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_symbols_together_are_each_one_alone(seed):
    """The columns agree with a plain walk of one symbol after the other, through JSON at every step."""
    rng = np.random.default_rng(seed)
    size, bars = 5, 30
    symbols = tuple(f"S{k}USDT" for k in range(size))
    evidence, scored = rng.random((bars, size)), rng.random((bars, size)) < 0.9
    sides, steps = rng.integers(-1, 2, bars), rng.choice([0, 1, 1, 1, 2, 20], bars)
    alone = [Symbol(survives_restart=True) for _ in symbols]
    states, now_ms = {}, START_MS - MINUTE_MS
    for bar in range(bars):
        now_ms += int(steps[bar]) * MINUTE_MS
        weighed = together({"x": fired(*evidence[bar], side=int(sides[bar]))})
        found = step_monitor(symbols, now_ms, weighed, scored[bar], states, PARAMS)
        states = found.states
        for row, one in enumerate(alone):
            answer = one.bar(
                evidence[bar, row], side=int(sides[bar]), minutes=int(steps[bar]), scored=bool(scored[bar, row])
            )
            assert answer == (found.alert[row], found.announced[row])
            assert one.state == states[symbols[row]]
