"""Volatility: true range and ATR, standard deviations of returns, and the largest moves of a window."""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.kernel import (
    KNOWN_SHARE,
    at_least,
    jit,
    known_run,
    log_returns,
    quantile_pair,
    regrouping_jit,
    row_jit,
    rows_of,
    variance,
    window_moments,
)
from aione.indicators.moves import MOVE_BARS, doubled, largest_move, largest_return
from aione.indicators.wilder import ATR, TRUE_RANGE, wilder_columns
from aione.panel import F8

DISTRIBUTION_BARS: Final = 240
"""Own previous values that ``atr_percentile`` and ``vol_ratio_p95`` compare with."""

QUANTILE: Final = 0.95
"""Of its own distribution that ``vol_ratio_p95`` is."""

TOPS: Final = DISTRIBUTION_BARS - int(QUANTILE * (DISTRIBUTION_BARS - 1))
"""The largest of so many values, the last two of which lie around that quantile."""

QUANTILE_PLACE: Final = QUANTILE * (DISTRIBUTION_BARS - 1) - int(QUANTILE * (DISTRIBUTION_BARS - 1))
"""Where between those two it lies."""

# ── True range ──


def true_range(high: F8, low: F8, close: F8) -> F8:
    """Range of a bar together with the previous close (Wilder, 1978), float64 ``(S, T)``, quote per base.

    NaN on the first bar, at a gap and on the bar after it, where the previous close is unknown.

    Examples
    --------
    >>> true_range(np.array([[5.0, 6.0]]), np.array([[4.0, 5.5]]), np.array([[4.2, 6.0]])).round(3)
    array([[nan, 1.8]])
    """
    return wilder_columns(high, low, close, 1)[:, :, TRUE_RANGE].copy()


def atr(high: F8, low: F8, close: F8, period: int = 14) -> F8:
    """Average true range, Wilder's smoothing.

    Parameters
    ----------
    high, low, close : float64 (S, T)
        Quote per base.
    period : int, >= 1
        Bars.

    Returns
    -------
    float64 (S, T)
        Quote per base. NaN for the first ``period`` bars, at a gap and on the bar after it; a gap leaves the average
        where it was. Divided by the close it is ``atr_frac``.

    Raises
    ------
    InvalidInput
        ``period < 1`` or shapes differ.

    References
    ----------
    Wilder, 1978. Equal to TA-Lib's ``ATR`` from the first value on.

    Examples
    --------
    >>> atr(np.array([[5.0, 6.0, 7.0]]), np.array([[4.0, 5.0, 5.0]]), np.array([[5.0, 5.0, 6.0]]), period=2)
    array([[nan, nan, 1.5]])
    """
    return wilder_columns(high, low, close, period)[:, :, ATR].copy()


def previous_rank(x: F8, lookback: int = DISTRIBUTION_BARS) -> F8:
    """Rank of each value within its own symbol's previous ``lookback`` values.

    Parameters
    ----------
    x : float64 (S, T)
        For ``atr_percentile``: ATR / close.
    lookback : int, >= 1

    Returns
    -------
    float64 (S, T)
        In [0, 1]: share of the previous values that are smaller, equal ones counting half. NaN where ``x`` is NaN or
        less than 90 % of the previous values are known.

    Examples
    --------
    >>> previous_rank(np.array([[1.0, 3.0, 2.0]]), lookback=2)
    array([[nan, nan, 0.5]])
    """
    at_least(1, lookback=lookback)
    (x,) = rows_of(x=x)
    out = np.full_like(x, np.nan)
    _previous_rank(x, lookback, out)
    return out


def previous_quantile(x: F8, lookback: int = DISTRIBUTION_BARS, q: float = QUANTILE) -> F8:
    """Quantile (linear interpolation) of each symbol's previous ``lookback`` values, float64 ``(S, T)``, unit of ``x``.

    NaN where less than 90 % of the previous values are known. Raises `InvalidInput` for ``lookback < 1``.

    Examples
    --------
    >>> previous_quantile(np.array([[1.0, 3.0, 9.0]]), lookback=2, q=0.5)
    array([[nan, nan,  2.]])
    """
    at_least(1, lookback=lookback)
    (x,) = rows_of(x=x)
    out = np.full_like(x, np.nan)
    _previous_quantile(x, lookback, q, out)
    return out


