"""One bar more of the higher timeframes: a bucket when it closes, and the averages when one has come or gone."""

from __future__ import annotations

from math import isnan

import numpy as np

from aione.indicators.columns import Periods
from aione.indicators.frames import FRAMES
from aione.indicators.kernel import row_jit
from aione.indicators.last_bar import distance
from aione.indicators.rings import DISTANCE, last, put
from aione.panel import F8


@row_jit
def frames_step(
    high: F8,
    low: F8,
    close: F8,
    row: int,
    m: int,
    before: int,
    whole: bool,
    p: Periods,
    frames: tuple[F8, F8, F8, F8],
    weights: F8,
    state: F8,
    o: F8,
) -> None:
    """Close the buckets that bar ``m`` ends, and write the EMA distances of the window that the rows are.

    ``frames`` are the rings of `FRAMES`. ``before`` is how many bars the window had without bar ``m``;
    ``whole`` says that no bar of it is missing.
    """
    n, one, two, three, four = len(close), frames[0], frames[1], frames[2], frames[3]
    if ends_bucket(m, n, FRAMES[0]):
        k = m // FRAMES[0]
        at = n - FRAMES[0]
        close_bucket(high[at:], low[at:], close[at:], k, one[0, row], one[1, row], one[2, row])
    if ends_bucket(m, n, FRAMES[1]):
        join_buckets(one, two, row, m // FRAMES[1], FRAMES[1] // FRAMES[0])
    if ends_bucket(m, n, FRAMES[2]):
        join_buckets(two, three, row, m // FRAMES[2], FRAMES[2] // FRAMES[1])
    if ends_bucket(m, n, FRAMES[3]):
        join_buckets(three, four, row, m // FRAMES[3], FRAMES[3] // FRAMES[2])
    if frame_changes(m, n, before, FRAMES[0]):
        state[DISTANCE] = frame_distance(one, row, m, n, FRAMES[0], whole, p, weights)
    if frame_changes(m, n, before, FRAMES[1]):
        state[DISTANCE + 1] = frame_distance(two, row, m, n, FRAMES[1], whole, p, weights)
    if frame_changes(m, n, before, FRAMES[2]):
        state[DISTANCE + 2] = frame_distance(three, row, m, n, FRAMES[2], whole, p, weights)
    if frame_changes(m, n, before, FRAMES[3]):
        state[DISTANCE + 3] = frame_distance(four, row, m, n, FRAMES[3], whole, p, weights)
    for k in range(len(FRAMES)):
        o[k] = state[DISTANCE + k]


@row_jit
def frames_anew(
    high: F8,
    low: F8,
    close: F8,
    row: int,
    m: int,
    whole: bool,
    p: Periods,
    frames: tuple[F8, F8, F8, F8],
    weights: F8,
    state: F8,
    o: F8,
) -> None:
    """Write every bucket that lies whole in the window that the rows are, and the EMA distances."""
    n, one, two, three, four = len(close), frames[0], frames[1], frames[2], frames[3]
    for k in range(first_bucket(m, n, FRAMES[0]), closed_buckets(m, FRAMES[0])):
        at = k * FRAMES[0] - (m - n + 1)
        h, low_, c = high[at : at + FRAMES[0]], low[at : at + FRAMES[0]], close[at : at + FRAMES[0]]
        close_bucket(h, low_, c, k, one[0, row], one[1, row], one[2, row])
    for k in range(first_bucket(m, n, FRAMES[1]), closed_buckets(m, FRAMES[1])):
        join_buckets(one, two, row, k, FRAMES[1] // FRAMES[0])
    for k in range(first_bucket(m, n, FRAMES[2]), closed_buckets(m, FRAMES[2])):
        join_buckets(two, three, row, k, FRAMES[2] // FRAMES[1])
    for k in range(first_bucket(m, n, FRAMES[3]), closed_buckets(m, FRAMES[3])):
        join_buckets(three, four, row, k, FRAMES[3] // FRAMES[2])
    state[DISTANCE] = frame_distance(one, row, m, n, FRAMES[0], whole, p, weights)
    state[DISTANCE + 1] = frame_distance(two, row, m, n, FRAMES[1], whole, p, weights)
    state[DISTANCE + 2] = frame_distance(three, row, m, n, FRAMES[2], whole, p, weights)
    state[DISTANCE + 3] = frame_distance(four, row, m, n, FRAMES[3], whole, p, weights)
    for k in range(len(FRAMES)):
        o[k] = state[DISTANCE + k]


@row_jit
def closed_buckets(m: int, minutes: int) -> int:
    """Buckets of so many minutes since 1970 that have closed with bar ``m``."""
    return (m + 1) // minutes


@row_jit
def first_bucket(m: int, n: int, minutes: int) -> int:
    """Return the first bucket that lies whole in the ``n`` bars up to bar ``m``."""
    return (m - n + minutes) // minutes


@row_jit
def ends_bucket(m: int, n: int, minutes: int) -> bool:
    """Tell whether bar ``m`` is the last of a bucket that lies whole in the ``n`` bars up to it."""
    return (m + 1) % minutes == 0 and n >= minutes


@row_jit
def frame_changes(m: int, n: int, before: int, minutes: int) -> bool:
    """Tell whether a bucket has come or gone with bar ``m``, the window having had ``before`` bars before it."""
    has_come = closed_buckets(m, minutes) != closed_buckets(m - 1, minutes)
    return bool(has_come or first_bucket(m, n, minutes) != first_bucket(m - 1, before, minutes))


@row_jit
def join_buckets(source: F8, target: F8, row: int, k: int, size: int) -> None:
    """Write bucket ``k``, made of ``size`` buckets of the shorter timeframe."""
    at = (k + 1) * size - 1
    high, low, close = last(source[0, row], at, size), last(source[1, row], at, size), last(source[2, row], at, size)
    close_bucket(high, low, close, k, target[0, row], target[1, row], target[2, row])


@row_jit
def close_bucket(high: F8, low: F8, close: F8, k: int, tops: F8, bottoms: F8, closes: F8) -> None:
    """Write bucket ``k``, made of these bars, to the rings; unknown if a bar is missing."""
    top, bottom, check = high[0], low[0], 0.0
    for i in range(len(close)):
        top, bottom = max(top, high[i]), min(bottom, low[i])
        check += close[i]
    is_known = not isnan(check)
    put(tops, k, top if is_known else np.nan)
    put(bottoms, k, bottom if is_known else np.nan)
    put(closes, k, close[-1] if is_known else np.nan)


@row_jit
def frame_distance(frame: F8, row: int, m: int, n: int, minutes: int, whole: bool, p: Periods, weights: F8) -> float:
    """EMA distance after the last closed bucket, from those that lie whole in the window."""
    closed = closed_buckets(m, minutes)
    count = closed - first_bucket(m, n, minutes)
    if count < 1:
        return np.nan
    k = closed - 1
    high, low, close = last(frame[0, row], k, count), last(frame[1, row], k, count), last(frame[2, row], k, count)
    return float(distance(high, low, close, whole, p, weights))


__all__ = ["frames_anew", "frames_step"]
