from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.prefilter.rank import METRICS, best_first, cross_sectional_rank, rank_score, tighten
from config.models import PrefilterParams, RankWeights

values_with_gaps = st.lists(st.one_of(st.just(np.nan), st.integers(-50, 50).map(float)), min_size=1, max_size=40)


@settings(deadline=None)
@given(values_with_gaps)
def test_ranks_are_the_share_below_plus_half_the_share_equal(values):
    known = [value for value in values if not np.isnan(value)]
    expected = [
        np.nan
        if np.isnan(value)
        else (sum(v < value for v in known) + 0.5 * sum(v == value for v in known)) / len(known)
        for value in values
    ]
    np.testing.assert_allclose(cross_sectional_rank(np.array(values)), expected, rtol=1e-12)


@settings(deadline=None)
@given(values_with_gaps)
def test_a_rising_transformation_changes_no_rank(values):
    x = np.array(values)
    np.testing.assert_array_equal(cross_sectional_rank(x, 0.1), cross_sectional_rank(np.exp(x / 10.0), 0.1))


def test_a_giant_is_no_class_of_its_own():
    crowd = np.arange(1.0, 101.0)
    with_giant = np.append(crowd, 1e12)
    np.testing.assert_allclose(cross_sectional_rank(with_giant)[:100], cross_sectional_rank(crowd), atol=0.01)


def test_values_beyond_the_winsor_quantile_share_a_rank():
    ranks = cross_sectional_rank(np.arange(100.0), 0.1)
    assert len(set(ranks[:10])) == 1
    assert len(set(ranks[90:])) == 1
    assert len(set(ranks)) == 82
    np.testing.assert_allclose(ranks, 1.0 - ranks[::-1])


def test_the_score_is_the_weighted_mean_of_the_ranks():
    metrics = {name: np.array([1.0, 2.0]) for name in METRICS.values()}
    metrics["atr_frac"] = np.array([2.0, 1.0])
    score = rank_score(metrics, 2, RankWeights(log_quote_volume=3, log_open_interest=0, log_depth=0, atr_frac=1), 0.0)
    np.testing.assert_allclose(score, [(3 * 0.25 + 0.75) / 4, (3 * 0.75 + 0.25) / 4])


def test_an_unknown_metric_weighs_nothing_and_one_with_none_has_no_score():
    metrics = {"quote_volume_24h": np.array([1.0, 2.0, np.nan]), "depth_quote": np.array([np.nan, 5.0, np.nan])}
    score = rank_score(metrics, 3, RankWeights(), 0.0)
    np.testing.assert_allclose(score, [0.25, (0.4 * 0.75 + 0.2 * 0.5) / 0.6, np.nan])


def test_nothing_to_rank_is_an_empty_score():
    assert rank_score({}, 0, RankWeights(), 0.02).shape == (0,)


def test_best_first_puts_the_unknown_last_and_breaks_ties_by_name():
    assert best_first(np.array([0.5, np.nan, 0.9, 0.5]), ["b", "x", "c", "a"]) == [2, 3, 0, 1]


def _params(most: int) -> PrefilterParams:
    return PrefilterParams(max_symbols=most, tighten_quantile_step=0.1)


def test_tightening_takes_the_fewest_steps_that_are_enough():
    score = np.linspace(0.01, 1.0, 100)
    cut = tighten(score, best_first(score, [f"{k:03}" for k in range(100)]), np.zeros(100, dtype=bool), _params(75))
    assert (cut.steps, cut.quantile, len(cut.kept)) == (3, 0.3, 70)
    assert cut.kept[0] == 99
    assert set(cut.kept).isdisjoint(cut.dropped)
    assert len(cut.kept) + len(cut.dropped) == 100
    assert cut.threshold == min(score[cut.kept]) > max(score[cut.dropped])


def test_enough_room_means_no_tightening():
    score = np.array([0.1, 0.9])
    cut = tighten(score, [1, 0], np.zeros(2, dtype=bool), _params(2))
    assert (cut.kept, cut.dropped, cut.steps, cut.threshold) == ([1, 0], [], 0, None)


@pytest.mark.parametrize("score", [np.full(9, 0.5), np.full(9, np.nan)])
def test_equal_or_unknown_scores_are_cut_by_order(score):
    cut = tighten(score, list(range(9)), np.zeros(9, dtype=bool), _params(4))
    assert cut.kept == [0, 1, 2, 3]
    assert cut.steps >= 1


def test_manual_rows_are_never_cut_and_count_towards_the_most():
    score = np.linspace(0.1, 1.0, 10)
    manual = np.zeros(10, dtype=bool)
    manual[[0, 1]] = True
    cut = tighten(score, best_first(score, list("abcdefghij")), manual, _params(5))
    assert {0, 1} <= set(cut.kept)
    assert len(cut.kept) <= 5


def test_manual_rows_alone_may_be_more_than_the_most():
    cut = tighten(np.array([0.1, 0.5, 0.9]), [2, 1, 0], np.ones(3, dtype=bool), _params(2))
    assert (cut.kept, cut.steps) == ([2, 1, 0], 0)
