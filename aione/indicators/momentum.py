"""Momentum: RSI, ADX with its directional indices, and returns over n bars."""

from __future__ import annotations

import numpy as np

from aione.indicators.kernel import at_least, rows_of
from aione.indicators.wilder import ADX, ATR, DOWN, MINUS, PLUS, UP, wilder_columns
from aione.panel import F8


def rsi(close: F8, period: int = 14) -> F8:
    """Wilder's relative strength index.

    Parameters
    ----------
    close : float64 (S, T)
        Quote per base.
    period : int, >= 1
        Bars.

    Returns
    -------
    float64 (S, T)
        In [0, 100]; 50 while nothing has moved either way. NaN for the first ``period`` bars, where ``close`` is NaN
        and on the bar after a gap; a gap leaves the averages where they were.

    Raises
    ------
    InvalidInput
        ``period < 1`` or a wrong shape.

    References
    ----------
    J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978. Equal to TA-Lib's ``RSI`` from the first value on.

    Examples
    --------
    >>> rsi(np.array([[10.0, 12.0, 11.0, 14.0]]), period=2).round(3)
    array([[   nan,    nan, 66.667, 88.889]])
    """
    columns = wilder_columns(close, close, close, period)
    up, down = columns[:, :, UP], columns[:, :, DOWN]
    moved = up + down
    values: F8 = np.where(moved == 0.0, 50.0, 100.0 * up / np.where(moved == 0.0, 1.0, moved))
    return values


def adx(high: F8, low: F8, close: F8, period: int = 14) -> tuple[F8, F8, F8]:
    """Wilder's average directional index with its two directional indices.

    Parameters
    ----------
    high, low, close : float64 (S, T)
        Quote per base.
    period : int, >= 1
        Bars.

    Returns
    -------
    adx, plus_di, minus_di : float64 (S, T)
        In [0, 100]. The directional indices are NaN for the first ``period`` bars, ``adx`` for the first
        ``2 * period - 1``, all of them at a gap and the bar after it. Where there was no true range at all the
        directional indices are NaN; a bar without directional movement leaves ``adx`` where it was.

    Raises
    ------
    InvalidInput
        ``period < 1`` or shapes differ.

    References
    ----------
    Wilder, 1978. Wilder's sums are seeded here with a plain mean of ``period`` bars; TA-Lib seeds them one bar
    shorter, so the two agree to 1e-9 after about 30 periods.

    Examples
    --------
    >>> rising = np.arange(1.0, 8.0)[None, :]
    >>> [column[0, -1] for column in adx(rising + 1.0, rising - 1.0, rising, period=2)]
    [np.float64(100.0), np.float64(50.0), np.float64(0.0)]
    """
    columns = wilder_columns(high, low, close, period)
    span = np.where(columns[:, :, ATR] > 0.0, columns[:, :, ATR], np.nan)
    return columns[:, :, ADX].copy(), 100.0 * columns[:, :, PLUS] / span, 100.0 * columns[:, :, MINUS] / span


def simple_return(close: F8, bars: int) -> F8:
    """Return ``close[t] / close[t - bars] - 1``, float64 ``(S, T)``, a fraction; NaN for the first ``bars`` bars.

    Raises `InvalidInput` for ``bars < 1``.

    Examples
    --------
    >>> simple_return(np.array([[100.0, 110.0, 121.0]]), bars=1).round(3)
    array([[nan, 0.1, 0.1]])
    """
    at_least(1, bars=bars)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    if bars < close.shape[1]:
        out[:, bars:] = close[:, bars:] / close[:, :-bars] - 1.0
    return out


__all__ = ["adx", "rsi", "simple_return"]
