"""Wilder's averages at the last bar alone: read back only as far as it can show, and in passes that vectorise."""

from __future__ import annotations

import numpy as np

from aione.indicators.kernel import regrouping_jit, row_jit
from aione.indicators.wilder import (
    ADX,
    ATR,
    DEAD_FRAC,
    DOWN,
    MEMORY_PERIODS,
    MINUS,
    PLUS,
    TRUE_RANGE,
    UP,
    wilder_scan,
)
from aione.panel import F8


@regrouping_jit
def _inputs(high: F8, low: F8, close: F8, weight: float, out: F8) -> None:
    """Write what every bar but the first adds to the averages, times ``weight``, to ``out (5, n)``.

    A pass of its own because it vectorises, which the recursions do not.
    """
    h, low_, c = high[1:], low[1:], close[1:]
    p_h, p_l, p_c = high[:-1], low[:-1], close[:-1]
    ups, downs, spans, pluses, minuses = out[UP], out[DOWN], out[ATR], out[PLUS], out[MINUS]
    for i in range(len(h)):
        change = c[i] - p_c[i]
        ups[i] = weight * (change if change > 0.0 else 0.0)  # noqa: FURB136 - max() is not vectorised
        downs[i] = weight * (-change if change < 0.0 else 0.0)
    for i in range(len(h)):
        top = h[i] if h[i] > p_c[i] else p_c[i]  # noqa: FURB136 - max() is not vectorised
        bottom = low_[i] if low_[i] < p_c[i] else p_c[i]  # noqa: FURB136 - max() is not vectorised
        spans[i] = weight * (top - bottom)
    for i in range(len(h)):
        rise, fall = h[i] - p_h[i], p_l[i] - low_[i]
        pluses[i] = weight * (rise if (rise > fall) & (rise > 0.0) else 0.0)
        minuses[i] = weight * (fall if (fall > rise) & (fall > 0.0) else 0.0)


@regrouping_jit
def _recursions(work: F8, period: int) -> None:
    """Turn the inputs into the averages up to each of them, from the ``period``-th on, all five side by side."""
    keep, n = 1.0 - 1.0 / period, work.shape[1]
    ups, downs, spans, pluses, minuses = work[UP], work[DOWN], work[ATR], work[PLUS], work[MINUS]
    up, down, span, plus, minus = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(period):
        up, down, span = up + ups[i], down + downs[i], span + spans[i]
        plus, minus = plus + pluses[i], minus + minuses[i]
    ups[period - 1], downs[period - 1], spans[period - 1] = up, down, span
    pluses[period - 1], minuses[period - 1] = plus, minus
    ups, downs, spans, pluses, minuses = ups[period:], downs[period:], spans[period:], pluses[period:], minuses[period:]
    for i in range(n - period):
        up, down, span = up * keep + ups[i], down * keep + downs[i], span * keep + spans[i]
        plus, minus = plus * keep + pluses[i], minus * keep + minuses[i]
        ups[i], downs[i], spans[i], pluses[i], minuses[i] = up, down, span, plus, minus


@regrouping_jit
def _adx_of(pluses: F8, minuses: F8, period: int, decay: F8) -> float:
    """ADX after a run of average directional moves, never both 0; ``decay`` weighs a value, the newest last."""
    head, tail = 0.0, 0.0
    for i in range(period):
        head += abs(pluses[i] - minuses[i]) / (pluses[i] + minuses[i])
    p, m = pluses[period:], minuses[period:]
    weights = decay[len(decay) - len(p) :]
    for i in range(len(p)):
        tail += weights[i] * abs(p[i] - m[i]) / (p[i] + m[i])
    return float(100.0 * (tail + decay[len(decay) - len(p) - 1] * head))


@row_jit
def _swift(high: F8, low: F8, close: F8, period: int, work: F8, decay: F8, trail: F8, columns: F8) -> float:
    """`wilder_scan` of bars of which none is missing, the first of them only seen as the one before the second.

    Returns NaN, and has written nothing, if nothing had a direction in the first ``period`` bars.
    """
    n, m = len(close) - 1, trail.shape[1]
    _inputs(high, low, close, 1.0 / period, work)
    _recursions(work, period)
    pluses, minuses = work[PLUS, period - 1 :], work[MINUS, period - 1 :]
    if not pluses[0] + minuses[0] > 0.0:
        return np.nan
    for k in range(3):
        target, source = trail[k], work[k, n - m :]
        for i in range(m):
            target[i] = source[i]
    now = columns[-1]
    for k in range(5):
        now[k] = work[k, n - 1]
    now[ADX] = _adx_of(pluses, minuses, period, decay)
    now[TRUE_RANGE] = max(high[n], close[n - 1]) - min(low[n], close[n - 1])
    return float(min(now[UP] + now[DOWN], now[PLUS] + now[MINUS]) / close[n])


@row_jit
def wilder_tail(
    high: F8, low: F8, close: F8, period: int, t: int, run: int, work: F8, decay: F8, trail: F8, columns: F8
) -> float:
    """Fill ``trail`` and ``columns (1, 7)`` of `wilder_scan` with the last bars up to ``t``; return its movement.

    ``run`` bars up to ``t`` have no gap; ``work (5, n)`` is scratch of n = `memory_bars`, ``decay (n,)`` weighs a value
    in its average, `decaying` from ``1 / period``. Reads only as far back as it can show in the result:
    `MEMORY_PERIODS`, or everything if there is a gap in them or the symbol hardly moved (`DEAD_FRAC`), when an older,
    larger movement would still show. Either way within 1e-9 of the whole recursion, and as a rule within 1e-12.
    """
    first = t + 1 - memory_bars(period, trail.shape[1])
    if first > 0 and run > t + 1 - first and period > 1:  # an average of one bar may be 0 at any of them
        window = slice(first - 1, t + 1)
        movement = _swift(high[window], low[window], close[window], period, work, decay, trail, columns)
        if movement > DEAD_FRAC:
            return float(movement)
    blank(trail)
    blank(columns)
    return float(wilder_scan(high, low, close, period, t + 1, trail, columns))


@row_jit
def blank(x: F8) -> None:
    """Fill with NaN."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = np.nan


@row_jit
def memory_bars(period: int, tail: int) -> int:
    """Bars that `wilder_tail` reads for the last ``tail`` averages."""
    return max(MEMORY_PERIODS * period, tail + 20 * period)


__all__ = ["memory_bars", "wilder_tail"]
