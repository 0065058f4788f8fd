"""Stage1: every trigger over every symbol, then ALERT or NORMAL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.readings import Readings
from aione.panel import B1, F8, MarketSnapshot
from aione.stage1.inputs import I1, TriggerInput, TriggerResult
from aione.stage1.monitor import step_monitor, weigh
from aione.stage1.registry import TriggerSet, select_triggers
from aione.stage1.states import MonitorState
from aione.stage1.thresholds import EffectiveThresholds, Layer, effective_thresholds
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
    failures: Mapping[str, str] = field(default_factory=dict)

    def reasons(self, row: int) -> list[str]:
        """Return the names of the triggers that fired for the symbol in ``row``, strongest first.

        Equally strong ones stand in alphabetical order. Empty where the symbol was not scored. Where ``gated`` is
        true, those outside `aione.stage1.monitor.UNGATED` fired but did not count.
        """
        if not self.scored[row]:
            return []
        fired = [(-float(found.strength[row]), name) for name, found in self.triggers.items() if found.fired[row]]
        return [name for _, name in sorted(fired)]


def run_stage1(
    readings: Readings,
    market: MarketSnapshot,
    settings: Settings,
    states: Mapping[str, MonitorState],
    *,
    override: Mapping[str, float] | None = None,
    market_state: Layer | None = None,
    rules: Layer | None = None,
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
    market_state, rules : mapping symbol -> threshold -> value, optional
        Computed layers of the thresholds; see `effective_thresholds`.

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


__all__ = ["Stage1Result", "run_stage1"]
