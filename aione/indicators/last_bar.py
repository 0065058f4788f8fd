"""One pass over the symbols that evaluates every row function at the last bar: what the minute's scan runs.

A symbol's rows are read from memory once; the functions are those that the series are made of.
"""

from __future__ import annotations

from math import isnan

import numpy as np

from aione.indicators.columns import (
    AT_DERIVED,
    AT_DIVERGENCE,
    AT_EMA,
    AT_MOVES,
    AT_PROFILE,
    AT_RETURNS,
    AT_STRUCTURE,
    AT_VOLUME,
    MOVE_LOOKBACK,
    NAMES,
    Periods,
)
from aione.indicators.cross_section import beta_corr_of
from aione.indicators.frames import FRAMES, buckets, distance_of, distance_scan, swift_buckets
from aione.indicators.kernel import KNOWN_SHARE, is_whole, jit, known_run, log_returns, row_jit
from aione.indicators.moves import MOVE_BARS, doubled, largest_move, largest_return
from aione.indicators.profile import profile_at
from aione.indicators.scratch import MARGIN, make_scratch
from aione.indicators.structure import PIVOT_LOOKBACK, divergence_at, pivot_at, range_at
from aione.indicators.threads import in_parts
from aione.indicators.trend import efficiency_at, slope_t_of
from aione.indicators.volatility import (
    DISTRIBUTION_BARS,
    QUANTILE,
    deviation,
    quantile_of,
    quantile_pair_at,
    rank_at,
    squared_ratios,
)
from aione.indicators.volume import imbalances, relative_at, vwap_at, z_at
from aione.indicators.wilder import ADX, ATR, DOWN, MINUS, PLUS, TRUE_RANGE, UP, rsi_of
from aione.indicators.wilder_tail import wilder_tail
from aione.panel import F8, I8


