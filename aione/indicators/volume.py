"""Volume: how unusual it is, which side was the aggressor, and the session's volume-weighted price."""

from __future__ import annotations

from math import isnan

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.kernel import (
    KNOWN_SHARE,
    ROUNDING,
    at_least,
    jit,
    known_run,
    order_statistic,
    regrouping_jit,
    row_jit,
    rows_of,
)
from aione.panel import DAY_MS, F8, I8, MINUTE_MS

# ── Unusual volume ──


def volume_z(quote_volume: F8, lookback: int = 50) -> F8:
    """Standard score of a bar's quote volume against the ``lookback`` bars before it.

    Parameters
    ----------
    quote_volume : float64 (S, T)
        Quote asset.
    lookback : int, >= 2
        Bars before bar ``t``, which itself is left out of mean and (population) standard deviation.

    Returns
    -------
    float64 (S, T)
        Standard deviations. NaN for the first ``lookback`` bars, while a gap is in the window, and where the
        deviation is 0.

    Examples
    --------
    >>> volume_z(np.array([[1.0, 3.0, 6.0]]), lookback=2)
    array([[nan, nan,  4.]])
    """
    at_least(2, lookback=lookback)
    (quote_volume,) = rows_of(quote_volume=quote_volume)
    out = np.full_like(quote_volume, np.nan)
    _volume_z(quote_volume, lookback, out)
    return out


def relative_volume(quote_volume: F8, lookback: int = 50) -> F8:
    """Quote volume of a bar over the median of the ``lookback`` bars before it, float64 ``(S, T)``.

    NaN for the first ``lookback`` bars, while a gap is in the window, and where the median is 0. Raises `InvalidInput`
    for ``lookback < 1``.

    Examples
    --------
    >>> relative_volume(np.array([[1.0, 3.0, 6.0]]), lookback=2)
    array([[nan, nan,  3.]])
    """
    at_least(1, lookback=lookback)
    (quote_volume,) = rows_of(quote_volume=quote_volume)
    out = np.full_like(quote_volume, np.nan)
    _relative_volume(quote_volume, lookback, out)
    return out


@regrouping_jit
def z_at(x: F8, t: int, lookback: int, known_share: float) -> float:
    """Standard score of ``x[t]`` against the known ones of the ``lookback`` values before it."""
    if t < lookback:
        return np.nan
    before = x[t - lookback : t]
    total = 0.0
    for i in range(len(before)):
        total += before[i]
    if isnan(total):
        return float(gapped_z(x[t], before, known_share))
    mean, squares, scale = total / lookback, 0.0, 0.0
    for i in range(len(before)):
        gap = before[i] - mean
        squares += gap * gap
        scale += before[i] * before[i]
    if squares <= ROUNDING * ROUNDING * scale:
        return np.nan
    return float((x[t] - mean) / np.sqrt(squares / lookback))


@row_jit
def gapped_z(now: float, before: F8, known_share: float) -> float:
    """Standard score of ``now`` against the known ones of ``before``."""
    known, total = 0, 0.0
    for value in before:
        if not isnan(value):
            known += 1
            total += value
    if known < 2 or known < known_share * len(before):
        return np.nan
    mean, squares, scale = total / known, 0.0, 0.0
    for value in before:
        if not isnan(value):
            squares += (value - mean) ** 2
            scale += value * value
    if squares <= ROUNDING * ROUNDING * scale:
        return np.nan
    return float((now - mean) / np.sqrt(squares / known))


@row_jit
def relative_at(x: F8, t: int, lookback: int, work: F8) -> float:
    """Row function of `relative_volume`; ``work`` holds ``lookback`` values."""
    if known_run(x, t, lookback + 1) <= lookback:
        return np.nan
    for i in range(lookback):
        work[i] = x[t - lookback + i]
    half = lookback // 2
    median = order_statistic(work, lookback, half)
    if 2 * half == lookback:
        below = work[0]
        for i in range(1, half):
            below = max(below, work[i])
        median = 0.5 * (median + below)
    return x[t] / median if median > 0.0 else np.nan


@jit
def _volume_z(x: F8, lookback: int, out: F8) -> None:
    for s in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[s, t] = z_at(x[s], t, lookback, 1.0)


@jit
def _relative_volume(x: F8, lookback: int, out: F8) -> None:
    work = np.empty(lookback)
    for s in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[s, t] = relative_at(x[s], t, lookback, work)


# ── Taker imbalance ──


