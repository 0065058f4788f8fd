"""Scenarios: each can win, the margin decides, the mirror is exact."""

from __future__ import annotations

import numpy as np
import pytest

from aione.indicators.readings import Readings
from aione.stage2.factors import FACTORS
from aione.stage2.scenarios import SCENARIOS, UNCERTAIN, best_scenario, manipulation, scenario_scores
from config.models import RecoThresholds

from .conftest import snapshot

NAMES = [
    "close",
    "volume_z",
    "rsi",
    "efficiency_ratio",
    "upper_wick_frac",
    "lower_wick_frac",
    "adx",
    "atr_percentile",
    "vol_ratio",
    "vol_ratio_p95",
    "true_range",
    "atr_prev",
]
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
}


def score(factors: dict[str, float], spread=2e-4, **facts):
    readings = Readings(("X",), 0, {k: np.array([v]) for k, v in (CALM | facts).items()}, {})
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
    "BULLISH_CONTROL": ({"trend": 0.8, "momentum": 0.7}, {"efficiency_ratio": 0.4, "adx": 35.0, "rsi": 63.0}),
    "RANGE_BOUND": ({"location": 0.7}, {}),
    "HIGH_VOLATILITY": (
        {"trend": 0.2, "momentum": 0.8},
        {"atr_percentile": 1.0, "vol_ratio": 3.0, "efficiency_ratio": 0.3, "adx": 35.0},
    ),
    "MANIPULATED": (
        {},
        {"upper_wick_frac": 0.5, "lower_wick_frac": 0.45, "true_range": 4.0, "efficiency_ratio": 0.3, "adx": 30.0},
    ),
    "UNCERTAIN": ({"trend": 0.45, "momentum": 0.3}, {"efficiency_ratio": 0.2, "adx": 22.0}),
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
    turned = (CALM | facts) | {
        "rsi": 100 - (CALM | facts)["rsi"],
        "upper_wick_frac": (CALM | facts)["lower_wick_frac"],
        "lower_wick_frac": (CALM | facts)["upper_wick_frac"],
    }
    there, best = score({key: -value for key, value in factors.items()}, **turned)
    here, _ = score(factors, **facts)
    assert best == mirror
    assert there[0, SCENARIOS.index(mirror)] == here[0, SCENARIOS.index(name)]


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


def test_an_unknown_part_of_manipulation_says_nothing():
    facts = CALM | {"upper_wick_frac": np.nan, "volume_z": 7.0, "true_range": 0.2}
    readings = Readings(("X",), 0, {key: np.array([value]) for key, value in facts.items()}, {})
    assert manipulation(readings, snapshot(("X",)))[0] == 1.0
    assert manipulation(readings, snapshot(("X",), spread_frac=np.array([np.nan])))[0] == 1.0


def test_a_blown_out_spread_is_manipulation():
    assert score({}, spread=2e-3)[0][0, SCENARIOS.index("MANIPULATED")] == 1.0