def last_bar(
    open_: F8,
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

    The symbols are dealt to as many threads as there are CPUs; each row is computed by one of them alone, so the bytes
    do not depend on how many there are.

    Parameters
    ----------
    open_ ... taker_buy_volume : float64 (S, T), C-contiguous
    benchmark : int
        Row of the benchmark, -1 if there is none.
    offsets : int64 (4,)
        For each of `FRAMES` the bars of the frame before it (minutes for the first) that precede its first bucket.
    """
    out = np.full((close.shape[0], len(NAMES)), np.nan)
    rows = (open_, high, low, close, volume, quote_volume, taker_buy_volume)
    in_parts(_last_bar, close.shape[0], *rows, benchmark, offsets, p, out)
    return np.ascontiguousarray(out.T)


@row_jit
def momentum(
    high: F8,
    low: F8,
    close: F8,
    t: int,
    run: int,
    p: Periods,
    work: F8,
    decay: F8,
    trail: F8,
    columns: F8,
    rsi: F8,
    o: F8,
) -> float:
    """RSI, ATR, ADX, the ATR's rank and the divergences; return the movement, as `wilder_tail` does."""
    movement = wilder_tail(high, low, close, p.wilder_period, t, run, work, decay, trail, columns)
    spans, m = trail[ATR], len(rsi)
    ups, downs = trail[UP, len(spans) - m :], trail[DOWN, len(spans) - m :]
    for i in range(m):
        rsi[i] = rsi_of(ups[i], downs[i])
    momentum_of(columns[-1], rsi[m - 1], spans[-2] if len(spans) > 1 else np.nan, o)
    if run >= p.div_lookback:
        divergences(high, low, rsi, o[1], t, p, o[AT_DIVERGENCE:])
    closes = close[t + 1 - len(spans) : t + 1]
    for i in range(len(spans)):
        spans[i] /= closes[i]
    o[7] = rank_at(spans, len(spans) - 1, DISTRIBUTION_BARS)
    return float(movement)


@row_jit
def momentum_of(now: F8, rsi: float, atr_before: float, o: F8) -> None:
    """Write what the columns of `wilder_scan` at a bar say."""
    o[0], o[1], o[2], o[3], o[6] = rsi, now[ATR], atr_before, now[ADX], now[TRUE_RANGE]
    if now[ATR] > 0.0:
        o[4], o[5] = 100.0 * now[PLUS] / now[ATR], 100.0 * now[MINUS] / now[ATR]


@row_jit
def divergences(high: F8, low: F8, rsi: F8, atr: float, t: int, p: Periods, o: F8) -> None:
    """Write both divergences; ``rsi`` is of the last bars up to ``t``."""
    first = t + 1 - len(rsi)
    for kind in range(2):
        x, sign = (low, -1.0) if kind == 0 else (high, 1.0)
        o[kind] = divergence_at(
            x, sign, rsi, first, atr, t, p.pivot_span, p.div_lookback, p.div_min_rsi, p.div_min_atr, p.div_max_age
        )


@row_jit
def volume_columns(
    high: F8, low: F8, close: F8, volume: F8, quote_volume: F8, taker: F8, t: int, p: Periods, work: F8, o: F8
) -> None:
    unusual_volume(quote_volume, t, p, work[0], o)
    first = max(0, t + 1 - p.imbalance_lookback - p.imbalance_bars)
    recent_imbalance(volume[first : t + 1], taker[first : t + 1], p, work, o)
    o[4], o[5], o[6] = vwap_at(high, low, close, volume, t, p.session_bars, work[0])


@row_jit
def recent_imbalance(volume: F8, taker: F8, p: Periods, work: F8, o: F8) -> int:
    """Write taker imbalance and its z; return how many imbalances before, and with it, stand in ``work[1]``."""
    count = len(volume) - p.imbalance_bars + 1
    if count < 1:
        return 0
    imbalances(volume, taker, p.imbalance_bars, work[0], work[1])
    o[2] = work[1, count - 1]
    o[3] = z_at(work[1], count - 1, p.imbalance_lookback, KNOWN_SHARE)
    return count


@row_jit
def unusual_volume(quote_volume: F8, t: int, p: Periods, work: F8, o: F8) -> None:
    """Write the z-score and the relative volume of a bar."""
    o[0] = z_at(quote_volume, t, p.volume_lookback, 1.0)
    o[1] = relative_at(quote_volume, t, p.volume_lookback, work)


@row_jit
def returns_columns(returns: F8, benchmark: F8, p: Periods, work: F8, ratios: F8, o: F8) -> int:
    """Everything made of one-bar log returns, the last of which is the last bar's.

    Returns how many squared ratios, the last of them the last bar's, stand in ``ratios[0]``.
    """
    n, count = len(returns), 0
    if n >= p.vol_long:
        recent = returns[max(0, n - p.vol_long - DISTRIBUTION_BARS) :]
        count = len(recent) - p.vol_long + 1
        squared_ratios(recent, p.vol_short, p.vol_long, work, ratios[0])
        o[1] = np.sqrt(ratios[0, count - 1])
        if count > 1:
            o[6] = np.sqrt(ratios[0, count - 2])
        below, above, place = quantile_pair_at(ratios[0], count - 1, DISTRIBUTION_BARS, QUANTILE, ratios[1])
        o[2] = quantile_of(below, above, place)
    returns_of(returns, benchmark, p, work[0], o)
    return count


@row_jit
def returns_of(returns: F8, benchmark: F8, p: Periods, work: F8, o: F8) -> None:
    """Write deviation, slope, beta and correlation of the last returns."""
    n = len(returns)
    if n >= p.vol_medium:
        o[0] = deviation(returns[n - p.vol_medium :])
    if n >= p.slope_lookback - 1:
        o[3] = slope_t_of(returns[n - p.slope_lookback + 1 :], work)
    if n >= p.beta_lookback and len(benchmark) == n:
        o[4], o[5] = beta_corr_of(returns[n - p.beta_lookback :], benchmark[n - p.beta_lookback :])


@row_jit
def moves(high: F8, low: F8, close: F8, t: int, work: F8, o: F8) -> None:
    """Largest moves; the last `MOVE_LOOKBACK` bars have no gap."""
    n, first = MOVE_LOOKBACK, t + 1 - MOVE_LOOKBACK
    lows, closes = low[first : t + 1], close[first : t + 1]
    highs, spare, inverse = work[0, : n + 2 * MARGIN], work[1, : n + 2 * MARGIN], work[2, :n]
    inner, window = highs[MARGIN:], high[first : t + 1]
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
        o[k] = largest_move(highs, width, lows, inverse, bars, MARGIN, work[3])
    for i in range(n):
        inverse[i] = 1.0 / closes[i]
    for k, bars in enumerate(MOVE_BARS):
        o[len(MOVE_BARS) + k] = largest_return(closes, inverse, bars, work[3])


@row_jit
def structure(high: F8, low: F8, close: F8, t: int, p: Periods, o: F8) -> None:
    """Write ranges, last pivots and efficiency."""
    o[0], o[1] = range_at(high, low, t, p.range_short)
    o[2], o[3] = range_at(high, low, t, p.range_long)
    if t > 0:
        o[4], o[5] = range_at(high, low, t - 1, p.range_short)
    o[6] = pivot_at(high, 1.0, t, p.pivot_span, PIVOT_LOOKBACK)
    o[7] = pivot_at(low, -1.0, t, p.pivot_span, PIVOT_LOOKBACK)
    o[8] = efficiency_at(close, t, p.efficiency_lookback)


@row_jit
def ema_distances(
    high: F8, low: F8, close: F8, whole: bool, offsets: I8, p: Periods, bars: F8, weights: F8, o: F8
) -> None:
    """EMA distances of `FRAMES`, each made of the bars of the one before.

    Written out, not looped, so that every size is a constant to the compiler (``// 1``: and of one type).
    """
    one, two = bars[0], bars[1]
    if whole:
        n = swift_buckets(high, low, close, offsets[0], FRAMES[0] // 1, one)
    else:
        n = buckets(high, low, close, offsets[0], FRAMES[0] // 1, one)
    h, low_, c = one[0, :n], one[1, :n], one[2, :n]
    o[0] = distance(h, low_, c, whole, p, weights)
    n = frame_of(h, low_, c, whole, offsets[1], FRAMES[1] // FRAMES[0], two)
    h, low_, c = two[0, :n], two[1, :n], two[2, :n]
    o[1] = distance(h, low_, c, whole, p, weights)
    n = frame_of(h, low_, c, whole, offsets[2], FRAMES[2] // FRAMES[1], one)
    h, low_, c = one[0, :n], one[1, :n], one[2, :n]
    o[2] = distance(h, low_, c, whole, p, weights)
    n = frame_of(h, low_, c, whole, offsets[3], FRAMES[3] // FRAMES[2], two)
    o[3] = distance(two[0, :n], two[1, :n], two[2, :n], whole, p, weights)


@row_jit
def frame_of(high: F8, low: F8, close: F8, whole: bool, offset: int, size: int, out: F8) -> int:
    """Do what `buckets` does, the swift way if no bar is missing."""
    if whole:
        return int(swift_buckets(high, low, close, offset, size, out))
    return int(buckets(high, low, close, offset, size, out))


@row_jit
def distance(high: F8, low: F8, close: F8, whole: bool, p: Periods, weights: F8) -> float:
    """EMA distance in ATR after the last bar of a frame."""
    if whole:
        return float(distance_of(high, low, close, weights, p.wilder_period))
    last = np.full(1, np.nan)
    if len(close):
        distance_scan(high, low, close, p.ema_fast, p.ema_slow, p.wilder_period, len(close) - 1, last)
    return float(last[0])


@row_jit
def derived(open_: float, high: F8, low: F8, close: F8, o: F8) -> None:
    """Write what follows from the bar and the columns before; the rows end with it. ``o`` are all its columns."""
    n, now, d = len(close), close[-1], o[AT_DERIVED:]
    if n > 1:
        d[0] = close[n - 2]
    if n > 15:
        d[1] = now / close[n - 16] - 1.0
    if n > 60:
        d[2] = now / close[n - 61] - 1.0
    d[3] = o[1] / now
    bottom, width = o[AT_STRUCTURE + 1], o[AT_STRUCTURE] - o[AT_STRUCTURE + 1]
    d[4] = width / now
    if width > 0.0:
        d[5] = (now - bottom) / width
    span = high[-1] - low[-1]
    if span > 0.0:
        d[6] = (now - open_) / span
        d[7] = (high[-1] - max(open_, now)) / span
        d[8] = (min(open_, now) - low[-1]) / span
    total, known = 0.0, 0
    for k in range(len(FRAMES)):
        if not isnan(o[AT_EMA + k]):
            known += 1
            total += np.tanh(o[AT_EMA + k])
    if known:
        d[9] = total / known


@jit
def _last_bar(
    begin: int,
    end: int,
    open_: F8,
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
    x = make_scratch(p, t + 1, benchmark >= 0)
    n = len(x.returns)
    if benchmark >= 0:
        log_returns(close[benchmark], t + 1 - n, t + 1, x.market)
    for s in range(begin, end):
        h, low_, c, v, o = high[s], low[s], close[s], volume[s], out[s]
        whole = is_whole(c)
        run = t + 1 if whole else known_run(c, t, t + 1)
        o[AT_PROFILE], o[AT_PROFILE + 1], o[AT_PROFILE + 2] = profile_at(
            h, low_, v, t, p.profile_bars, p.value_area_frac, x.ledger
        )
        ema_distances(h, low_, c, whole, offsets, p, x.frames, x.weights, o[AT_EMA:])
        momentum(h, low_, c, t, run, p, x.wilder, x.decay, x.trail, x.columns, x.rsi, o)
        volume_columns(h, low_, c, v, quote_volume[s], taker[s], t, p, x.work, o[AT_VOLUME:])
        if n:
            log_returns(c, t + 1 - n, t + 1, x.returns)
            returns_columns(x.returns, x.market, p, x.work, x.ratios, o[AT_RETURNS:])
        if run >= MOVE_LOOKBACK:
            moves(h, low_, c, t, x.work, o[AT_MOVES:])
        structure(h, low_, c, t, p, o[AT_STRUCTURE:])
        derived(open_[s, t], h, low_, c, o)


__all__ = ["NAMES", "Periods", "last_bar"]
