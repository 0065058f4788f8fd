"""Levels of the days before: yesterday's extremes and close, and the nearest daily level on each side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.kernel import KNOWN_SHARE, jit, row_jit
from aione.indicators.structure import pivot_levels
from aione.panel import DAY_MS, F8, I8, MINUTE_MS, BarPanel

PIVOT_DAYS: Final = 60
"""Days that are searched for confirmed daily pivots."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days of S symbols that had closed before the one that began at ``start_ms``.

    Attributes
    ----------
    start_ms : int
    high, low, close : float64 (S, D)
        Quote per base, oldest first; NaN where a symbol or its day is missing.
    yesterday : float64 (S, 3)
        High, low and close of the day before ``start_ms``.
    """

    start_ms: int
    high: F8
    low: F8
    close: F8
    yesterday: F8


def days_before(start_ms: int, symbols: tuple[str, ...], daily: BarPanel | None) -> Days:
    """Return what ``daily`` knows of the days before ``start_ms``.

    Parameters
    ----------
    start_ms : int
        A UTC midnight.
    symbols : tuple of str, length S
    daily : BarPanel, optional
        Daily bars of any symbols in any order; those from ``start_ms`` on are not looked at.

    Raises
    ------
    InvalidInput
        ``daily`` is not of daily bars.
    """
    unknown = np.full((len(symbols), 3), np.nan)
    if daily is None:
        none = np.empty((len(symbols), 0))
        return Days(start_ms, none, none, none, unknown)
    if daily.interval_ms != DAY_MS:
        raise InvalidInput(f"daily bars must have an interval of {DAY_MS} ms, was {daily.interval_ms}")
    stop = int(np.searchsorted(daily.open_time_ms, start_ms))
    high, low, close = (_rows_for(symbols, daily, column[:, :stop]) for column in (daily.high, daily.low, daily.close))
    is_there = stop > 0 and daily.open_time_ms[stop - 1] == start_ms - DAY_MS
    yesterday = np.column_stack([high[:, -1], low[:, -1], close[:, -1]]) if is_there else unknown
    return Days(start_ms, high, low, close, yesterday)


def days_of(panel: BarPanel, daily: BarPanel | None) -> Days:
    """Return what ``daily`` knows of the days before that of the panel's last bar, of the panel's symbols."""
    return days_before(_day_start(panel), panel.symbols, daily)


def _rows_for(symbols: tuple[str, ...], daily: BarPanel, column: F8) -> F8:
    if symbols == daily.symbols:
        return np.ascontiguousarray(column)
    at = {symbol: row for row, symbol in enumerate(daily.symbols)}
    rows = np.array([at.get(symbol, -1) for symbol in symbols], dtype=np.intp)
    return np.ascontiguousarray(np.vstack([column, np.full((1, column.shape[1]), np.nan)])[rows])


def previous_day(panel: BarPanel, daily: BarPanel | None = None) -> tuple[F8, F8, F8]:
    """High, low and close of the UTC day before the last bar's.

    Parameters
    ----------
    panel : BarPanel
        Bars of less than a day.
    daily : BarPanel, optional
        Daily bars, of any symbols; those of the running day and after are not looked at.

    Returns
    -------
    high, low, close : float64 (S,)
        Quote per base, aligned to ``panel.symbols``. From ``daily`` where it knows the day, else from the bars of
        ``panel`` if 90 % of the day are there and its last one is known; else NaN.
    """
    days = days_of(panel, daily)
    levels = days.yesterday
    add_yesterday(levels, panel, days)
    high, low, close = np.ascontiguousarray(levels.T)
    return high, low, close


def add_yesterday(table: F8, panel: BarPanel, days: Days) -> None:
    """Write yesterday's levels to the first columns of ``table`` where the days do not know them and ``panel`` does."""
    missing = np.flatnonzero(np.isnan(table[:, 2]))
    first, stop = np.searchsorted(panel.open_time_ms, [days.start_ms - DAY_MS, days.start_ms])
    bars = (panel.high, panel.low, panel.close)
    fill_yesterday(table, *bars, missing, missing, int(first), int(stop), panel.interval_ms)


