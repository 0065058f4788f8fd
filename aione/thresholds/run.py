"""The rules of one bar, from readings to what each stage is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
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
from aione.thresholds.evaluate import Bases, Decided, evaluate_bar
from aione.thresholds.files import read_sources
from aione.thresholds.metrics import rule_metrics
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
        ``tp_mult_factor``, ``sl_mult_factor``.
    moves : mapping of str to float64 (S,)
        ``move_pct_up``, ``move_pct_down``: the fractions in force of every symbol.
    changes : tuple of dict
        ``symbol, key, old, new, rule, source`` of each value that is another than on the bar before.
    stats : tuple of dict
        ``rule, source, evaluations, matched, applied, blocked, priority, last_ms`` of every rule.
    active : tuple of str
        Rules that were applied on this bar.
    """

    stage1: DenseLayer
    stage2: Mapping[str, F8]
    stage3: Mapping[str, F8]
    moves: Mapping[str, F8]
    changes: tuple[dict[str, Any], ...]
    stats: tuple[dict[str, Any], ...]
    active: tuple[str, ...]


def load_book(directory: Path | None, state: RuleState) -> tuple[RuleBook, str | None]:
    """Return the rules of a directory as its files are now, and what is wrong with them.

    Files that are wrong leave the last good ones in force, which the state remembers across processes; without any
    there are no rules. None is the directory that is shipped.
    """
    try:
        sources = read_sources(SHIPPED if directory is None else directory)
        book = RuleBook.parse(sources)
    except RuleError as error:
        kept = RuleBook.parse(state.sources) if state.sources else NO_RULES
        return kept, str(error)
    state.sources = sources
    return book, None


def apply_rules(
    book: RuleBook,
    readings: Readings,
    market: MarketSnapshot,
    settings: Settings,
    state: RuleState,
    timeframe: str = "1m",
) -> RuleOutcome:
    """Evaluate the rules on the readings' bar; ``state`` is changed, unless it has seen the bar.

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
    before = {key: dict(held) for key, held in state.in_force.items()}
    is_new = readings.open_time_ms > state.bar_ms
    found = evaluate_bar(book, rule_metrics(readings, market), symbols, timeframe, readings.open_time_ms, bases, state)
    return RuleOutcome(
        stage1=_stage1_layer(found, below),
        stage2={
            key.removeprefix("stage2."): one.value
            for key, one in found.items()
            if key.startswith("stage2.") and key not in MOVES
        },
        stage3={key.removeprefix("stage3."): found[key].value for key in STAGE3 if key in found},
        moves={key.split(".")[1].removesuffix("_factor"): _or_base(found.get(key), bases.values[key]) for key in MOVES},
        changes=tuple(_changes(symbols, before, found, bases)) if is_new else (),
        stats=tuple(_stats(book, state)),
        active=tuple(key for key, memory in state.rules.items() if memory.last_ms == readings.open_time_ms),
    )


def _bases(below: EffectiveThresholds, settings: Settings) -> Bases:
    """Return what holds without rules: of a factor 1, of what factors move the configured move."""
    size = len(below.symbols)
    config = settings.STAGE2_CONFIG
    values = {key: np.ones(size) for key, kind in ACTIONS.items() if kind.is_factor}
    values |= {f"stage1.{name}": below[name] for name in NAMES}
    values |= {f"stage2.{name}": np.full(size, value) for name, value in config.thresholds.model_dump().items()}
    for key, move in zip(MOVES, (config.episodes.move_pct_up, config.episodes.move_pct_down), strict=True):
        values[key] = np.full(size, move)
    dynamic = config.dynamic
    return Bases(
        values,
        dynamic.dyn_smooth_alpha,
        dynamic.move_relax_alpha,
        dynamic.move_pct_least,
        dynamic.move_pct_most,
    )


def _or_base(decided: Decided | None, base: F8) -> F8:
    return base if decided is None else np.where(np.isnan(decided.value), base, decided.value)


def _stage1_layer(found: Mapping[str, Decided], below: EffectiveThresholds) -> DenseLayer:
    """Return the layer: a set value, or the one below, times the factor, within the threshold's bounds."""
    shape = below.values.shape
    values, sources = np.full(shape, np.nan), np.zeros(shape, dtype=np.int16)
    labels = {"rules": 0}
    for row, name in enumerate(NAMES):
        told, factor = found.get(f"stage1.{name}"), found.get(f"stage1.{name}_factor")
        for one in (told, factor):
            if one is not None:
                numbers = [labels.setdefault(_label(rule), len(labels)) for rule in one.rule]
                speaks = ~np.isnan(one.value)
                sources[row, speaks] = np.array(numbers, dtype=np.int16)[speaks]
        if factor is not None:
            start = below.values[row] if told is None else _or_base(told, below.values[row])
            values[row] = start * factor.value
        if told is not None:
            values[row] = np.where(np.isnan(values[row]), told.value, values[row])
    return DenseLayer(below.symbols, np.clip(values, LEAST, MOST), sources, tuple(labels))


def _label(rule: str) -> str:
    """Return a layer's name of a rule's key; a value on its way back has no rule any more."""
    return f"rules:{rule.split('#', 1)[1]}" if rule else "rules"


def _changes(
    symbols: tuple[str, ...],
    before: Mapping[str, Mapping[str, tuple[float, str]]],
    found: Mapping[str, Decided],
    bases: Bases,
) -> list[dict[str, Any]]:
    changes = []
    for key in sorted(before.keys() | found.keys()):
        base = bases.values[key].tolist()
        held, now = before.get(key, {}), found.get(key)
        values = [np.nan] * len(symbols) if now is None else now.value.tolist()
        rules = [""] * len(symbols) if now is None else now.rule
        for row, symbol in enumerate(symbols):
            old, old_rule = held.get(symbol, (base[row], ""))
            new, rule = (base[row], "") if isnan(values[row]) else (values[row], rules[row])
            is_on_its_way = key in MOVES and not rule
            if (rule != old_rule or abs(new - old) > TOLD * abs(old)) and not is_on_its_way:
                source, _, name = rule.partition("#")
                changes.append(
                    {
                        "symbol": symbol,
                        "key": key,
                        "old": old,
                        "new": new,
                        "rule": name or None,
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
