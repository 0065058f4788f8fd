from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from aione.errors import InvalidInput
from aione.indicators import kernel
from aione.indicators.last_bar import _last_bar


@njit
def run_moments(x, n, sums, squares):
    kernel.window_moments(x, n, sums, squares)


@njit
def run_statistic(x, count, k):
    return kernel.order_statistic(x, count, k)


@njit
def run_quantile(x, count, q, top):
    return kernel.quantile_pair(x, count, q, top)


@njit
def run_returns(close, out):
    kernel.log_returns(close, 1, len(close), out)


@pytest.mark.parametrize(("length", "n"), [(480, 240), (255, 15), (30, 7), (7, 7), (9, 1)])
def test_window_moments(length, n):
    x = np.random.default_rng(length).standard_normal(length)
    sums, squares = np.zeros((2, length - n + 1))
    run_moments(x, n, sums, squares)
    windows = np.lib.stride_tricks.sliding_window_view(x, n)
    np.testing.assert_allclose(sums, windows.sum(axis=1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(squares, (windows**2).sum(axis=1), rtol=1e-12)


def test_a_large_value_leaves_no_trace():
    """Nothing is subtracted: once the shock has left the window, a flat window sums to exactly 0."""
    x = np.zeros(60)
    x[20], x[21] = 1e9, np.nan
    sums, squares = np.ones((2, 46))
    run_moments(x, 15, sums, squares)
    assert np.isnan(sums[7:22]).all()
    assert not sums[22:].any()
    assert not squares[22:].any()
    assert not sums[:6].any()


@pytest.mark.parametrize("kind", ["random", "ties", "equal", "rising", "falling"])
def test_order_statistic(kind):
    rng = np.random.default_rng(2)
    x = {
        "random": rng.standard_normal(51),
        "ties": rng.integers(0, 4, 51).astype(float),
        "equal": np.full(51, 7.0),
        "rising": np.arange(51.0),
        "falling": -np.arange(51.0),
    }[kind]
    for k in range(51):
        work = x.copy()
        assert run_statistic(work, 51, k) == np.sort(x)[k]
        assert (work[:k] <= work[k]).all()
        assert (work[k:] >= work[k]).all()


@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 0.95, 1.0])
def test_quantile(q):
    x = np.random.default_rng(3).integers(0, 60, 240).astype(float)
    below, above, place = run_quantile(x, 240, q, np.empty(240))
    np.testing.assert_allclose(below + (above - below) * place, np.quantile(x, q), rtol=1e-14)


def test_log_returns_of_any_size():
    close = 100.0 * np.cumprod([1.0, 1.0, 1 + 1e-12, 1.0001, 0.97, 1.061, 1.5, 0.01, 1e6, 1.0])
    out = np.empty(9)
    run_returns(close, out)
    exact = np.log1p(np.diff(close) / close[:-1])
    np.testing.assert_allclose(out, exact, rtol=4e-15, atol=0.0)
    assert out[0] == 0.0


def test_the_cache_knows_of_every_source_of_the_package():
    """A kernel holds the code of those that it calls: its cached code is good only while none of them has changed."""
    stamp = _last_bar._cache._cache_file._source_stamp
    assert stamp == kernel._source_stamp(Path(kernel.__file__).parent)
    assert stamp != (_last_bar._cache._impl.locator.get_source_stamp())


def test_refusals():
    with pytest.raises(InvalidInput, match="period must be at least 1, was 0"):
        kernel.at_least(1, period=0)
    with pytest.raises(InvalidInput, match=r"low must have shape \(S, T\) = \(2, 3\), was \(2, 4\)"):
        kernel.rows_of(high=np.ones((2, 3)), low=np.ones((2, 4)))
    with pytest.raises(InvalidInput, match=r"close must have shape"):
        kernel.rows_of(close=np.ones(3))
    assert kernel.rows_of(close=np.ones((3, 2)).T)[0].flags.c_contiguous


@njit
def run_greatest(x):
    return kernel.greatest(x)


@njit
def run_whole(x):
    return kernel.is_whole(x)


@njit
def run_decaying(newest, keep, bars):
    return kernel.decaying(newest, keep, bars)


@njit
def run_return(before, now):
    return kernel.log_return(before, now)


@pytest.mark.parametrize("n", [1, 2, 8, 9, 15, 16, 17, 181, 240])
def test_greatest(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        x = rng.standard_normal(n)
        assert run_greatest(x.copy()) == x.max()


def test_whole_is_without_a_gap():
    x = np.ones(40)
    assert run_whole(x)
    for i in (0, 17, 39):
        x[i] = np.nan
        assert not run_whole(x)
        x[i] = 1.0
    assert run_whole(x[:0])


def test_decaying_weights():
    np.testing.assert_allclose(run_decaying(0.5, 0.9, 4), 0.5 * 0.9 ** np.arange(3, -1, -1), rtol=1e-15)
    assert run_decaying(1.0, 0.5, 0).shape == (0,)


def test_one_return_is_one_of_many_to_the_bit():
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(9).standard_t(2, 500) * 0.01))
    out = np.empty(499)
    run_returns(close, out)
    assert [run_return(a, b) for a, b in pairwise(close.tolist())] == out.tolist()
    assert np.isnan(run_return(np.nan, 1.0))
    assert np.isnan(run_return(1.0, np.nan))
