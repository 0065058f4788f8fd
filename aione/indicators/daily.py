"""Levels of the days before: yesterday's extremes and close, and the nearest daily level on each side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.kernel import KNOWN_SHARE
from aione.indicators.structure import pivot_levels
from aione.panel import DAY_MS, F8, BarPanel

PIVOT_DAYS: Final = 60
"""Days that are searched for confirmed daily pivots."""


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
    start = _day_start(panel) - DAY_MS
    high, low, close = _day_of(panel, start)
    if daily is not None:
        closed = closed_days(daily, panel)
        if closed.shape[1] and closed.open_time_ms[-1] == start:
            known = ~np.isnan(closed.close[:, -1])
            high = np.where(known, closed.high[:, -1], high)
            low = np.where(known, closed.low[:, -1], low)
            close = np.where(known, closed.close[:, -1], close)
    return high, low, close


def nearest_levels(close: F8, levels: Sequence[F8]) -> tuple[F8, F8]:
    """Return the nearest level below and above the close, float64 ``(S,)``; NaN where there is none.

    ``levels`` are ``(S,)`` or ``(S, K)``, NaN padded. A level at the close is on neither side.

    Examples
    --------
    >>> nearest_levels(np.array([10.0]), [np.array([9.0]), np.array([[8.0, 12.0]])])
    (array([9.]), array([12.]))
    """
    table = np.concatenate([np.atleast_2d(x.T).T for x in levels], axis=1)
    below = np.where(table < close[:, None], table, -np.inf).max(axis=1)
    above = np.where(table > close[:, None], table, np.inf).min(axis=1)
    return np.where(np.isinf(below), np.nan, below), np.where(np.isinf(above), np.nan, above)


def daily_pivots(panel: BarPanel, daily: BarPanel, span: int) -> tuple[F8, F8]:
    """Prices of the confirmed daily pivot highs and lows, ``(S, K)``, of the days that had closed at the last bar."""
    closed = closed_days(daily, panel)
    high, _, low, _ = pivot_levels(closed.high, closed.low, span, PIVOT_DAYS)
    return high, low


def closed_days(daily: BarPanel, panel: BarPanel) -> BarPanel:
    """Return the daily bars before the last bar's day with the symbols of ``panel``; NaN for one that it lacks."""
    if daily.interval_ms != DAY_MS:
        raise InvalidInput(f"daily bars must have an interval of {DAY_MS} ms, was {daily.interval_ms}")
    days = daily.until(int(np.searchsorted(daily.open_time_ms, _day_start(panel))))
    if days.symbols == panel.symbols:
        return days
    at = {symbol: row for row, symbol in enumerate(days.symbols)}
    rows = np.array([at.get(symbol, -1) for symbol in panel.symbols], dtype=np.intp)
    blank = np.vstack([days.close, np.full((1, days.shape[1]), np.nan)])
    arrays = {
        name: np.vstack([getattr(days, name), blank[-1:]])[rows]
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count")
    }
    return BarPanel(panel.symbols, days.open_time_ms, valid=~np.isnan(arrays["close"]), interval_ms=DAY_MS, **arrays)


def _day_start(panel: BarPanel) -> int:
    return int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS


def _day_of(panel: BarPanel, start_ms: int) -> tuple[F8, F8, F8]:
    first, stop = np.searchsorted(panel.open_time_ms, [start_ms, start_ms + DAY_MS])
    unknown = np.full(len(panel.symbols), np.nan)
    wanted = KNOWN_SHARE * DAY_MS / panel.interval_ms
    if stop - first < wanted:
        return unknown, unknown, unknown
    high, low, close = panel.high[:, first:stop], panel.low[:, first:stop], panel.close[:, first:stop]
    known = (~np.isnan(close)).sum(axis=1) >= wanted
    return (
        np.where(known, np.fmax.reduce(high, axis=1), np.nan),
        np.where(known, np.fmin.reduce(low, axis=1), np.nan),
        np.where(known, close[:, -1], np.nan),
    )


__all__ = ["PIVOT_DAYS", "closed_days", "daily_pivots", "nearest_levels", "previous_day"]
