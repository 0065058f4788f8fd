from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators.structure import bar_shape, last_pivots, pivot_levels, prior_range, rsi_divergence


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(400, seed=31, symbols=("BTCUSDT", "AUSDT", "GAPUSDT"))


def pivots_of(x, span, t):
    """Pivot highs of one row known at bar t, newest first, straight from the definition."""
    found = []
    for i in range(t - span, span - 1, -1):
        before, after = x[i - span : i], x[i + 1 : i + span + 1]
        if (x[i] > before).all() and (x[i] >= after).all():
            found.append(i)
    return found


@pytest.mark.parametrize("span", [1, 3, 5])
def test_every_pivot_by_its_definition(panel, span):
    for stop in (1, 50, 137, 400):
        part = panel.until(stop)
        high, high_age, low, low_age = pivot_levels(part.high, part.low, span, 120)
        for row in range(3):
            for x, sign, price, age in ((part.high, 1, high, high_age), (part.low, -1, low, low_age)):
                expected = [i for i in pivots_of(sign * x[row], span, stop - 1) if stop - 1 - i < 120]
                known = ~np.isnan(price[row])
                np.testing.assert_array_equal(price[row][known], x[row][expected])
                np.testing.assert_array_equal(age[row][known], stop - 1 - np.array(expected, dtype=float))
                assert known[: known.sum()].all()


def test_a_pivot_is_known_three_bars_later():
    high = np.array([[1.0, 2.0, 3.0, 9.0, 3.0, 2.0, 1.0, 1.0]])
    np.testing.assert_array_equal(last_pivots(high, high)[0][0], [np.nan] * 6 + [9.0, 9.0])


def test_the_first_of_equal_highs_is_the_pivot():
    high = np.array([[1.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0]])
    price, age = pivot_levels(high, high - 1.0, span=1, lookback=8)[:2]
    assert price[0, 0] == 5.0
    assert age[0, 0] == 6.0
    assert np.isnan(price[0, 1:]).all()


def test_flat_and_gapped_bars_have_no_pivot():
    flat = np.full((1, 30), 2.0)
    assert np.isnan(np.concatenate(pivot_levels(flat, flat))).all()
    peak = np.array([[1.0, 2.0, 9.0, np.nan, 1.0, 1.0]])
    assert np.isnan(pivot_levels(peak, peak - 1.0, span=1, lookback=6)[0]).all()


def test_more_pivots_than_that_do_not_fit():
    """The densest row of pivots that there can be fills the columns."""
    high = np.tile([2.0, 1.0], 40)[None, :]
    price = pivot_levels(high, high, span=1, lookback=60)[0]
    assert price.shape == (1, 31)
    assert (~np.isnan(price)).sum() == 30


def test_prior_range_leaves_the_bar_itself_out(panel):
    high = panel.high.copy()
    high[0, 200] *= 10.0
    ours = prior_range(high, panel.low, 20)[0]
    assert ours[0, 200] < high[0, 200] / 5.0
    assert ours[0, 201] == high[0, 200]


def test_shape_of_a_bar():
    body, upper, lower = bar_shape(*np.array([[10.0, 7.0], [12.0, 7.0], [8.0, 7.0], [9.0, 7.0]]))
    np.testing.assert_array_equal(body, [-0.25, np.nan])
    np.testing.assert_array_equal(upper, [0.5, np.nan])
    np.testing.assert_array_equal(lower, [0.25, np.nan])


# ── Divergence ──


def two_peaks(first=100.0, second=101.0, after=4):
    """Pivot highs at bars 20 and 40 of these prices, known at 43, ``after`` bars behind the second."""
    bars = 41 + after
    high = np.full(bars, 90.0) - 0.01 * np.arange(bars)
    high[20], high[40] = first, second
    rsi = np.full(bars, 50.0)
    rsi[20], rsi[40] = 80.0, 74.0
    return high[None, :], rsi[None, :]


def bearish(high, rsi, atr=1.0, **limits):
    settings = {"lookback": 30, **limits}
    return rsi_divergence(high, high - 5.0, rsi, np.full_like(high, atr), **settings)[1][0, -1]


def test_a_higher_high_with_a_lower_rsi_is_bearish():
    np.testing.assert_allclose(bearish(*two_peaks()), 0.5 * (0.6 + 1.0))
    np.testing.assert_allclose(bearish(*two_peaks(second=100.5)), 0.5 * (0.6 + 0.5))


@pytest.mark.parametrize(
    ("peaks", "limits"),
    [
        ({"second": 100.2}, {}),  # price: less than a quarter ATR higher
        ({"second": 99.0}, {}),  # price lower: they agree
        ({}, {"min_rsi": 6.5}),  # RSI: not enough points lower
        ({"after": 9}, {}),  # confirmed six bars ago
        ({"after": 2}, {}),  # not confirmed yet
        ({}, {"lookback": 24}),  # the first is too old
    ],
)
def test_no_divergence(peaks, limits):
    assert bearish(*two_peaks(**peaks), **limits) == 0.0


def test_confirmed_five_bars_ago_still_counts():
    assert bearish(*two_peaks(after=8)) > 0.0


def test_bullish_is_the_mirror():
    high, rsi = two_peaks()
    bullish = rsi_divergence(-high + 5.0, -high, 100.0 - rsi, np.ones_like(high), lookback=30)[0]
    np.testing.assert_allclose(bullish[0, -1], 0.5 * (0.6 + 1.0))


def test_unknown_rsi_or_atr_is_unknown():
    high, rsi = two_peaks()
    rsi[0, 20] = np.nan
    assert np.isnan(bearish(high, rsi))
    assert np.isnan(bearish(*two_peaks(), atr=np.nan))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: prior_range(x, x, 0),
        lambda x: pivot_levels(x, x, 0),
        lambda x: pivot_levels(x, x, 3, 0),
        lambda x: last_pivots(x, x, 0),
        lambda x: rsi_divergence(x, x, x, x, span=0),
    ],
)
def test_refusals(call):
    with pytest.raises(InvalidInput, match="must be at least 1, was 0"):
        call(np.ones((1, 9)))
