"""The warm-up audit: what a value is worth when there is less history than a screening loads.

At many bars the engine is asked with the last 500 bars, with 1500, and with a week and more. For every column:

- is it known with the short history, is it the same, and if not, how far off;
- from how many bars on does it agree, measured on a ladder of lengths, and how many are declared;
- does a history that begins late (500 bars of an array of 1500, the rest missing) say the same as a short array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from aione.errors import InvalidInput
from aione.evaluate.futures import Stretch
from aione.evaluate.said import Column, said
from aione.evaluate.walk import look
from aione.indicators.warmup import AGREES_WITHIN, required_bars
from aione.panel import B1, F8, VALUE_FIELDS, BarPanel

ABSOLUTE: Final = 1e-12
SHORT: Final = 500
LONG: Final = 10_000
LADDER: Final = (15, 30, 61, 120, 180, 240, 300, 360, 420, 480, 540, 600, 720, 900, 1080, 1200, 1320, 1440)
"""Lengths of history that are tried; the declared ones and the screening's own are added."""

_NOT_OF_HISTORY: Final = frozenset({"ready_frac", "qualities.data"})
"""Says how much history there is, so it has to differ."""


@dataclass(frozen=True, slots=True)
class WarmupRow:
    """What history does to one column.

    Attributes
    ----------
    kind, name : str
        As in `aione.evaluate.said.Column`.
    declared_bars : int, optional
        Of `aione.indicators.warmup.required_bars`; None for what is no reading.
    agrees_from : int, optional
        The shortest history of the ladder from which on all agree with the screening's; None: not even the longest.
    unknown_frac : float
        Of the values that the screening's history gives, those that the short one does not.
    differs_frac : float
        Those that the short one gives otherwise.
    largest_frac : float
        The largest of these differences, relative; NaN for what is no number.
    beyond_differs_frac : float
        Of the values that the screening's history gives, those that a long one gives otherwise.
    beyond_frac : float
        The largest of these differences, relative.
    """

    kind: str
    name: str
    declared_bars: int | None
    agrees_from: int | None
    unknown_frac: float
    differs_frac: float
    largest_frac: float
    beyond_differs_frac: float
    beyond_frac: float

    @property
    def is_declared(self) -> bool:
        """Return whether it agrees from where it is declared to; true for what needs more than was tried."""
        if self.declared_bars is None:
            return True
        return self.agrees_from is not None and self.agrees_from <= self.declared_bars


@dataclass(frozen=True, slots=True)
class WarmupReport:
    """What the audit has found: a row a column, how much was looked at, and where late and short differ."""

    rows: tuple[WarmupRow, ...]
    bars: int
    symbols: int
    short: int
    usual: int
    long: int
    late_differs: tuple[str, ...]


def audit_warmup(
    stretch: Stretch, *, stops: int = 200, short: int = SHORT, long: int = LONG, ladder: Sequence[int] = LADDER
) -> WarmupReport:
    """Ask the engine at ``stops`` bars of a stretch with histories of several lengths.

    Raises
    ------
    InvalidInput
        There are not ``long`` bars before the stretch's first.
    """
    if stretch.start + 1 < long:
        raise InvalidInput(f"the stretch must begin after {long} bars, began after {stretch.start}")
    usual = stretch.settings.SCREENING_LOOKBACK
    declared = required_bars(stretch.settings.STAGE1_MONITOR_PARAMS.indicators)
    lengths = sorted({*(bars for bars in (*ladder, *declared.values()) if bars < usual), short, usual, long})
    agrees: dict[int, dict[int, bool]] = {bars: {} for bars in lengths}
    kept: dict[int, list[list[np.ndarray]]] = {short: [], usual: [], long: []}
    late_differs: set[str] = set()
    columns: list[Column] = []
    places = np.unique(np.linspace(stretch.start, stretch.stop - 1, stops).astype(int))
    for at in places.tolist():
        reference = columns = _asked(stretch, at, stretch.panel.window(at + 1, usual))
        for bars in lengths:
            found = reference if bars == usual else _asked(stretch, at, stretch.panel.window(at + 1, bars))
            for index, (one, other) in enumerate(zip(reference, found, strict=True)):
                is_same = agrees[bars].get(index, True) and not _differs(one.values, other.values).any()
                agrees[bars][index] = is_same
            if bars in kept:
                kept[bars].append([column.values for column in found])
            if bars == short:
                late = _asked(stretch, at, late_history(stretch.panel.window(at + 1, usual), short))
                late_differs |= {
                    f"{one.kind} {one.name}"
                    for one, other in zip(found, late, strict=True)
                    if _differs(one.values, other.values).any()
                }
    rows = []
    for index, column in enumerate(columns):
        if column.name in _NOT_OF_HISTORY:
            continue
        short_, usual_, long_ = (np.array([step[index] for step in kept[n]]) for n in (short, usual, long))
        rows.append(
            WarmupRow(
                column.kind,
                column.name,
                declared.get(column.name) if column.kind == "indicator" else None,
                _agrees_from({bars: agrees[bars][index] for bars in lengths if bars <= usual}),
                *_shares(short_, usual_),
                _largest(short_, usual_),
                _shares(long_, usual_)[1],
                _largest(long_, usual_),
            )
        )
    return WarmupReport(
        tuple(rows), len(places), len(stretch.panel.symbols), short, usual, long, tuple(sorted(late_differs))
    )


