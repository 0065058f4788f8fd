"""ALERT or NORMAL: evidence of the fired triggers, hysteresis, a shortest stay, and no alert announced twice.

1. A trigger that fired adds ``weight x strength``; the evidence is ``1 - prod(1 - weight x strength)``.
2. In a market that hardly moves (ATR fraction below ``low_gate``) only breakouts and VWAP deviations count.
3. NORMAL turns to ALERT at ``alert_on`` or more evidence, and back below ``alert_off``, not before ``min_hold_bars``.
4. The side is the sign of the vote of the sided triggers, each with its ``weight x strength``.
5. An alert is new when NORMAL turned to ALERT, or when an ALERT's side turned over with ``alert_on`` evidence.
6. A new alert is announced unless the same (symbol, side, set of triggers) was within ``cooldown_s``, in bar time.
   An ALERT that is not announced has one of `SILENCES` as its reason.
7. An ALERT of a symbol that was not scored for longer than the cooldown (and the shortest stay) has lapsed.
8. A bar that is not later than the last one a state has seen changes nothing. A state from further ahead than 7 allows
   is of a clock that was wrong: it counts as none, and what it announced in that future is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
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

SILENCES: Final = ("", "ongoing", "held", "min_hold", "cooldown", "seen")
"""Why an ALERT is not announced; the first where it is, or where there is no ALERT.

``ongoing``: it began earlier, and its evidence is still enough; ``held``: between ``alert_off`` and ``alert_on``;
``min_hold``: below ``alert_off``, but too short a stay; ``cooldown``: new, but this side and set of triggers has just
been announced; ``seen``: the state has seen this bar, or a later one.
"""

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
    fired = np.array([found.fired for found in results.values()], dtype=np.bool_).reshape(shape)
    side = np.array([found.side for found in results.values()], dtype=np.int8).reshape(shape)
    mass = np.array([found.strength for found in results.values()], dtype=np.float64).reshape(shape)
    weight = np.array([weights[name] for name in names], dtype=np.float64)
    exempt = np.array([name in UNGATED for name in names], dtype=np.bool_)
    blocked = fired & low_volatility & ~exempt[:, np.newaxis]
    counted = fired & ~blocked
    mass *= weight[:, np.newaxis]
    mass[blocked] = 0.0
    vote = np.add.reduce(mass * side, axis=0)
    return Weighed(
        names,
        counted,
        evidence=1.0 - np.multiply.reduce(1.0 - mass, axis=0),
        side=(vote > _TIE).astype(np.int8) - (vote < -_TIE).astype(np.int8),
        gated=np.logical_or.reduce(blocked, axis=0),
    )


@dataclass(frozen=True, slots=True)
class Monitored:
    """The monitor's answer.

    Attributes
    ----------
    alert, announced : bool (S,)
    silence : int8 (S,)
        Index into `SILENCES`.
    states : MonitorStates
        What to remember.
    """

    alert: B1
    announced: B1
    silence: I1
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
    age_ms = bar_ms - old.last_bar_ms
    is_fresh = (old.last_bar_ms == 0) | (age_ms < -lapse_ms)
    moves = scored & (is_fresh | (age_ms > 0))
    was = old.is_alert & ~is_fresh & (age_ms <= lapse_ms)
    must_stay = (bar_ms - old.since_ms) // MINUTE_MS < params.min_hold_bars
    enough, remains = weighed.evidence >= params.alert_on, weighed.evidence >= params.alert_off
    alert = np.where(was, must_stay | remains, enough)
    is_new = alert & (~was | (enough & (weighed.side * old.side < 0)))
    since_ms = np.where(is_new | is_fresh | (alert != old.is_alert), bar_ms, old.since_ms)
    side = np.where(weighed.side != 0, weighed.side, was * old.side) * alert
    told = list(old.announced)
    for row in np.flatnonzero(moves & is_fresh).tolist():
        told[row] = {key: at_ms for key, at_ms in told[row].items() if at_ms <= bar_ms}
    announced = _announce(np.flatnonzero(moves & is_new), bar_ms, weighed, told, params)
    new = MonitorStates(
        symbols,
        is_alert=np.where(moves, alert, old.is_alert),
        side=np.where(moves, side, old.side),
        since_ms=np.where(moves, since_ms, old.since_ms),
        bars_held=np.where(moves, alert * ((bar_ms - since_ms) // MINUTE_MS + 1), old.bars_held),
        evidence=np.where(moves, weighed.evidence, old.evidence),
        last_bar_ms=np.where(moves, bar_ms, old.last_bar_ms),
        announced=told,
        others={name: state for name, state in old.others.items() if abs(bar_ms - state.last_bar_ms) <= lapse_ms},
    )
    shown = scored & new.is_alert
    why = np.where(moves, np.where(is_new, 4, np.where(enough, 1, np.where(remains, 2, 3))), 5)
    return Monitored(shown, announced, (why * (shown & ~announced)).astype(np.int8), new)


def _announce(
    rows: I8, bar_ms: int, weighed: Weighed, told: list[Mapping[str, int]], params: Stage1MonitorParams
) -> B1:
    """Return which of the new alerts in ``rows`` are announced, and replace what ``told`` holds of them."""
    announced = np.zeros(len(told), dtype=np.bool_)
    for row in rows.tolist():
        recent = {key: at_ms for key, at_ms in told[row].items() if bar_ms - at_ms < params.cooldown_s * 1000}
        key = weighed.key(row)
        if key not in recent:
            announced[row] = True
            recent[key] = bar_ms
        told[row] = recent
    return announced


__all__ = ["SILENCES", "UNGATED", "MonitorState", "Monitored", "Weighed", "step_monitor", "weigh"]
