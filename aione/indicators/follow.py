"""The two kernels of the incremental path: one bar more of many symbols, and the memory of a symbol made anew."""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.columns import (
    AT_EMA,
    AT_MOVES,
    AT_PROFILE,
    AT_RETURNS,
    AT_STRUCTURE,
    AT_VOLUME,
    NAMES,
    Periods,
)
from aione.indicators.kernel import jit, known_run, log_returns, row_jit
from aione.indicators.last_bar import derived, momentum, recent_imbalance, returns_columns, structure, unusual_volume
from aione.indicators.rings import (
    AGE,
    ATR_FRAC,
    CLOSE,
    HIGH,
    IMBALANCE,
    IS_SMOOTH,
    KNOWN,
    LONG,
    LOW,
    QUOTE_VOLUME,
    RATIO,
    RETURN,
    RSI,
    RUN,
    TAKER,
    VOLUME,
    Rings,
    fill,
    last,
    put,
)
from aione.indicators.scratch import make_scratch
from aione.indicators.step import DAY_BARS, carry_on, count_bars, enter_session, momentum_step, volume_step
from aione.indicators.step_frames import frames_anew, frames_step
from aione.indicators.step_profile import profile_anew, profile_step
from aione.indicators.step_returns import market_returns, moves_anew, moves_step, recent_returns, returns_step
from aione.indicators.volume import vwap_at
from aione.indicators.wilder import ATR, DEAD_FRAC
from aione.indicators.wilder_tail import memory_bars
from aione.panel import F8, I8

READINESS: Final = ("ready_frac", "bars_age")
FOLLOWED: Final = (*NAMES, *READINESS)
"""Columns of `step` and `anew`, in order."""


@jit
def step(
    begin: int,
    end: int,
    rows: I8,
    states: I8,
    m: int,
    before: int,
    n: int,
    bars: F8,
    market_row: int,
    market_close: float,
    p: Periods,
    g: Rings,
    out: F8,
) -> None:
    """Take bar ``m`` of symbols and write their readings; the window had ``before`` bars and now has ``n``.

    Parameters
    ----------
    begin, end : int
        Which of ``rows`` (see `in_parts`).
    rows, states : int64 (S,)
        Each symbol's row in the rings, and where its new state is to be written: the same, or, of a forming bar, the
        scratch row. In the rings a forming bar only writes the free place, which no window of closed bars reaches.
    bars : float64 (7, S)
        High, low, close, volume, quote volume, taker's volume and open.
    market_row, market_close : int, float
        The benchmark's row, -1 if there is none, and its close of bar ``m``.
    out : float64 (S, len(FOLLOWED))
    """
    x = make_scratch(p, n, False)
    market = x.market
    if market_row >= 0 and n > 1:
        past, closes = g.short[RETURN, market_row], g.long[CLOSE, market_row]
        market = market_returns(past, closes, market_close, m, recent_returns(n - 1, p))
    for i in range(begin, end):
        r, o = rows[i], out[i]
        s, steps = state_for(r, states[i], g.state, g.steps)
        take(bars[:, i], m, r, g.long, g.short)
        high, low, close, volume = g.long[HIGH, r], g.long[LOW, r], g.long[CLOSE, r], g.long[VOLUME, r]
        h, lo, c, v = last(high, m, n), last(low, m, n), last(close, m, n), last(volume, m, n)
        o[:] = np.nan
        count_bars(s, not isnan(c[-1]), n == before and not isnan(last(close, m, n + 1)[0]), n)
        atr_before, run = s[ATR], int(s[RUN])
        if carry_on(h, lo, c, p.wilder_period, s):
            momentum_step(h, lo, c, m, atr_before, p, s, g.short[RSI, r], g.short[ATR_FRAC, r], o)
        else:
            movement = momentum(h, lo, c, n - 1, run, p, x.wilder, x.decay, x.trail, x.columns, x.rsi, o)
            if states[i] == r:
                remember(m, n, movement, p, x.columns[0], x.trail[ATR], x.rsi, r, g.short, s)
        quote, taker, imbalance = g.short[QUOTE_VOLUME, r], g.short[TAKER, r], g.short[IMBALANCE, r]
        volume_step(h, lo, c, v, m, p, quote, taker, imbalance, x.work[0], s, o[AT_VOLUME:])
        returns, squares = g.short[RETURN, r], g.short[RATIO, r]
        returns_step(c, market, m, p, returns, squares, x.work[0], x.ratios[1], s, o[AT_RETURNS:])
        moves_step(h, lo, c, m, g.short, r, s, o[AT_MOVES:])
        structure(h, lo, c, n - 1, p, o[AT_STRUCTURE:])
        profile_step(high, low, volume, m, before, n, p, s, steps, x.ledger, o[AT_PROFILE:])
        frames = g.frames_5m, g.frames_15m, g.frames_1h, g.frames_4h
        frames_step(h, lo, c, r, m, before, run >= n, p, frames, x.weights, s, o[AT_EMA:])
        derived(bars[LONG + 2, i], h, lo, c, o)
        write_readiness(n, s, o)