def taker_imbalance(volume: F8, taker_buy_volume: F8, bars: int = 5) -> F8:
    """Aggressor buying minus selling over the last ``bars`` bars as a fraction of their volume, ``(S, T)``, in [-1, 1].

    The exchange reports only the taker's buys; sells are the remainder. Both in base asset. NaN for the first
    ``bars - 1`` bars, while a gap is in the window, where nothing traded, and where the source lacks the taker's side.

    Examples
    --------
    >>> taker_imbalance(np.array([[4.0, 4.0]]), np.array([[3.0, 4.0]]), bars=2)
    array([[ nan, 0.75]])
    """
    at_least(1, bars=bars)
    volume, taker_buy_volume = rows_of(volume=volume, taker_buy_volume=taker_buy_volume)
    out = np.full_like(volume, np.nan)
    if bars <= volume.shape[1]:
        _taker_imbalance(volume, taker_buy_volume, bars, out)
    return out


def taker_imbalance_z(volume: F8, taker_buy_volume: F8, bars: int = 5, lookback: int = 240) -> F8:
    """Standard score of `taker_imbalance` against its own ``lookback`` previous values, float64 ``(S, T)``.

    Bar ``t`` is left out of mean and (population) standard deviation. NaN where less than 90 % of the previous values
    are known and where their deviation is 0. Raises `InvalidInput` for ``bars < 1`` or ``lookback < 2``.

    Examples
    --------
    >>> ones = np.ones((1, 3))
    >>> taker_imbalance_z(ones, np.array([[0.5, 0.7, 0.8]]), bars=1, lookback=2).round(6)
    array([[nan, nan,  2.]])
    """
    at_least(2, lookback=lookback)
    imbalance = taker_imbalance(volume, taker_buy_volume, bars)
    out = np.full_like(imbalance, np.nan)
    _taker_imbalance_z(imbalance, lookback, out)
    return out


@row_jit
def imbalances(volume: F8, taker_buy_volume: F8, bars: int, work: F8, out: F8) -> None:
    """Write the imbalance of every ``bars``-bar window to ``out``; ``work`` is as long."""
    n = len(volume) - bars + 1
    for i in range(n):
        work[i], out[i] = volume[i], taker_buy_volume[i]
    for k in range(1, bars):
        later, bought = volume[k : k + n], taker_buy_volume[k : k + n]
        for i in range(n):
            work[i] += later[i]
        for i in range(n):
            out[i] += bought[i]
    for i in range(n):
        out[i] = (2.0 * out[i] - work[i]) / (work[i] if work[i] > 0.0 else np.nan)


@row_jit
def imbalance_of(volume: F8, taker_buy_volume: F8) -> float:
    """Imbalance of one window: of the last one what `imbalances` writes, to the bit."""
    traded, bought = volume[0], taker_buy_volume[0]
    for i in range(1, len(volume)):
        traded += volume[i]
        bought += taker_buy_volume[i]
    return float((2.0 * bought - traded) / (traded if traded > 0.0 else np.nan))


@jit
def _taker_imbalance(volume: F8, taker_buy_volume: F8, bars: int, out: F8) -> None:
    work = np.empty(volume.shape[1])
    for s in range(volume.shape[0]):
        imbalances(volume[s], taker_buy_volume[s], bars, work, out[s, bars - 1 :])


@jit
def _taker_imbalance_z(imbalance: F8, lookback: int, out: F8) -> None:
    for s in range(imbalance.shape[0]):
        for t in range(imbalance.shape[1]):
            out[s, t] = z_at(imbalance[s], t, lookback, KNOWN_SHARE)


# ── Session VWAP ──


def session_bars(open_time_ms: I8, min_bars: int = 240, interval_ms: int = MINUTE_MS) -> I8:
    """Bars in the VWAP's window at each bar: those since 00:00 UTC, but at least ``min_bars``; int64 ``(T,)``.

    Examples
    --------
    >>> session_bars(np.array([0, 60_000, 120_000]), min_bars=2)
    array([2, 2, 3])
    """
    at_least(1, min_bars=min_bars)
    since_midnight = (np.asarray(open_time_ms, dtype=np.int64) % DAY_MS) // interval_ms + 1
    return np.maximum(since_midnight, min_bars).astype(np.int64)


