"""One bar of the rules, all symbols at once.

1. The symbols are grouped by the rules that they share; a group's rules are asked in their order.
2. A rule matches where its conditions hold; what is unknown satisfies none.
3. Of the regimes that match, or are held, for a symbol, the one whose rule comes first is active; rules of another
   regime are not applied.
4. A rule that matches is applied unless it was within ``min_interval_s``, or too often in its window. Its actions are
   in force on that bar, and for ``hold_s`` after it; one that moves a value moves it when it is applied, not after.
5. Of the rules in force that set a key the merge policy decides.
6. A key that is smoothed goes a share of the way to where it should be, and back where no rule speaks any more.

The bar that the state has seen last gives what it gave then, and changes nothing. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from aione.panel import B1, F8
from aione.thresholds.actions import MOVES
from aione.thresholds.book import LaidRule, Profile, RuleBook
from aione.thresholds.conditions import holds
from aione.thresholds.merging import Voices, decide
from aione.thresholds.smoothing import smooth
from aione.thresholds.state import Applications, RuleState


@dataclass(frozen=True, slots=True)
class Decided:
    """One key of S symbols: ``value`` float64 (S,), NaN where no rule speaks, and each value's rule key."""

    value: F8
    rule: list[str]


@dataclass(frozen=True, slots=True)
class Bases:
    """What holds without rules: action key -> float64 (S,), for keys that are smoothed towards it."""

    values: Mapping[str, F8]
    move_alpha: float
    move_relax: float
    move_least: float
    move_most: float


def evaluate_bar(
    book: RuleBook,
    metrics: Mapping[str, F8],
    symbols: tuple[str, ...],
    timeframe: str,
    bar_ms: int,
    bases: Bases,
    state: RuleState,
) -> dict[str, Decided]:
    """Return what the rules decide on a bar, by action key.

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
        Changed, unless it has seen the bar.
    """
    if bar_ms <= state.bar_ms:
        return _remembered(symbols, state)
    state.adopt(book.rules)
    groups: dict[int, tuple[Profile, list[int]]] = {}
    for row, symbol in enumerate(symbols):
        profile = book.profile(symbol, timeframe)
        groups.setdefault(id(profile), (profile, []))[1].append(row)
    found: dict[str, Decided] = {}
    for profile, rows in groups.values():
        at = np.array(rows, dtype=np.intp)
        names = [symbols[row] for row in rows]
        mine = {name: column[at] for name, column in metrics.items()} if len(rows) < len(symbols) else metrics
        voices = _voices(profile, mine, names, bar_ms, state)
        for key in profile.smoothing.keys() | voices.keys() | state.smoothed.keys():
            decided = decide(voices.get(key), profile.merge.get(key, "last"), len(rows))
            smooth(key, decided, names, profile.smoothing.get(key), bases, at, state)
            _spread(found, key, decided.value, decided.rule, at, len(symbols))
    state.bar_ms = bar_ms
    state.in_force = {
        key: {
            symbol: (value, rule)
            for symbol, value, rule in zip(symbols, one.value.tolist(), one.rule, strict=True)
            if not isnan(value)
        }
        for key, one in found.items()
    }
    return found


def _voices(
    profile: Profile, metrics: Mapping[str, F8], names: list[str], bar_ms: int, state: RuleState
) -> dict[str, Voices]:
    """Return by key which rules speak for which symbol, in their order."""
    matches = [holds(laid.rule.when, metrics, len(names)) for laid in profile.rules]
    held = [_held(laid, names, bar_ms, state) for laid in profile.rules]
    allowed = _regimes(profile, [match | hold for match, hold in zip(matches, held, strict=True)])
    voices: dict[str, Voices] = {}
    for laid, match, hold, may in zip(profile.rules, matches, held, allowed, strict=True):
        applied = _apply(laid, match & may, names, bar_ms, state)
        memory = state.rules[laid.key]
        memory.evaluations += len(names)
        memory.matched += int(match.sum())
        memory.blocked += int((match & ~applied).sum())
        speaks = applied | (hold & may)
        if speaks.any():
            for key, value in laid.rule.actions.items():
                voices.setdefault(key, Voices()).add(applied if key in MOVES else speaks, value, laid)
    return voices


def _held(laid: LaidRule, names: list[str], bar_ms: int, state: RuleState) -> B1:
    known = state.rules[laid.key].symbols
    if not laid.rule.limits.hold_s or not known:
        return np.zeros(len(names), dtype=np.bool_)
    return np.array([name in known and bar_ms < known[name].hold_until_ms for name in names], dtype=np.bool_)


def _regimes(profile: Profile, wanted: list[B1]) -> list[B1]:
    """Return where each rule may be applied: everywhere, or where its regime is the first that is wanted."""
    size = len(wanted[0]) if wanted else 0
    active = np.full(size, -1)
    numbers: dict[str, int] = {}
    for laid, want in zip(profile.rules, wanted, strict=True):
        if laid.rule.regime is not None:
            number = numbers.setdefault(laid.rule.regime, len(numbers))
            active[want & (active < 0)] = number
    everywhere = np.ones(size, dtype=np.bool_)
    return [everywhere if laid.rule.regime is None else active == numbers[laid.rule.regime] for laid in profile.rules]


def _apply(laid: LaidRule, match: B1, names: list[str], bar_ms: int, state: RuleState) -> B1:
    """Return where a rule is applied within its limits, and remember it."""
    limits, memory = laid.rule.limits, state.rules[laid.key]
    applied = match.copy()
    if limits.min_interval_s or limits.hold_s or limits.max_apply_per_window is not None:
        for row in np.flatnonzero(match).tolist():
            one = memory.symbols.setdefault(names[row], Applications())
            one.within = [at for at in one.within if bar_ms - at < 1000 * limits.window_s]
            is_early = one.last_ms and bar_ms - one.last_ms < 1000 * limits.min_interval_s
            is_often = limits.max_apply_per_window is not None and len(one.within) >= limits.max_apply_per_window
            if is_early or is_often:
                applied[row] = False
                continue
            one.last_ms = bar_ms
            one.hold_until_ms = bar_ms + round(1000 * limits.hold_s)
            if limits.max_apply_per_window is not None:
                one.within.append(bar_ms)
    number = int(applied.sum())
    if number:
        memory.applied += number
        memory.last_ms = bar_ms
    return applied


def _spread(found: dict[str, Decided], key: str, value: F8, rule: list[str], at: np.ndarray, size: int) -> None:
    """Put a group's answer into its rows of the whole."""
    whole = found.setdefault(key, Decided(np.full(size, np.nan), [""] * size))
    whole.value[at] = value
    for row, name in zip(at.tolist(), rule, strict=True):
        whole.rule[row] = name


def _remembered(symbols: tuple[str, ...], state: RuleState) -> dict[str, Decided]:
    found = {}
    for key, held in state.in_force.items():
        told = [held.get(symbol, (np.nan, "")) for symbol in symbols]
        found[key] = Decided(np.array([value for value, _ in told], dtype=np.float64), [rule for _, rule in told])
    return found


__all__ = ["Bases", "Decided", "evaluate_bar"]
