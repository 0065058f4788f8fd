from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.indicators.volatility import max_move, max_return, previous_quantile, previous_rank, realized_vol, vol_ratio


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(700, seed=9, symbols=("BTCUSDT", "AUSDT"))


def test_deviations_agree_with_pandas(panel):
    steps = pd.DataFrame(np.log(panel.close).T).diff()
    np.testing.assert_allclose(realized_vol(panel.close).T, steps.rolling(60).std(ddof=0), rtol=1e-9)
    ratio = steps.rolling(15).std(ddof=0) / steps.rolling(240).std(ddof=0)
    ours = vol_ratio(panel.close)
    np.testing.assert_allclose(ours.T, ratio, rtol=1e-9)
    quantile = ratio.rolling(240).quantile(0.95).shift(1)
    np.testing.assert_allclose(previous_quantile(ours).T[480:], quantile[480:], rtol=1e-9)


@pytest.mark.parametrize("n", [1, 5, 30, 60, 240])
def test_largest_move_by_brute_force(panel, n):
    ours = max_move(panel.high, panel.low, n)
    for t in (239, 240, 517, 699):
        high, low = panel.high[:, t - 239 : t + 1], panel.low[:, t - 239 : t + 1]
        top = np.lib.stride_tricks.sliding_window_view(high, n, axis=1).max(axis=2)
        bottom = np.lib.stride_tricks.sliding_window_view(low, n, axis=1).min(axis=2)
        np.testing.assert_allclose(ours[:, t], ((top - bottom) / bottom).max(axis=1), rtol=1e-12)
    assert np.isnan(ours[:, :239]).all()


@pytest.mark.parametrize("n", [1, 5, 30, 60, 239])
def test_largest_return_by_brute_force(panel, n):
    ours = max_return(panel.close, n)
    for t in (239, 500, 699):
        close = panel.close[:, t - 239 : t + 1]
        expected = np.abs(close[:, n:] / close[:, :-n] - 1.0).max(axis=1)
        np.testing.assert_allclose(ours[:, t], expected, rtol=1e-12, atol=1e-15)


def test_rank_counts_equals_half_and_leaves_the_bar_itself_out():
    x = np.array([[1.0, 2.0, 2.0, 3.0, 2.0]])
    np.testing.assert_array_equal(previous_rank(x, 4), [[np.nan, np.nan, np.nan, np.nan, 0.5]])
    np.testing.assert_array_equal(previous_rank(np.array([[1.0, 2.0, 3.0, 4.0, 9.0]]), 4)[0, -1], 1.0)


def test_a_tenth_of_the_past_may_be_unknown():
    x = np.arange(21.0)[None, :].copy()
    x[0, [3, 4]] = np.nan
    assert previous_rank(x, 20)[0, -1] == 1.0
    np.testing.assert_allclose(previous_quantile(x, 20, 0.5)[0, -1], np.nanquantile(x[0, :20], 0.5))
    x[0, 5] = np.nan
    assert np.isnan(previous_rank(x, 20)[0, -1])
    assert np.isnan(previous_quantile(x, 20)[0, -1])


def test_a_gap_is_unknown_while_it_is_in_the_window(panel):
    close = panel.close.copy()
    close[0, 300] = np.nan
    unknown = np.flatnonzero(np.isnan(realized_vol(close)[0, 60:])) + 60
    assert unknown.tolist() == list(range(300, 361))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: realized_vol(x, 1),
        lambda x: vol_ratio(x, 20, 10),
        lambda x: max_move(x, x, 5, 4),
        lambda x: max_return(x, 5, 5),
        lambda x: previous_rank(x, 0),
        lambda x: previous_quantile(x, 0),
    ],
)
def test_refusals(call):
    with pytest.raises(InvalidInput, match="must be at least"):
        call(np.ones((1, 50)))
