"""`walk`: readings, Stage1 and Stage2 at every bar of a stretch of history, the monitor's states carried along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.readings import Readings, compute_readings
from aione.panel import BarPanel, MarketSnapshot
from aione.stage1.run import Stage1Result, run_stage1
from aione.stage1.states import MonitorState
from aione.stage2.run import Stage2Result, run_stage2
from aione.thresholds import RuleBook, RuleState, apply_rules
from aione.thresholds.book import NO_RULES
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """What the engine said at one closed bar.

    Attributes
    ----------
    at : int
        The bar's column in the panel that is walked.
    open_time_ms : int
    window : BarPanel
        The bars that were looked at, the last one included.
    """

    at: int
    open_time_ms: int
    window: BarPanel
    readings: Readings
    stage1: Stage1Result
    stage2: Stage2Result


def walk(
    panel: BarPanel,
    daily: BarPanel | None,
    settings: Settings,
    *,
    start: int,
    stop: int | None = None,
    market_at: Callable[[BarPanel], MarketSnapshot] | None = None,
    states: Mapping[str, MonitorState] | None = None,
    rules: RuleBook = NO_RULES,
) -> Iterator[Step]:
    """Yield a step for each bar ``start <= at < stop``, each from the ``SCREENING_LOOKBACK`` bars that end with it.

    Parameters
    ----------
    panel : BarPanel
        1-minute bars; those after ``at`` are there and must not be seen.
    daily : BarPanel, optional
        Daily bars, the future ones too.
    settings : Settings
    start, stop : int
        Columns of ``panel``; ``stop`` defaults to its end.
    market_at : callable, optional
        Gives order book and derivatives for a window; by default nothing is known of them.
    states : mapping symbol -> MonitorState, optional
        The monitor's memory before ``start``.
    rules : RuleBook
        Threshold rules, which begin anew at ``start``; none by default.

    Raises
    ------
    InvalidInput
        ``start`` and ``stop`` name no bars of the panel.
    """
    stop = panel.shape[1] if stop is None else stop
    if not 0 <= start < stop <= panel.shape[1]:
        raise InvalidInput(f"start and stop must lie in the panel's {panel.shape[1]} bars, were {start} and {stop}")
    memory, rule_state = states or {}, RuleState()
    unknown = MarketSnapshot.of(panel.symbols)
    for at in range(start, stop):
        window = panel.window(at + 1, settings.SCREENING_LOOKBACK)
        market = unknown if market_at is None else market_at(window)
        readings, stage1, stage2 = look(window, daily, market, settings, memory, rules, rule_state)
        memory = stage1.states
        yield Step(at, int(panel.open_time_ms[at]), window, readings, stage1, stage2)


def look(
    window: BarPanel,
    daily: BarPanel | None,
    market: MarketSnapshot,
    settings: Settings,
    states: Mapping[str, MonitorState],
    rules: RuleBook = NO_RULES,
    rule_state: RuleState | None = None,
) -> tuple[Readings, Stage1Result, Stage2Result]:
    """Return what the engine says at the last bar of ``window``; the arguments are those of its stages.

    ``rule_state`` is changed.
    """
    readings = scored_readings(window, daily, settings)
    if rules is NO_RULES:
        stage1 = run_stage1(readings, market, settings, states)
        return readings, stage1, run_stage2(window, daily, readings, market, stage1, settings)
    told = apply_rules(rules, readings, market, settings, RuleState() if rule_state is None else rule_state)
    stage1 = run_stage1(readings, market, settings, states, rules=told.stage1)
    return readings, stage1, run_stage2(window, daily, readings, market, stage1, settings, told.stage2)


def scored_readings(panel: BarPanel, daily: BarPanel | None, settings: Settings) -> Readings:
    """Return the readings of a panel whose ``ready_frac`` asks for no more than ``DEFAULT_LOOKBACK`` bars."""
    computed = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators, daily)
    ready = np.count_nonzero(panel.valid[:, -settings.DEFAULT_LOOKBACK :], axis=1) / settings.DEFAULT_LOOKBACK
    return replace(computed, values={**computed.values, "ready_frac": ready})


__all__ = ["Step", "look", "scored_readings", "walk"]
