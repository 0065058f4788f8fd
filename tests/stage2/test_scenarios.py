"""Scenarios: each can win, the margin decides, the mirror is exact."""

from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.readings import Readings
from aione.stage2.factors import FACTORS
from aione.stage2.scenarios import SCENARIOS, UNCERTAIN, best_scenario, manipulation, scenario_scores
from config.models import RecoThresholds

from .conftest import snapshot

CALM = {
    "close": 100.0,
    "volume_z": 0.0,
    "rsi": 50.0,
    "efficiency_ratio": 0.1,
    "upper_wick_frac": 0.2,
    "lower_wick_frac": 0.2,
    "adx": 12.0,
    "atr_percentile": 0.5,
    "vol_ratio": 1.0,
    "vol_ratio_p95": 2.0,
    "true_range": 1.0,
    "atr_prev": 1.0,
    "high": 100.5,
    "low": 99.5,
    "atr_frac": 0.01,
    "slope_t": 0.0,
    "return_15": 0.0,
    "return_60": 0.0,
}


def readings_of(**facts):
    return Readings(("X",), 0, {name: np.array([value]) for name, value in (CALM | facts).items()}, {})


def score(factors: dict[str, float], spread=2e-4, **facts):
    readings = readings_of(**facts)
    columns = np.array([[factors.get(name, 0.0)] for name in FACTORS])
    market = snapshot(("X",), spread_frac=np.array([spread]))
    scores = scenario_scores(columns, readings, market, RecoThresholds())
    return scores, SCENARIOS[best_scenario(scores, RecoThresholds())[0]]


