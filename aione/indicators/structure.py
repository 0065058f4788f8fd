"""Structure: ranges of previous bars, the shape of a bar, swing pivots and RSI divergence.

A pivot high is a bar whose high is above those of the ``span`` bars before it and not below those of the ``span`` bars
after it: of equal highs the first one counts. It is known only ``span`` bars later. Lows mirror this.
"""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.kernel import at_least, jit, known_run, row_jit, rows_of
from aione.panel import F8

PIVOT_LOOKBACK: Final = 240
"""Bars that are searched for the last confirmed pivot."""

FULL_RSI_GAP: Final = 10.0
"""RSI points of disagreement, and 1 ATR of price, at which a divergence has full strength."""

# ── Ranges ──


def prior_range(high: F8, low: F8, lookback: int) -> tuple[F8, F8]:
    """Highest high and lowest low of the ``lookback`` bars before each bar, which itself is left out.

    Parameters
    ----------
    high, low : float64 (S, T)
        Quote per base.
    lookback : int, >= 1

    Returns
    -------
    range_high, range_low : float64 (S, T)
        NaN for the first ``lookback`` bars and while a gap is in the window.

    Examples
    --------
    >>> prior_range(np.array([[3.0, 5.0, 9.0]]), np.array([[2.0, 1.0, 8.0]]), lookback=2)
    (array([[nan, nan,  5.]]), array([[nan, nan,  1.]]))
    """
    at_least(1, lookback=lookback)
    high, low = rows_of(high=high, low=low)
    out = np.full((2, *high.shape), np.nan)
    _prior_range(high, low, lookback, out)
    return out[0], out[1]


@row_jit
def range_at(high: F8, low: F8, t: int, lookback: int) -> tuple[float, float]:
    """Row function of `prior_range`."""
    if t < lookback:
        return np.nan, np.nan
    highs, lows = high[t - lookback : t], low[t - lookback : t]
    top, bottom, check = highs[0], lows[0], 0.0
    for i in range(lookback):
        top = max(top, highs[i])
        bottom = min(bottom, lows[i])
        check += highs[i] - lows[i]
    return (top, bottom) if not isnan(check) else (np.nan, np.nan)


@jit
def _prior_range(high: F8, low: F8, lookback: int, out: F8) -> None:
    for s in range(high.shape[0]):
        for t in range(high.shape[1]):
            out[0, s, t], out[1, s, t] = range_at(high[s], low[s], t, lookback)


def bar_shape(open_: F8, high: F8, low: F8, close: F8) -> tuple[F8, F8, F8]:
    """Body and wicks as fractions of the bar's range; any shape; NaN where high equals low.

    Returns
    -------
    body_frac, upper_wick_frac, lower_wick_frac : float64
        ``(close - open) / (high - low)`` in [-1, 1], the parts above and below the body in [0, 1].

    Examples
    --------
    >>> [float(x) for x in bar_shape(np.float64(2), np.float64(5), np.float64(1), np.float64(4))]
    [0.5, 0.25, 0.25]
    """
    width = np.where(np.asarray(high) > low, np.asarray(high) - low, np.nan)
    upper = high - np.maximum(open_, close)
    lower = np.minimum(open_, close) - low
    return (close - open_) / width, upper / width, lower / width


# ── Pivots ──


