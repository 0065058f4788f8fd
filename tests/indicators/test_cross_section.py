from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.indicators.cross_section import beta_corr, btc_regime, market_breadth, relative_strength, universe_rank


@pytest.fixture(scope="module", params=["random", "recorded"])
def panel(request, make_panel):
    if request.param == "recorded":
        return request.getfixturevalue("recorded_panel")
    return make_panel(900, seed=51, symbols=("BTCUSDT", "AUSDT", "BUSDT"))


def test_beta_and_correlation_agree_with_pandas(panel):
    steps = pd.DataFrame(np.log(panel.close).T).diff()
    beta, corr = beta_corr(panel.close, panel.close[0])
    for row in range(len(panel.symbols)):
        expected = steps[row].rolling(240).cov(steps[0]) / steps[0].rolling(240).var()
        np.testing.assert_allclose(beta[row, 240:], expected[240:], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(corr[row, 240:], steps[row].rolling(240).corr(steps[0])[240:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(beta[0, 240:], 1.0, rtol=1e-12)


def test_a_leveraged_copy_has_its_leverage_as_beta():
    walk = np.cumsum(np.random.default_rng(6).standard_normal(300)) * 1e-3
    beta, corr = beta_corr(np.exp(np.array([3.0 * walk, -0.5 * walk])), np.exp(walk))
    np.testing.assert_allclose(beta[:, -1], [3.0, -0.5], rtol=1e-9)
    np.testing.assert_allclose(corr[:, -1], [1.0, -1.0], rtol=1e-9)


def test_an_unknown_or_still_benchmark_explains_nothing():
    close = np.exp(np.random.default_rng(7).standard_normal((2, 300)))
    for benchmark in (np.full(300, np.nan), np.full(300, 5.0)):
        assert np.isnan(beta_corr(close, benchmark)).all()


def test_relative_strength_of_the_benchmark_is_nothing():
    assert relative_strength(np.array([0.02]), 0.02, np.array([1.0]))[0] == 0.0


def test_rank_agrees_with_pandas():
    x = np.random.default_rng(8).integers(0, 9, (40, 3)).astype(float)
    x[5:9, 0] = np.nan
    expected = (pd.DataFrame(x).rank() - 1.0) / (pd.DataFrame(x).count() - 1.0)
    np.testing.assert_allclose(universe_rank(x), expected)
    np.testing.assert_allclose(universe_rank(x[:, 0]), expected[0])


def test_rank_among_one_is_unknown():
    assert np.isnan(universe_rank(np.array([3.0]))).all()
    assert np.isnan(universe_rank(np.array([np.nan, 3.0]))).all()
    assert universe_rank(np.empty((2, 0))).shape == (2, 0)


def test_breadth_counts_the_known():
    close, vwap = np.array([2.0, 2.0, np.nan, 1.0]), np.array([1.0, 3.0, 1.0, np.nan])
    assert market_breadth(close, vwap) == 0.5
    assert np.isnan(market_breadth(close[2:], vwap[2:]))


@pytest.mark.parametrize(
    ("slope", "efficiency", "regime"),
    [
        (2.0, 0.25, 1.0),
        (-2.0, 0.25, -1.0),
        (1.9, 0.9, 0.0),
        (50.0, 0.24, 0.0),
        (np.nan, 0.9, np.nan),
        (9.0, np.nan, np.nan),
    ],
)
def test_regime(slope, efficiency, regime):
    np.testing.assert_array_equal(btc_regime(slope, efficiency), regime)


def test_refusals():
    with pytest.raises(InvalidInput, match="lookback must be at least 2, was 1"):
        beta_corr(np.ones((1, 5)), np.ones(5), 1)
    with pytest.raises(InvalidInput, match=r"benchmark must have shape \(5,\), was \(4,\)"):
        beta_corr(np.ones((1, 5)), np.ones(4))
