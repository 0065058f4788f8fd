"""Where the incremental path keeps what it needs: rings that are written twice, so that any window is one slice.

A value of bar ``m`` (its open time in minutes since 1970) is written at ``m % C`` and again ``C`` further on. The
last ``n <= C`` values up to it end at ``m % C + C`` and lie side by side: nothing is ever shifted. One place more than
the longest window is kept free, and there a forming bar is tried out: no window of closed bars reaches it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aione.indicators.columns import MOVE_LOOKBACK, Periods
from aione.indicators.frames import FRAMES
from aione.indicators.kernel import row_jit
from aione.indicators.moves import MOVE_BARS
from aione.indicators.volatility import DISTRIBUTION_BARS, TOPS
from aione.panel import F8, I8

# ── Long rings: the whole window ──

HIGH: Final = 0
LOW: Final = 1
CLOSE: Final = 2
VOLUME: Final = 3
LONG: Final = 4

# ── Short rings: as much as any window but the profile's and the averages' needs ──

QUOTE_VOLUME: Final = 0
TAKER: Final = 1
RETURN: Final = 2
RATIO: Final = 3
IMBALANCE: Final = 4
ATR_FRAC: Final = 5
RSI: Final = 6
MOVE: Final = 7
SHORT: Final = MOVE + 2 * len(MOVE_BARS)

# ── State: a row a symbol; the first seven are the columns of `wilder_scan` ──

IS_SMOOTH: Final = 7
"""1 where Wilder's averages can be carried on, 0 where they must be computed from the window."""
RUN: Final = 8
"""Bars without a gap up to the last; known bars in the window; bars since the last known one."""
KNOWN: Final = 9
AGE: Final = 10
SESSION: Final = 11
"""Known bars of the session, their volume, mean and sum of squared distances of the price, its first price."""
PROFILE: Final = 16
"""Whether the profile can be carried on; its known bars, volume, top, bottom, scale and unit."""
BEST: Final = PROFILE + 7
DISTANCE: Final = BEST + 2 * len(MOVE_BARS)
TOP_MINUTE: Final = DISTANCE + len(FRAMES)
"""The bar up to which the largest ratios are kept, and they."""
TOP: Final = TOP_MINUTE + 1
STATES: Final = TOP + TOPS


class Rings(NamedTuple):
    """The memory of R symbols, one of them scratch.

    Attributes
    ----------
    long : float64 (LONG, R, 2 C)
    short : float64 (SHORT, R, 2 D)
    frames_5m, frames_15m, frames_1h, frames_4h : float64 (3, R, 2 E)
        High, low and close of the bars of each of `FRAMES`.
    state : float64 (R, STATES)
    steps : int64 (R, 2, bins + 1)
        The volume profiles, see `Ledger`.
    """

    long: F8
    short: F8
    frames_5m: F8
    frames_15m: F8
    frames_1h: F8
    frames_4h: F8
    state: F8
    steps: I8


def make_rings(rows: int, lookback: int, p: Periods) -> Rings:
    """Return empty rings for windows of ``lookback`` bars."""
    longest = max(
        *(p.volume_lookback + 1, p.imbalance_lookback + p.imbalance_bars, p.div_lookback),
        *(p.vol_medium, p.vol_long, p.slope_lookback, p.beta_lookback),
        *(DISTRIBUTION_BARS + 1, MOVE_LOOKBACK),
    )
    short = min(longest, lookback) + 1
    one, two, three, four = (np.full((3, rows, 2 * (lookback // frame + 2)), np.nan) for frame in FRAMES)
    return Rings(
        np.full((LONG, rows, 2 * (lookback + 1)), np.nan),
        np.full((SHORT, rows, 2 * short), np.nan),
        one,
        two,
        three,
        four,
        np.zeros((rows, STATES)),
        np.zeros((rows, 2, p.profile_bins + 1), dtype=np.int64),
    )


def grown(rings: Rings, rows: int) -> Rings:
    """Return rings with room for so many symbols, the old ones first."""
    more = []
    for array in rings:
        axis = 0 if array is rings.state or array is rings.steps else 1
        shape = list(array.shape)
        shape[axis] = rows - shape[axis]
        blank = np.zeros(shape, np.int64) if array is rings.steps else np.full(shape, np.nan)
        more.append(np.concatenate([array, blank], axis=axis))
    return Rings(*more)


@row_jit
def put(ring: F8, m: int, value: float) -> None:
    """Write bar ``m``'s value."""
    half = len(ring) // 2
    place = m % half
    ring[place], ring[place + half] = value, value


@row_jit
def last(ring: F8, m: int, n: int) -> F8:
    """Return the last ``n`` values up to bar ``m``."""
    half = len(ring) // 2
    stop = m % half + half + 1
    return ring[stop - n : stop]


@row_jit
def fill(ring: F8, m: int, values: F8) -> None:
    """Write the values of the last bars up to ``m``, as many as fit; what is older is unknown."""
    half = len(ring) // 2
    n = min(half, len(values))
    for k in range(half):
        put(ring, m - k, values[len(values) - 1 - k] if k < n else np.nan)


__all__ = ["Rings", "fill", "grown", "last", "make_rings", "put"]
