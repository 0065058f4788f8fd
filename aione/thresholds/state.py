"""`RuleState`: what the rules remember from bar to bar and across restarts; its written form is plain values.

Everything that is remembered of a symbol stands in columns, aligned to ``symbols``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.panel import B1, F8, I8
from aione.thresholds.book import RuleBook
from aione.thresholds.columns import carried, packed, unpacked
from aione.thresholds.model import LONGEST_S, Limits

FORGET_MS: Final = 1000 * LONGEST_S
"""A symbol that was not seen for so long is forgotten: no limit of a rule lasts longer."""


@dataclass(slots=True)
class Applications:
    """When a rule with limits was put in force, by symbol, in UTC epoch milliseconds; 0 is never.

    Attributes
    ----------
    last_ms, hold_until_ms : int64 (N,)
    within_ms : int64 (W, N)
        The latest applications, oldest first; W is ``max_apply_per_window``.
    """

    last_ms: I8
    hold_until_ms: I8
    within_ms: I8

    @classmethod
    def none(cls, limits: Limits, size: int) -> Self:
        """Return a rule's memory before its first application."""
        zeros = np.zeros(size, dtype=np.int64)
        return cls(zeros, zeros.copy(), np.zeros((limits.max_apply_per_window or 0, size), dtype=np.int64))

    def may(self, limits: Limits, bar_ms: int) -> B1:
        """Return where the limits allow an application on this bar."""
        early = (self.last_ms > 0) & (bar_ms - self.last_ms < 1000 * limits.min_interval_s)
        is_recent = (self.within_ms > 0) & (bar_ms - self.within_ms < 1000 * limits.window_s)
        recent: I8 = np.count_nonzero(is_recent, axis=0)
        free: B1 = ~early & (recent < len(self.within_ms)) if len(self.within_ms) else ~early
        return free

    def note(self, at: NDArray[np.intp], limits: Limits, bar_ms: int) -> None:
        """Remember an application on this bar."""
        self.last_ms[at] = bar_ms
        self.hold_until_ms[at] = bar_ms + round(1000 * limits.hold_s)
        if len(self.within_ms):
            self.within_ms[:-1, at] = self.within_ms[1:, at]
            self.within_ms[-1, at] = bar_ms


@dataclass(slots=True)
class RuleMemory:
    """One rule's counters.

    Attributes
    ----------
    digest : str
        Of the rule as it was; a rule that reads otherwise begins anew.
    evaluations, matched, applied : int
        Symbols and bars on which it was asked, on which its conditions held, on which its actions were put in force.
    blocked : int
        On which it matched and was kept from it by its limits or by another regime.
    last_ms : int
        Bar of the last application, of any symbol; 0 is never.
    applications : Applications, optional
        Of a rule that has limits.
    """

    digest: str
    evaluations: int = 0
    matched: int = 0
    applied: int = 0
    blocked: int = 0
    last_ms: int = 0
    applications: Applications | None = None


@dataclass(slots=True)
class Held:
    """What is in force of one key: ``value`` float64 (N,), NaN none; ``rule`` int32 (N,), an index or -1."""

    value: F8
    rule: NDArray[np.int32]