def pivot_levels(high: F8, low: F8, span: int = 3, lookback: int = 120) -> tuple[F8, F8, F8, F8]:
    """Every confirmed swing pivot among the last ``lookback`` bars, as known at the last bar.

    Parameters
    ----------
    high, low : float64 (S, T)
        Quote per base.
    span : int, >= 1
        Bars on each side; see the module's docstring for ties.
    lookback : int, >= 1
        A pivot older than ``lookback - 1`` bars is left out.

    Returns
    -------
    high_price, high_age, low_price, low_age : float64 (S, K)
        Newest first, NaN padded; ages in bars before the last one, never below ``span``.
        ``K = 1 + lookback // (span + 1)``: two pivots of a kind are more than ``span`` bars apart.

    Raises
    ------
    InvalidInput
        ``span`` or ``lookback`` below 1, or shapes differ.

    Examples
    --------
    >>> high = np.array([[1.0, 3.0, 2.0, 2.0]])
    >>> pivot_levels(high, high - 1.0, span=1, lookback=4)[:2]
    (array([[ 3., nan, nan]]), array([[ 2., nan, nan]]))
    """
    at_least(1, span=span, lookback=lookback)
    high, low = rows_of(high=high, low=low)
    out = np.full((4, high.shape[0], 1 + lookback // (span + 1)), np.nan)
    if high.shape[1]:
        _pivot_levels(high, low, span, lookback, out)
    return out[0], out[1], out[2], out[3]


def last_pivots(high: F8, low: F8, span: int = 3, lookback: int = PIVOT_LOOKBACK) -> tuple[F8, F8]:
    """Price of the last confirmed pivot high and low at each bar, float64 ``(S, T)``; NaN where there is none.

    Only pivots of the last ``lookback`` bars count. Raises `InvalidInput` for ``span`` or ``lookback`` below 1.

    Examples
    --------
    >>> high = np.array([[1.0, 3.0, 2.0, 2.0]])
    >>> last_pivots(high, high - 1.0, span=1)[0]
    array([[nan, nan,  3.,  3.]])
    """
    at_least(1, span=span, lookback=lookback)
    high, low = rows_of(high=high, low=low)
    out = np.full((2, *high.shape), np.nan)
    _last_pivots(high, low, span, lookback, out)
    return out[0], out[1]


@row_jit
def previous_pivot(x: F8, sign: float, newest: int, oldest: int, span: int, t: int) -> int:
    """Return the last bar ``newest >= i >= oldest`` that is a pivot of ``sign * x`` confirmed at ``t``, or -1."""
    i = min(newest, t - span)
    while i >= max(oldest, span):
        level = sign * x[i]
        step = 0
        for k in range(1, span + 1):
            if not level >= sign * x[i + k]:
                step = 1
                break
        if step == 0:
            for k in range(1, span + 1):
                if not level > sign * x[i - k]:
                    step = 1
                    break
        if step == 0:
            return i
        i -= step
    return -1


@row_jit
def pivot_at(x: F8, sign: float, t: int, span: int, lookback: int) -> float:
    """Row function of `last_pivots`; ``sign`` 1.0 for highs, -1.0 for lows."""
    i = previous_pivot(x, sign, t, t - lookback + 1, span, t)
    return float(x[i]) if i >= 0 else np.nan


@jit
def _pivot_levels(high: F8, low: F8, span: int, lookback: int, out: F8) -> None:
    t = high.shape[1] - 1
    for s in range(high.shape[0]):
        for kind in range(2):
            x, sign = (high[s], 1.0) if kind == 0 else (low[s], -1.0)
            i = previous_pivot(x, sign, t, t - lookback + 1, span, t)
            k = 0
            while i >= 0:
                out[2 * kind, s, k], out[2 * kind + 1, s, k] = x[i], t - i
                k += 1
                i = previous_pivot(x, sign, i - 1, t - lookback + 1, span, t)


@jit
def _last_pivots(high: F8, low: F8, span: int, lookback: int, out: F8) -> None:
    for s in range(high.shape[0]):
        for t in range(high.shape[1]):
            out[0, s, t] = pivot_at(high[s], 1.0, t, span, lookback)
            out[1, s, t] = pivot_at(low[s], -1.0, t, span, lookback)


# ── Divergence ──


def rsi_divergence(
    high: F8,
    low: F8,
    rsi: F8,
    atr: F8,
    *,
    span: int = 3,
    lookback: int = 60,
    min_rsi: float = 2.0,
    min_atr: float = 0.25,
    max_age: int = 5,
) -> tuple[F8, F8]:
    """Strength of a bullish and a bearish RSI divergence at each bar.

    Bearish: of the last two confirmed pivot highs within ``lookback`` bars the second is higher in price by at least
    ``min_atr`` ATR (of bar ``t``) and lower in RSI by at least ``min_rsi`` points, and was confirmed at most
    ``max_age`` bars ago. Bullish: the same of pivot lows, lower in price and higher in RSI.

    Parameters
    ----------
    high, low : float64 (S, T)
        Quote per base.
    rsi, atr : float64 (S, T)
        From `aione.indicators.momentum.rsi` and `aione.indicators.volatility.atr`.

    Returns
    -------
    bullish, bearish : float64 (S, T)
        In [0, 1]; 0 is none. The mean of the two disagreements, full at 10 RSI points and at 1 ATR. NaN for the first
        ``lookback - 1`` bars, while a gap is in the window, and where ATR or an RSI that it needs is unknown.

    Raises
    ------
    InvalidInput
        ``span`` or ``lookback`` below 1, or shapes differ.

    Examples
    --------
    >>> high = np.array([[1.0, 3.0, 2.0, 4.0, 2.0]])
    >>> rsi = np.array([[50.0, 80.0, 60.0, 75.0, 50.0]])
    >>> rsi_divergence(high, high - 1, rsi, np.ones((1, 5)), span=1, lookback=5)[1]
    array([[ nan,  nan,  nan,  nan, 0.75]])
    """
    at_least(1, span=span, lookback=lookback)
    high, low, rsi, atr = rows_of(high=high, low=low, rsi=rsi, atr=atr)
    out = np.full((2, *high.shape), np.nan)
    _rsi_divergence(high, low, rsi, atr, span, lookback, min_rsi, min_atr, max_age, out)
    return out[0], out[1]


@row_jit
def divergence_at(
    x: F8,
    sign: float,
    rsi: F8,
    rsi_first: int,
    atr: float,
    t: int,
    span: int,
    lookback: int,
    min_rsi: float,
    min_atr: float,
    max_age: int,
) -> float:
    """Row function of `rsi_divergence`; ``rsi[0]`` is bar ``rsi_first``'s, ``sign`` 1.0 for highs, -1.0 for lows."""
    if isnan(atr):
        return np.nan
    oldest = t - lookback + 1
    second = previous_pivot(x, sign, t, oldest, span, t)
    if second < 0 or t - (second + span) > max_age:
        return 0.0
    first = previous_pivot(x, sign, second - 1, oldest, span, t)
    if first < 0:
        return 0.0
    gap = sign * (rsi[first - rsi_first] - rsi[second - rsi_first])
    move = sign * (x[second] - x[first])
    if isnan(gap):
        return np.nan
    if gap < min_rsi or move < min_atr * atr or move <= 0.0:
        return 0.0
    price_part = min(1.0, move / atr) if atr > 0.0 else 1.0
    return float(0.5 * (min(1.0, gap / FULL_RSI_GAP) + price_part))


@jit
def _rsi_divergence(
    high: F8,
    low: F8,
    rsi: F8,
    atr: F8,
    span: int,
    lookback: int,
    min_rsi: float,
    min_atr: float,
    max_age: int,
    out: F8,
) -> None:
    for s in range(high.shape[0]):
        both = high[s] + low[s]
        for t in range(lookback - 1, high.shape[1]):
            if known_run(both, t, lookback) == lookback:
                for kind in range(2):
                    x, sign = (low[s], -1.0) if kind == 0 else (high[s], 1.0)
                    out[kind, s, t] = divergence_at(
                        x, sign, rsi[s], 0, atr[s, t], t, span, lookback, min_rsi, min_atr, max_age
                    )


__all__ = [
    "PIVOT_LOOKBACK",
    "bar_shape",
    "last_pivots",
    "pivot_levels",
    "prior_range",
    "rsi_divergence",
]
