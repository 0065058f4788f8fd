"""Direction adds up; quality is of what is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aione.stage2.confidence import direction, raw_confidence, scenario_weights
from aione.stage2.factors import FACTORS
from aione.stage2.numbers import known_mean
from aione.stage2.scenarios import SCENARIOS
from config.models import Stage2Config, Switches

factor = st.floats(-1, 1) | st.just(float("nan"))


@given(hnp.arrays(np.float64, (9, 7), elements=factor), hnp.arrays(np.int8, 7, elements=st.integers(0, 9)))
def test_contributions_sum_to_the_direction(factors, scenario):
    weights = scenario_weights(Stage2Config())
    found = direction(factors, scenario, weights)
    np.testing.assert_array_equal(np.isnan(found.contributions), np.isnan(factors))
    for at in range(7):
        known = ~np.isnan(factors[:, at])
        if not known.any():
            assert np.isnan(found.value[at])
            continue
        assert sum(found.contributions[known, at]) == pytest.approx(found.value[at], abs=1e-12)
        expected = np.average(factors[known, at], weights=weights[scenario[at], known])
        assert found.value[at] == pytest.approx(expected, abs=1e-12)
        assert -1 - 1e-12 <= found.value[at] <= 1 + 1e-12


def test_a_factor_that_is_switched_off_weighs_nothing():
    config = Stage2Config(switches=Switches(factors={"breakout": False}))
    weights = scenario_weights(config)
    assert (weights[:, FACTORS.index("breakout")] == 0).all()
    assert (np.delete(weights, FACTORS.index("breakout"), axis=1) > 0).all()


def test_a_scenario_weighs_its_own_factors():
    config = Stage2Config()
    weights = scenario_weights(config)
    row = weights[SCENARIOS.index("BULLISH_BREAKOUT")]
    assert row[FACTORS.index("breakout")] == config.scenario_weights["BULLISH_BREAKOUT"]["breakout"]
    assert row[FACTORS.index("trend")] == config.weights.trend
    np.testing.assert_array_equal(row, weights[SCENARIOS.index("BEARISH_BREAKDOWN")])


def test_confidence_is_the_size_of_the_direction_times_quality():
    np.testing.assert_allclose(
        raw_confidence(np.array([-0.5, 0.4, np.nan]), np.array([0.8, 0.5, 1.0])), [0.4, 0.2, np.nan]
    )


@given(st.lists(hnp.arrays(np.float64, 4, elements=st.floats(-5, 5) | st.just(float("nan"))), min_size=1, max_size=5))
def test_a_known_mean_is_a_masked_average(terms):
    weights = list(range(1, len(terms) + 1))
    masked = np.ma.masked_invalid(np.array(terms))
    expected = np.ma.average(masked, axis=0, weights=weights).filled(np.nan)
    np.testing.assert_allclose(known_mean(terms, weights), expected, atol=1e-12)
