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
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import numpy as np

from aione.errors import ConfigError, InvalidInput
from aione.panel import B1, F8, I8, MINUTE_MS
from aione.stage1.inputs import I1, TriggerResult
from config.models import Stage1MonitorParams

UNGATED: Final = frozenset({"breakout_up", "breakout_down", "vwap_deviation"})
"""Triggers that count in a market that hardly moves."""

_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What the monitor remembers of one symbol from bar to bar, and across restarts.

    Attributes
    ----------
    is_alert : bool
    side : int
        Of the alert; the last vote that was not a tie. 0 when NORMAL.
    since_ms : int
        Open time of the bar on which the present state began.
    bars_held : int
        Bars that the present alert has lasted, the first included; 0 when NORMAL.
    evidence : float in [0, 1]
        At ``last_bar_ms``.
    announced : mapping alert key -> open time (ms) of the bar on which it was announced
    last_bar_ms : int
        Open time of the last bar that was scored; 0 before the first.
    """

    is_alert: bool = False
    side: int = 0
    since_ms: int = 0
    bars_held: int = 0
    evidence: float = 0.0
    announced: Mapping[str, int] = field(default_factory=dict)
    last_bar_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a state; `InvalidInput` names what it lacks or should not have.

        Examples
        --------
        >>> state = MonitorState(is_alert=True, side=-1, since_ms=60_000, bars_held=1, evidence=0.7)
        >>> MonitorState.from_dict(state.to_dict()) == state
        True
        """
        strange = values.keys() ^ set(cls.__slots__)
        if strange:
            raise InvalidInput(f"a monitor state holds {', '.join(cls.__slots__)}; wrong or missing: {min(strange)}")
        return cls(**{**values, "announced": dict(values["announced"])})


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
        gated=blocked.any(axis=0),
    )


@dataclass(frozen=True, slots=True)
class Monitored:
    """The monitor's answer: ``alert`` and ``announced`` are bool (S,), ``states`` holds what to remember."""

    alert: B1
    announced: B1
    states: dict[str, MonitorState]


def step_monitor(
    symbols: Sequence[str],
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
    before = [states.get(symbol, _FIRST) for symbol in symbols]
    was_alert, side, since, seen = _columns(before)
    lapse_ms = max(round(params.cooldown_s * 1000), params.min_hold_bars * MINUTE_MS)
    was = was_alert & (bar_ms - seen <= lapse_ms)
    moves = scored & (bar_ms > seen)
    must_stay = (bar_ms - since) // MINUTE_MS < params.min_hold_bars
    enough = weighed.evidence >= params.alert_on
    alert = np.where(was, must_stay | (weighed.evidence >= params.alert_off), enough)
    turned = was & alert & enough & (weighed.side * side < 0)
    is_new = alert & (~was | turned)
    since = np.where(is_new | (alert != was_alert) | (seen == 0), bar_ms, since)
    side = np.where(alert, np.where(weighed.side != 0, weighed.side, np.where(was, side, 0)), 0)
    held = np.where(alert, (bar_ms - since) // MINUTE_MS + 1, 0)
    announced, memory = _announce(np.flatnonzero(moves & is_new), bar_ms, weighed, before, params)
    kept = {name: state for name, state in states.items() if bar_ms - state.last_bar_ms <= lapse_ms}
    columns = zip(
        symbols,
        before,
        *(column.tolist() for column in (moves, alert, side, since, held, weighed.evidence)),
        strict=True,
    )
    for row, (symbol, old, does_move, is_alert, sided, from_ms, bars, evidence) in enumerate(columns):
        if does_move:
            told = memory.get(row, old.announced)
            kept[symbol] = MonitorState(is_alert, sided, from_ms, bars, evidence, told, bar_ms)
        else:
            kept[symbol] = old
    return Monitored(alert=scored & np.where(moves, alert, was_alert), announced=announced, states=kept)


_FIRST: Final = MonitorState()


def _columns(states: Sequence[MonitorState]) -> tuple[B1, I1, I8, I8]:
    """Return ``is_alert, side, since_ms, last_bar_ms`` of the states, each (S,)."""
    size = len(states)
    return (
        np.fromiter((state.is_alert for state in states), np.bool_, size),
        np.fromiter((state.side for state in states), np.int8, size),
        np.fromiter((state.since_ms for state in states), np.int64, size),
        np.fromiter((state.last_bar_ms for state in states), np.int64, size),
    )


def _announce(
    rows: I8, bar_ms: int, weighed: Weighed, before: Sequence[MonitorState], params: Stage1MonitorParams
) -> tuple[B1, dict[int, dict[str, int]]]:
    """Return which of the new alerts in ``rows`` are announced, and what each of those rows then remembers."""
    announced = np.zeros(len(before), dtype=np.bool_)
    memory: dict[int, dict[str, int]] = {}
    for row in rows.tolist():
        recent = {
            key: told_ms
            for key, told_ms in before[row].announced.items()
            if bar_ms - told_ms < params.cooldown_s * 1000
        }
        key = weighed.key(row)
        if key not in recent:
            announced[row] = True
            recent[key] = bar_ms
        memory[row] = recent
    return announced, memory


__all__ = ["UNGATED", "MonitorState", "Monitored", "Weighed", "step_monitor", "weigh"]
