"""One bar of the rules, all symbols at once.

1. The rules are asked in their order, each of the symbols that it is for (`aione.thresholds.book.Plan`).
2. A rule matches where its conditions hold; what is unknown satisfies none.
3. Of the regimes that match, or are held, for a symbol, the one whose rule comes first is active; rules of another
   regime are not applied.
4. A rule that matches is applied unless it was within ``min_interval_s``, or too often in its window. Its actions are
   in force on that bar, and for ``hold_s`` after it; one that moves a value moves it when it is applied, not after.
5. Of the rules in force that set a key the merge policy decides.
6. A key that is smoothed goes a share of the way to where it should be, and back where no rule speaks any more.

A symbol's bar that was evaluated gives what it gave then, and changes nothing. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8
from aione.thresholds.actions import MOVES
from aione.thresholds.book import LaidRule, Plan, RuleBook
from aione.thresholds.conditions import holds
from aione.thresholds.merging import Decision, Voice, decide
from aione.thresholds.smoothing import Bases, smooth
from aione.thresholds.state import Held, RuleState


@dataclass(frozen=True, slots=True)
class Decided:
    """One key of S symbols before and on a bar; NaN where no rule speaks, ``rule`` -1, else an index of the labels.

    Attributes
    ----------
    value, old : float64 (S,)
    rule, old_rule : int32 (S,)
    """

    value: F8
    rule: NDArray[np.int32]
    old: F8
    old_rule: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the rules decide on a bar.

    Attributes
    ----------
    keys : mapping action key -> Decided
    labels : tuple of str
        The rule keys that ``Decided.rule`` counts.
    fresh : bool (S,)
        Symbols for which this bar was evaluated now; the others had seen it.
    """

    keys: Mapping[str, Decided]
    labels: tuple[str, ...]
    fresh: B1


def evaluate_bar(
    book: RuleBook,
    metrics: Mapping[str, F8],
    symbols: tuple[str, ...],
    timeframe: str,
    bar_ms: int,
    bases: Bases,
    state: RuleState,
) -> Evaluated:
    """Return what the rules decide on a bar.

    Parameters
    ----------
    book : RuleBook
    metrics : mapping of str to float64 (S,)
        See `aione.thresholds.metrics.rule_metrics`.
    symbols : tuple of str, length S
    timeframe : str
    bar_ms : int
        The bar's open time: the only time there is.
    bases : Bases
    state : RuleState
        Changed where a symbol has not seen the bar.

    Raises
    ------
    InvalidInput
        A metric is missing, or is not of S symbols.
    """
    rows = state.rows(symbols, bar_ms)
    fresh = state.seen_ms[rows] < bar_ms
    if fresh.any():
        state.adopt(book)
    before = {key: Held(held.value[rows], held.rule[rows]) for key, held in state.in_force.items()}
    if fresh.any():
        plan = book.plan(symbols, timeframe)
        voices = _voices(plan, metrics, fresh, rows, bar_ms, state)
        for key in plan.smoothing.keys() | voices.keys() | state.smoothed.keys() | state.in_force.keys():
            decided = decide(voices.get(key, ()), plan.merge.get(key, ()), len(symbols))
            known = state.smoothed.get(key)
            got_to = smooth(key, decided, None if known is None else known[rows], plan.smoothing.get(key), bases)
            _remember(key, decided, got_to, rows, fresh, state)
        state.seen_ms[rows[fresh]] = bar_ms
    nothing = Decision.none(len(symbols))
    keys = {}
    for key in state.in_force.keys() | before.keys():
        now, old = state.in_force.get(key), before.get(key, Held(nothing.value, nothing.rule))
        value, rule = (nothing.value, nothing.rule) if now is None else (now.value[rows], now.rule[rows])
        keys[key] = Decided(value, rule, old.value, old.rule)
    return Evaluated(keys, tuple(state.labels), fresh)