@dataclass(slots=True)
class RuleState:
    """What goes from run to run.

    Attributes
    ----------
    symbols : tuple of str, length N
    seen_ms : int64 (N,)
        Open time of each symbol's last bar that was evaluated; that bar again changes nothing.
    rules : mapping rule key -> RuleMemory
    labels : list of str
        The rule keys that ``Held.rule`` counts.
    in_force : mapping action key -> Held
        What held on each symbol's last bar, after merging and smoothing.
    smoothed : mapping action key -> float64 (N,)
        Where values that go step by step have got to; NaN is nowhere.
    sources : mapping file name -> text
        The last files that were good.
    """

    symbols: tuple[str, ...] = ()
    seen_ms: I8 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rules: dict[str, RuleMemory] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    in_force: dict[str, Held] = field(default_factory=dict)
    smoothed: dict[str, F8] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def rows(self, symbols: tuple[str, ...], bar_ms: int) -> NDArray[np.intp]:
        """Return where each symbol stands; make room for new ones, and forget those that are long gone."""
        if symbols != self.symbols and not set(symbols) <= set(self.symbols):
            wanted = set(symbols)
            kept = [
                (symbol, at)
                for at, symbol in enumerate(self.symbols)
                if symbol in wanted or bar_ms - int(self.seen_ms[at]) <= FORGET_MS
            ]
            known = {symbol for symbol, _ in kept}
            kept += [(symbol, -1) for symbol in symbols if symbol not in known]
            self._carry(tuple(symbol for symbol, _ in kept), np.array([at for _, at in kept], dtype=np.intp))
        if symbols == self.symbols:
            return np.arange(len(symbols))
        row_of = {symbol: row for row, symbol in enumerate(self.symbols)}
        return np.array([row_of[symbol] for symbol in symbols], dtype=np.intp)

    def adopt(self, book: RuleBook) -> None:
        """Forget rules that are gone, and let those that were changed begin anew."""
        known = {key: memory.digest for key, memory in self.rules.items()}
        if known == book.digests:
            return
        kept: dict[str, RuleMemory] = {}
        for laid in book.rules:
            digest, memory = book.digests[laid.key], self.rules.get(laid.key)
            if memory is None or memory.digest != digest:
                limits = laid.rule.limits
                own = Applications.none(limits, len(self.symbols)) if limits.are_set else None
                memory = RuleMemory(digest, applications=own)
            kept[laid.key] = memory
        self.rules = kept
        self._drop_labels()

    def label(self, key: str) -> int:
        """Return the number under which a rule key stands in ``labels``."""
        if key not in self.labels:
            self.labels.append(key)
        return self.labels.index(key)

    def _carry(self, symbols: tuple[str, ...], origin: NDArray[np.intp]) -> None:
        self.symbols = symbols
        self.seen_ms = carried(self.seen_ms, origin, 0)
        self.smoothed = {key: carried(column, origin, np.nan) for key, column in self.smoothed.items()}
        for held in self.in_force.values():
            held.value, held.rule = carried(held.value, origin, np.nan), carried(held.rule, origin, -1)
        for memory in self.rules.values():
            if (own := memory.applications) is not None:
                own.last_ms, own.hold_until_ms = carried(own.last_ms, origin, 0), carried(own.hold_until_ms, origin, 0)
                own.within_ms = carried(own.within_ms, origin, 0)

    def _drop_labels(self) -> None:
        """Keep the labels that something in force still points to."""
        numbers = {number for held in self.in_force.values() for number in np.unique(held.rule).tolist()}
        used = sorted(numbers - {-1})
        renumbered = np.full(len(self.labels) + 1, -1, dtype=np.int32)
        renumbered[used] = np.arange(len(used))
        for held in self.in_force.values():
            held.rule = renumbered[held.rule]
        self.labels = [self.labels[number] for number in used]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; columns are packed."""
        return {
            "symbols": list(self.symbols),
            "seen_ms": packed(self.seen_ms),
            "rules": {key: _memory_to_dict(memory) for key, memory in self.rules.items()},
            "labels": list(self.labels),
            "in_force": {key: [packed(held.value), packed(held.rule)] for key, held in self.in_force.items()},
            "smoothed": {key: packed(column) for key, column in self.smoothed.items()},
            "sources": dict(self.sources),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a state; `InvalidInput` says that it is none."""
        try:
            symbols = tuple(map(str, values["symbols"]))
            size = len(symbols)
            state = cls(
                symbols,
                _column(values["seen_ms"], "<i8", size),
                {str(key): _memory_of(one, size) for key, one in values["rules"].items()},
                [str(label) for label in values["labels"]],
                {
                    str(key): Held(_column(value, "<f8", size), _column(rule, "<i4", size))
                    for key, (value, rule) in values["in_force"].items()
                },
                {str(key): _column(column, "<f8", size) for key, column in values["smoothed"].items()},
                {str(name): str(text) for name, text in values["sources"].items()},
            )
            for held in state.in_force.values():
                _check_labels(held, len(state.labels))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            names = ", ".join(cls.__slots__)
            raise InvalidInput(f"a state of the rules holds {names}, each of every symbol: {error!r}") from error
        return state


def _memory_to_dict(memory: RuleMemory) -> dict[str, Any]:
    own = memory.applications
    return {
        "digest": memory.digest,
        "counts": [memory.evaluations, memory.matched, memory.applied, memory.blocked, memory.last_ms],
        "applications": None
        if own is None
        else {
            "last_ms": packed(own.last_ms),
            "hold_until_ms": packed(own.hold_until_ms),
            "within_ms": [packed(times) for times in own.within_ms],
        },
    }


def _memory_of(values: Mapping[str, Any], size: int) -> RuleMemory:
    evaluations, matched, applied, blocked, last_ms = map(int, values["counts"])
    own, applications = values["applications"], None
    if own is not None:
        within = [_column(times, "<i8", size) for times in own["within_ms"]]
        applications = Applications(
            _column(own["last_ms"], "<i8", size),
            _column(own["hold_until_ms"], "<i8", size),
            np.array(within, dtype=np.int64).reshape(len(within), size),
        )
    return RuleMemory(str(values["digest"]), evaluations, matched, applied, blocked, last_ms, applications)


def _column(text: str, dtype: str, size: int) -> NDArray[Any]:
    column = unpacked(text, dtype)
    if len(column) != size:
        raise ValueError(f"a column must hold {size} values, held {len(column)}")
    return column


def _check_labels(held: Held, labels: int) -> None:
    if ((held.rule < -1) | (held.rule >= labels)).any():
        raise ValueError(f"a rule in force must be one of {labels} labels")


__all__ = ["FORGET_MS", "Applications", "Held", "RuleMemory", "RuleState"]
