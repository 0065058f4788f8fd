"""The monitor against a slow model of one symbol, written from its rules: clocks that jump, gaps, restarts."""

from __future__ import annotations

import numpy as np
import orjson
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aione.panel import MINUTE_MS
from aione.stage1 import MonitorState, TriggerResult
from aione.stage1.monitor import SILENCES, step_monitor, weigh
from config.models import Stage1MonitorParams

START_MS = 1_750_000_020_000
SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")


class Model:
    """What the rules say of one symbol; None is a symbol that nothing is remembered of."""

    def __init__(self, params):
        self.on, self.off = params.alert_on, params.alert_off
        self.hold_ms, self.cooldown_ms = params.min_hold_bars * MINUTE_MS, params.cooldown_s * 1000
        self.lapse_ms = max(self.hold_ms, self.cooldown_ms)
        self.alert, self.side, self.since, self.last, self.told = False, 0, None, None, {}

    def absent(self, now):
        """A run without this symbol: it is forgotten once nothing of it can matter."""
        if self.last is not None and abs(now - self.last) > self.lapse_ms:
            self.alert, self.side, self.since, self.last, self.told = False, 0, None, None, {}

    def bar(self, now, evidence, side, names, *, scored):
        """Return whether it is in ALERT, whether that is announced, and why not."""
        if not scored:
            return False, False, ""
        if self.last is not None and self.last - now > self.lapse_ms:
            self.alert, self.since, self.last = False, None, None  # a clock was wrong
            self.told = {key: at for key, at in self.told.items() if at <= now}
        if self.last is not None and now <= self.last:
            return self.alert, False, "seen" if self.alert else ""
        continues = self.alert and now - self.last <= self.lapse_ms
        if continues:
            alert = evidence >= self.off or now - self.since < self.hold_ms
            turned = evidence >= self.on and side * self.side == -1
            begins = turned
        else:
            alert = begins = evidence >= self.on
        if begins or self.last is None or alert != self.alert:
            self.since = now
        self.side = (side or (self.side if continues else 0)) if alert else 0
        self.alert, self.last = alert, now
        if not alert:
            return False, False, ""
        if not begins:
            return True, False, "ongoing" if evidence >= self.on else "held" if evidence >= self.off else "min_hold"
        self.told = {key: at for key, at in self.told.items() if 0 <= now - at < self.cooldown_ms}
        if (side, names) in self.told:
            return True, False, "cooldown"
        self.told[side, names] = now
        return True, True, ""


def outcomes(evidence, side, also):
    """Two triggers whose evidence together is as wished; the second one fires where ``also``, adding nothing."""
    zero = np.zeros(len(evidence))
    first, second = np.array(evidence) > 0.0, np.array(also) & (np.array(evidence) > 0.0)
    whole = TriggerResult(first, (first * np.array(side)).astype(np.int8), np.array(evidence), zero, zero)
    none = TriggerResult(second, np.zeros(len(evidence), dtype=np.int8), zero, zero, zero)
    return weigh({"x": whole, "y": none}, {"x": 1.0, "y": 1.0}, np.zeros(len(evidence), dtype=bool))


def reborn(states):
    """States as another release stored them: through JSON, with a field that this one does not know."""
    stored = orjson.dumps({name: {**state.to_dict(), "mood": "calm"} for name, state in states.items()})
    return {name: MonitorState.from_dict(state) for name, state in orjson.loads(stored).items()}


EVIDENCE = [0.0, 0.2, 0.39, 0.4, 0.5, 0.59, 0.6, 0.8, 1.0]
MINUTES = [*[1] * 10, *(2, 3, 5, 14, 15, 16, 17, 300), *(0, -1, -2, -14, -16, -300)]
UNIVERSES = [*[SYMBOLS] * 6, SYMBOLS[:1], SYMBOLS[1:], SYMBOLS[::-1]]