def late_history(window: BarPanel, bars: int) -> BarPanel:
    """Return the window with all but its last ``bars`` missing, as a symbol looks that was listed so long ago."""
    first = max(0, window.shape[1] - bars)
    arrays: dict[str, Any] = {name: getattr(window, name).copy() for name in VALUE_FIELDS}
    for array in arrays.values():
        array[:, :first] = np.nan
    valid = window.valid.copy()
    valid[:, :first] = False
    return replace(window, valid=valid, **arrays)


def _asked(stretch: Stretch, at: int, window: BarPanel) -> list[Column]:
    return said(*look(window, stretch.days_before(at), stretch.market_at(window), stretch.settings, {}))


def _agrees_from(agrees: dict[int, bool]) -> int | None:
    """Return the shortest length from which on all agree."""
    least = None
    for bars in sorted(agrees, reverse=True):
        if not agrees[bars]:
            break
        least = bars
    return least


def _differs(expected: np.ndarray, found: np.ndarray) -> B1:
    if expected.dtype.kind != "f":
        return np.asarray(expected != found)
    is_close: B1 = np.isclose(found, expected, rtol=AGREES_WITHIN, atol=ABSOLUTE, equal_nan=True)
    return np.asarray(~is_close)


def _shares(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Return the shares of the known values that are unknown, and that are given otherwise."""
    wrong = _differs(expected, found)
    if expected.dtype.kind != "f":
        return 0.0, float(wrong.mean())
    known = max(1, int(np.count_nonzero(~np.isnan(expected))))
    is_gone = np.isnan(found) & ~np.isnan(expected)
    return float(np.count_nonzero(is_gone)) / known, float(np.count_nonzero(wrong & ~is_gone)) / known


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference relative to the value, or to the symbol's usual one where that is larger.

    The arrays are ``(T, S)`` or ``(T, S, K)``, or ``(T,)`` of what is one for all symbols.
    """
    if expected.dtype.kind != "f":
        return float("nan")
    both = ~np.isnan(found) & ~np.isnan(expected)
    if not both.any():
        return float("nan")
    size: F8 = np.where(both, np.abs(expected), 0.0)
    rows = size.reshape(len(size), -1).T if size.ndim < 3 else np.moveaxis(size, 1, 0).reshape(size.shape[1], -1)
    usual = np.array([np.median(row[row > 0.0]) if (row > 0.0).any() else 1.0 for row in rows])
    least = usual[None, :, None] if size.ndim == 3 else usual[None, :] if size.ndim == 2 else usual
    apart = np.where(both, np.abs(found - expected), 0.0)
    return float((apart / np.maximum(size, least)).max())


__all__ = ["LADDER", "LONG", "SHORT", "WarmupReport", "WarmupRow", "audit_warmup", "late_history"]
