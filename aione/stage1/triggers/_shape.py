"""What the triggers share: the shape of a result and of a strength. Not a trigger itself."""

from __future__ import annotations

import numpy as np

from aione.panel import B1, F8
from aione.stage1.inputs import I1, TriggerInput, TriggerResult


def result(
    condition: B1, known: B1, *, value: F8, threshold: F8 | float, strength: F8, side: I1 | int = 0
) -> TriggerResult:
    """Assemble a trigger's answer; where ``known`` is false nothing fires and the value is NaN.

    Parameters
    ----------
    condition : bool (S,)
        The trigger's condition; whatever it says of an unknown symbol is ignored.
    known : bool (S,)
        Every input that the condition needs is there.
    value : float64 (S,)
    threshold : float64 (S,) or one for all
    strength : float64 (S,)
        Clipped to [0, 1].
    side : int8 (S,) or one for all
        Applies where the trigger fired.
    """
    fired = condition & known
    return TriggerResult(
        fired=fired,
        side=np.multiply(fired, side, dtype=np.int8),
        strength=np.where(fired, np.minimum(np.maximum(strength, 0.0), 1.0), 0.0),
        value=np.where(known, value, np.nan),
        threshold=threshold if isinstance(threshold, np.ndarray) else np.full(fired.shape, threshold),
    )


def ratio(numerator: F8, denominator: F8) -> F8:
    """Return ``numerator / denominator``, (S,); NaN where the denominator is not above zero.

    A scale (an ATR, a median) of zero measures nothing, so what is measured with it is unknown.

    Examples
    --------
    >>> ratio(np.array([3.0, 3.0, 3.0]), np.array([2.0, 0.0, np.nan]))
    array([1.5, nan, nan])
    """
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0.0)
    return out


def excess_strength(value: F8, threshold: F8) -> F8:
    """Return 0.5 at the threshold, growing evenly to 1 at twice the threshold, (S,); thresholds are above zero.

    Examples
    --------
    >>> excess_strength(np.array([2.0, 3.0, 9.0]), np.array([2.0, 2.0, 2.0]))
    array([0.5 , 0.75, 1.  ])
    """
    return np.minimum(0.5 * value / threshold, 1.0)


def sign(value: F8) -> I1:
    """Return +1, 0 or -1, int8 (S,); 0 where the value is NaN."""
    return (value > 0.0).astype(np.int8) - (value < 0.0).astype(np.int8)


def volume_surge(inputs: TriggerInput) -> tuple[B1, B1, F8, F8, F8]:
    """Return ``(condition, known, value, threshold, strength)`` of an unusual volume, each (S,).

    The bar's quote volume is at least ``volume_z`` standard deviations above the mean of the previous bars, and at
    least ``relative_volume`` times their median. The value is the z-score.
    """
    readings, thresholds = inputs.readings, inputs.thresholds
    score, relative = readings["volume_z"], readings["relative_volume"]
    least = thresholds["volume_z"]
    known = ~(np.isnan(score) | np.isnan(relative))
    condition = (score >= least) & (relative >= thresholds["relative_volume"])
    return condition, known, score, least, excess_strength(score, least)


def sided_volume_surge(inputs: TriggerInput, side: int) -> TriggerResult:
    """Return an unusual volume whose bar closed to ``side`` and whose takers traded to ``side``."""
    condition, known, score, least, strength = volume_surge(inputs)
    body, imbalance = inputs.readings["body_frac"], inputs.readings["taker_imbalance"]
    agreeing = (side * body > 0.0) & (side * imbalance > 0.0)
    known = known & ~(np.isnan(body) | np.isnan(imbalance))
    return result(condition & agreeing, known, value=score, threshold=least, strength=strength, side=side)


def breakout(inputs: TriggerInput, side: int) -> TriggerResult:
    """Return a close beyond the previous 20-bar extreme on ``side``, from inside; see `breakout_up`."""
    readings, end = inputs.readings, "high" if side > 0 else "low"
    close, atr = readings["close"], readings["atr"]
    least = inputs.thresholds["breakout_atr_buffer"]
    beyond = ratio(side * (close - readings[f"range_{end}_20"]), atr)
    before = side * (readings["prev_close"] - readings[f"prev_range_{end}_20"])
    known = ~(np.isnan(beyond) | np.isnan(before))
    past_long = ratio(side * (close - readings[f"range_{end}_60"]), atr)
    volume = readings["volume_z"] / (2.0 * inputs.thresholds["volume_z"])
    strength = 1.0 - 0.35 * (2.0 - _share(1.0 + past_long) - _share(volume))
    return result(
        (beyond >= least) & (before <= 0.0), known, value=beyond, threshold=least, strength=strength, side=side
    )


def approach(inputs: TriggerInput, level: F8, side: int) -> TriggerResult:
    """Return a close within ``near_atr_mult`` ATR of a level that lies on ``side``, moving towards it.

    The level is not passed yet (the distance is zero or more) and the last bar closed nearer to it than the bar
    before: ``side`` +1 is a level above and a higher close, -1 a level below and a lower close. One bar cannot do
    both, so no two approaches of opposite sides fire together.

    The value is the distance in ATR, the strength 1 at the level and 0.5 at the threshold. The trigger has no side:
    a level nearby says where a decision is due, not how it ends.
    """
    readings, most = inputs.readings, inputs.thresholds["near_atr_mult"]
    close = readings["close"]
    distance = ratio(side * (level - close), readings["atr"])
    step = side * (close - readings["prev_close"])
    known = ~(np.isnan(distance) | np.isnan(step))
    condition = (distance >= 0.0) & (distance <= most) & (step > 0.0)
    return result(condition, known, value=distance, threshold=most, strength=1.0 - 0.5 * distance / most)


def divergence(reading: F8, side: int) -> TriggerResult:
    """Return a divergence that the indicators have confirmed; its reading is the strength, 0 where there is none."""
    return result(reading > 0.0, ~np.isnan(reading), value=reading, threshold=0.0, strength=reading, side=side)


def _share(x: F8) -> F8:
    """Return ``x`` clipped to [0, 1]; what is unknown adds nothing."""
    return np.fmin(np.fmax(x, 0.0), 1.0)


__all__ = [
    "approach",
    "breakout",
    "divergence",
    "excess_strength",
    "ratio",
    "result",
    "sided_volume_surge",
    "sign",
    "volume_surge",
]
