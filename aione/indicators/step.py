"""One bar more: the parts of `aione.indicators.last_bar` that need not look at the whole window again.

Each writes what the batch writes, from what it remembers and the bar that is new. Where the memory does not suffice
(a gap, a symbol that hardly moves, an extreme that leaves the window) it is made anew from the bars of the window,
with the functions of the batch.
"""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.columns import AT_DIVERGENCE, Periods
from aione.indicators.kernel import KNOWN_SHARE, row_jit
from aione.indicators.last_bar import divergences, momentum_of, unusual_volume
from aione.indicators.rings import (
    AGE,
    IS_SMOOTH,
    KNOWN,
    RUN,
    SESSION,
    last,
    put,
)
from aione.indicators.volatility import (
    DISTRIBUTION_BARS,
    rank_at,
)
from aione.indicators.volume import imbalance_of, vwap_at, vwap_of, z_at
from aione.indicators.wilder import (
    ADX,
    ATR,
    DEAD_FRAC,
    DOWN,
    MINUS,
    PLUS,
    TRUE_RANGE,
    UP,
    advance,
    bar_of,
    direction_index,
    rsi_of,
    wilder_step,
)
from aione.panel import DAY_MS, F8, MINUTE_MS

DAY_BARS: Final = DAY_MS // MINUTE_MS


@row_jit
def count_bars(state: F8, is_known: bool, was_known: bool, n: int) -> None:
    """Count the bar that is new, and the one that it drives out, in a window of ``n``."""
    state[KNOWN] += np.float64(is_known) - np.float64(was_known)
    state[RUN] = min(state[RUN] + 1.0, np.float64(n)) if is_known else 0.0
    state[AGE] = 0.0 if is_known else state[AGE] + 1.0


# ── Wilder ──


@row_jit
def carry_on(high: F8, low: F8, close: F8, period: int, state: F8) -> bool:
    """Move Wilder's averages on by the last bar; False, and nothing is moved, if they must be computed anew."""
    if state[IS_SMOOTH] == 0.0 or isnan(close[-1]):
        return False
    weight, keep = 1.0 / period, 1.0 - 1.0 / period
    bar = bar_of(high[-1], low[-1], close[-1], high[-2], low[-2], close[-2])
    now = advance((state[0], state[1], state[2], state[3], state[4]), bar, weight, keep)
    if not min(now[UP] + now[DOWN], now[PLUS] + now[MINUS]) / close[-1] > DEAD_FRAC:
        return False
    state[ADX] = wilder_step(state[ADX], direction_index(now[PLUS], now[MINUS]), weight)
    state[UP], state[DOWN], state[ATR], state[PLUS], state[MINUS] = now
    state[TRUE_RANGE] = bar[3]
    return True


@row_jit
def momentum_step(
    high: F8,
    low: F8,
    close: F8,
    m: int,
    atr_before: float,
    p: Periods,
    state: F8,
    rsi: F8,
    atr_frac: F8,
    o: F8,
) -> None:
    """Write what follows from averages that were carried on; ``rsi`` and ``atr_frac`` are rings."""
    n, value = len(close), rsi_of(state[UP], state[DOWN])
    put(rsi, m, value)
    put(atr_frac, m, state[ATR] / close[-1])
    momentum_of(state, value, atr_before, o)
    if state[RUN] >= p.div_lookback:
        divergences(high, low, last(rsi, m, p.div_lookback), state[ATR], n - 1, p, o[AT_DIVERGENCE:])
    o[7] = rank_at(last(atr_frac, m, DISTRIBUTION_BARS + 1), DISTRIBUTION_BARS, DISTRIBUTION_BARS)


# ── Volume ──


@row_jit
def volume_step(
    high: F8,
    low: F8,
    close: F8,
    volume: F8,
    m: int,
    p: Periods,
    quote_volume: F8,
    taker: F8,
    imbalance: F8,
    work: F8,
    state: F8,
    o: F8,
) -> None:
    """Unusual volume, taker imbalance and session VWAP; the last three rows before ``work`` are rings."""
    n = len(close)
    recent = min(n, p.volume_lookback + 1)
    unusual_volume(last(quote_volume, m, recent), recent - 1, p, work, o)
    if n >= p.imbalance_bars:
        bought = last(taker, m, p.imbalance_bars)
        put(imbalance, m, imbalance_of(volume[n - p.imbalance_bars :], bought))
        count = min(n - p.imbalance_bars, p.imbalance_lookback)
        known = last(imbalance, m, count + 1)
        o[2], o[3] = known[-1], z_at(known, count, p.imbalance_lookback, KNOWN_SHARE)
    enter_session(high[-1] + low[-1] + close[-1], volume[-1], m, state)
    if p.session_bars == m % DAY_BARS + 1 and p.session_bars <= n:
        o[4], o[5], o[6] = session_of(high[-1], low[-1], close[-1], p.session_bars, state)
    else:
        o[4], o[5], o[6] = vwap_at(high, low, close, volume, n - 1, p.session_bars, work)


@row_jit
def enter_session(price: float, volume: float, m: int, state: F8) -> None:
    """Add a bar to the sums of its day; ``price`` is three typical prices.

    Mean and squares are West's, of distances from the day's first price: nothing is ever taken out, so nothing drifts.

    References
    ----------
    D. H. D. West, *Updating mean and variance estimates: an improved method*, CACM 22, 1979.
    """
    s = state[SESSION : SESSION + 5]
    if m % DAY_BARS == 0:
        s[0], s[1], s[2], s[3] = 0.0, 0.0, 0.0, 0.0
    if isnan(price * volume):
        return
    s[0] += 1.0
    if not volume > 0.0:
        return
    if s[1] == 0.0:
        s[4] = price
    s[1] += volume
    gap = (price - s[4]) - s[2]
    s[2] += gap * volume / s[1]
    s[3] += volume * gap * ((price - s[4]) - s[2])


@row_jit
def session_of(high: float, low: float, close: float, bars: int, state: F8) -> tuple[float, float, float]:
    """VWAP, distance and z of the day so far."""
    known, weight = state[SESSION], state[SESSION + 1]
    now = high + low + close
    if isnan(now) or not (known >= KNOWN_SHARE * bars and weight > 0.0):
        return np.nan, np.nan, np.nan
    values: tuple[float, float, float] = vwap_of(
        high, low, close, state[SESSION + 2] + (state[SESSION + 4] - now), state[SESSION + 3] / weight
    )
    return values


__all__ = ["DAY_BARS", "carry_on", "count_bars", "enter_session", "momentum_step", "volume_step"]
