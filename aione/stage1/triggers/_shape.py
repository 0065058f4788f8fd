"""What the triggers share: the shape of a result and of a strength. Not a trigger itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aione.panel import B1, F8
from aione.stage1.inputs import I1, TriggerInput, TriggerResult


def result(
    condition: B1,
    known: B1,
    *,
    value: F8,
    threshold: F8 | float,
    strength: F8,
    side: I1 | int = 0,
    names: tuple[str, ...] = (),
    which: I1 | int = 0,
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
    names, which
        See `TriggerResult`.
    """
    fired = condition & known
    bounded = np.fmax(strength, 0.0)
    np.fmin(bounded, 1.0, out=bounded)
    bounded *= fired
    return TriggerResult(
        fired=fired,
        side=fired * np.int8(side) if isinstance(side, int) else fired * side,
        strength=bounded,
        value=np.where(known, value, np.nan),
        threshold=threshold if isinstance(threshold, np.ndarray) else np.full(fired.shape, threshold),
        names=names,
        which=which,
    )


def ratio(numerator: F8, denominator: F8) -> F8:
    """Return ``numerator / denominator``, (S,); NaN where the denominator is not above zero.

    A scale (an ATR, a median) of zero measures nothing, so what is measured with it is unknown.

    Examples
    --------
    >>> ratio(np.array([3.0, 3.0, 3.0]), np.array([2.0, 0.0, np.nan]))
    array([1.5, nan, nan])
    """
    known: F8 = numerator / np.where(denominator > 0.0, denominator, np.nan)
    return known


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


@dataclass(frozen=True, slots=True)
class VolumeSurge:
    """An unusual volume: the bar's quote volume against the bars before it, by score and by median, each (S,).

    ``value`` and ``threshold`` are those of the score, but where the score is high enough and only the median objects,
    those of the relative volume; ``which`` tells them apart.
    """

    condition: B1
    known: B1
    value: F8
    threshold: F8
    which: I1
    strength: F8
    names: tuple[str, ...] = ("volume_z", "relative_volume")

    @classmethod
    def of(cls, inputs: TriggerInput) -> VolumeSurge:
        """Return where the volume is ``volume_z`` deviations above and ``relative_volume`` times what is usual."""
        readings, thresholds = inputs.readings, inputs.thresholds
        score, relative = readings["volume_z"], readings["relative_volume"]
        least, times = thresholds["volume_z"], thresholds["relative_volume"]
        is_high, is_many = score >= least, relative >= times
        by_median = is_high & ~is_many
        return cls(
            condition=is_high & is_many,
            known=~np.isnan(score + relative),
            value=np.where(by_median, relative, score),
            threshold=np.where(by_median, times, least),
            which=by_median.astype(np.int8),
            strength=excess_strength(score, least),
        )


def sided_volume_surge(inputs: TriggerInput, side: int) -> TriggerResult:
    """Return an unusual volume whose bar closed to ``side`` and whose takers traded to ``side``."""
    surge = inputs.once(VolumeSurge.of)
    body, imbalance = inputs.readings["body_frac"], inputs.readings["taker_imbalance"]
    return result(
        surge.condition & (side * body > 0.0) & (side * imbalance > 0.0),
        surge.known & ~np.isnan(body + imbalance),
        value=surge.value,
        threshold=surge.threshold,
        strength=surge.strength,
        side=side,
        names=surge.names,
        which=surge.which,
    )


def breakout(inputs: TriggerInput, side: int) -> TriggerResult:
    """Return a close beyond the previous 20-bar extreme on ``side``, from inside; see `breakout_up`."""
    readings, end = inputs.readings, "high" if side > 0 else "low"
    close, least = readings["close"], inputs.thresholds["breakout_atr_buffer"]
    sided_atr = side * inputs.once(_atr)
    beyond = (close - readings[f"range_{end}_20"]) / sided_atr
    before = side * (readings["prev_close"] - readings[f"prev_range_{end}_20"])
    past_long = (close - readings[f"range_{end}_60"]) / sided_atr
    strength = 0.3 + 0.35 * (_share(1.0 + past_long) + inputs.once(_volume_share))
    return result(
        (beyond >= least) & (before <= 0.0),
        ~np.isnan(beyond + before),
        value=beyond,
        threshold=least,
        strength=strength,
        side=side,
        names=("breakout_atr_buffer", "volume_z"),
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
    distance = (level - close) / (side * inputs.once(_atr))
    step = side * (close - readings["prev_close"])
    condition = (distance >= 0.0) & (distance <= most) & (step > 0.0)
    known, strength = ~np.isnan(distance + step), 1.0 - 0.5 * distance / most
    return result(condition, known, value=distance, threshold=most, strength=strength, names=("near_atr_mult",))


def divergence(reading: F8, side: int) -> TriggerResult:
    """Return a divergence that the indicators have confirmed; its reading is the strength, 0 where there is none."""
    known = ~np.isnan(reading)
    return result(reading > 0.0, known, value=reading, threshold=0.0, strength=reading, side=side, which=-1)


def _atr(inputs: TriggerInput) -> F8:
    """Return the ATR as a unit to measure in; NaN where it is 0."""
    atr = inputs.readings["atr"]
    return np.where(atr > 0.0, atr, np.nan)


def _volume_share(inputs: TriggerInput) -> F8:
    """Return the volume score's share of twice its threshold."""
    return _share(inputs.readings["volume_z"] / (2.0 * inputs.thresholds["volume_z"]))


def _share(x: F8) -> F8:
    """Return ``x`` clipped to [0, 1]; what is unknown adds nothing."""
    share = np.fmax(x, 0.0)
    return np.fmin(share, 1.0, out=share)


__all__ = [
    "VolumeSurge",
    "approach",
    "breakout",
    "divergence",
    "excess_strength",
    "ratio",
    "result",
    "sided_volume_surge",
    "sign",
]
