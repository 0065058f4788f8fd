"""One pass over the symbols that evaluates every row function at the last bar: what the minute's scan runs.

A symbol's rows are read from memory once; the functions are those that the series are made of.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aione.indicators.cross_section import beta_corr_of
from aione.indicators.kernel import KNOWN_SHARE, jit, known_run, log_returns, row_jit
from aione.indicators.profile import profile_at, profile_scratch
from aione.indicators.structure import PIVOT_LOOKBACK, divergence_at, pivot_at, range_at
from aione.indicators.trend import FRAMES, buckets, distance_scan, efficiency_at, slope_t_of
from aione.indicators.volatility import (
    DISTRIBUTION_BARS,
    MOVE_BARS,
    deviation,
    doubled,
    largest_move,
    largest_return,
    quantile_pair_at,
    rank_at,
    squared_ratios,
)
from aione.indicators.volume import imbalances, relative_at, vwap_at, z_at
from aione.indicators.wilder import (
    ADX,
    ATR,
    COLUMNS,
    DOWN,
    MINUS,
    PLUS,
    TRUE_RANGE,
    UP,
    memory_bars,
    rsi_of,
    wilder_tail,
)
from aione.panel import F8, I8

MOMENTUM: Final = ("rsi", "atr", "atr_prev", "adx", "plus_di", "minus_di", "true_range", "atr_percentile")
DIVERGENCE: Final = ("bullish_div", "bearish_div")
VOLUME: Final = (
    "volume_z",
    "relative_volume",
    "taker_imbalance",
    "taker_imbalance_z",
    "vwap",
    "vwap_dev_frac",
    "vwap_z",
)
RETURNS: Final = ("realized_vol", "vol_ratio", "vol_ratio_p95", "slope_t", "beta_btc", "corr_btc", "vol_ratio_prev")
MOVES: Final = tuple(f"volatility.max_{n}bar_{kind}" for kind in ("move", "return") for n in MOVE_BARS)
STRUCTURE: Final = (
    "range_high_20",
    "range_low_20",
    "range_high_60",
    "range_low_60",
    "prev_range_high_20",
    "prev_range_low_20",
    "pivot_high",
    "pivot_low",
    "efficiency_ratio",
)
PROFILE: Final = ("poc", "vah", "val")
EMA: Final = ("ema_dist_5m", "ema_dist_15m", "ema_dist_1h", "ema_dist_4h")
NAMES: Final = (*MOMENTUM, *DIVERGENCE, *VOLUME, *RETURNS, *MOVES, *STRUCTURE, *PROFILE, *EMA)
"""Columns of `last_bar`, in order."""

_AT_DIVERGENCE: Final = len(MOMENTUM)
_AT_VOLUME: Final = _AT_DIVERGENCE + len(DIVERGENCE)
_AT_RETURNS: Final = _AT_VOLUME + len(VOLUME)
_AT_MOVES: Final = _AT_RETURNS + len(RETURNS)
_AT_STRUCTURE: Final = _AT_MOVES + len(MOVES)
_AT_PROFILE: Final = _AT_STRUCTURE + len(STRUCTURE)
_AT_EMA: Final = _AT_PROFILE + len(PROFILE)
_RETURN_BARS: Final = DISTRIBUTION_BARS
_MOVE_LOOKBACK: Final = 240
_MARGIN: Final = max(MOVE_BARS)


class Periods(NamedTuple):
    """`config.models.IndicatorParams` as the kernel takes it, with where the last bar stands in its session."""

    wilder_period: int
    volume_lookback: int
    session_bars: int
    vol_short: int
    vol_medium: int
    vol_long: int
    range_short: int
    range_long: int
    pivot_span: int
    div_lookback: int
    div_min_rsi: float
    div_min_atr: float
    div_max_age: int
    profile_bars: int
    profile_bins: int
    value_area_frac: float
    imbalance_bars: int
    imbalance_lookback: int
    slope_lookback: int
    efficiency_lookback: int
    ema_fast: int
    ema_slow: int
    beta_lookback: int


def last_bar(
    high: F8,
    low: F8,
    close: F8,
    volume: F8,
    quote_volume: F8,
    taker_buy_volume: F8,
    benchmark: int,
    offsets: I8,
    p: Periods,
) -> F8:
    """Return every column of `NAMES` at the last of T >= 1 bars, float64 ``(N, S)``.

    Parameters
    ----------
    high ... taker_buy_volume : float64 (S, T), C-contiguous
    benchmark : int
        Row of the benchmark, -1 if there is none.
    offsets : int64 (4,)
        For each of `FRAMES` the bars of the frame before it (minutes for the first) that precede its first bucket.
    """
    out = np.full((close.shape[0], len(NAMES)), np.nan)
    _last_bar(high, low, close, volume, quote_volume, taker_buy_volume, benchmark, offsets, p, out)
    return np.ascontiguousarray(out.T)


@row_jit
def _momentum(
    high: F8, low: F8, close: F8, t: int, run: int, p: Periods, trail: F8, columns: F8, rsi: F8, o: F8
) -> None:
    """RSI, ATR, ADX, the ATR's rank and the divergences; ``trail``, ``columns``, ``rsi`` take the last bars."""
    wilder_tail(high, low, close, p.wilder_period, t, run, trail, columns)
    now, spans, m = columns[-1], trail[ATR], len(rsi)
    ups, downs = trail[UP, trail.shape[1] - m :], trail[DOWN, trail.shape[1] - m :]
    for i in range(m):
        rsi[i] = rsi_of(ups[i], downs[i])
    o[0], o[1], o[3], o[6] = rsi[m - 1], now[ATR], now[ADX], now[TRUE_RANGE]
    if len(spans) > 1:
        o[2] = spans[-2]
    if now[ATR] > 0.0:
        o[4], o[5] = 100.0 * now[PLUS] / now[ATR], 100.0 * now[MINUS] / now[ATR]
    if run >= p.div_lookback:
        for kind in range(2):
            x, sign = (low, -1.0) if kind == 0 else (high, 1.0)
            o[_AT_DIVERGENCE + kind] = divergence_at(
                x,
                sign,
                rsi,
                t + 1 - m,
                now[ATR],
                t,
                p.pivot_span,
                p.div_lookback,
                p.div_min_rsi,
                p.div_min_atr,
                p.div_max_age,
            )
    closes = close[t + 1 - len(spans) : t + 1]
    for i in range(len(spans)):
        spans[i] /= closes[i]
    o[7] = rank_at(spans, len(spans) - 1, DISTRIBUTION_BARS)