@jit
def anew(
    begin: int, end: int, rows: I8, open_: F8, m: int, n: int, market_row: int, p: Periods, g: Rings, out: F8
) -> None:
    """Make the memory of symbols anew from the last ``n`` bars up to ``m`` in the rings, and write their readings.

    ``open_`` (S,) is of bar ``m``; for the other arguments see `step`.
    """
    x = make_scratch(p, n, market_row >= 0)
    count = len(x.returns)
    if market_row >= 0:
        log_returns(last(g.long[CLOSE, market_row], m, n), n - count, n, x.market)
    for i in range(begin, end):
        r, o, s = rows[i], out[i], g.state[rows[i]]
        o[:] = np.nan
        h, lo = last(g.long[HIGH, r], m, n), last(g.long[LOW, r], m, n)
        c, v = last(g.long[CLOSE, r], m, n), last(g.long[VOLUME, r], m, n)
        s[:] = 0.0
        run = known_run(c, n - 1, n)
        count_anew(c, run, s)
        movement = momentum(h, lo, c, n - 1, run, p, x.wilder, x.decay, x.trail, x.columns, x.rsi, o)
        remember(m, n, movement, p, x.columns[0], x.trail[ATR], x.rsi, r, g.short, s)
        volume_anew(h, lo, c, v, m, r, p, g.short, x.work, s, o[AT_VOLUME:])
        log_returns(c, n - count, n, x.returns)
        ratios = returns_columns(x.returns, x.market, p, x.work, x.ratios, o[AT_RETURNS:]) if count else 0
        fill(g.short[RETURN, r], m, x.returns)
        fill(g.short[RATIO, r], m, x.ratios[0, :ratios])
        moves_anew(h, lo, c, m, g.short, r, s, o[AT_MOVES:])
        structure(h, lo, c, n - 1, p, o[AT_STRUCTURE:])
        first = n - min(n, p.profile_bars)
        profile_anew(h[first:], lo[first:], v[first:], p, s, g.steps[r], x.ledger, o[AT_PROFILE:])
        frames = g.frames_5m, g.frames_15m, g.frames_1h, g.frames_4h
        frames_anew(h, lo, c, r, m, run >= n, p, frames, x.weights, s, o[AT_EMA:])
        derived(open_[i], h, lo, c, o)
        write_readiness(n, s, o)


@row_jit
def state_for(row: int, target: int, state: F8, steps: I8) -> tuple[F8, I8]:
    """Return where a row's new state goes, which starts as a copy of the row's."""
    if target != row:
        for k in range(state.shape[1]):
            state[target, k] = state[row, k]
        for b in range(steps.shape[2]):
            steps[target, 0, b], steps[target, 1, b] = steps[row, 0, b], steps[row, 1, b]
    return state[target], steps[target]


@row_jit
def take(bar: F8, m: int, row: int, long: F8, short: F8) -> None:
    """Write a bar to the rings."""
    for k in range(LONG):
        put(long[k, row], m, bar[k])
    put(short[QUOTE_VOLUME, row], m, bar[LONG])
    put(short[TAKER, row], m, bar[LONG + 1])


@row_jit
def remember(
    m: int, n: int, movement: float, p: Periods, columns: F8, atr_frac: F8, rsi: F8, row: int, short: F8, state: F8
) -> None:
    """Keep what `momentum` has computed from the window; say whether it can be carried on from there."""
    memory = memory_bars(p.wilder_period, len(atr_frac))
    for k in range(len(columns)):
        state[k] = columns[k]
    state[IS_SMOOTH] = np.float64(min(n - 1, state[RUN] - 1) >= memory and movement > DEAD_FRAC)
    fill(short[ATR_FRAC, row], m, atr_frac)
    fill(short[RSI, row], m, rsi)


@row_jit
def count_anew(close: F8, run: int, state: F8) -> None:
    """Count the bars of a window."""
    known, age = 0, 0
    for i in range(len(close)):
        is_known = not isnan(close[i])
        known += is_known
        age = 0 if is_known else age + 1
    state[RUN], state[KNOWN], state[AGE] = run, known, age


@row_jit
def volume_anew(
    high: F8, low: F8, close: F8, volume: F8, m: int, row: int, p: Periods, short: F8, work: F8, state: F8, o: F8
) -> None:
    """Unusual volume, taker imbalance and session VWAP, and what `volume_step` needs to go on from here."""
    n = len(close)
    recent = min(n, p.volume_lookback + 1)
    unusual_volume(last(short[QUOTE_VOLUME, row], m, recent), recent - 1, p, work[0], o)
    recent = min(n, p.imbalance_lookback + p.imbalance_bars)
    count = recent_imbalance(volume[n - recent :], last(short[TAKER, row], m, recent), p, work, o)
    fill(short[IMBALANCE, row], m, work[1, :count])
    o[4], o[5], o[6] = vwap_at(high, low, close, volume, n - 1, p.session_bars, work[0])
    for k in range(min(n, m % DAY_BARS + 1) - 1, -1, -1):
        at = n - 1 - k
        enter_session(high[at] + low[at] + close[at], volume[at], m - k, state)


@row_jit
def write_readiness(n: int, state: F8, o: F8) -> None:
    """Write the share of bars that are there, and the age of the last one."""
    o[len(NAMES)] = state[KNOWN] / n
    o[len(NAMES) + 1] = state[AGE] if state[KNOWN] > 0.0 else np.nan


__all__ = ["FOLLOWED", "READINESS", "anew", "step"]
