"""The rules of one bar, from readings to what each stage is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from aione.errors import RuleError
from aione.indicators.readings import Readings
from aione.panel import F8, MarketSnapshot
from aione.stage1.layers import LEAST, MOST, NAMES, DenseLayer
from aione.stage1.market_state import market_states
from aione.stage1.thresholds import EffectiveThresholds, effective_thresholds
from aione.thresholds.actions import ACTIONS, MOVES, STAGE3
from aione.thresholds.book import NO_RULES, RuleBook
from aione.thresholds.evaluate import Evaluated, evaluate_bar
from aione.thresholds.files import read_sources
from aione.thresholds.metrics import rule_metrics
from aione.thresholds.smoothing import Bases
from aione.thresholds.state import RuleState
from config.settings import Settings

SHIPPED: Final = Path(__file__).resolve().parents[2] / "config" / "rules"
TOLD: Final = 1e-3
"""A change of less than this share of the old value is not logged, and neither is a move on its way back."""


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What the rules decided on a bar.

    Attributes
    ----------
    stage1 : DenseLayer
        Thresholds that rules set, for `aione.stage1.thresholds.effective_thresholds`.
    stage2 : mapping of str to float64 (S,)
        ``tp_mult_factor``, ``sl_mult_factor`` and names of ``RecoThresholds``; NaN where no rule speaks.
    stage3 : mapping of str to float64 (S,)
        ``tp_mult_factor``, ``sl_mult_factor``; NaN where no rule speaks.
    moves : mapping of str to float64 (S,)
        ``move_pct_up``, ``move_pct_down``: the fractions in force of every symbol.
    set_by : mapping action key -> tuple of str, length S
        The rule that each value is of; empty where no rule speaks, or the value is on its way back.
    changes : tuple of dict
        ``symbol, key, old, new, rule, source`` of each value that is another than on the bar before.
    clamped : tuple of str
        A line for each threshold that a factor would have driven out of its bounds.
    stats : tuple of dict
        ``rule, source, evaluations, matched, applied, blocked, priority, last_ms`` of every rule.
    """

    stage1: DenseLayer
    stage2: Mapping[str, F8]
    stage3: Mapping[str, F8]
    moves: Mapping[str, F8]
    set_by: Mapping[str, tuple[str, ...]]
    changes: tuple[dict[str, Any], ...]
    clamped: tuple[str, ...]
    stats: tuple[dict[str, Any], ...]

    @property
    def stage3_by(self) -> dict[str, tuple[str, ...]]:
        """Return by the names of ``stage3`` the rule that each value is of, for `aione.stage3.step.step_trades`."""
        return {name: self.set_by[f"stage3.{name}"] for name in self.stage3}


def load_book(directory: Path | None, state: RuleState) -> tuple[RuleBook, str | None]:
    """Return the rules of a directory as its files are now, and what is wrong with them.

    The files are read whole each time, so an edit takes effect at the next call, whatever its time stamp says. Files
    that are wrong leave the last good ones in force, which the state remembers across processes; without any there
    are no rules. None is the directory that is shipped.
    """
    try:
        sources = read_sources(SHIPPED if directory is None else directory)
        book = RuleBook.parse(sources)
    except RuleError as error:
        return _last_good(state, str(error))
    state.sources = sources
    return book, None


def _last_good(state: RuleState, problem: str) -> tuple[RuleBook, str]:
    """Return what the state remembers; that may be wrong too, where the grammar is another than it was."""
    try:
        return RuleBook.parse(state.sources), problem
    except RuleError as error:
        return NO_RULES, f"{problem}\nand of those that were good before: {error}"


def apply_rules(
    book: RuleBook,
    readings: Readings,
    market: MarketSnapshot,
    settings: Settings,
    state: RuleState,
    timeframe: str = "1m",
) -> RuleOutcome:
    """Evaluate the rules on the readings' bar; ``state`` is changed where a symbol has not seen the bar.

    Parameters
    ----------
    book : RuleBook
    readings, market
        Of the same S symbols.
    settings : Settings
        What the rules change: thresholds of Stage1, ``STAGE2_CONFIG``.
    state : RuleState
    timeframe : str
    """
    symbols = readings.symbols
    states = market_states(readings, settings.STAGE1_MONITOR_PARAMS.market_state)
    below = effective_thresholds(symbols, settings, market_state=states)
    bases = _bases(below, settings)
    told = evaluate_bar(book, rule_metrics(readings, market), symbols, timeframe, readings.open_time_ms, bases, state)
    stage1, clamped = _stage1_layer(told, below)
    ids = np.array([*(label.split("#", 1)[1] for label in told.labels), ""], dtype=object)
    return RuleOutcome(
        stage1=stage1,
        stage2={
            key.removeprefix("stage2."): one.value
            for key, one in told.keys.items()
            if key.startswith("stage2.") and key not in MOVES
        },
        stage3={key.removeprefix("stage3."): told.keys[key].value for key in STAGE3 if key in told.keys},
        moves={_move(key): _or_base(told, key, bases.values[key]) for key in MOVES},
        set_by={key: tuple(ids[one.rule]) for key, one in told.keys.items()},
        changes=tuple(_changes(symbols, told, bases)),
        clamped=tuple(clamped),
        stats=tuple(_stats(book, state)),
    )


