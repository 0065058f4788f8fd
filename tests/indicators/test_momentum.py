from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators.momentum import adx, rsi, simple_return
from aione.indicators.wilder import wilder_mean


def test_rsi_of_one_way_markets():
    rising = np.arange(1.0, 40.0)[None, :]
    assert (rsi(rising)[0, 14:] == 100.0).all()
    assert (rsi(rising[:, ::-1])[0, 14:] == 0.0).all()
    assert (rsi(np.full((1, 40), 5.0))[0, 14:] == 50.0).all()


def test_wilders_own_example():
    """Wilder, *New Concepts*, 1978, as reprinted: closes and the first RSI 14 of 37.77 after a mean gain and loss."""
    close = [54.80, 56.80, 57.85, 59.85, 60.57, 61.10, 62.17, 60.60, 62.35, 62.15, 62.35, 61.45, 62.80, 61.37, 62.50]
    np.testing.assert_allclose(rsi(np.array([close]))[0, 14], 74.21, atol=0.01)


def test_a_gap_leaves_the_averages_where_they_were():
    """The bars before and after a gap make the same average as if there were no gap between them."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(60)
    gapped = np.insert(x, 30, [np.nan] * 5)
    out = wilder_mean(gapped[None, :], 14)[0]
    assert np.isnan(out[30:35]).all()
    np.testing.assert_array_equal(np.delete(out, slice(30, 35)), wilder_mean(x[None, :], 14)[0])


def test_values_at_a_gap_are_unknown():
    """At the gap, and on the bar after it, whose change is not known either."""
    close = np.cumsum(np.random.default_rng(5).standard_normal((1, 80)), axis=1) + 100.0
    close[0, 50] = np.nan
    unknown = np.isnan(rsi(close)[0, 14:])
    assert np.flatnonzero(unknown).tolist() == [36, 37]


def test_adx_without_movement_is_unknown():
    flat = np.full((1, 60), 9.0)
    assert all(np.isnan(column).all() for column in adx(flat, flat, flat))


def test_adx_of_a_steady_trend_is_full():
    rising = np.arange(1.0, 80.0)[None, :]
    strength, plus, minus = adx(rising + 0.5, rising - 0.5, rising)
    np.testing.assert_allclose(strength[0, 30:], 100.0)
    assert (plus[0, 14:] > 0.0).all()
    assert (minus[0, 14:] == 0.0).all()


@pytest.mark.parametrize(
    "call", [lambda x: rsi(x, 0), lambda x: adx(x, x, x, 0), lambda x: simple_return(x, 0), lambda x: wilder_mean(x, 0)]
)
def test_refuses_a_period_below_one(call):
    with pytest.raises(InvalidInput, match="must be at least 1, was 0"):
        call(np.ones((1, 5)))
