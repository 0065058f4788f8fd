"""ALERT or NORMAL: evidence of the fired triggers, hysteresis, a shortest stay, and no alert announced twice.

1. A trigger that fired adds ``weight x strength``; the evidence is ``1 - prod(1 - weight x strength)``.
2. In a market that hardly moves (ATR fraction below ``low_gate``) only breakouts and VWAP deviations count.
3. NORMAL turns to ALERT at ``alert_on`` or more evidence, and back below ``alert_off``, not before ``min_hold_bars``.
4. The side is the sign of the vote of the sided triggers, each with its ``weight x strength``.
5. An alert is new when NORMAL turned to ALERT, or when an ALERT's side turned over with ``alert_on`` evidence.
6. A new alert is announced unless the same (symbol, side, set of triggers) was within ``cooldown_s``, in bar time.
7. An ALERT of a symbol that was not scored for longer than the cooldown (and the shortest stay) has lapsed.

A bar that is not later than the last one a state has seen changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.errors import ConfigError
from aione.panel import B1, F8, I8, MINUTE_MS
from aione.stage1.inputs import I1, TriggerResult
from aione.stage1.states import MonitorState, MonitorStates
from config.models import Stage1MonitorParams

UNGATED: Final = frozenset({"breakout_up", "breakout_down", "vwap_deviation"})
"""Triggers that count in a market that hardly moves."""

_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Weighed:
    """The triggers' votes together.

    Attributes
    ----------
    names : tuple of str, length N
    counted : bool (N, S)
        Fired and not blocked by the gate.
    evidence : float64 (S,) in [0, 1]
    side : int8 (S,)
    gated : bool (S,)
        The gate blocked a trigger that fired.
    """

    names: tuple[str, ...]
    counted: B1
    evidence: F8
    side: I1
    gated: B1

    def key(self, row: int) -> str:
        """Return what makes two alerts of one symbol the same: side and set of triggers, ``"+1:breakout_up"``."""
        names = sorted(name for name, counts in zip(self.names, self.counted[:, row].tolist(), strict=True) if counts)
        return f"{self.side[row]:+d}:{','.join(names)}"


def weigh(results: Mapping[str, TriggerResult], weights: Mapping[str, float], low_volatility: B1) -> Weighed:
    """Put the triggers together; ``low_volatility`` (S,) is where the gate is closed."""
    names = tuple(results)
    shape = (len(names), len(low_volatility))
    fired, side, mass = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.int8), np.zeros(shape)
    for row, (name, found) in enumerate(results.items()):
        fired[row], side[row] = found.fired, found.side
        np.multiply(found.strength, weights[name], out=mass[row])
    exempt = np.array([name in UNGATED for name in names], dtype=np.bool_)
    blocked = fired & low_volatility & ~exempt[:, np.newaxis]
    counted = fired & ~blocked
    mass *= counted
    vote = (mass * side).sum(axis=0)
    return Weighed(
        names,
        counted,
        evidence=1.0 - np.prod(1.0 - mass, axis=0),
        side=(vote > _TIE).astype(np.int8) - (vote < -_TIE).astype(np.int8),
        gated=np.logical_or.reduce(blocked, axis=0),
    )


@dataclass(frozen=True, slots=True)
class Monitored:
    """The monitor's answer: ``alert`` and ``announced`` are bool (S,), ``states`` holds what to remember."""

    alert: B1
    announced: B1
    states: MonitorStates


def step_monitor(
    symbols: tuple[str, ...],
    bar_ms: int,
    weighed: Weighed,
    scored: B1,
    states: Mapping[str, MonitorState],
    params: Stage1MonitorParams,
) -> Monitored:
    """Move every scored symbol's state on by the bar that opened at ``bar_ms``.

    States of symbols that were not scored, or have seen this bar before, come back unchanged; so do those of symbols
    that are not in this run, until nothing of them can matter any more.

    Raises
    ------
    ConfigError
        ``alert_off`` is above ``alert_on``.
    """
    if params.alert_off > params.alert_on:
        raise ConfigError(
            f"STAGE1_MONITOR_PARAMS.alert_off must not be above alert_on {params.alert_on}, was {params.alert_off}"
        )
    old = MonitorStates.aligned(symbols, states)
    lapse_ms = max(round(params.cooldown_s * 1000), params.min_hold_bars * MINUTE_MS)
    moves = scored & (bar_ms > old.last_bar_ms)
    was = old.is_alert & (bar_ms - old.last_bar_ms <= lapse_ms)
    must_stay = (bar_ms - old.since_ms) // MINUTE_MS < params.min_hold_bars
    enough = weighed.evidence >= params.alert_on
    alert = np.where(was, must_stay | (weighed.evidence >= params.alert_off), enough)
    is_new = alert & (~was | (enough & (weighed.side * old.side < 0)))
    since_ms = np.where(is_new | (alert != old.is_alert) | (old.last_bar_ms == 0), bar_ms, old.since_ms)
    side = np.where(weighed.side != 0, weighed.side, was * old.side) * alert
    announced, memory = _announce(np.flatnonzero(moves & is_new), bar_ms, weighed, old.announced, params)
    new = MonitorStates(
        symbols,
        is_alert=np.where(moves, alert, old.is_alert),
        side=np.where(moves, side, old.side),
        since_ms=np.where(moves, since_ms, old.since_ms),
        bars_held=np.where(moves, alert * ((bar_ms - since_ms) // MINUTE_MS + 1), old.bars_held),
        evidence=np.where(moves, weighed.evidence, old.evidence),
        last_bar_ms=np.where(moves, bar_ms, old.last_bar_ms),
        announced=memory,
        others={name: state for name, state in old.others.items() if bar_ms - state.last_bar_ms <= lapse_ms},
    )
    return Monitored(alert=scored & new.is_alert, announced=announced, states=new)


def _announce(
    rows: I8, bar_ms: int, weighed: Weighed, told: Sequence[Mapping[str, int]], params: Stage1MonitorParams
) -> tuple[B1, list[Mapping[str, int]]]:
    """Return which of the new alerts in ``rows`` are announced, and what every row then remembers of it."""
    announced = np.zeros(len(told), dtype=np.bool_)
    memory = list(told)
    for row in rows.tolist():
        recent = {key: at_ms for key, at_ms in told[row].items() if bar_ms - at_ms < params.cooldown_s * 1000}
        key = weighed.key(row)
        if key not in recent:
            announced[row] = True
            recent[key] = bar_ms
        memory[row] = recent
    return announced, memory


__all__ = ["UNGATED", "MonitorState", "Monitored", "Weighed", "step_monitor", "weigh"]