@row_jit
def rank_at(x: F8, t: int, lookback: int) -> float:
    """Row function of `previous_rank`."""
    if t < lookback:
        return np.nan
    now, before = x[t], x[t - lookback : t]
    below, equal, known = 0, 0, 0
    for i in range(len(before)):
        below += before[i] < now
        equal += before[i] == now
        known += not isnan(before[i])
    if isnan(now) or known < KNOWN_SHARE * lookback:
        return np.nan
    return (below + 0.5 * equal) / known


@row_jit
def quantile_pair_at(x: F8, t: int, lookback: int, q: float, work: F8) -> tuple[float, float, float]:
    """Values around the quantile of `previous_quantile` and its place between; ``work`` holds ``lookback`` values."""
    before = x[max(0, t - lookback) : t]
    known = len(before)
    for i in range(len(before)):
        known -= isnan(before[i])
    if known == 0 or known < KNOWN_SHARE * lookback:
        return np.nan, np.nan, np.nan
    below, above, place = quantile_pair(before, known, q, work)
    return below, above, place


@jit
def _previous_rank(x: F8, lookback: int, out: F8) -> None:
    for s in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[s, t] = rank_at(x[s], t, lookback)


@jit
def _previous_quantile(x: F8, lookback: int, q: float, out: F8) -> None:
    work = np.empty(lookback)
    for s in range(x.shape[0]):
        for t in range(x.shape[1]):
            below, above, place = quantile_pair_at(x[s], t, lookback, q, work)
            out[s, t] = below + (above - below) * place


# ── Standard deviations of returns ──


def realized_vol(close: F8, lookback: int = 60) -> F8:
    """Population standard deviation of one-bar log returns.

    Parameters
    ----------
    close : float64 (S, T)
        Quote per base.
    lookback : int, >= 2
        Returns in the window.

    Returns
    -------
    float64 (S, T)
        Fraction a bar, not annualised. NaN for the first ``lookback`` bars and while a gap is in the window. Exactly 0
        for a flat series.

    Examples
    --------
    >>> realized_vol(np.array([[100.0, 110.0, 99.0]]), lookback=2).round(4)
    array([[   nan,    nan, 0.1003]])
    """
    at_least(2, lookback=lookback)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    _realized_vol(close, lookback, out)
    return out


def vol_ratio(close: F8, short: int = 15, long: int = 240) -> F8:
    """Realised volatility of the last ``short`` returns over that of the last ``long`` ones, float64 ``(S, T)``.

    About 1 in a steady market. NaN for the first ``long`` bars, while a gap is in the window and where the long one is
    0. Raises `InvalidInput` unless ``2 <= short <= long``.

    Examples
    --------
    >>> vol_ratio(np.array([[100.0, 101.0, 100.0, 110.0, 100.0]]), short=2, long=4).round(3)
    array([[  nan,   nan,   nan,   nan, 1.407]])
    """
    at_least(2, short=short)
    at_least(short, long=long)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    _vol_ratio(close, short, long, out)
    return out


@row_jit
def squared_ratios(returns: F8, short: int, long: int, work: F8, out: F8) -> None:
    """Write the square of `vol_ratio` at every return from the ``long``-th on to ``out``; ``work (4, n)``."""
    n = len(returns) - long + 1
    window_moments(returns, long, work[0], work[1])
    window_moments(returns[long - short :], short, work[2], work[3])
    per_short, per_long = 1.0 / short, 1.0 / long
    for i in range(n):
        below = variance(work[0, i], work[1, i], per_long)
        above = variance(work[2, i], work[3, i], per_short)
        out[i] = above / (below if below != 0.0 else np.nan)


@row_jit
def quantile_of(below: float, above: float, place: float) -> float:
    """Quantile of values of which the squares around it are given."""
    return float(np.sqrt(below) + (np.sqrt(above) - np.sqrt(below)) * place)


@regrouping_jit
def squared_ratio(returns: F8, short: int) -> float:
    """Square of `vol_ratio` at the last of exactly as many returns as the long one takes."""
    total, squares = 0.0, 0.0
    for i in range(len(returns)):
        total += returns[i]
        squares += returns[i] * returns[i]
    below = variance(total, squares, 1.0 / len(returns))
    recent, total, squares = returns[len(returns) - short :], 0.0, 0.0
    for i in range(len(recent)):
        total += recent[i]
        squares += recent[i] * recent[i]
    return float(variance(total, squares, 1.0 / short) / (below if below != 0.0 else np.nan))