def _bases(below: EffectiveThresholds, settings: Settings) -> Bases:
    """Return what holds without rules: of a factor 1, of what factors move the configured move."""
    size = len(below.symbols)
    config = settings.STAGE2_CONFIG
    values = dict.fromkeys((key for key, kind in ACTIONS.items() if kind.is_factor), np.ones(size))
    values |= {f"stage1.{name}": below[name] for name in NAMES}
    values |= {f"stage2.{name}": np.full(size, value) for name, value in config.thresholds.model_dump().items()}
    for key, move in zip(MOVES, (config.episodes.move_pct_up, config.episodes.move_pct_down), strict=True):
        values[key] = np.full(size, move)
    dynamic = config.dynamic
    return Bases(
        values, dynamic.dyn_smooth_alpha, dynamic.move_relax_alpha, dynamic.move_pct_least, dynamic.move_pct_most
    )


def _move(key: str) -> str:
    return key.removeprefix("stage2.").removesuffix("_factor")


def _or_base(told: Evaluated, key: str, base: F8) -> F8:
    one = told.keys.get(key)
    return base if one is None else np.where(np.isnan(one.value), base, one.value)


def _stage1_layer(told: Evaluated, below: EffectiveThresholds) -> tuple[DenseLayer, list[str]]:
    """Return the layer: a set value, or the one below, times the factor, within the threshold's bounds."""
    shape = below.values.shape
    values, sources = np.full(shape, np.nan), np.zeros(shape, dtype=np.int16)
    # A value on its way back has no rule any more: it is of the rules as a whole, which is label 0.
    labels = ("rules", *(f"rules:{label.split('#', 1)[1]}" for label in told.labels))
    for row, name in enumerate(NAMES):
        value, factor = told.keys.get(f"stage1.{name}"), told.keys.get(f"stage1.{name}_factor")
        if value is not None:
            values[row], sources[row] = value.value, value.rule + 1
        if factor is not None:
            speaks = ~np.isnan(factor.value)
            start = np.where(np.isnan(values[row]), below.values[row], values[row])
            values[row] = np.where(speaks, start * factor.value, values[row])
            sources[row] = np.where(speaks, factor.rule + 1, sources[row])
    within = np.clip(values, LEAST, MOST)
    outside = ~np.isnan(values) & (within != values)
    clamped = []
    for row in np.flatnonzero(outside.any(axis=1)).tolist():
        first, count = int(np.argmax(outside[row])), int(np.count_nonzero(outside[row]))
        others = f" and {count - 1} more" if count > 1 else ""
        clamped.append(
            f"stage1.{NAMES[row]} of {below.symbols[first]}{others} stopped at its bound {within[row, first]:g},"
            f" {labels[sources[row, first]]} asked for {values[row, first]:g}"
        )
    return DenseLayer(below.symbols, within, sources, labels), clamped


def _changes(symbols: tuple[str, ...], told: Evaluated, bases: Bases) -> list[dict[str, Any]]:
    """Return what is another than before, of the symbols whose bar was evaluated now."""
    changes = []
    for key in sorted(told.keys):
        one, base = told.keys[key], bases.values[key]
        old, new = np.where(np.isnan(one.old), base, one.old), np.where(np.isnan(one.value), base, one.value)
        is_other = (one.rule != one.old_rule) | (np.abs(new - old) > TOLD * np.abs(old))
        if key in MOVES:
            is_other &= one.rule >= 0
        for row in np.flatnonzero(is_other & told.fresh).tolist():
            number = int(one.rule[row])
            source, _, rule = told.labels[number].partition("#") if number >= 0 else ("", "", "")
            changes.append(
                {
                    "symbol": symbols[row],
                    "key": key,
                    "old": float(old[row]),
                    "new": float(new[row]),
                    "rule": rule or None,
                    "source": source or None,
                }
            )
    return changes


def _stats(book: RuleBook, state: RuleState) -> list[dict[str, Any]]:
    rows = []
    for laid in book.rules:
        memory = state.rules.get(laid.key)
        if memory is not None:
            rows.append(
                {
                    "rule": laid.rule.id,
                    "source": laid.source,
                    "evaluations": memory.evaluations,
                    "matched": memory.matched,
                    "applied": memory.applied,
                    "blocked": memory.blocked,
                    "priority": laid.rule.priority,
                    "last_ms": memory.last_ms,
                }
            )
    return rows


__all__ = ["SHIPPED", "RuleOutcome", "apply_rules", "load_book"]
