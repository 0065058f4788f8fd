"""Direction adds up; quality is of what is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aione.stage2.confidence import direction, raw_confidence, scenario_weights
from aione.stage2.factors import FACTORS
from aione.stage2.numbers import known_mean
from aione.stage2.run import run_stage2
from aione.stage2.scenarios import SCENARIOS
from config.models import Stage2Config, Switches
from config.settings import load_settings

from .conftest import daily_panel, inputs, random_panel

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


weight = st.just(0.0) | st.floats(1e-3, 1e3)


@given(
    hnp.arrays(np.float64, (9, 4), elements=factor),
    hnp.arrays(np.int8, 4, elements=st.integers(0, 9)),
    hnp.arrays(np.float64, (10, 9), elements=weight),
)
def test_contributions_sum_to_the_direction_whatever_the_weights(factors, scenario, weights):
    """Summed by `math.fsum`; where nothing that weighs anything is known, there is no direction."""
    found = direction(factors, scenario, weights)
    for at in range(4):
        weighs = ~np.isnan(factors[:, at]) & (weights[scenario[at]] > 0)
        if not weighs.any():
            assert np.isnan(found.value[at])
            continue
        known = found.contributions[~np.isnan(factors[:, at]), at]
        assert abs(math.fsum(known) - found.value[at]) <= 1e-12
        share = weights[scenario[at], weighs].sum() / weights[scenario[at]].sum()
        assert found.known_share[at] == pytest.approx(share)


def test_a_switched_off_factor_leaves_no_contribution_and_the_rest_sums_to_the_direction(settings):
    parts = inputs(settings, random_panel(7), daily_panel(8))
    for off in FACTORS:
        switched = load_settings(environ={}, overrides={"STAGE2_CONFIG": {"switches": {"factors": {off: False}}}})
        result = run_stage2(*parts, switched)
        assert np.isnan(result.contributions[off]).all()
        for row in range(len(result.symbols)):
            told = result.explain(row)
            known = [one["contribution"] for one in told["factors"] if one["contribution"] is not None]
            assert abs(math.fsum(known) - told["direction"]) <= 1e-12
            assert off in told["unknown"]


def test_with_every_factor_off_nothing_is_said(settings):
    none = dict.fromkeys(FACTORS, False)
    off = load_settings(environ={}, overrides={"STAGE2_CONFIG": {"switches": {"factors": none}}})
    result = run_stage2(*inputs(settings, random_panel(7)), off)
    assert np.isnan(result.direction).all()
    assert (result.recommendation == -1).all()
    assert {result.status_name(row) for row in range(len(result.symbols))} == {"SKIPPED"}


def test_confidence_is_the_raw_one_and_is_said_to_be_uncalibrated(settings):
    result = run_stage2(*inputs(settings, random_panel(7)), settings)
    assert np.isnan(result.confidence_calibrated).all()
    np.testing.assert_array_equal(result.confidence, result.confidence_raw)
    assert result.view(0, 0.001)["confidence_metrics"]["calibration"] == "uncalibrated"


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