@row_jit
def _volume(
    high: F8, low: F8, close: F8, volume: F8, quote_volume: F8, taker: F8, t: int, p: Periods, work: F8, o: F8
) -> None:
    o[0] = z_at(quote_volume, t, p.volume_lookback, 1.0)
    o[1] = relative_at(quote_volume, t, p.volume_lookback, work[0])
    n = min(t + 1, p.imbalance_lookback + p.imbalance_bars)
    count = n - p.imbalance_bars + 1
    if count >= 1:
        first = t + 1 - n
        imbalances(volume[first : t + 1], taker[first : t + 1], p.imbalance_bars, work[0], work[1])
        o[2] = work[1, count - 1]
        o[3] = z_at(work[1], count - 1, p.imbalance_lookback, KNOWN_SHARE)
    o[4], o[5], o[6] = vwap_at(high, low, close, volume, t, p.session_bars, work[0])


@row_jit
def _returns(returns: F8, benchmark: F8, p: Periods, work: F8, ratios: F8, o: F8) -> None:
    """Everything made of one-bar log returns, the last of which is bar ``t``'s; ``ratios (2, n)`` is scratch."""
    n = len(returns)
    if n >= p.vol_medium:
        o[0] = deviation(returns[n - p.vol_medium :])
    if n >= p.vol_long:
        recent = returns[max(0, n - p.vol_long - _RETURN_BARS) :]
        count = len(recent) - p.vol_long + 1
        squared_ratios(recent, p.vol_short, p.vol_long, work, ratios[0])
        o[1] = np.sqrt(ratios[0, count - 1])
        if count > 1:
            o[6] = np.sqrt(ratios[0, count - 2])
        below, above, place = quantile_pair_at(ratios[0], count - 1, _RETURN_BARS, 0.95, ratios[1])
        o[2] = np.sqrt(below) + (np.sqrt(above) - np.sqrt(below)) * place
    if n >= p.slope_lookback - 1:
        t_statistic = slope_t_of(returns[n - p.slope_lookback + 1 :])
        o[3] = t_statistic
    if n >= p.beta_lookback and len(benchmark) == n:
        o[4], o[5] = beta_corr_of(returns[n - p.beta_lookback :], benchmark[n - p.beta_lookback :])


@row_jit
def _moves(high: F8, low: F8, close: F8, t: int, work: F8, o: F8) -> None:
    """Largest moves; the last `_MOVE_LOOKBACK` bars have no gap."""
    n, first = _MOVE_LOOKBACK, t + 1 - _MOVE_LOOKBACK
    lows, closes = low[first : t + 1], close[first : t + 1]
    highs, spare, inverse = work[0, : n + 2 * _MARGIN], work[1, : n + 2 * _MARGIN], work[2, :n]
    inner, window = highs[_MARGIN:], high[first : t + 1]
    for i in range(len(highs)):
        highs[i] = -np.inf
    for i in range(n):
        inner[i] = window[i]
    for i in range(n):
        inverse[i] = 1.0 / lows[i]
    width = np.int64(1)
    for k, bars in enumerate(MOVE_BARS):
        while 2 * width <= 2 * bars - 1:
            doubled(highs, width, spare)
            highs, spare, width = spare, highs, 2 * width
        o[k] = largest_move(highs, width, lows, inverse, bars, _MARGIN)
    for i in range(n):
        inverse[i] = 1.0 / closes[i]
    for k, bars in enumerate(MOVE_BARS):
        o[len(MOVE_BARS) + k] = largest_return(closes, inverse, bars)