@effort(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    params=st.builds(
        Stage1MonitorParams, min_hold_bars=st.integers(1, 4), cooldown_s=st.sampled_from([0.0, 60.0, 300.0, 900.0])
    ),
)
def test_the_monitor_does_what_its_rules_say(seed, params):
    rng = np.random.default_rng(seed)
    models = {symbol: Model(params) for symbol in SYMBOLS}
    states, now = {}, START_MS
    for _ in range(60):
        now += MINUTES[rng.integers(len(MINUTES))] * MINUTE_MS
        universe = UNIVERSES[rng.integers(len(UNIVERSES))]
        states = reborn(states) if rng.random() < 0.25 else states
        size = len(universe)
        strength, side = rng.choice(EVIDENCE, size), rng.integers(-1, 2, size)
        also, scored = rng.random(size) < 0.5, rng.random(size) < 0.85
        found = step_monitor(universe, now, outcomes(strength, side, also), scored, states, params)
        states = found.states
        for row, symbol in enumerate(universe):
            has = bool(strength[row] > 0.0)
            names = ("x", "y") if also[row] and has else ("x",)
            expected = models[symbol].bar(now, strength[row], int(side[row]) * has, names, scored=scored[row])
            assert (found.alert[row], found.announced[row], SILENCES[found.silence[row]]) == expected
        for symbol in SYMBOLS:
            if symbol not in universe:
                models[symbol].absent(now)
            agree(models[symbol], states.get(symbol, MonitorState()), now)


def agree(model, state, now):
    assert state.last_bar_ms == (model.last or 0) or (model.last is None and state.last_bar_ms > now)
    if model.last is None:
        return
    assert (state.is_alert, state.side) == (model.alert, model.side)
    assert state.since_ms == model.since
    assert state.bars_held == ((model.last - model.since) // MINUTE_MS + 1 if model.alert else 0)
    recent = {at for at in state.announced.values() if 0 <= now - at < model.cooldown_ms}
    assert recent == {at for at in model.told.values() if 0 <= now - at < model.cooldown_ms}


# ── What happens to clocks and symbols, one by one ──

PARAMS = Stage1MonitorParams()


def step(now_ms, states, strength=0.9, symbols=("AUSDT",)):
    weighed = outcomes([strength] * len(symbols), [1] * len(symbols), [False] * len(symbols))
    return step_monitor(symbols, now_ms, weighed, np.ones(len(symbols), dtype=bool), states, PARAMS)


def test_a_state_from_a_clock_that_was_hours_ahead_does_not_freeze_the_symbol():
    ahead = step(START_MS + 180 * MINUTE_MS, {}).states
    found = step(START_MS, ahead, strength=0.0)
    assert not found.alert[0]
    assert found.states["AUSDT"].last_bar_ms == START_MS
    found = step(START_MS + MINUTE_MS, found.states)
    assert found.announced[0]


def test_a_state_that_has_lost_its_last_bar_says_nothing_of_a_future():
    lost = {"AUSDT": MonitorState(is_alert=True, since_ms=START_MS + 60 * MINUTE_MS, announced={"+1:x": START_MS * 2})}
    assert not step(START_MS, lost, strength=0.0).alert[0]
    assert step(START_MS, lost).announced[0]


def test_a_late_run_of_an_older_bar_leaves_the_newer_state():
    newer = step(START_MS, {}).states
    found = step(START_MS - 10 * MINUTE_MS, newer, strength=0.0)
    assert found.alert[0]
    assert SILENCES[found.silence[0]] == "seen"
    assert dict(found.states) == dict(newer)


def test_an_alert_before_a_gap_of_hours_is_not_the_alert_after_it():
    before = step(START_MS, {}).states
    found = step(START_MS + 300 * MINUTE_MS, before)
    assert (found.alert[0], found.announced[0]) == (True, True)
    assert found.states["AUSDT"].bars_held == 1


def test_a_symbol_that_leaves_and_returns_within_the_cooldown_is_not_announced_again():
    states = step(START_MS, {}).states
    for minute in range(1, 6):
        states = step(START_MS + minute * MINUTE_MS, states, symbols=("BUSDT",)).states
    found = step(START_MS + 6 * MINUTE_MS, states)
    assert (found.alert[0], found.announced[0], SILENCES[found.silence[0]]) == (True, False, "ongoing")
    states = found.states
    for minute in range(7, 30):
        states = step(START_MS + minute * MINUTE_MS, states, symbols=("BUSDT",)).states
    assert "AUSDT" not in states
    assert step(START_MS + 30 * MINUTE_MS, states).announced[0]