def fill_yesterday(
    table: F8,
    high: F8,
    low: F8,
    close: F8,
    missing: I8,
    rows: I8,
    first: int,
    stop: int,
    interval_ms: int = MINUTE_MS,
) -> None:
    """Write high, low and close of the bars ``first <= t < stop`` to the rows ``missing`` of ``table``.

    ``rows`` tells where in ``high``, ``low`` and ``close`` each of them stands. NaN where less than 90 % are there.
    """
    wanted = KNOWN_SHARE * DAY_MS / interval_ms
    if stop - first >= wanted:
        _fill_yesterday(table, high, low, close, missing, rows, first, stop, wanted)
    else:
        table[missing, :3] = np.nan


def nearest_levels(close: F8, levels: Sequence[F8]) -> tuple[F8, F8]:
    """Return the nearest level below and above the close, float64 ``(S,)``; NaN where there is none.

    ``levels`` are ``(S,)`` or ``(S, K)``, NaN padded. A level at the close is on neither side.

    Examples
    --------
    >>> nearest_levels(np.array([10.0]), [np.array([9.0]), np.array([[8.0, 12.0]])])
    (array([9.]), array([12.]))
    """
    return nearest_in(close, np.concatenate([np.atleast_2d(x.T).T for x in levels], axis=1))


def nearest_in(close: F8, table: F8) -> tuple[F8, F8]:
    """Do what `nearest_levels` does, of levels in a table ``(S, K)``."""
    out = np.full((2, len(close)), np.nan)
    _nearest_levels(close, table, out)
    return out[0], out[1]


def daily_pivots(panel: BarPanel, daily: BarPanel, span: int) -> tuple[F8, F8]:
    """Prices of the confirmed daily pivot highs and lows, ``(S, K)``, of the days that had closed at the last bar."""
    return pivots_of(days_of(panel, daily), span)


def pivots_of(days: Days, span: int) -> tuple[F8, F8]:
    """Do what `daily_pivots` does, with days that are known already."""
    high, _, low, _ = pivot_levels(days.high, days.low, span, PIVOT_DAYS)
    return high, low


def level_table(days: Days, span: int) -> F8:
    """Return all daily levels, ``(S, K)``: yesterday's high, low and close, then the pivots, NaN padded."""
    return np.ascontiguousarray(np.column_stack([days.yesterday, *pivots_of(days, span)]))


def _day_start(panel: BarPanel) -> int:
    return int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS


@row_jit
def _day_of(high: F8, low: F8, close: F8, wanted: float) -> tuple[float, float, float]:
    top, bottom, known = -np.inf, np.inf, 0
    for i in range(len(close)):
        if not isnan(close[i]):
            known += 1
            top, bottom = max(top, high[i]), min(bottom, low[i])
    return (top, bottom, close[-1]) if known >= wanted else (np.nan, np.nan, np.nan)


@jit
def _fill_yesterday(
    table: F8, high: F8, low: F8, close: F8, missing: I8, rows: I8, first: int, stop: int, wanted: float
) -> None:
    for i in range(len(missing)):
        r = rows[i]
        values = _day_of(high[r, first:stop], low[r, first:stop], close[r, first:stop], wanted)
        table[missing[i], 0], table[missing[i], 1], table[missing[i], 2] = values


@jit
def _nearest_levels(close: F8, table: F8, out: F8) -> None:
    for s in range(len(close)):
        for level in table[s]:
            if level < close[s] and not level <= out[0, s]:
                out[0, s] = level
            if level > close[s] and not level >= out[1, s]:
                out[1, s] = level


__all__ = [
    "PIVOT_DAYS",
    "Days",
    "add_yesterday",
    "daily_pivots",
    "days_before",
    "days_of",
    "fill_yesterday",
    "level_table",
    "nearest_in",
    "nearest_levels",
    "pivots_of",
    "previous_day",
]