@row_jit
def _structure(high: F8, low: F8, close: F8, t: int, p: Periods, o: F8) -> None:
    o[0], o[1] = range_at(high, low, t, p.range_short)
    o[2], o[3] = range_at(high, low, t, p.range_long)
    if t > 0:
        o[4], o[5] = range_at(high, low, t - 1, p.range_short)
    o[6] = pivot_at(high, 1.0, t, p.pivot_span, PIVOT_LOOKBACK)
    o[7] = pivot_at(low, -1.0, t, p.pivot_span, PIVOT_LOOKBACK)
    o[8] = efficiency_at(close, t, p.efficiency_lookback)


@row_jit
def _ema_distances(high: F8, low: F8, close: F8, offsets: I8, p: Periods, bars: F8, o: F8) -> None:
    """EMA distances of `FRAMES`, each made of the bars of the one before; ``bars (2, 3, n)`` is scratch.

    Written out, not looped, so that every size is a constant to the compiler (``// 1``: and of one type).
    """
    one, two = bars[0], bars[1]
    n = buckets(high, low, close, offsets[0], FRAMES[0] // 1, one)
    _ema_distance(one, n, p, o[0:1])
    n = buckets(one[0, :n], one[1, :n], one[2, :n], offsets[1], FRAMES[1] // FRAMES[0], two)
    _ema_distance(two, n, p, o[1:2])
    n = buckets(two[0, :n], two[1, :n], two[2, :n], offsets[2], FRAMES[2] // FRAMES[1], one)
    _ema_distance(one, n, p, o[2:3])
    n = buckets(one[0, :n], one[1, :n], one[2, :n], offsets[3], FRAMES[3] // FRAMES[2], two)
    _ema_distance(two, n, p, o[3:4])


@row_jit
def _ema_distance(bars: F8, count: int, p: Periods, out: F8) -> None:
    if count:
        distance_scan(bars, count, p.ema_fast, p.ema_slow, p.wilder_period, count - 1, out)


@jit
def _last_bar(
    high: F8,
    low: F8,
    close: F8,
    volume: F8,
    quote_volume: F8,
    taker: F8,
    benchmark: int,
    offsets: I8,
    p: Periods,
    out: F8,
) -> None:
    t = close.shape[1] - 1
    n_returns = min(t, max(p.vol_long + _RETURN_BARS, p.vol_medium, p.slope_lookback, p.beta_lookback))
    trail, columns = np.empty((3, min(t + 1, max(DISTRIBUTION_BARS + 1, p.div_lookback)))), np.empty((1, COLUMNS))
    rsi = np.empty(min(t + 1, p.div_lookback))
    memory = max(memory_bars(p.wilder_period, trail.shape[1]), _MOVE_LOOKBACK, p.div_lookback) + 1
    longest = max(n_returns, p.imbalance_lookback + p.imbalance_bars, p.volume_lookback, _MOVE_LOOKBACK + 2 * _MARGIN)
    longest = max(longest, p.session_bars)
    work = np.empty((4, longest))
    ratios, returns, market = np.empty((2, n_returns + 1)), np.empty(n_returns), np.empty(n_returns)
    bars = np.empty((2, 3, close.shape[1] // FRAMES[0] + 1))
    bins, shares, place = profile_scratch(p.profile_bars, p.profile_bins)
    if benchmark >= 0:
        log_returns(close[benchmark], t + 1 - n_returns, t + 1, market)
    else:
        market = market[:0]
    for s in range(close.shape[0]):
        h, low_, c, v, o = high[s], low[s], close[s], volume[s], out[s]
        run = known_run(c, t, memory)
        o[_AT_PROFILE], o[_AT_PROFILE + 1], o[_AT_PROFILE + 2] = profile_at(
            h, low_, v, t, p.profile_bars, p.profile_bins, p.value_area_frac, bins, shares, place
        )
        _ema_distances(h, low_, c, offsets, p, bars, o[_AT_EMA:])
        _momentum(h, low_, c, t, run, p, trail, columns, rsi, o)
        _volume(h, low_, c, v, quote_volume[s], taker[s], t, p, work, o[_AT_VOLUME:])
        if n_returns:
            log_returns(c, t + 1 - n_returns, t + 1, returns)
            _returns(returns, market, p, work, ratios, o[_AT_RETURNS:])
        if run >= _MOVE_LOOKBACK:
            _moves(h, low_, c, t, work, o[_AT_MOVES:])
        _structure(h, low_, c, t, p, o[_AT_STRUCTURE:])


__all__ = ["NAMES", "Periods", "last_bar"]
