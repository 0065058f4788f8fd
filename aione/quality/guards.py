"""Guards of whole symbols, natively: their history and their trading rules; with the bars, all that a minute asks.

1. `check_history` looks at the panel that is loaded: bars against arithmetic, bars that are not there, its age.
2. `check_universe` looks at the trading rules.
3. `look` asks both, and `check_bars` the hour, and says which symbols it has looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np

from aione.errors import InvalidInput
from aione.panel import F8, I8, BarPanel
from aione.quality.bar_guards import check_bars, count_unsound
from aione.quality.rules import RULES, Dataset, Finding, in_order, rules_of
from config.models import QualityParams, SymbolInfo


@dataclass(frozen=True, slots=True)
class UniverseRows:
    """Trading rules as columns; a row a listing, so that what the models would refuse can be told.

    Attributes
    ----------
    symbols, status : tuple of str, length S
    tick_size, step_size, min_notional : float64 (S,)
        Quote per base, base, quote.
    onboard_ms : int64 (S,)
    """

    symbols: tuple[str, ...]
    status: tuple[str, ...]
    tick_size: F8
    step_size: F8
    min_notional: F8
    onboard_ms: I8

    def __post_init__(self) -> None:
        for name in ("status", "tick_size", "step_size", "min_notional", "onboard_ms"):
            if len(getattr(self, name)) != len(self.symbols):
                raise InvalidInput(f"{name} must have {len(self.symbols)} rows, had {len(getattr(self, name))}")

    @classmethod
    def of(cls, infos: Iterable[SymbolInfo]) -> Self:
        """Return the rules of contracts."""
        rows = list(infos)
        return cls(
            symbols=tuple(info.symbol for info in rows),
            status=tuple(info.status for info in rows),
            tick_size=np.array([info.tick_size for info in rows], dtype=np.float64),
            step_size=np.array([info.step_size for info in rows], dtype=np.float64),
            min_notional=np.array([info.min_notional for info in rows], dtype=np.float64),
            onboard_ms=np.array([info.onboard_ms for info in rows], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and at which symbols one has looked, by dataset: only these can be said to be sound."""

    findings: tuple[Finding, ...]
    symbols: Mapping[Dataset, Collection[str]]


def look(panel: BarPanel, holes: I8, rows: UniverseRows, now_ms: int, params: QualityParams) -> Looked:
    """Judge what a cycle has loaded.

    Parameters
    ----------
    panel : BarPanel
        Everything loaded, ``(S, T)``; its last ``window_bars`` bars are the hour.
    holes : int64 (S,)
        Bars that we lack inside the history; what the exchange is known not to have is none.
    rows : UniverseRows
        Of the panel's symbols.
    now_ms : int
        The exchange's time.
    params : QualityParams
    """
    hour = panel.tail(params.window_bars)
    found = check_bars(hour, params) + check_history(panel, holes, params)
    found += check_universe(rows, now_ms, None, params)
    return Looked(
        tuple(in_order(found)),
        {"hour": with_bars(hour), "history": with_bars(panel), "universe": frozenset(rows.symbols)},
    )


def with_bars(panel: BarPanel) -> frozenset[str]:
    """Return the symbols of which there is any bar."""
    return frozenset(symbol for symbol, row in zip(panel.symbols, panel.valid, strict=True) if row.any())


def check_history(panel: BarPanel, holes: I8, params: QualityParams) -> list[Finding]:
    """Return what the history breaks: bars against arithmetic, minutes that are not there, age; as `look`."""
    bars = panel.shape[1]
    if not bars:
        return []
    unsound, newest_ms = count_unsound(panel, params)
    has_any = panel.valid.any(axis=1)
    first = panel.valid.argmax(axis=1)
    age = np.where(has_any, panel.valid[:, ::-1].argmax(axis=1), bars)
    span = np.where(has_any, bars - age - first, 1)
    absent = np.where(has_any, (span - panel.valid.sum(axis=1) - holes).clip(min=0), 0) / span
    end_ms = int(panel.open_time_ms[-1])
    columns = {
        "unsound_bars": (unsound > 0, unsound, np.where(unsound > 0, newest_ms, end_ms)),
        "absent_share": (absent > params.max_absent_frac, absent, np.full(len(holes), end_ms)),
        "holes": (holes > params.max_holes, holes, np.full(len(holes), end_ms)),
        "stale": (age > params.max_age_bars, age, np.full(len(holes), end_ms)),
    }
    shown = {"unsound_bars": unsound, "absent_share": absent, "holes": holes, "age_bars": age}
    found = []
    for rule in rules_of("history", params):
        wrong, _, at_ms = columns[rule.name]
        for row in np.flatnonzero(wrong).tolist():
            value, bound = rule.shown({name: float(column[row]) for name, column in shown.items()}, params)
            count = int(unsound[row]) if rule.name == "unsound_bars" else 1
            found.append(Finding(panel.symbols[row], rule.name, count, int(at_ms[row]), value, bound))
    return found


def check_universe(rows: UniverseRows, now_ms: int, before: int | None, params: QualityParams) -> list[Finding]:
    """Return what trading rules break; ``before`` is how many symbols there were, None where nobody knows."""
    listed: dict[str, int] = {}
    for symbol in rows.symbols:
        listed[symbol] = listed.get(symbol, 0) + 1
    wrong = {
        "tick_size_not_positive": ~_is_positive(rows.tick_size),
        "step_size_not_positive": ~_is_positive(rows.step_size),
        "min_notional_negative": ~(_is_positive(rows.min_notional) | (rows.min_notional == 0.0)),
        "not_trading": np.array([status != "TRADING" for status in rows.status], dtype=np.bool_),
        "symbol_twice": np.array([listed[symbol] > 1 for symbol in rows.symbols], dtype=np.bool_),
        "onboard_time_strange": (rows.onboard_ms < params.min_onboard_ms) | (rows.onboard_ms > now_ms),
    }
    found: dict[tuple[str, str], Finding] = {}
    for rule in rules_of("universe", params):
        for at in np.flatnonzero(wrong.get(rule.name, ())).tolist():
            symbol = rows.symbols[at]
            row = {name: float(getattr(rows, name)[at]) for name in ("tick_size", "step_size", "min_notional")}
            row |= {"onboard_ms": float(rows.onboard_ms[at]), "listings": float(listed[symbol])}
            again = found.get((symbol, rule.name))
            found[symbol, rule.name] = Finding(
                symbol, rule.name, again.count + 1 if again else 1, now_ms, *rule.shown(row, params)
            )
    return [*found.values(), *_collapsed(rows.symbols, now_ms, before, params)]


def least_symbols(before: int | None, params: QualityParams) -> int:
    """Return how many symbols there must be at the least after ``before``."""
    return 0 if before is None else ceil(before * (1.0 - params.max_collapse_frac))


def _collapsed(symbols: Sequence[str], now_ms: int, before: int | None, params: QualityParams) -> list[Finding]:
    least = least_symbols(before, params)
    if "universe_collapsed" in params.off or len(symbols) >= least:
        return []
    shown = RULES["universe_collapsed"].shown({"symbols": float(len(symbols)), "least": float(least)}, params)
    return [Finding("", "universe_collapsed", 1, now_ms, *shown)]


def _is_positive(column: F8) -> np.ndarray:
    return (column > 0.0) & (column < np.inf)


__all__ = ["Looked", "UniverseRows", "check_history", "check_universe", "least_symbols", "look", "with_bars"]
