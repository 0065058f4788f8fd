"""From factors to direction, and from direction and quality to confidence. Additive, so that it can be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.readings import Readings
from aione.panel import F8, MarketSnapshot
from aione.stage2.cuts import Cuts
from aione.stage2.factors import FACTORS
from aione.stage2.levels import Levels
from aione.stage2.numbers import clip01, known_mean, ramp
from aione.stage2.scenarios import SCENARIOS
from config.models import RecoThresholds, Stage2Config

QUALITIES: Final = ("liquidity", "volatility", "levels", "data")
UNCALIBRATED: Final = "uncalibrated"

_QUALITY_WEIGHTS: Final = (1.0, 1.0, 0.6, 1.0)
_ORDINARY_DEPTH_QUOTE: Final = 50_000.0
"""Depth at which half of the depth's mark is given."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The score and what it is made of.

    Attributes
    ----------
    value : float64 (S,) in [-1, 1]
        Weighted mean of the known factors; NaN where none is known.
    contributions : float64 (9, S)
        What each factor added; they sum to ``value``. NaN where the factor is unknown.
    known_share : float64 (S,)
        Weight of the known factors over the weight of all.
    """

    value: F8
    contributions: F8
    known_share: F8


def scenario_weights(config: Stage2Config) -> F8:
    """Return the weight of every factor in every scenario, float64 (10, 9); a factor that is switched off weighs 0."""
    base = config.weights.model_dump()
    own = {str(scenario): weights for scenario, weights in config.scenario_weights.items()}
    off = {name: 0.0 for name, is_on in config.switches.factors.items() if not is_on}
    rows = [base | own.get(scenario, {}) | off for scenario in SCENARIOS]
    return np.array([[row[name] for name in FACTORS] for row in rows])


def direction(factors: F8, scenario: NDArray[np.int8], weights: F8) -> Direction:
    """Return the weighted mean of the known factors of every symbol.

    Parameters
    ----------
    factors : float64 (9, S)
    scenario : int8 (S,)
        Row of ``weights`` that holds for each symbol.
    weights : float64 (10, 9)

    Examples
    --------
    >>> found = direction(np.array([[1.0], [np.nan]]), np.array([0], dtype=np.int8), np.array([[2.0, 2.0]]))
    >>> found.value, found.known_share
    (array([1.]), array([0.5]))
    """
    every = weights[scenario].T
    known = ~np.isnan(factors)
    used = np.where(known, every, 0.0)
    total = used.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        contributions = np.where(known, used * factors / total, np.nan)
        value = np.where(total > 0.0, np.nansum(contributions, axis=0), np.nan)
        return Direction(value, contributions, total / every.sum(axis=0))


def quality(
    readings: Readings, market: MarketSnapshot, levels: Levels, known_share: F8, thresholds: RecoThresholds | Cuts
) -> F8:
    """Return the four qualities of every symbol, float64 (4, S) in [0, 1] in the order of `QUALITIES`; NaN is unknown.

    Liquidity falls with the spread and rises with the thinner side's depth; volatility is best in the middle of the
    symbol's own range, 0 at its very top; levels is the strength of the nearest on each side; data is the share of
    bars and of factors that are known, halved by every bar that the last one is late.
    """
    depth = np.fmin(market.depth_bid_quote, market.depth_ask_quote)
    tight = ramp(market.spread_frac, thresholds.extreme_spread_frac, 0.0)
    rank = readings["atr_percentile"]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.stack(
            [
                known_mean([tight, depth / (depth + _ORDINARY_DEPTH_QUOTE)], [1.0, 1.0]),
                (0.4 + 0.6 * ramp(rank, 0.0, 0.3)) * ramp(rank, 1.25, thresholds.high_vol_quantile),
                known_mean([levels.support_strength, levels.resistance_strength], [1.0, 1.0]),
                clip01(readings["ready_frac"] * known_share * 0.5 ** readings["bars_age"]),
            ]
        )


def overall_quality(qualities: F8) -> F8:
    """Return the weighted mean of the known qualities, float64 (S,)."""
    return known_mean(list(qualities), _QUALITY_WEIGHTS)


def raw_confidence(value: F8, quality_score: F8) -> F8:
    """Return ``|direction| x quality``, float64 (S,) in [0, 1]; NaN where either is unknown."""
    return np.abs(value) * quality_score


__all__ = [
    "QUALITIES",
    "UNCALIBRATED",
    "Direction",
    "direction",
    "overall_quality",
    "quality",
    "raw_confidence",
    "scenario_weights",
]
