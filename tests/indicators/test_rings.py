from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.columns import Periods
from aione.indicators.kernel import jit
from aione.indicators.readings import periods_of
from aione.indicators.rings import fill, grown, last, make_rings, put
from config.models import IndicatorParams


@jit
def run_put(ring, m, value):
    put(ring, m, value)


@jit
def run_last(ring, m, n):
    return last(ring, m, n).copy()


@jit
def run_fill(ring, m, values):
    fill(ring, m, values)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_last_values_stand_side_by_side(size):
    ring, first = np.full(2 * size, np.nan), 29_000_000
    for m in range(first, first + 5 * size):
        run_put(ring, m, float(m))
        for n in range(1, min(size, m - first + 1) + 1):
            assert run_last(ring, m, n).tolist() == list(range(m - n + 1, m + 1))


def test_a_forming_bar_is_seen_from_its_own_minute_alone():
    """The free place: windows of closed bars, one shorter than the ring, do not reach it."""
    size = 6
    ring = np.full(2 * size, np.nan)
    for m in range(100, 140):
        run_put(ring, m, float(m))
        closed = run_last(ring, m, size - 1)
        run_put(ring, m + 1, -1.0)
        np.testing.assert_array_equal(run_last(ring, m, size - 1), closed)
        assert run_last(ring, m + 1, 3).tolist() == [m - 1, m, -1.0] if m > 101 else True


def test_filled_is_as_if_written_one_by_one():
    ring = np.zeros(10)
    run_fill(ring, 103, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(run_last(ring, 103, 5), [np.nan, np.nan, 1.0, 2.0, 3.0])
    run_fill(ring, 103, np.arange(9.0))
    assert run_last(ring, 103, 5).tolist() == [4.0, 5.0, 6.0, 7.0, 8.0]


def test_grown_rings_hold_what_they_held():
    periods = periods_of(IndicatorParams(), 0)
    assert isinstance(periods, Periods)
    rings = make_rings(2, 300, periods)
    for ring in rings:
        ring[...] = 7
    more = grown(rings, 5)
    for old, new in zip(rings, more, strict=True):
        axis = 0 if old.shape[0] == 2 and new.shape[0] == 5 else 1
        np.testing.assert_array_equal(np.take(new, [0, 1], axis=axis), old)
        assert np.take(new, [2, 3, 4], axis=axis).size == old.size // 2 * 3
