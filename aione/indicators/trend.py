"""Trend: slope with its certainty, efficiency, and how far the averages of higher timeframes stand apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.frames import FRAMES, MIN_BUCKETS, buckets, distance_scan
from aione.indicators.kernel import at_least, jit, known_run, log_returns, regrouping_jit, rows_of
from aione.panel import F8, I8, MINUTE_MS

# ── Slope and efficiency ──


def ols_slope_t(close: F8, lookback: int = 60) -> F8:
    """Least-squares slope of the log close over time, in units of its standard error (its t-statistic).

    Parameters
    ----------
    close : float64 (S, T)
        Quote per base.
    lookback : int, >= 3
        Bars in the window, ``t`` included.

    Returns
    -------
    float64 (S, T)
        NaN for the first ``lookback - 1`` bars, while a gap is in the window, and for a flat series, whose slope has
        no error. A price is close to a random walk, whose residuals are not independent: values of 5 to 10 are common
        without any trend, so compare them with their own past, not with a t-table.

    References
    ----------
    W. H. Greene, *Econometric Analysis*, simple regression.

    Examples
    --------
    >>> ols_slope_t(np.exp(np.array([[0.0, 1.0, 1.0]])), lookback=3).round(3)
    array([[  nan,   nan, 1.732]])
    """
    at_least(3, lookback=lookback)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    _ols_slope_t(close, lookback, out)
    return out


def efficiency_ratio(close: F8, lookback: int = 60) -> F8:
    """Kaufman's efficiency ratio: net change over ``lookback`` bars / sum of absolute changes, ``(S, T)``, in [0, 1].

    NaN for the first ``lookback`` bars, while a gap is in the window, and where nothing moved. Raises `InvalidInput`
    for ``lookback < 1``.

    References
    ----------
    P. J. Kaufman, *Trading Systems and Methods*, adaptive moving average.

    Examples
    --------
    >>> efficiency_ratio(np.array([[1.0, 3.0, 2.0]]), lookback=2).round(3)
    array([[  nan,   nan, 0.333]])
    """
    at_least(1, lookback=lookback)
    (close,) = rows_of(close=close)
    out = np.full_like(close, np.nan)
    _efficiency_ratio(close, lookback, out)
    return out


@regrouping_jit
def slope_t_of(returns: F8, work: F8) -> float:
    """t-statistic of the slope of the path that n - 1 log returns make; ``work`` holds n values."""
    n = len(returns) + 1
    path, level, total = work[:n], 0.0, 0.0
    path[0] = 0.0
    for i in range(1, n):
        level += returns[i - 1]
        path[i] = level
    for i in range(n):
        total += path[i]
    mean, middle, cross, errors = total / n, 0.5 * (n - 1), 0.0, 0.0
    for i in range(n):
        cross += (i - middle) * (path[i] - mean)
    spread = n * (n * n - 1.0) / 12.0
    slope = cross / spread
    for i in range(n):
        error = path[i] - mean - slope * (i - middle)
        errors += error * error
    return float(slope / np.sqrt(errors / (n - 2.0) / spread)) if errors > 0.0 else np.nan


@regrouping_jit
def efficiency_at(close: F8, t: int, lookback: int) -> float:
    """Row function of `efficiency_ratio`."""
    if t < lookback:
        return np.nan
    window = close[t - lookback : t + 1]
    later = window[1:]
    path = 0.0
    for i in range(lookback):
        path += abs(later[i] - window[i])
    return abs(close[t] - close[t - lookback]) / path if path > 0.0 else np.nan


@jit
def _ols_slope_t(close: F8, lookback: int, out: F8) -> None:
    returns, work = np.empty(max(close.shape[1] - 1, 0)), np.empty(lookback)
    for s in range(close.shape[0]):
        log_returns(close[s], 1, close.shape[1], returns)
        for t in range(lookback - 1, close.shape[1]):
            if known_run(close[s], t, lookback) == lookback:
                out[s, t] = slope_t_of(returns[t - lookback + 1 : t], work)


@jit
def _efficiency_ratio(close: F8, lookback: int, out: F8) -> None:
    for s in range(close.shape[0]):
        for t in range(close.shape[1]):
            out[s, t] = efficiency_at(close[s], t, lookback)


# ── Exponential averages ──


def ema(x: F8, period: int, warmup: int | None = None) -> F8:
    """Exponential moving average, weights normalised over the history that there is.

    Parameters
    ----------
    x : float64 (S, T)
        Any unit. A NaN bar leaves that symbol's average where it was.
    period : int, >= 1
        The smoothing factor is ``2 / (period + 1)``.
    warmup : int, optional
        Known bars before the first value; ``period`` by default.

    Returns
    -------
    float64 (S, T)
        Unit of ``x``; NaN before the warm-up and wherever ``x`` is NaN.

    Notes
    -----
    ``sum((1 - a) ** i * x[t - i]) / sum((1 - a) ** i)``: the definition of ``pandas.ewm(adjust=True, ignore_na=True)``,
    which is an average of what is known from the first bar on. It meets TA-Lib's ``EMA`` (seeded with a plain mean) to
    1e-9 after about ``10 * period`` bars.

    Examples
    --------
    >>> ema(np.array([[1.0, 4.0]]), period=3, warmup=1)
    array([[1., 3.]])
    """
    at_least(1, period=period)
    (x,) = rows_of(x=x)
    out = np.full_like(x, np.nan)
    _ema(x, period, period if warmup is None else warmup, out)
    return out


def ema_distance(
    high: F8,
    low: F8,
    close: F8,
    open_time_ms: I8,
    minutes: int,
    *,
    fast: int = 20,
    slow: int = 50,
    atr_period: int = 14,
    interval_ms: int = MINUTE_MS,
) -> F8:
    """Distance of a higher timeframe's fast EMA above its slow one, in ATR of that timeframe.

    Parameters
    ----------
    high, low, close : float64 (S, T)
        Quote per base, bars of ``interval_ms``.
    open_time_ms : int64 (T,)
    minutes : int
        Length of a bar of the higher timeframe; a multiple of the bars'.
    fast, slow, atr_period : int, >= 1
        In bars of the higher timeframe.

    Returns
    -------
    float64 (S, T)
        At bar ``t`` the value of the last higher bar that had closed by then; they begin at whole multiples of
        ``minutes`` in UTC. One with a gap inside is unknown and skipped.

    Notes
    -----
    Known from 5 closed bars on (`MIN_BUCKETS`), so that 1500 minutes give an answer on 4h too: with so few, both
    EMAs are means of what there is, tilted to the recent bars by their weights, the ATR is a plain mean, and the
    distance is smaller than it will be. An EMA forgets: with 50 bars' weight of what is older than ``n`` bars is
    ``0.961 ** n`` of the whole, so 300 bars of 5 minutes are exact to 1e-5, and longer history changes the value by
    no more than that; on 1h and 4h 1500 minutes are a short history and longer ones do change the value.

    Raises
    ------
    InvalidInput
        ``minutes`` is not a multiple of the bar, a period below 1, or shapes differ.

    Examples
    --------
    >>> rising = 100.0 + np.arange(30.0)[None, :]
    >>> times = 60_000 * np.arange(30)
    >>> ema_distance(rising + 1, rising - 1, rising, times, minutes=5)[0, [23, 24, 29]].round(4)
    array([   nan, 0.0995, 0.1446])
    """
    at_least(1, fast=fast, slow=slow, atr_period=atr_period)
    high, low, close = rows_of(high=high, low=low, close=close)
    size, rest = divmod(minutes * MINUTE_MS, interval_ms)
    if size < 1 or rest:
        raise InvalidInput(f"minutes must be a multiple of the bar's {interval_ms} ms, was {minutes}")
    out = np.full_like(close, np.nan)
    if close.shape[1]:
        _ema_distance(
            high, low, close, bucket_offset(int(open_time_ms[0]), size, interval_ms), size, fast, slow, atr_period, out
        )
    return out


def htf_alignment(distances: Sequence[F8]) -> F8:
    """Agreement of the higher timeframes, in [-1, 1]: mean of ``tanh`` of their EMA distances.

    Each distance is ``(S,)`` or ``(S, T)``; unknown ones are left out, and the result is NaN where all are.

    Examples
    --------
    >>> htf_alignment([np.array([0.0, np.nan]), np.array([99.0, np.nan])])
    array([0.5, nan])
    """
    bent = np.tanh(np.stack(list(distances)))
    known = ~np.isnan(bent)
    total = np.where(known, bent, 0.0).sum(axis=0)
    counts = known.sum(axis=0)
    aligned: F8 = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return aligned


def bucket_offset(first_open_ms: int, size: int, interval_ms: int = MINUTE_MS) -> int:
    """Bars of a grid that starts at ``first_open_ms`` before its first whole bucket of ``size`` bars in UTC.

    Examples
    --------
    >>> bucket_offset(2 * 60_000, size=5)
    3
    """
    return int(-(first_open_ms // interval_ms) % size)


@jit
def _ema(x: F8, period: int, warmup: int, out: F8) -> None:
    keep = 1.0 - 2.0 / (period + 1.0)
    for s in range(x.shape[0]):
        total, weight, seen = 0.0, 0.0, 0
        for t in range(x.shape[1]):
            if not isnan(x[s, t]):
                total, weight = x[s, t] + keep * total, 1.0 + keep * weight
                seen += 1
                if seen >= warmup:
                    out[s, t] = total / weight


@jit
def _ema_distance(
    high: F8, low: F8, close: F8, offset: int, size: int, fast: int, slow: int, atr_period: int, out: F8
) -> None:
    bars = np.empty((3, close.shape[1]))
    values = np.empty(close.shape[1])
    for s in range(close.shape[0]):
        count = buckets(high[s], low[s], close[s], offset, size, bars)
        tops, bottoms, lasts = bars[0, :count], bars[1, :count], bars[2, :count]
        distance_scan(tops, bottoms, lasts, fast, slow, atr_period, 0, values)
        for t in range(offset + size - 1, close.shape[1]):
            out[s, t] = values[(t + 1 - offset) // size - 1]


__all__ = [
    "FRAMES",
    "MIN_BUCKETS",
    "bucket_offset",
    "efficiency_ratio",
    "ema",
    "ema_distance",
    "htf_alignment",
    "ols_slope_t",
]