def _voices(
    plan: Plan, metrics: Mapping[str, F8], fresh: B1, rows: NDArray[np.intp], bar_ms: int, state: RuleState
) -> dict[str, list[Voice]]:
    """Return by key which rules speak for which symbols, in their order."""
    size = len(rows)
    asked = [where & fresh for _, where in plan.rules]
    matches = [holds(laid.rule.when, metrics, size) & where for (laid, _), where in zip(plan.rules, asked, strict=True)]
    held = [_held(laid, rows, bar_ms, state) & where for (laid, _), where in zip(plan.rules, asked, strict=True)]
    rules = [laid for laid, _ in plan.rules]
    allowed = _regimes(rules, [match | hold for match, hold in zip(matches, held, strict=True)])
    voices: dict[str, list[Voice]] = {}
    for laid, where, match, hold, may in zip(rules, asked, matches, held, allowed, strict=True):
        applied = _apply(laid, match & may, rows, bar_ms, state)
        memory = state.rules[laid.key]
        memory.evaluations += int(np.count_nonzero(where))
        memory.matched += int(np.count_nonzero(match))
        memory.blocked += int(np.count_nonzero(match & ~applied))
        speaks = applied | (hold & may)
        if speaks.any():
            number = state.label(laid.key)
            for key, value in laid.rule.actions.items():
                voices.setdefault(key, []).append(
                    Voice(applied if key in MOVES else speaks, value, laid.rule.weight, number)
                )
    return voices


def _held(laid: LaidRule, rows: NDArray[np.intp], bar_ms: int, state: RuleState) -> B1:
    """Return where a rule's last application still holds."""
    own = state.rules[laid.key].applications
    if own is None:
        return np.zeros(len(rows), dtype=np.bool_)
    return bar_ms < own.hold_until_ms[rows]


def _regimes(rules: list[LaidRule], wanted: list[B1]) -> list[B1]:
    """Return where each rule may be applied: everywhere, or where its regime is the first that is wanted."""
    size = len(wanted[0]) if wanted else 0
    active = np.full(size, -1)
    numbers: dict[str, int] = {}
    for laid, want in zip(rules, wanted, strict=True):
        if laid.rule.regime is not None:
            number = numbers.setdefault(laid.rule.regime, len(numbers))
            active[want & (active < 0)] = number
    everywhere = np.ones(size, dtype=np.bool_)
    return [everywhere if laid.rule.regime is None else active == numbers[laid.rule.regime] for laid in rules]


def _apply(laid: LaidRule, wanted: B1, rows: NDArray[np.intp], bar_ms: int, state: RuleState) -> B1:
    """Return where a rule is applied within its limits, and remember it."""
    memory, limits = state.rules[laid.key], laid.rule.limits
    own, applied = memory.applications, wanted
    if own is not None:
        applied = wanted & own.may(limits, bar_ms)[rows]
        own.note(rows[applied], limits, bar_ms)
    number = int(np.count_nonzero(applied))
    if number:
        memory.applied += number
        memory.last_ms = max(memory.last_ms, bar_ms)
    return applied


def _remember(
    key: str, decided: Decision, got_to: F8 | None, rows: NDArray[np.intp], fresh: B1, state: RuleState
) -> None:
    """Put what was decided into the state's columns, for the symbols that had not seen the bar."""
    size, at = len(state.symbols), rows[fresh]
    if got_to is not None or key in state.smoothed:
        column = state.smoothed.setdefault(key, np.full(size, np.nan))
        column[at] = np.nan if got_to is None else got_to[fresh]
        if np.isnan(column).all():
            del state.smoothed[key]
    held = state.in_force.get(key)
    if held is None:
        held = state.in_force[key] = Held(np.full(size, np.nan), np.full(size, -1, dtype=np.int32))
    held.value[at] = decided.value[fresh]
    held.rule[at] = np.where(np.isnan(decided.value), -1, decided.rule)[fresh]
    if np.isnan(held.value).all():
        del state.in_force[key]


__all__ = ["Decided", "Evaluated", "evaluate_bar"]
