from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.kernel import jit
from aione.indicators.profile_ledger import TOTAL_BITS, book, make_ledger, profile_of, spread, unit_of

BINS = 12


@jit
def run_spread(high, low, volume, bottom, scale, unit, bins):
    ledger = make_ledger(len(high), bins)
    spread(high, low, volume, bottom, scale, unit, np.isnan(volume).any(), ledger)
    return ledger.steps


@jit
def run_book(high, low, volume, bottom, scale, unit, sign, shares, steps):
    for i in range(len(high)):
        if not np.isnan(volume[i]):
            book(high[i], low[i], volume[i], bottom, scale, unit, sign, shares, steps)


@jit
def run_profile(steps, bottom, top, bins):
    return profile_of(steps, bottom, top, 0.7, np.empty(bins))


@jit
def run_unit(total):
    return unit_of(total)


def bars(seed, n=200, gaps=0):
    rng = np.random.default_rng(seed)
    low = 100.0 + rng.random(n)
    high, volume = low + 0.3 * rng.random(n), rng.lognormal(0.0, 3.0, n)
    volume[rng.permutation(n)[:gaps]] = np.nan
    bottom, top = low.min(), high.max()
    return high, low, volume, bottom, top, 16 * BINS / (top - bottom), run_unit(np.nansum(volume))


@pytest.mark.parametrize("gaps", [0, 13])
def test_booked_one_by_one_is_spread_at_once(gaps):
    high, low, volume, bottom, _, scale, unit = bars(1, gaps=gaps)
    steps = np.zeros((2, BINS + 1), dtype=np.int64)
    run_book(high, low, volume, bottom, scale, unit, 1, 1.0 / np.arange(1.0, 16 * BINS + 1), steps)
    np.testing.assert_array_equal(steps, run_spread(high, low, volume, bottom, scale, unit, BINS))


def test_what_is_taken_out_leaves_nothing_behind():
    high, low, volume, bottom, _, scale, unit = bars(2)
    shares, steps = 1.0 / np.arange(1.0, 16 * BINS + 1), np.zeros((2, BINS + 1), dtype=np.int64)
    order = np.random.default_rng(3).permutation(len(high))
    run_book(high, low, volume, bottom, scale, unit, 1, shares, steps)
    assert steps.any()
    run_book(high[order], low[order], volume[order], bottom, scale, unit, -1, shares, steps)
    assert not steps.any()


def test_units_cut_off_less_than_rounding():
    """Against the same volumes spread with fractions, bin by bin."""
    high, low, volume, bottom, _, scale, unit = bars(4)
    steps = run_spread(high, low, volume, bottom, scale, unit, BINS)
    fine = np.zeros(16 * BINS)
    for h, low_, v in zip(high, low, volume, strict=True):
        start, end = (min(int((x - bottom) * scale), 16 * BINS - 1) for x in (low_, h))
        fine[start : end + 1] += v / (end - start + 1)
    running = np.concatenate([[0], np.cumsum(steps[0])[:-1]])
    volumes = (running * 16 + steps[1])[:BINS] / unit
    np.testing.assert_allclose(volumes, fine.reshape(BINS, 16).sum(axis=1), rtol=1e-13, atol=1e-12 * volume.sum())


@pytest.mark.parametrize("total", [1e-250, 1e-9, 1.0, 3.0, 1e12, 1e300])
def test_a_window_has_the_digits_that_fit(total):
    unit = run_unit(total)
    assert unit == 2.0 ** round(np.log2(unit))
    assert 2.0 ** (TOTAL_BITS - 1) <= total * unit < 2.0**TOTAL_BITS


def test_bars_that_cannot_be_do_no_harm():
    """A low above its high, or above all highs, is put somewhere inside; nothing is written outside."""
    high, low, volume, bottom, top, scale, unit = bars(5)
    high[7], low[7] = low[7] - 3.0, high[7] + 3.0
    high[11], low[11] = np.inf, -np.inf
    steps = run_spread(high, low, volume, bottom, scale, unit, BINS)
    assert steps[0].sum() == 0
    assert np.isfinite(run_profile(steps, bottom, top, BINS)).all()
    for odd in (np.nan, np.inf, -np.inf):
        run_spread(np.full(4, odd), np.full(4, -odd), np.ones(4), bottom, scale, unit, BINS)
