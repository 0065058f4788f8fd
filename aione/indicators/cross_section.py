"""Cross-section: a symbol against the benchmark and against the universe, and the state of the market."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from aione.errors import InvalidInput
from aione.indicators.kernel import ROUNDING, at_least, jit, log_returns, regrouping_jit, rows_of
from aione.panel import F8

REGIME_MIN_SLOPE_T: Final = 2.0
REGIME_MIN_EFFICIENCY: Final = 0.25
"""Efficiency over 60 bars that a random walk exceeds about one time in eight."""


def beta_corr(close: F8, benchmark: ArrayLike, lookback: int = 240) -> tuple[F8, F8]:
    """Beta and Pearson correlation of one-bar log returns to a benchmark's.

    Parameters
    ----------
    close : float64 (S, T)
        Quote per base.
    benchmark : float64 (T,)
        The benchmark's closes on the same grid.
    lookback : int, >= 2
        Returns in the window.

    Returns
    -------
    beta, corr : float64 (S, T)
        NaN for the first ``lookback`` bars, while a gap of either is in the window, and where the benchmark (for the
        correlation: either) did not move.

    Raises
    ------
    InvalidInput
        ``lookback < 2`` or shapes differ.

    Examples
    --------
    >>> own, btc = np.exp(np.array([[0.0, 2.0, 0.0]])), np.exp([0.0, 1.0, 0.0])
    >>> [float(x[0, 2].round(6)) for x in beta_corr(own, btc, lookback=2)]
    [2.0, 1.0]
    """
    at_least(2, lookback=lookback)
    (close,) = rows_of(close=close)
    row = np.ascontiguousarray(benchmark, dtype=np.float64)
    if row.shape != close.shape[1:]:
        raise InvalidInput(f"benchmark must have shape {close.shape[1:]}, was {row.shape}")
    out = np.full((2, *close.shape), np.nan)
    _beta_corr(close, row, lookback, out)
    return out[0], out[1]


def relative_strength(own_return: F8, benchmark_return: ArrayLike, beta: F8) -> F8:
    """Return that the benchmark does not explain: ``own - beta * benchmark``, a fraction, shape of ``own_return``.

    Examples
    --------
    >>> relative_strength(np.array([0.03]), 0.01, np.array([2.0])).round(3)
    array([0.01])
    """
    result: F8 = own_return - beta * np.asarray(benchmark_return)
    return result


def universe_rank(values: ArrayLike) -> F8:
    """Rank of each symbol among the known ones, in [0, 1], 1 for the largest; ``(S,)`` or, bar by bar, ``(S, T)``.

    Equal values share the mean of their ranks. NaN stays NaN, and a rank among fewer than two is NaN.

    Examples
    --------
    >>> universe_rank([0.1, np.nan, 0.3, 0.1])
    array([0.25,  nan, 1.  , 0.25])
    """
    columns = np.asarray(values, dtype=np.float64)
    if columns.ndim == 2:
        ranked = [universe_rank(column) for column in columns.T]
        return np.stack(ranked, axis=1) if ranked else np.empty_like(columns)
    out = np.full(columns.shape, np.nan)
    known = ~np.isnan(columns)
    kept = columns[known]
    if kept.size > 1:
        ordered = np.sort(kept)
        places = np.searchsorted(ordered, kept, "left") + np.searchsorted(ordered, kept, "right") - 1
        out[known] = 0.5 * places / (kept.size - 1)
    return out


def market_breadth(close: F8, vwap: F8) -> F8:
    """Share of the symbols with a known VWAP that stand above it, reduced over the first axis; NaN if none is known.

    Examples
    --------
    >>> float(market_breadth(np.array([2.0, 2.0, 2.0]), np.array([1.0, 3.0, np.nan])))
    0.5
    """
    known = (~np.isnan(close + vwap)).sum(axis=0)
    above = (close > vwap).sum(axis=0)
    breadth: F8 = np.where(known > 0, above / np.maximum(known, 1), np.nan)
    return breadth


def btc_regime(slope_t: ArrayLike, efficiency: ArrayLike) -> F8:
    """State of the benchmark: +1 up, -1 down, 0 range; shape of the inputs, NaN where either is unknown.

    A trend needs an `efficiency_ratio` of 0.25 and a slope of two standard errors.

    Examples
    --------
    >>> btc_regime([9.0, 9.0, -9.0, np.nan], [0.4, 0.1, 0.4, 0.4])
    array([ 1.,  0., -1., nan])
    """
    t, e = np.asarray(slope_t, dtype=np.float64), np.asarray(efficiency, dtype=np.float64)
    trending = (np.abs(t) >= REGIME_MIN_SLOPE_T) & (e >= REGIME_MIN_EFFICIENCY)
    regime: F8 = np.where(np.isnan(t + e), np.nan, np.where(trending, np.sign(t), 0.0))
    return regime


@regrouping_jit
def beta_corr_of(own: F8, benchmark: F8) -> tuple[float, float]:
    """Beta and correlation of two equally long runs of returns."""
    n = len(own)
    mean_x, mean_y = 0.0, 0.0
    for i in range(n):
        mean_x += benchmark[i]
        mean_y += own[i]
    mean_x /= n
    mean_y /= n
    xx, xy, yy, raw_x, raw_y = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        x, y = benchmark[i] - mean_x, own[i] - mean_y
        xx += x * x
        xy += x * y
        yy += y * y
        raw_x += benchmark[i] * benchmark[i]
        raw_y += own[i] * own[i]
    if not xx > ROUNDING * ROUNDING * raw_x:
        return np.nan, np.nan
    if not yy > ROUNDING * ROUNDING * raw_y:
        return xy / xx, np.nan
    return xy / xx, max(-1.0, min(1.0, xy / np.sqrt(xx * yy)))


@jit
def _beta_corr(close: F8, benchmark: F8, lookback: int, out: F8) -> None:
    bars = close.shape[1]
    own, other = np.empty(max(bars - 1, 0)), np.empty(max(bars - 1, 0))
    log_returns(benchmark, 1, bars, other)
    for s in range(close.shape[0]):
        log_returns(close[s], 1, bars, own)
        for t in range(lookback, bars):
            out[0, s, t], out[1, s, t] = beta_corr_of(own[t - lookback : t], other[t - lookback : t])


__all__ = [
    "REGIME_MIN_EFFICIENCY",
    "REGIME_MIN_SLOPE_T",
    "beta_corr",
    "btc_regime",
    "market_breadth",
    "relative_strength",
    "universe_rank",
]
