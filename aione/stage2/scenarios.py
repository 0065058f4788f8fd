"""What kind of market this is: a score in [0, 1] for each scenario; the best one wins by a margin, else UNCERTAIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from aione.indicators.readings import Readings
from aione.panel import F8, MarketSnapshot
from aione.stage2.cuts import Cuts
from aione.stage2.factors import FACTORS, moved, steady
from aione.stage2.numbers import clip01, known_mean, or_zero, ramp
from config.models import RecoThresholds, Scenario

SCENARIOS: Final[tuple[str, ...]] = get_args(Scenario)
_SIDES: Final = np.array([[1.0], [-1.0]])
UNCERTAIN: Final = SCENARIOS.index("UNCERTAIN")

MATERIAL_SPREAD_ATR: Final = 0.1
"""A spread below this share of the ATR is wide in name alone."""

SCENARIO_SIDES: Final[Mapping[str, int]] = {
    "BULLISH_BREAKOUT": 1,
    "BEARISH_BREAKDOWN": -1,
    "BULLISH_REVERSAL": 1,
    "BEARISH_REVERSAL": -1,
    "BULLISH_CONTROL": 1,
    "BEARISH_CONTROL": -1,
    "RANGE_BOUND": 0,
    "HIGH_VOLATILITY": 0,
    "MANIPULATED": 0,
    "UNCERTAIN": 0,
}


def scenario_scores(factors: F8, readings: Readings, market: MarketSnapshot, thresholds: RecoThresholds | Cuts) -> F8:
    """Return the score of every scenario, float64 (S, 10) in the order of `SCENARIOS`; NaN is unknown.

    ``factors`` is float64 (9, S). UNCERTAIN scores ``scenario_floor``: what another must reach.

    A scenario and its mirror image are one formula, asked with the factors' signs turned.
    """
    named = dict(zip(FACTORS, factors, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        breakout, reversal, control = _sided(factors, readings)
        made = manipulation(readings, market)
        scores = {
            "BULLISH_BREAKOUT": breakout[0],
            "BEARISH_BREAKDOWN": breakout[1],
            "BULLISH_REVERSAL": reversal[0],
            "BEARISH_REVERSAL": reversal[1],
            "BULLISH_CONTROL": control[0],
            "BEARISH_CONTROL": control[1],
            "RANGE_BOUND": _calm(named, readings) * _inside(factors) * (1.0 - 0.5 * or_zero(made)),
            "HIGH_VOLATILITY": _high_volatility(named, readings, thresholds),
            "MANIPULATED": made,
            "UNCERTAIN": np.where(np.isnan(readings["close"]), np.nan, thresholds.scenario_floor),
        }
    return np.ascontiguousarray(np.stack([scores[name] for name in SCENARIOS], axis=1))


def best_scenario(scores: F8, thresholds: RecoThresholds | Cuts) -> NDArray[np.int8]:
    """Return the winner of each row of ``scores (S, 10)`` as an index into `SCENARIOS`; of two equal ones none wins."""
    rivals = np.where(np.isnan(scores), -1.0, scores)
    rivals[:, UNCERTAIN] = -1.0
    rows = np.arange(len(rivals))
    best = np.argmax(rivals, axis=1)
    top = rivals[rows, best].copy()
    rivals[rows, best] = -1.0
    margin = top - np.maximum(rivals.max(axis=1), 0.0)
    wins = (top >= thresholds.scenario_floor) & (margin >= thresholds.scenario_margin) & (margin > 0.0)
    return np.where(wins, best, UNCERTAIN).astype(np.int8)


def manipulation(readings: Readings, market: MarketSnapshot) -> F8:
    """Return how much the bar looks made, in [0, 1]: a wick, volume without range, a blown-out spread.

    - The longer wick is 1.5 to 3 ATR long, and wicks are 50 to 80 % of the bar.
    - ``volume_z`` from 3 to 6 within a bar of 1 to 0.4 ATR.
    - The spread is 3 to 8 times its median, and 0.1 to 0.3 of an ATR: many times a single tick is still nothing.

    Each part is graded by itself and they add up as independent evidence. An unknown part says nothing; NaN where
    all are unknown.
    """
    upper, lower, atr = readings["upper_wick_frac"], readings["lower_wick_frac"], readings["atr_prev"]
    with np.errstate(invalid="ignore", divide="ignore"):
        longest = np.maximum(upper, lower) * (readings["high"] - readings["low"]) / atr
        stretch = readings["true_range"] / atr
        blown, matters = market.spread_frac / market.spread_median_frac, market.spread_frac / readings["atr_frac"]
    parts = [
        ramp(upper + lower, 0.5, 0.8) * ramp(longest, 1.5, 3.0),
        ramp(readings["volume_z"], 3.0, 6.0) * ramp(stretch, 1.0, 0.4),
        ramp(blown, 3.0, 8.0) * ramp(matters, MATERIAL_SPREAD_ATR, 3.0 * MATERIAL_SPREAD_ATR),
    ]
    return _evidence(parts, [1.0, 1.0, 1.0])


def _evidence(parts: Sequence[F8], weights: Sequence[float]) -> F8:
    """Return ``1 - prod(1 - weight x part)`` over the known parts; NaN where none is known."""
    rest, known = np.ones_like(parts[0]), np.zeros(parts[0].shape, dtype=np.bool_)
    for part, weight in zip(parts, weights, strict=True):
        rest *= 1.0 - weight * or_zero(part)
        known |= ~np.isnan(part)
    return np.where(known, 1.0 - rest, np.nan)


def _sided(factors: F8, readings: Readings) -> tuple[F8, F8, F8]:
    """Return breakout, reversal and control towards each side, float64 (2, S) each: up first, down second."""
    both = _SIDES * factors[:, None]
    towards = dict(zip(FACTORS, clip01(both), strict=True))
    signed = dict(zip(FACTORS, both, strict=True))
    like = np.ones_like(towards["trend"])
    activity = ramp(readings["volume_z"], 0.0, 3.0) * like
    broke = towards["breakout"]
    pressed = known_mean([broke, towards["flow"], activity], [2.0, 1.0, 1.0])
    breakout = np.where(broke > 0.0, pressed, 0.0 * broke)
    exhausted = clip01(_SIDES * (50.0 - readings["rsi"]) / 20.0)
    stretched = [towards["divergence"], towards["vwap"], towards["location"], exhausted]
    setup = _evidence(stretched, [0.6, 0.5, 0.35, 0.5])
    wick = ramp(np.stack([readings["lower_wick_frac"], readings["upper_wick_frac"]]), 0.3, 0.7)
    turning = _evidence([towards["divergence"], towards["flow"], wick], [0.8, 0.8, 0.6])
    reversal = setup * clip01(-3.0 * signed["trend"]) * (0.2 + 0.8 * turning) * _inside(factors)
    straight = clip01(readings["efficiency_ratio"] / 0.35) * like
    driven = known_mean([towards["trend"], towards["momentum"], straight], [2.0, 1.2, 0.8])
    turned = or_zero(clip01(-_SIDES * moved(readings, 15)))
    control = np.where(towards["trend"] > 0.0, driven, 0.0 * towards["trend"])
    doubt = (1.0 - 0.5 * turned) * (1.0 - 0.7 * or_zero(reversal[::-1])) * (1.0 - or_zero(broke))
    return breakout, reversal, control * doubt


def _inside(factors: F8) -> F8:
    """Return 1 within the range, less the further outside; 1 where the range is unknown."""
    return 1.0 - or_zero(clip01(np.abs(factors[FACTORS.index("breakout")])))


def _calm(factors: Mapping[str, F8], readings: Readings) -> F8:
    """Return how little goes anywhere: no trend, no straightness, no ADX, no momentum, no way made in the last hour.

    A steady slope, or a way made in the last quarter of an hour, takes away from all of that: it is a move, slow or
    young.
    """
    rest = known_mean(
        [
            1.0 - clip01(1.6 * np.abs(factors["trend"])),
            ramp(readings["efficiency_ratio"], 0.35, 0.05),
            ramp(readings["adx"], 35.0, 12.0),
            1.0 - np.abs(factors["momentum"]),
            ramp(np.abs(moved(readings, 60)), 1.0, 0.3),
        ],
        [1.5, 1.0, 1.0, 0.5, 1.5],
    )
    recent = ramp(np.abs(moved(readings, 15)), 0.7, 1.5)
    return rest * (1.0 - 0.6 * or_zero(np.abs(steady(readings)))) * (1.0 - 0.5 * or_zero(recent))


def _high_volatility(factors: Mapping[str, F8], readings: Readings, thresholds: RecoThresholds | Cuts) -> F8:
    """Return how violent the market is without going anywhere."""
    quantile = thresholds.high_vol_quantile
    rank = ramp(readings["atr_percentile"], quantile - 0.15, np.minimum(1.0, quantile + 0.09))
    surge = ramp(readings["vol_ratio"] / readings["vol_ratio_p95"], 0.8, 1.3)
    aimed = clip01(np.fmax(np.abs(factors["breakout"]), np.abs(factors["trend"])))
    return known_mean([rank, surge], [1.0, 1.0]) * (1.0 - 0.6 * or_zero(aimed))


__all__ = [
    "MATERIAL_SPREAD_ATR",
    "SCENARIOS",
    "SCENARIO_SIDES",
    "UNCERTAIN",
    "best_scenario",
    "manipulation",
    "scenario_scores",
]
