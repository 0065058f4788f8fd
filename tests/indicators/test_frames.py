from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.frames import buckets, distance_of, distance_scan, frame_weights, swift_buckets
from aione.indicators.kernel import jit


@jit
def run_buckets(high, low, close, offset, size, swift):
    out = np.full((3, len(close)), np.nan)
    n = swift_buckets(high, low, close, offset, size, out) if swift else buckets(high, low, close, offset, size, out)
    return out[:, :n].copy()


@jit
def run_distance(high, low, close, swift):
    out = np.full(1, np.nan)
    if swift:
        out[0] = distance_of(high, low, close, frame_weights(20, 50, 14, len(close) + 3), 14)
    else:
        distance_scan(high, low, close, 20, 50, 14, len(close) - 1, out)
    return out[0]


def bars(n, seed=1, start=100.0, step=1e-3):
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(step * rng.standard_normal(n)))
    return close * (1.0 + step * rng.random(n)), close * (1.0 - step * rng.random(n)), close


@pytest.mark.parametrize(("offset", "size"), [(0, 5), (3, 5), (1, 3), (0, 60), (59, 60)])
def test_both_ways_make_the_same_buckets(offset, size):
    high, low, close = bars(123)
    swift, careful = (run_buckets(high, low, close, offset, size, way) for way in (True, False))
    np.testing.assert_array_equal(swift, careful)
    count = (123 - offset) // size
    whole = slice(offset, offset + count * size)
    assert swift[0].tolist() == high[whole].reshape(count, size).max(axis=1).tolist()
    assert swift[1].tolist() == low[whole].reshape(count, size).min(axis=1).tolist()
    assert swift[2].tolist() == close[whole].reshape(count, size)[:, -1].tolist()


@pytest.mark.parametrize("n", [1, 4, 5, 6, 14, 15, 16, 25, 100, 300])
def test_sums_of_weights_are_the_recursion(n):
    swift, careful = (run_distance(*bars(n), way) for way in (True, False))
    np.testing.assert_allclose(swift, careful, rtol=1e-12)
    assert np.isnan(swift) == (n < 5)


def test_the_difference_of_two_averages_keeps_its_digits():
    """A price of 60,000 that moves by millionths: as precise as the same moves about 1."""
    n = 300
    moves = 2.0**-20 * np.round(np.cumsum(np.random.default_rng(2).standard_normal(n)) * 8)  # exact in either place
    near, far = moves, moves + 2.0**16
    for way in (True, False):
        expected = run_distance(near + 2.0**-18, near - 2.0**-18, near, way)
        np.testing.assert_allclose(run_distance(far + 2.0**-18, far - 2.0**-18, far, way), expected, rtol=1e-12)


def test_a_flat_price_has_no_distance():
    flat = np.full(40, 3.7)
    assert np.isnan(run_distance(flat, flat, flat, True))
    assert np.isnan(run_distance(flat, flat, flat, False))