def session_vwap(high: F8, low: F8, close: F8, volume: F8, window: I8) -> tuple[F8, F8, F8]:
    """Volume-weighted average of the typical price over the session, and the close's distance from it.

    Parameters
    ----------
    high, low, close : float64 (S, T)
        Quote per base; the typical price is their mean.
    volume : float64 (S, T)
        Base asset.
    window : int64 (T,)
        Bars to average at each bar, from `session_bars`.

    Returns
    -------
    vwap, dev_frac, z : float64 (S, T)
        Quote per base; ``close / vwap - 1``; the same distance in volume-weighted (population) standard deviations of
        the typical price, NaN where that is 0. All NaN where bar ``t`` or more than 10 % of the window is unknown and
        where nothing traded; the known bars are averaged.

    Examples
    --------
    >>> price = np.array([[10.0, 20.0]])
    >>> [float(x[0, 1]) for x in session_vwap(price, price, price, np.array([[3.0, 1.0]]), np.array([1, 2]))]
    [12.5, 0.6000000000000001, 1.7320508075688772]
    """
    high, low, close, volume = rows_of(high=high, low=low, close=close, volume=volume)
    window = np.ascontiguousarray(window, dtype=np.int64)
    if window.shape != close.shape[1:]:
        raise InvalidInput(f"window must have shape {close.shape[1:]}, was {window.shape}")
    out = np.full((3, *close.shape), np.nan)
    _session_vwap(high, low, close, volume, window, out)
    return out[0], out[1], out[2]


@row_jit
def vwap_at(high: F8, low: F8, close: F8, volume: F8, t: int, bars: int, work: F8) -> tuple[float, float, float]:
    """Row function of `session_vwap`; ``work`` holds ``bars`` values."""
    first = max(0, t - bars + 1)
    h, low_, c, v = high[first : t + 1], low[first : t + 1], close[first : t + 1], volume[first : t + 1]
    now, x = high[t] + low[t] + close[t], work[: len(v)]
    for i in range(len(v)):
        x[i] = h[i] + low_[i] + c[i] - now
    known, weight, mean, spread = weighted_moments(x, v)
    if not (known >= KNOWN_SHARE * bars and weight > 0.0):
        return np.nan, np.nan, np.nan
    values: tuple[float, float, float] = vwap_of(high[t], low[t], close[t], mean, spread)
    return values


@row_jit
def vwap_of(high: float, low: float, close: float, mean: float, spread: float) -> tuple[float, float, float]:
    """VWAP, the close's distance from it and its z from where all bars stand, seen from this one.

    ``mean`` and ``spread`` (the variance) are of ``high + low + close`` less the same of this bar: three typical
    prices, as distances, so that no digits are lost.
    """
    above = (high - close) + (low - close) + mean
    vwap = close + above / 3.0
    z = -above / np.sqrt(spread) if spread > ROUNDING * ROUNDING * mean * mean else np.nan
    return vwap, close / vwap - 1.0, z


@regrouping_jit
def weighted_moments(x: F8, weights: F8) -> tuple[float, float, float, float]:
    """Return how many are known, the sum of their weights, and their weighted mean and variance."""
    weight, total, squares = 0.0, 0.0, 0.0
    for i in range(len(weights)):
        weight += weights[i]
        total += weights[i] * x[i]
    if isnan(weight + total):
        values: tuple[float, float, float, float] = gapped_moments(x, weights)
        return values
    mean = total / weight
    for i in range(len(weights)):
        gap = x[i] - mean
        squares += weights[i] * gap * gap
    return float(len(weights)), weight, mean, squares / weight


@row_jit
def gapped_moments(x: F8, weights: F8) -> tuple[float, float, float, float]:
    """Do what `weighted_moments` does where some are not known."""
    known, weight, total, squares = 0.0, 0.0, 0.0, 0.0
    for i in range(len(weights)):
        if not isnan(weights[i] * x[i]):
            known += 1.0
            weight += weights[i]
            total += weights[i] * x[i]
    mean = total / weight
    for i in range(len(weights)):
        if not isnan(weights[i] * x[i]):
            squares += weights[i] * (x[i] - mean) ** 2
    return known, weight, mean, squares / weight


@jit
def _session_vwap(high: F8, low: F8, close: F8, volume: F8, window: I8, out: F8) -> None:
    work = np.empty(close.shape[1])
    for s in range(close.shape[0]):
        for t in range(close.shape[1]):
            values = vwap_at(high[s], low[s], close[s], volume[s], t, window[t], work)
            out[0, s, t], out[1, s, t], out[2, s, t] = values


__all__ = [
    "relative_volume",
    "session_bars",
    "session_vwap",
    "taker_imbalance",
    "taker_imbalance_z",
    "volume_z",
]