PICTURES = {
    "BULLISH_BREAKOUT": ({"breakout": 0.9, "flow": 0.8, "trend": 0.3}, {"volume_z": 4.0}),
    "BULLISH_REVERSAL": (
        {"trend": -0.7, "momentum": -0.3, "divergence": 0.8, "vwap": 0.6, "location": 0.8, "flow": 0.5},
        {"rsi": 28.0, "adx": 30.0, "lower_wick_frac": 0.6},
    ),
    "BULLISH_CONTROL": (
        {"trend": 0.8, "momentum": 0.7},
        {"efficiency_ratio": 0.4, "adx": 35.0, "rsi": 63.0, "slope_t": 20.0, "return_60": 0.08},
    ),
    "RANGE_BOUND": ({"location": 0.7}, {}),
    "HIGH_VOLATILITY": (
        {"trend": 0.2, "momentum": 0.8},
        {"atr_percentile": 1.0, "vol_ratio": 3.0, "efficiency_ratio": 0.3, "adx": 35.0},
    ),
    "MANIPULATED": (
        {},
        {"upper_wick_frac": 0.8, "lower_wick_frac": 0.1, "high": 104.0, "true_range": 4.5, "efficiency_ratio": 0.3},
    ),
    "UNCERTAIN": (
        {"trend": 0.35, "momentum": 0.2},
        {"efficiency_ratio": 0.2, "adx": 24.0, "slope_t": 6.0, "return_60": 0.06},
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_scenario_wins_its_own_picture(name):
    factors, facts = PICTURES[name]
    scores, best = score(factors, **facts)
    assert best == name, dict(zip(SCENARIOS, scores[0], strict=True))
    assert ((scores >= 0) & (scores <= 1)).all()


MIRRORS = {
    "BULLISH_BREAKOUT": "BEARISH_BREAKDOWN",
    "BULLISH_REVERSAL": "BEARISH_REVERSAL",
    "BULLISH_CONTROL": "BEARISH_CONTROL",
}


@pytest.mark.parametrize(("name", "mirror"), MIRRORS.items())
def test_the_mirrored_picture_is_the_mirrored_scenario(name, mirror):
    factors, facts = PICTURES[name]
    here = CALM | facts
    turned = here | {
        "rsi": 100 - (CALM | facts)["rsi"],
        "slope_t": -here["slope_t"],
        "return_15": -here["return_15"] / (1 + 2 * here["return_15"]),
        "return_60": -here["return_60"] / (1 + 2 * here["return_60"]),
        "upper_wick_frac": (CALM | facts)["lower_wick_frac"],
        "lower_wick_frac": (CALM | facts)["upper_wick_frac"],
    }
    there, best = score({key: -value for key, value in factors.items()}, **turned)
    here, _ = score(factors, **facts)
    assert best == mirror
    assert there[0, SCENARIOS.index(mirror)] == pytest.approx(here[0, SCENARIOS.index(name)], abs=1e-12)


def test_without_a_margin_nothing_is_certain():
    scores = np.full((3, len(SCENARIOS)), 0.1)
    scores[0, :2] = [0.60, 0.55]
    scores[1, :2] = [0.60, 0.50]
    scores[2, 0] = 0.25
    assert best_scenario(scores, RecoThresholds()).tolist() == [UNCERTAIN, 0, UNCERTAIN]


def test_what_is_unknown_is_uncertain():
    scores, best = score(dict.fromkeys(FACTORS, np.nan), **dict.fromkeys(CALM, np.nan), spread=np.nan)
    assert best == "UNCERTAIN"
    assert np.isnan(np.delete(scores[0], [])).all()


def test_of_two_equal_ones_none_wins():
    scores = np.full((1, len(SCENARIOS)), 0.1)
    scores[0, :2] = 0.9
    assert best_scenario(scores, RecoThresholds(scenario_margin=0.0)).tolist() == [UNCERTAIN]


# ── Too calm, too fast: what is no range ──


def range_score(**facts):
    return score({}, **facts)[0][0, SCENARIOS.index("RANGE_BOUND")]


def test_a_way_made_in_the_last_hour_is_no_range():
    """In ATR: the whole of one, a part of the other."""
    assert range_score(return_60=0.09) < 0.85 * range_score(return_60=0.02)
    assert range_score(return_60=-0.09 / 1.18) == pytest.approx(range_score(return_60=0.09), rel=1e-9)
    assert range_score(return_15=0.07) < 0.6 * range_score()
    assert range_score(slope_t=30.0, return_60=0.09) < 0.45 * range_score()


def test_a_made_bar_is_no_range():
    assert range_score(upper_wick_frac=0.9, high=105.0, true_range=5.5) == pytest.approx(0.5 * range_score())


def test_a_turn_that_shows_makes_the_trend_before_it_doubtful():
    factors, facts = PICTURES["BULLISH_REVERSAL"]
    with_it, _ = score(factors, **facts)
    quiet = {name: value for name, value in factors.items() if name in {"trend", "momentum"}}
    without, _ = score(quiet, **(facts | {"rsi": 50.0}))
    at = SCENARIOS.index("BEARISH_CONTROL")
    assert with_it[0, at] < 0.7 * without[0, at]


def test_a_move_against_a_trend_makes_it_doubtful():
    factors, facts = PICTURES["BULLISH_CONTROL"]
    (steady,), (turned,) = (score(factors, **facts, return_15=way)[0] for way in (0.0, -0.04))
    at = SCENARIOS.index("BULLISH_CONTROL")
    assert turned[at] == pytest.approx(0.5 * steady[at])


# ── Manipulation ──


def made(spread=2e-4, **facts):
    return manipulation(readings_of(**facts), snapshot(("X",), spread_frac=np.array([spread])))[0]


def test_a_wick_is_made_when_it_is_long_and_most_of_the_bar():
    """Its length counts in ATR of the bar before, not its share alone."""
    assert made(upper_wick_frac=0.8, lower_wick_frac=0.0, high=102.0, low=98.0, true_range=4.0) == 1.0
    assert made(upper_wick_frac=0.0, lower_wick_frac=0.8, high=102.0, low=98.0, true_range=4.0) == 1.0
    assert made(upper_wick_frac=0.9, lower_wick_frac=0.1) == 0.0  # all wick, but of one ATR
    assert made(upper_wick_frac=0.45, lower_wick_frac=0.45, high=101.5, low=98.5, true_range=3.0) == 0.0  # both sides
    assert made(upper_wick_frac=0.4, lower_wick_frac=0.0, high=110.0, low=90.0, true_range=20.0) == 0.0  # mostly body


def test_volume_is_made_when_it_moves_nothing():
    assert made(volume_z=6.0, true_range=0.4) == 1.0
    assert made(volume_z=6.0, true_range=0.7) == pytest.approx(0.5)
    assert made(volume_z=20.0, true_range=1.0) == 0.0
    assert made(volume_z=3.0, true_range=0.1) == 0.0


def test_a_spread_is_blown_out_when_it_is_many_medians_and_matters():
    assert made(spread=4e-3) == 1.0
    assert made(spread=6e-4) == 0.0  # three medians
    assert made(spread=3e-3, atr_frac=0.1) == 0.0  # fifteen medians, and a thirtieth of an ATR
    assert made(spread=3e-3, atr_frac=np.nan) == 0.0


def test_the_parts_add_up_as_independent_evidence():
    facts = {"volume_z": 6.0, "true_range": 0.7}
    assert made(spread=1.1e-3, atr_frac=0.0055, **facts) == pytest.approx(1 - 0.5 * (1 - 0.5 * 0.5))


def test_an_unknown_part_of_manipulation_says_nothing():
    facts = {"upper_wick_frac": np.nan, "volume_z": 7.0, "true_range": 0.2}
    assert made(**facts) == 1.0
    assert made(spread=np.nan, **facts) == 1.0
    assert np.isnan(made(spread=np.nan, **(facts | {"volume_z": np.nan})))
