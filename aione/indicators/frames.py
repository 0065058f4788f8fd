"""Higher timeframes: their bars made of minutes, and how far their averages stand apart, of one symbol."""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.kernel import decaying, gapless_jit, regrouping_jit, row_jit
from aione.panel import F8

FRAMES: Final = (5, 15, 60, 240)
"""Minutes of the higher timeframes; each divides the next."""

MIN_BUCKETS: Final = 5
"""Closed bars of a higher timeframe from which on its averages are known: 1500 minutes always hold 5 of 4 hours."""


@row_jit
def buckets(high: F8, low: F8, close: F8, offset: int, size: int, out: F8) -> int:
    """Write high, low and close of every whole bucket to ``out (3, n)``, NaN for one with a gap; return how many."""
    count = max(0, (len(close) - offset) // size)
    i, step = np.uint64(offset), np.uint64(1)
    for k in range(count):
        top, bottom, check = high[i], low[i], 0.0
        last = close[i]
        for _ in range(size):
            top = max(top, high[i])
            bottom = min(bottom, low[i])
            last = close[i]
            check += last
            i += step
        is_known = not isnan(check)
        out[0, k] = top if is_known else np.nan
        out[1, k] = bottom if is_known else np.nan
        out[2, k] = last if is_known else np.nan
    return count


@gapless_jit
def swift_buckets(high: F8, low: F8, close: F8, offset: int, size: int, out: F8) -> int:
    """Do what `buckets` does with bars of which none is missing."""
    count = max(0, (len(close) - offset) // size)
    h, low_, c = high[offset:], low[offset:], close[offset:]
    tops, bottoms, lasts = out[0], out[1], out[2]
    i, step = np.uint64(0), np.uint64(1)
    for k in range(count):
        top, bottom = h[i], low_[i]
        i += step
        for _ in range(size - 1):
            top = h[i] if h[i] > top else top  # noqa: FURB136 - max() is slower
            bottom = low_[i] if low_[i] < bottom else bottom  # noqa: FURB136 - likewise
            i += step
        tops[k], bottoms[k], lasts[k] = top, bottom, c[i - step]
    return count


@regrouping_jit
def distance_of(high: F8, low: F8, close: F8, weights: F8, atr_period: int) -> float:
    """EMA distance in ATR after bars of which none is missing: what `distance_scan` ends with.

    ``weights`` are `frame_weights` of at least so many bars.
    """
    count = len(close)
    if count < MIN_BUCKETS:
        return np.nan
    now, first = close[count - 1], weights.shape[1] - count
    quick, calm = weights[0, first:], weights[1, first:]
    sum_fast, sum_slow, weight_fast, weight_slow = 0.0, 0.0, 0.0, 0.0
    for i in range(count):
        gap = close[i] - now
        sum_fast += quick[i] * gap
        weight_fast += quick[i]
        sum_slow += calm[i] * gap
        weight_slow += calm[i]
    atr = span_of(high[1:], low[1:], close, weights[2], atr_period)
    return float((sum_fast / weight_fast - sum_slow / weight_slow) / atr) if atr > 0.0 else np.nan


@row_jit
def frame_weights(fast: int, slow: int, atr_period: int, bars: int) -> F8:
    """Weights of the two EMAs and of the ATR, ``(3, bars)``, the newest bar's last."""
    out = np.empty((3, bars))
    one, two = decaying(1.0, 1.0 - 2.0 / (fast + 1.0), bars), decaying(1.0, 1.0 - 2.0 / (slow + 1.0), bars)
    three = decaying(1.0 / atr_period, 1.0 - 1.0 / atr_period, bars)
    for i in range(bars):
        out[0, i], out[1, i], out[2, i] = one[i], two[i], three[i]
    return out


@regrouping_jit
def span_of(high: F8, low: F8, close: F8, decay: F8, period: int) -> float:
    """Wilder's ATR of bars each of which follows the ``close`` at its place."""
    n = min(len(high), period)
    head, tail = 0.0, 0.0
    for i in range(n):
        head += max(high[i], close[i]) - min(low[i], close[i])
    h, low_, c = high[n:], low[n:], close[n:]
    weights = decay[len(decay) - len(h) :]
    for i in range(len(h)):
        top = h[i] if h[i] > c[i] else c[i]  # noqa: FURB136 - max() is not vectorised
        bottom = low_[i] if low_[i] < c[i] else c[i]  # noqa: FURB136 - likewise
        tail += weights[i] * (top - bottom)
    return head / n if len(h) == 0 else tail + head * decay[len(decay) - 1 - len(h)]


@row_jit
def distance_scan(high: F8, low: F8, close: F8, fast: int, slow: int, atr_period: int, store: int, out: F8) -> None:
    """EMA distance in ATR after each bar, written to ``out`` from bar ``store`` on.

    A bar with a gap keeps the value before it. Prices are averaged as distances from the last one, so that the small
    difference of two averages keeps its digits.
    """
    keep_fast, keep_slow = 1.0 - 2.0 / (fast + 1.0), 1.0 - 2.0 / (slow + 1.0)
    sum_fast, sum_slow, weight_fast, weight_slow = 0.0, 0.0, 0.0, 0.0
    span, seen, ranged, before, weight, keep = 0.0, 0, 0, np.nan, 1.0, 0.0
    last = 0.0
    for k in range(len(close)):
        now = close[k]
        if not isnan(now):
            move = last - now if seen else 0.0
            sum_fast, weight_fast = keep_fast * (sum_fast + weight_fast * move), 1.0 + keep_fast * weight_fast
            sum_slow, weight_slow = keep_slow * (sum_slow + weight_slow * move), 1.0 + keep_slow * weight_slow
            last = now
            seen += 1
            if not isnan(before):
                ranged += 1
                if ranged <= atr_period:
                    weight = 1.0 / ranged
                    keep = 1.0 - weight
                true_range = max(high[k], before) - min(low[k], before)
                span = span * keep + true_range * weight
        before = now
        if k >= store:
            is_known = seen >= MIN_BUCKETS and span > 0.0
            out[k - store] = (sum_fast / weight_fast - sum_slow / weight_slow) / span if is_known else np.nan


__all__ = [
    "FRAMES",
    "MIN_BUCKETS",
    "buckets",
    "distance_of",
    "distance_scan",
    "frame_weights",
    "swift_buckets",
]
