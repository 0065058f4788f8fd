"""Wilder's averages: the one recursion behind RSI, ATR and ADX.

References
----------
J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978.
"""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.kernel import at_least, jit, row_jit, rows_of
from aione.panel import F8

UP: Final = 0
DOWN: Final = 1
ATR: Final = 2
PLUS: Final = 3
MINUS: Final = 4
ADX: Final = 5
TRUE_RANGE: Final = 6
COLUMNS: Final = 7
"""Columns of a scan: average gain and loss, ATR, average directional moves, ADX, and the bar's true range."""

MEMORY_PERIODS: Final = 28
"""Periods after which what lies further back weighs less than 1e-12 in an average (``(1 - 1/14) ** (28 * 14)``)."""

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
    array([[nan,  4.,  6.]])
    """
    at_least(1, period=period)
    (x,) = rows_of(x=x)
    out = np.full_like(x, np.nan)
    _wilder_mean(x, period, out)
    return out


def wilder_columns(high: F8, low: F8, close: F8, period: int) -> F8:
    """Return the columns of `wilder_scan` at every bar, float64 ``(S, T, 7)``, NaN where they are unknown."""
    at_least(1, period=period)
    high, low, close = rows_of(high=high, low=low, close=close)
    symbols, bars = close.shape
    out = np.full((symbols, bars, COLUMNS), np.nan)
    _wilder_columns(high, low, close, period, out)
    return out


@row_jit
def rsi_of(up: float, down: float) -> float:
    """RSI of an average gain and an average loss; 50 where both are 0."""
    return 100.0 * up / (up + down) if up + down != 0.0 else 50.0


@row_jit
def wilder_step(mean: float, x: float, weight: float) -> float:
    """Return the average after the value ``x``, which counts ``weight`` = ``1 / min(seen, period)``."""
    return mean * (1.0 - weight) + x * weight


@jit
def _wilder_mean(x: F8, period: int, out: F8) -> None:
    for s in range(x.shape[0]):
        mean, seen = 0.0, 0
        for t in range(x.shape[1]):
            if not isnan(x[s, t]):
                seen += 1
                mean = wilder_step(mean, x[s, t], 1.0 / min(seen, period))
                if seen >= period:
                    out[s, t] = mean


@row_jit
def wilder_scan(high: F8, low: F8, close: F8, period: int, stop: int, trail: F8, columns: F8) -> float:
    """Run the averages over the bars ``t < stop`` of one symbol; any bars: warm-up, gaps.

    Writes the averages `UP`, `DOWN` and `ATR` of the last bars to ``trail (3, n)`` and all columns of the last ones to
    ``columns (m, 7)``; what is unknown is left as it was. Returns the smaller of the two average movements (of closes,
    of extremes) as a fraction of the last close; NaN if it is not known.
    """
    averages, adx = (0.0, 0.0, 0.0, 0.0, 0.0), 0.0
    seen, directed, weight = 0, 0, 1.0 / period
    at_trail, at_columns = stop - trail.shape[1], stop - len(columns)
    for t in range(1, stop):
        bar = bar_of(high[t], low[t], close[t], high[t - 1], low[t - 1], close[t - 1])
        check = bar[0] + bar[1] + bar[2]
        if isnan(check):
            continue
        seen += 1
        share = max(weight, 1.0 / seen)
        averages = advance(averages, bar, share, 1.0 - share)
        if seen >= period and averages[3] + averages[4] > 0.0:
            directed += 1
            adx = wilder_step(adx, direction_index(averages[3], averages[4]), max(weight, 1.0 / directed))
        if t >= at_trail and seen >= period:
            trail[UP, t - at_trail], trail[DOWN, t - at_trail], trail[ATR, t - at_trail] = averages[:3]
        if t >= at_columns:
            row = columns[t - at_columns]
            row[TRUE_RANGE] = bar[3]
            if seen >= period:
                row[UP], row[DOWN], row[ATR], row[PLUS], row[MINUS] = averages
            if directed >= period:
                row[ADX] = adx
    return float(min(averages[UP] + averages[DOWN], averages[PLUS] + averages[MINUS]) / close[stop - 1])


@row_jit
def bar_of(
    high: float, low: float, close: float, p_high: float, p_low: float, p_close: float
) -> tuple[float, float, float, float]:
    """Return change of the close, rise of the high, fall of the low and true range of a bar; ``p_`` is one before."""
    return close - p_close, high - p_high, p_low - low, max(high, p_close) - min(low, p_close)


@row_jit
def direction_index(plus: float, minus: float) -> float:
    """Wilder's DX of two average directional moves, not both 0."""
    return 100.0 * abs(plus - minus) / (plus + minus)


@row_jit
def advance(
    averages: tuple[float, float, float, float, float],
    bar: tuple[float, float, float, float],
    weight: float,
    keep: float,
) -> tuple[float, float, float, float, float]:
    """Return gain, loss, true range and directional moves averaged up to a bar.

    ``bar`` is change of the close, rise of the high, fall of the low and true range; a directional move counts only
    if it is the larger one and not negative.
    """
    up, down, span, plus, minus = averages
    change, rise, fall, true_range = bar
    up = up * keep + max(change, 0.0) * weight
    down = down * keep + max(-change, 0.0) * weight
    span = span * keep + true_range * weight
    plus = plus * keep + (rise if rise > max(fall, 0.0) else 0.0) * weight
    minus = minus * keep + (fall if fall > max(rise, 0.0) else 0.0) * weight
    return up, down, span, plus, minus


@jit
def _wilder_columns(high: F8, low: F8, close: F8, period: int, out: F8) -> None:
    none = np.empty((3, 0))
    for s in range(close.shape[0]):
        if close.shape[1]:
            wilder_scan(high[s], low[s], close[s], period, close.shape[1], none, out[s])


__all__ = [
    "ADX",
    "ATR",
    "COLUMNS",
    "DEAD_FRAC",
    "DOWN",
    "MEMORY_PERIODS",
    "MINUS",
    "PLUS",
    "TRUE_RANGE",
    "UP",
    "rsi_of",
    "wilder_columns",
    "wilder_mean",
    "wilder_scan",
    "wilder_step",
]
