"""Wilder's averages: the one recursion behind RSI, ATR and ADX.

References
----------
J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.indicators.kernel import at_least, jit, rows_of
from aione.panel import F8

RSI: Final = 0
ATR: Final = 1
ADX: Final = 2
PLUS_DI: Final = 3
MINUS_DI: Final = 4
TRUE_RANGE: Final = 5
COLUMNS: Final = 6

MEMORY_PERIODS: Final = 36
"""Periods after which what lies further back weighs less than 1e-16 in an average (``(1 - 1/14) ** (36 * 14)``)."""

DEAD_FRAC: Final = 1e-5
"""Average movement, as a fraction of the close, below which a bar older than that could still show."""


def wilder_mean(x: F8, period: int) -> F8:
    """Average along the bars with Wilder's smoothing, all symbols at once.

    Parameters
    ----------
    x : float64 (S, T)
        Any unit. A NaN bar leaves that symbol's average where it was.
    period : int, >= 1
        Bars; the smoothing factor is ``1 / period``.

    Returns
    -------
    float64 (S, T)
        Unit of ``x``. NaN for each symbol's first ``period - 1`` known bars and wherever ``x`` is NaN.

    Raises
    ------
    InvalidInput
        ``period < 1`` or ``x`` is not ``(S, T)``.

    Notes
    -----
    Weighting bar ``n`` by ``1 / min(n, period)`` gives a plain mean up to bar ``period`` and Wilder's recursion after
    it, so the seed needs no branch.

    Examples
    --------
    >>> wilder_mean(np.array([[3.0, 5.0, 8.0]]), period=2)
    array([[nan, 4., 6.]])
    """
    at_least(1, period=period)
    (x,) = rows_of(x=x)
    out = np.full_like(x, np.nan)
    _wilder_mean(x, period, out)
    return out


def wilder_columns(high: F8, low: F8, close: F8, period: int) -> F8:
    """Return RSI, ATR, ADX, +DI, -DI and true range of every bar, float64 ``(S, 6, T)`` in the order of the constants."""
    at_least(1, period=period)
    high, low, close = rows_of(high=high, low=low, close=close)
    symbols, bars = close.shape
    out = np.full((symbols, COLUMNS, bars), np.nan)
    _wilder_columns(high, low, close, period, out)
    return out


@jit
def wilder_step(mean: float, x: float, weight: float) -> float:
    """Return the average after the value ``x``, which counts ``weight`` = ``1 / min(seen, period)``."""
    return mean * (1.0 - weight) + x * weight


@jit
def _wilder_mean(x: F8, period: int, out: F8) -> None:
    for s in range(x.shape[0]):
        mean, seen = 0.0, 0
        for t in range(x.shape[1]):
            if x[s, t] == x[s, t]:
                seen += 1
                mean = wilder_step(mean, x[s, t], 1.0 / min(seen, period))
                if seen >= period:
                    out[s, t] = mean


@jit
def wilder_scan(high: F8, low: F8, close: F8, period: int, first: int, stop: int, store: int, out: F8) -> float:
    """Run the averages over bars ``first <= t < stop`` of one symbol; write those from ``store`` on to ``out (6, stop - store)``.

    Returns the smaller of the two average movements (of closes, of extremes) as a fraction of the last close; NaN if
    it is not known.
    """
    up, down, span, plus, minus, adx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    seen, directed, weight = 0, 0, 1.0
    for t in range(max(first, 1), stop):
        p_high, p_low, p_close = high[t - 1], low[t - 1], close[t - 1]
        change = close[t] - p_close
        true_range = max(high[t], p_close) - min(low[t], p_close)
        rise, fall = high[t] - p_high, p_low - low[t]
        check = change + rise + fall
        if check != check:
            continue
        seen += 1
        if seen <= period:
            weight = 1.0 / seen
        gain, loss = max(change, 0.0), max(-change, 0.0)
        plus_move = rise if rise > fall and rise > 0.0 else 0.0
        minus_move = fall if fall > rise and fall > 0.0 else 0.0
        up = wilder_step(up, gain, weight)
        down = wilder_step(down, loss, weight)
        span = wilder_step(span, true_range, weight)
        plus = wilder_step(plus, plus_move, weight)
        minus = wilder_step(minus, minus_move, weight)
        if seen >= period and plus + minus > 0.0:
            directed += 1
            index = 100.0 * abs(plus - minus) / (plus + minus)
            adx = wilder_step(adx, index, weight if directed > period else 1.0 / directed)
        if t >= store:
            i = t - store
            out[TRUE_RANGE, i] = true_range
            if seen >= period:
                out[RSI, i] = 100.0 * up / (up + down) if up + down > 0.0 else 50.0
                out[ATR, i] = span
                out[PLUS_DI, i] = 100.0 * plus / span
                out[MINUS_DI, i] = 100.0 * minus / span
            if directed >= period:
                out[ADX, i] = adx
    return min(up + down, plus + minus) / close[stop - 1]


@jit
def wilder_tail(high: F8, low: F8, close: F8, period: int, t: int, run: int, out: F8) -> None:
    """Fill ``out (6, n)`` with the last ``n`` bars up to ``t``; ``run`` bars up to ``t`` have no gap.

    Reads only as far back as it can show in the result: `MEMORY_PERIODS`, or everything if there is a gap in them or
    the symbol hardly moved (`DEAD_FRAC`), when an older, larger movement would still show. Either way within 1e-11 of
    the whole recursion.
    """
    tail = out.shape[1]
    store = t + 1 - tail
    first = t + 1 - max(MEMORY_PERIODS * period, tail + 24 * period)
    if first > 0:
        if run > t + 1 - first and wilder_scan(high, low, close, period, first, t + 1, store, out) > DEAD_FRAC:
            return
        out[:] = np.nan
    wilder_scan(high, low, close, period, 0, t + 1, store, out)


@jit
def _wilder_columns(high: F8, low: F8, close: F8, period: int, out: F8) -> None:
    for s in range(close.shape[0]):
        wilder_scan(high[s], low[s], close[s], period, 0, close.shape[1], 0, out[s])


__all__ = [
    "ADX",
    "ATR",
    "COLUMNS",
    "DEAD_FRAC",
    "MEMORY_PERIODS",
    "MINUS_DI",
    "PLUS_DI",
    "RSI",
    "TRUE_RANGE",
    "wilder_columns",
    "wilder_mean",
    "wilder_scan",
    "wilder_step",
    "wilder_tail",
]