@regrouping_jit
def deviation(returns: F8) -> float:
    """Population standard deviation of returns."""
    total, squares = 0.0, 0.0
    for i in range(len(returns)):
        total += returns[i]
        squares += returns[i] * returns[i]
    return float(np.sqrt(variance(total, squares, 1.0 / len(returns))))


@jit
def _realized_vol(close: F8, lookback: int, out: F8) -> None:
    bars = close.shape[1]
    returns = np.empty(max(bars - 1, 0))
    for s in range(close.shape[0]):
        log_returns(close[s], 1, bars, returns)
        for t in range(lookback, bars):
            out[s, t] = deviation(returns[t - lookback : t])


@jit
def _vol_ratio(close: F8, short: int, long: int, out: F8) -> None:
    bars = close.shape[1]
    returns = np.empty(max(bars - 1, 0))
    work = np.empty((4, max(bars - 1, 0)))
    if bars > long:
        for s in range(close.shape[0]):
            log_returns(close[s], 1, bars, returns)
            squared_ratios(returns, short, long, work, out[s, long:])
            for t in range(long, bars):
                out[s, t] = np.sqrt(out[s, t])


# ── Largest moves ──


def max_move(high: F8, low: F8, bars: int, lookback: int = 240) -> F8:
    """Largest (highest high - lowest low) / lowest low of any ``bars``-bar window inside the last ``lookback`` bars.

    Parameters
    ----------
    high, low : float64 (S, T)
        Quote per base.
    bars, lookback : int, 1 <= bars <= lookback

    Returns
    -------
    float64 (S, T)
        Fraction. NaN for the first ``lookback - 1`` bars and while a gap is in the window.

    Examples
    --------
    >>> max_move(np.array([[11.0, 12.0, 12.0]]), np.array([[10.0, 10.0, 11.0]]), bars=1, lookback=2).round(2)
    array([[nan, 0.2, 0.2]])
    """
    at_least(1, bars=bars)
    at_least(bars, lookback=lookback)
    high, low = rows_of(high=high, low=low)
    out = np.full_like(high, np.nan)
    _max_move(high, low, bars, lookback, out)
    return out


def max_return(close: F8, bars: int, lookback: int = 240) -> F8:
    """Largest absolute ``bars``-bar close-to-close return inside the last ``lookback`` bars, float64 ``(S, T)``.

    Fraction; both closes lie inside the window. NaN for the first ``lookback - 1`` bars and while a gap is in the
    window. Raises `InvalidInput` unless ``1 <= bars < lookback``.

    Examples
    --------
    >>> max_return(np.array([[100.0, 80.0, 100.0]]), bars=1, lookback=3)
    array([[ nan,  nan, 0.25]])
    """
    at_least(1, bars=bars)
    at_least(bars + 1, lookback=lookback)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    _max_return(close, bars, lookback, out)
    return out


@jit
def _max_move(high: F8, low: F8, bars: int, lookback: int, out: F8) -> None:
    margin = bars - 1
    highs, spare = np.empty(lookback + 2 * margin), np.empty(lookback + 2 * margin)
    work = np.empty(lookback)
    for s in range(high.shape[0]):
        both = high[s] + low[s]
        inverse = 1.0 / low[s]
        for t in range(lookback - 1, high.shape[1]):
            if known_run(both, t, lookback) == lookback:
                first = t - lookback + 1
                highs[:] = -np.inf
                highs[margin : margin + lookback] = high[s, first : t + 1]
                width = np.int64(1)
                while 2 * width <= 2 * bars - 1:
                    doubled(highs, width, spare)
                    highs, spare, width = spare, highs, 2 * width
                lows = low[s, first : t + 1]
                out[s, t] = largest_move(highs, width, lows, inverse[first : t + 1], bars, margin, work)


@jit
def _max_return(close: F8, bars: int, lookback: int, out: F8) -> None:
    work = np.empty(lookback)
    for s in range(close.shape[0]):
        inverse = 1.0 / close[s]
        for t in range(lookback - 1, close.shape[1]):
            if known_run(close[s], t, lookback) == lookback:
                first = t - lookback + 1
                out[s, t] = largest_return(close[s, first : t + 1], inverse[first : t + 1], bars, work)


__all__ = [
    "DISTRIBUTION_BARS",
    "MOVE_BARS",
    "atr",
    "max_move",
    "max_return",
    "previous_quantile",
    "previous_rank",
    "realized_vol",
    "true_range",
    "vol_ratio",
]
