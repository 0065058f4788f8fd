"""The pure middle of a cycle: readings and triggers, then scenario, score and recommendation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from aione.indicators.readings import Readings, compute_readings
from aione.screening.load import Loaded, read_rule_state
from aione.stage1.run import Stage1Result, run_stage1
from aione.stage2.run import Stage2Result, run_stage2
from aione.thresholds import RuleOutcome, RuleState, apply_rules
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """What the rules said, what Stage1 found, the readings that both saw, and how long it took."""

    readings: Readings
    stage1: Stage1Result
    rules: RuleOutcome
    rule_state: RuleState
    seconds: float


@dataclass(frozen=True, slots=True)
class Scored:
    """What Stage2 made of it, and how long that took."""

    stage2: Stage2Result
    seconds: float


def find_triggers(loaded: Loaded, settings: Settings) -> Found:
    """Compute every indicator of the last bar, then every trigger and the ALERT logic.

    A symbol is ready when ``DEFAULT_LOOKBACK`` bars are there, so one that was listed yesterday can be scored; what
    needs more bars than it has is unknown. One with a hole in its history, or in quarantine, is not ready at all: it
    waits until the bars are there, and right.
    """
    started = time.perf_counter()
    computed = compute_readings(loaded.panel, settings.STAGE1_MONITOR_PARAMS.indicators, loaded.daily)
    ready_frac = loaded.panel.valid[:, -settings.DEFAULT_LOOKBACK :].mean(axis=1)
    ready_frac = np.where(loaded.waits, 0.0, ready_frac)
    readings = replace(computed, values={**computed.values, "ready_frac": ready_frac})
    state, _ = read_rule_state(loaded.rule_state)
    rules = apply_rules(loaded.rules, readings, loaded.market, settings, state)
    stage1 = run_stage1(readings, loaded.market, settings, loaded.states, rules=rules.stage1)
    return Found(readings, stage1, rules, state, time.perf_counter() - started)


def score(loaded: Loaded, found: Found, settings: Settings) -> Scored:
    """Read the context, choose the scenario, score and recommend."""
    started = time.perf_counter()
    stage2 = run_stage2(
        loaded.panel, loaded.daily, found.readings, loaded.market, found.stage1, settings, found.rules.stage2
    )
    return Scored(stage2, time.perf_counter() - started)


__all__ = ["Found", "Scored", "find_triggers", "score"]
