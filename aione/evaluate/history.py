"""`History`: what the engine said at every bar of a stretch, as columns, and the figures that describe it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aione.evaluate.walk import Step
from aione.panel import B1, F8, I8
from aione.stage2.scenarios import SCENARIOS
from config.settings import RECOMMENDATIONS

I1 = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class History:
    """T bars of S symbols, bar by bar.

    Attributes
    ----------
    symbols : tuple of str, length S
    open_time_ms : int64 (T,)
    fired : mapping trigger -> bool (T, S)
    alert, announced, is_signal : bool (T, S)
    scenario : int8 (T, S)
        Index into `SCENARIOS`.
    recommendation, reco_original, gate_reason : int8 (T, S)
        Indices as in `Stage2Result`; -1 is none.
    side : int8 (T, S)
        Of the recommendation after the gates.
    confidence, rr : float64 (T, S)
        NaN where unknown or without a plan.
    """

    symbols: tuple[str, ...]
    open_time_ms: I8
    fired: Mapping[str, B1]
    alert: B1
    announced: B1
    is_signal: B1
    scenario: I1
    recommendation: I1
    reco_original: I1
    gate_reason: I1
    side: I1
    confidence: F8
    rr: F8

    @classmethod
    def of(cls, steps: Iterable[Step]) -> History:
        """Gather the steps of a walk; at least one."""
        times: list[int] = []
        fired: dict[str, list[B1]] = {}
        columns: dict[str, list[np.ndarray]] = {}
        symbols: tuple[str, ...] = ()
        for step in steps:
            symbols = step.stage1.symbols
            times.append(step.open_time_ms)
            for name, found in step.stage1.triggers.items():
                fired.setdefault(name, []).append(found.fired)
            for name, column in _columns(step).items():
                columns.setdefault(name, []).append(column)
        return cls(
            symbols,
            np.array(times, dtype=np.int64),
            {name: np.array(rows) for name, rows in fired.items()},
            **{name: np.array(rows) for name, rows in columns.items()},
        )

    @property
    def days(self) -> float:
        """Return how many days of 1440 bars it spans."""
        return len(self.open_time_ms) / 1440.0


def _columns(step: Step) -> dict[str, np.ndarray]:
    stage1, stage2 = step.stage1, step.stage2
    return {
        "alert": stage1.alert,
        "announced": stage1.announced,
        "is_signal": stage2.is_signal,
        "scenario": stage2.scenario,
        "recommendation": stage2.recommendation,
        "reco_original": stage2.reco_original,
        "gate_reason": stage2.gate_reason,
        "side": stage2.side,
        "confidence": stage2.confidence,
        "rr": stage2.rr,
    }


def fire_rates(history: History) -> dict[str, tuple[float, float]]:
    """Return each trigger's share of bars on which it fired: over all symbols, and of the symbol with the most."""
    return {name: (float(rows.mean()), float(rows.mean(axis=0).max())) for name, rows in history.fired.items()}


def shares(codes: I1, names: tuple[str, ...], where: B1) -> dict[str, float]:
    """Return the share of the places in ``where`` that hold each code; all 0 where there is no place."""
    counts = np.bincount(codes[where & (codes >= 0)].astype(np.intp), minlength=len(names))
    total = max(1, int(where.sum()))
    return {name: float(count) / total for name, count in zip(names, counts, strict=True)}


def spells(holds: B1) -> I8:
    """Return the lengths in bars of every unbroken stretch of ``holds (T, S)``, symbol by symbol.

    Stretches that the ends cut count as long as they are seen.

    Examples
    --------
    >>> spells(np.array([[True], [True], [False], [True]]))
    array([2, 1])
    """
    gap = np.zeros((1, holds.shape[1]), dtype=np.int8)
    steps = np.diff(np.concatenate([gap, holds.astype(np.int8), gap]), axis=0).T
    begins, ends = np.nonzero(steps == 1)[1], np.nonzero(steps == -1)[1]
    lengths: I8 = ends - begins
    return lengths


def begun(holds: B1) -> B1:
    """Return where a stretch of ``holds (T, S)`` begins."""
    before = np.concatenate([np.zeros((1, holds.shape[1]), dtype=np.bool_), holds[:-1]])
    first: B1 = holds & ~before
    return first


def scenario_table(history: History) -> list[dict[str, float | str]]:
    """Return a row for each scenario: shares of all and of alerted time, spells a day and symbol, mean spell."""
    everywhere = np.ones(history.alert.shape, dtype=np.bool_)
    overall = shares(history.scenario, SCENARIOS, everywhere)
    alerted = shares(history.scenario, SCENARIOS, history.alert)
    rows: list[dict[str, float | str]] = []
    for code, name in enumerate(SCENARIOS):
        lengths = spells(history.scenario == code)
        while_alerted = spells((history.scenario == code) & history.alert)
        rows.append(
            {
                "scenario": name,
                "share": overall[name],
                "share_alerted": alerted[name],
                "spells_a_day": len(lengths) / history.days / len(history.symbols),
                "mean_bars": float(lengths.mean()) if len(lengths) else 0.0,
                "alerted_spells_a_day": len(while_alerted) / history.days / len(history.symbols),
            }
        )
    return rows


def recommendation_table(history: History) -> list[dict[str, float | str]]:
    """Return a row for each recommendation: share of alerted time after and before the gates, how often it began."""
    after = shares(history.recommendation, RECOMMENDATIONS, history.alert)
    before = shares(history.reco_original, RECOMMENDATIONS, history.alert)
    per = history.days * len(history.symbols)
    return [
        {
            "recommendation": name,
            "share_alerted": after[name],
            "share_before_gates": before[name],
            "begun_a_day": float(begun((history.recommendation == code) & history.alert).sum()) / per,
        }
        for code, name in enumerate(RECOMMENDATIONS)
    ]


def a_day(events: B1, open_time_ms: I8) -> tuple[I8, I8]:
    """Return the UTC days that were walked (days since the epoch) and how many of the events fell on each."""
    day = open_time_ms // 86_400_000
    days, index = np.unique(day, return_inverse=True)
    return days, np.bincount(index, weights=events.sum(axis=1), minlength=len(days)).astype(np.int64)


def degenerate(history: History, *, most_scenario: float = 0.60, most_trigger: float = 0.05) -> list[str]:
    """Return what is wrong with the shares: a scenario that is nearly always there, a trigger that never rests."""
    wrong = [
        f"{row['scenario']} takes {float(row['share_alerted']):.1%} of alerted time, allowed {most_scenario:.0%}"
        for row in scenario_table(history)
        if float(row["share_alerted"]) > most_scenario
    ]
    for name, (share, _) in fire_rates(history).items():
        if share > most_trigger:
            wrong.append(f"{name} fires on {share:.2%} of bars, allowed {most_trigger:.0%}")
    return wrong


__all__ = [
    "History",
    "a_day",
    "begun",
    "degenerate",
    "fire_rates",
    "recommendation_table",
    "scenario_table",
    "shares",
    "spells",
]
