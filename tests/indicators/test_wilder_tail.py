from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.kernel import decaying, jit
from aione.indicators.wilder import ATR, COLUMNS, DOWN, UP, wilder_columns
from aione.indicators.wilder_tail import memory_bars, wilder_tail


@jit
def run_tail(high, low, close, period, run, tail):
    n = memory_bars(period, tail)
    trail, columns = np.empty((3, tail)), np.empty((1, COLUMNS))
    decay = decaying(1.0 / period, 1.0 - 1.0 / period, n)
    movement = wilder_tail(high, low, close, period, len(close) - 1, run, np.empty((5, n)), decay, trail, columns)
    return movement, trail, columns[0]


def bars(n, step=1e-3, seed=3):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(step * rng.standard_normal(n)))
    return close * (1.0 + step * rng.random(n)), close * (1.0 - step * rng.random(n)), close


@pytest.mark.parametrize("period", [1, 2, 14, 40])
def test_the_tail_is_the_end_of_the_whole_recursion(period):
    high, low, close = bars(3000)
    movement, trail, columns = run_tail(high, low, close, period, 3000, 241)
    whole = wilder_columns(high[None], low[None], close[None], period)[0]
    np.testing.assert_allclose(columns, whole[-1], rtol=1e-10)
    np.testing.assert_allclose(trail, whole[-241:, [UP, DOWN, ATR]].T, rtol=1e-9)
    assert movement > 1e-5


def test_a_gap_and_a_market_that_hardly_moves_are_read_from_the_beginning():
    """As the whole recursion has them, to the bit: that is how they are computed."""
    high, low, close = bars(1500)
    for rows in (high, low, close):
        rows[1300] = np.nan
    for start in (0, 1200):  # with the gap; without, but hardly a tick after a lively past
        part = [rows[start:].copy() for rows in (high, low, close)]
        if start:
            part = [np.where(np.arange(1500) < 700, rows, close[699]) for rows in bars(1500)]
        run = 199 if not start else 1500
        _, trail, columns = run_tail(*part, 14, run, 241)
        whole = wilder_columns(*(rows[None] for rows in part), 14)[0]
        np.testing.assert_array_equal(columns, whole[-1])
        np.testing.assert_array_equal(trail, whole[-241:, [UP, DOWN, ATR]].T)


def test_one_direction_only_and_a_start_without_any():
    """Nothing moves for longer than the seed, then everything: the directional index begins where there is one."""
    flat, rising = np.full(1100, 50.0), 50.0 + np.arange(400.0)
    close = np.concatenate([flat, rising])
    for first in (0, 600):
        part = close[first:]
        _, _, columns = run_tail(part + 1.0, part - 1.0, part, 14, len(part), 241)
        whole = wilder_columns(part[None] + 1.0, part[None] - 1.0, part[None], 14)[0, -1]
        np.testing.assert_allclose(columns, whole, rtol=1e-9)
