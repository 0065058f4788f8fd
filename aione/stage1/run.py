"""Stage1: every trigger over every symbol, then ALERT or NORMAL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.readings import Readings
from aione.panel import B1, F8, MarketSnapshot
from aione.stage1.explain import Grounds, Told
from aione.stage1.inputs import I1, TriggerInput, TriggerResult
from aione.stage1.layers import COLUMN
from aione.stage1.market_state import MarketStates, market_states
from aione.stage1.monitor import step_monitor, weigh
from aione.stage1.registry import TriggerSet, select_triggers
from aione.stage1.states import MonitorState
from aione.stage1.thresholds import DenseLayer, EffectiveThresholds, Layer, effective_thresholds
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Stage1Result:
    """What Stage1 found on one bar.

    Attributes
    ----------
    symbols : tuple of str, length S
    triggers : mapping canonical name -> TriggerResult
        The triggers that are on.
    evidence : float64 (S,) in [0, 1]
        NaN where not scored.
    side : int8 (S,)
        The triggers' vote on this bar; 0 where they tie, have no side, or nothing was scored.
    alert : bool (S,)
    announced : bool (S,)
        A new alert that is not inside its cooldown; never true twice for one bar.
    gated : bool (S,)
        The low-volatility gate blocked a trigger that fired.
    scored : bool (S,)
        The symbol has the last bar and enough bars before it; only these can be alerted.
    states : mapping symbol -> MonitorState
        To be handed to the next run.
    thresholds : EffectiveThresholds
        Those in force, with their layers.
    grounds : Grounds
        What all of this was made of; `explain` tells it.
    market_state : MarketStates, optional
        None where the caller brought a layer of its own.
    failures : mapping name -> str
        Third parties' triggers that this run had to do without, and why.
    """

    symbols: tuple[str, ...]
    triggers: Mapping[str, TriggerResult]
    evidence: F8
    side: I1
    alert: B1
    announced: B1
    gated: B1
    scored: B1
    states: Mapping[str, MonitorState]
    thresholds: EffectiveThresholds
    grounds: Grounds
    market_state: MarketStates | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    _told: list[Told] = field(default_factory=list, init=False, repr=False, compare=False)

    def reasons(self, row: int) -> list[str]:
        """Return the names of the triggers that fired for the symbol in ``row``, strongest first.

        Equally strong ones stand in alphabetical order. Empty where the symbol was not scored. Where ``gated`` is
        true, those outside `aione.stage1.monitor.UNGATED` fired but did not count.
        """
        return self._as_told().reasons(row) if self.scored[row] else []

    def explain(self, row: int) -> dict[str, Any]:
        """Return why the symbol in ``row`` is or is not in ALERT, in plain values ready for JSON; unknown is None.

        ``scored``, ``evidence``, ``side``, ``alert``, ``announced``, ``gated``
            This result's.
        ``silence``
            Why an ALERT is not announced (`aione.stage1.monitor.SILENCES`); None where it is, or where there is none.
        ``alert_on``, ``alert_off``, ``min_hold_bars``, ``held_bars``
            The limits, and how many bars the ALERT has lasted, this one included.
        ``cooldown_until_ms``
            Until when this alert, or else the last one that was announced, is not announced again; None is free.
        ``low_gate``
            ``value`` (the ATR fraction), ``threshold`` and its ``layer``; the gate is closed below it.
        ``triggers``
            Every active trigger: ``name``, ``fired``, ``counted`` (not blocked by the gate), ``side``, ``strength``,
            ``weight``, ``value``, ``threshold`` and the ``layer`` that set it, `OWN_THRESHOLD` for the trigger itself.
        ``failures``
            Third parties' triggers that could not run, and why.
        ``context``
            Where the symbol stands among the others, and what BTC and the market do.
        """
        return self._as_told().explain(row)

    def _as_told(self) -> Told:
        if not self._told:
            self._told.append(Told(self))
        return self._told[0]


def run_stage1(
    readings: Readings,
    market: MarketSnapshot,
    settings: Settings,
    states: Mapping[str, MonitorState],
    *,
    override: Mapping[str, float] | None = None,
    market_state: MarketStates | DenseLayer | Layer | None = None,
    rules: DenseLayer | Layer | None = None,
) -> Stage1Result:
    """Evaluate the triggers on the readings' bar and move the monitor on.

    Parameters
    ----------
    readings, market
        Of the same S symbols in the same order.
    settings : Settings
    states : mapping symbol -> MonitorState
        As the last run returned them; empty at the first.
    override : mapping threshold -> value, optional
        This run's own thresholds.
    market_state : MarketStates, DenseLayer or mapping symbol -> threshold -> value, optional
        By default the states are told from the readings and their thresholds are the settings'; an empty mapping
        turns that off. See `effective_thresholds`.
    rules : DenseLayer, or mapping symbol -> threshold -> value or ``(value, label)``, optional
        What the dynamic rules ask for.

    Raises
    ------
    ConfigError
        A threshold, a switch or a weight has a name that does not exist, or a value out of bounds.
    InvalidInput
        ``readings`` and ``market`` are not aligned.

    Notes
    -----
    A symbol is scored when its last bar is there and at least ``MIN_READY_PCT`` of its bars are. The result depends
    on nothing but the arguments, and the same bar twice leaves the states as they were.
    """
    if market_state is None:
        market_state = market_states(readings, settings.STAGE1_MONITOR_PARAMS.market_state)
    thresholds = effective_thresholds(
        readings.symbols, settings, market_state=market_state, rules=rules, override=override
    )
    inputs = TriggerInput(readings, market, thresholds)
    chosen = select_triggers(settings)
    results, failures = _evaluate(chosen, inputs)
    low_volatility = readings["atr_frac"] < thresholds["low_gate"]
    weighed = weigh(results, chosen.weights, low_volatility)
    scored = (readings["bars_age"] == 0.0) & (readings["ready_frac"] >= settings.MIN_READY_PCT)
    monitored = step_monitor(
        readings.symbols, readings.open_time_ms, weighed, scored, states, settings.STAGE1_MONITOR_PARAMS
    )
    return Stage1Result(
        symbols=readings.symbols,
        triggers=results,
        evidence=np.where(scored, weighed.evidence, np.nan),
        side=np.where(scored, weighed.side, 0).astype(np.int8),
        alert=monitored.alert,
        announced=monitored.announced,
        gated=weighed.gated & scored,
        scored=scored,
        states=monitored.states,
        thresholds=thresholds,
        grounds=Grounds(readings, settings.STAGE1_MONITOR_PARAMS, chosen.weights, weighed, monitored.silence),
        market_state=market_state if isinstance(market_state, MarketStates) else None,
        failures=failures,
    )


def _evaluate(chosen: TriggerSet, inputs: TriggerInput) -> tuple[dict[str, TriggerResult], dict[str, str]]:
    """Run the triggers; a third party's that fails is left out and named, a built-in one's error is ours and rises."""
    results: dict[str, TriggerResult] = {}
    failures = dict(chosen.failures)
    for name, evaluate in chosen.active.items():
        if name not in chosen.foreign:
            results[name] = evaluate(inputs)
            continue
        try:
            found = evaluate(inputs)
            _check_foreign(found, len(inputs.readings.symbols))
        except Exception as error:  # noqa: BLE001 - someone else's code may raise anything
            failures[name] = f"{type(error).__name__}: {error}"
        else:
            results[name] = found
    return results, failures


def _check_foreign(found: TriggerResult, size: int) -> None:
    """Refuse what a built-in trigger would never return."""
    if not isinstance(found, TriggerResult):
        raise InvalidInput(f"a trigger must return a TriggerResult, returned {type(found).__name__}")
    for name, kind in (("fired", "b"), ("side", "i"), ("strength", "f"), ("value", "f"), ("threshold", "f")):
        column = getattr(found, name)
        if column.shape != (size,) or column.dtype.kind != kind:
            raise InvalidInput(
                f"{name} must be of kind {kind!r} and shape ({size},), was {column.dtype} {column.shape}"
            )
    if not ((found.strength >= 0.0) & (found.strength <= 1.0)).all():
        raise InvalidInput("strength must lie in [0, 1]")
    if not np.isin(found.side, (-1, 0, 1)).all():
        raise InvalidInput("side must be -1, 0 or +1")
    if unknown := [name for name in found.names if name not in COLUMN]:
        raise InvalidInput(f"names must be thresholds ({', '.join(COLUMN)}), held {unknown[0]}")
    if np.shape(found.which) not in {(), (size,)}:
        raise InvalidInput(f"which must be one number or of shape ({size},), was of shape {np.shape(found.which)}")


__all__ = ["Stage1Result", "run_stage1"]
