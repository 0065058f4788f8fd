"""One bar more of what is made of returns, and of the largest moves."""

from __future__ import annotations

from math import isnan

import numpy as np

from aione.indicators.columns import MOVE_LOOKBACK, Periods
from aione.indicators.kernel import known_run, log_return, row_jit
from aione.indicators.last_bar import returns_of
from aione.indicators.moves import MOVE_BARS
from aione.indicators.rings import BEST, MOVE, RUN, TOP, TOP_MINUTE, last, put
from aione.indicators.volatility import (
    DISTRIBUTION_BARS,
    QUANTILE,
    QUANTILE_PLACE,
    TOPS,
    quantile_of,
    quantile_pair_at,
    squared_ratio,
)
from aione.panel import F8

# ── Returns ──


@row_jit
def returns_step(
    close: F8,
    market: F8,
    m: int,
    p: Periods,
    returns: F8,
    squares: F8,
    work: F8,
    ratios: F8,
    state: F8,
    o: F8,
) -> None:
    """Everything made of one-bar returns; ``returns`` and ``squares`` are rings.

    ``market`` are the benchmark's last returns, as many as `recent_returns` says, or none.
    """
    n = len(close) - 1
    put(returns, m, log_return(close[-2], close[-1]) if n else np.nan)
    square = np.nan
    if n >= p.vol_long:
        square = squared_ratio(last(returns, m, p.vol_long), p.vol_short)
    put(squares, m, square)
    if n >= p.vol_long:
        o[1], o[2] = np.sqrt(square), ratio_quantile(squares, m, min(n - p.vol_long, DISTRIBUTION_BARS), state, ratios)
    if n > p.vol_long:
        o[6] = np.sqrt(last(squares, m, 2)[0])
    if n:
        returns_of(last(returns, m, recent_returns(n, p)), market, p, work, o)


@row_jit
def ratio_quantile(squares: F8, m: int, count: int, state: F8, work: F8) -> float:
    """95th percentile of `vol_ratio` of the ``count`` bars before bar ``m``; ``squares`` is the ring of its square.

    Their largest are kept, as many as it takes. One that leaves takes one of them away or none, one that comes pushes
    one out or none; when too few are left, or one is not known, they are looked for again.
    """
    top, is_kept = state[TOP : TOP + TOPS], count == DISTRIBUTION_BARS and state[TOP_MINUTE] == m - 1
    if is_kept:
        come, gone = last(squares, m, 2)[0], last(squares, m, count + 2)[0]
        is_kept = not isnan(come) and gone < top[TOPS - 1]
        if is_kept:
            enter(come, top)
    if is_kept:
        below, above, place = top[TOPS - 1], top[TOPS - 2], QUANTILE_PLACE
    else:
        before = last(squares, m, count + 1)
        below, above, place = quantile_pair_at(before, count, DISTRIBUTION_BARS, QUANTILE, work)
        is_kept = count == DISTRIBUTION_BARS and known_run(before, count - 1, count) == count
        for i in range(TOPS):
            top[i] = work[i]
    state[TOP_MINUTE] = m if is_kept else 0
    return float(quantile_of(below, above, place))


@row_jit
def enter(value: float, top: F8) -> None:
    """Put a value to its place among the largest, which stand in descending order, if it is one of them."""
    i = len(top) - 1
    if not value > top[i]:
        return
    while i > 0 and top[i - 1] < value:
        top[i] = top[i - 1]
        i -= 1
    top[i] = value


@row_jit
def market_returns(returns: F8, closes: F8, close: float, m: int, n: int) -> F8:
    """Return the last ``n`` >= 1 of the benchmark's returns up to bar ``m``, whose close is not yet in the rings.

    Reads its rings (``returns``, ``closes``) up to bar ``m - 1`` alone: its own row may be taking bar ``m`` right now.
    """
    out = np.empty(n)
    past = last(returns, m - 1, n - 1)
    for i in range(n - 1):
        out[i] = past[i]
    out[n - 1] = log_return(last(closes, m - 1, 1)[0], close)
    return out


@row_jit
def recent_returns(n: int, p: Periods) -> int:
    """How many of ``n`` returns `returns_of` needs."""
    return min(n, max(p.vol_medium, p.slope_lookback, p.beta_lookback))


# ── Largest moves ──


@row_jit
def moves_step(high: F8, low: F8, close: F8, m: int, rings: F8, row: int, state: F8, o: F8) -> None:
    """Largest moves of the last `MOVE_LOOKBACK` bars: the largest is kept, and looked for again when it leaves."""
    n, run, top, bottom, seen = len(close), int(state[RUN]), -np.inf, np.inf, 0
    for k, bars in enumerate(MOVE_BARS):
        move, change = np.nan, np.nan
        if run >= bars:
            for i in range(n - bars, n - seen):
                top, bottom = max(top, high[i]), min(bottom, low[i])
            seen = bars
            move = (top - bottom) * (1.0 / bottom)
        if run > bars:
            change = abs((close[-1] - close[-1 - bars]) * (1.0 / close[-1 - bars]))
        at = len(MOVE_BARS) + k
        o[k] = best_of(rings[MOVE + k, row], m, move, MOVE_LOOKBACK - bars + 1, run, state[BEST + k :])
        o[at] = best_of(rings[MOVE + at, row], m, change, MOVE_LOOKBACK - bars, run, state[BEST + at :])


@row_jit
def moves_anew(high: F8, low: F8, close: F8, m: int, rings: F8, row: int, state: F8, o: F8) -> None:
    """Write the rings of the moves of the last bars, and the largest of them."""
    n, run = len(close), int(state[RUN])
    first = max(0, n - MOVE_LOOKBACK)
    before = known_run(close, first - 1, max(MOVE_BARS)) if first else 0
    for i in range(first, n):
        before = before + 1 if not isnan(close[i]) else 0
        state[RUN] = run if i == n - 1 else min(before, MOVE_LOOKBACK - 1)  # the largest is looked for once, at the end
        moves_step(high[: i + 1], low[: i + 1], close[: i + 1], m - (n - 1 - i), rings, row, state, o)


@row_jit
def best_of(ring: F8, m: int, value: float, count: int, run: int, best: F8) -> float:
    """Largest of the last ``count`` values of a ring, the newest of which is ``value``; ``best[0]`` remembers it."""
    put(ring, m, value)
    if run < MOVE_LOOKBACK:
        best[0] = np.nan
        return np.nan
    half = len(ring) // 2
    if value >= best[0]:
        best[0] = value
    elif not ring[m % half + half - count] < best[0]:
        recent = last(ring, m, count)
        best[0] = recent[0]
        for x in recent:
            best[0] = max(best[0], x)
    return float(best[0])


__all__ = ["market_returns", "moves_anew", "moves_step", "recent_returns", "returns_step"]
