"""`vwap_deviation`: the price gets far from where the session's volume traded, or further still."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import excess_strength, result, sign


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the close is ``vwap_z`` volume-weighted deviations or more from the VWAP, and that is news.

    It is news on the bar on which it begins, for the close before was nearer (measured by this bar's VWAP and
    deviation) or on the other side, and again on each bar that closes beyond the previous 20-bar range away from the
    VWAP. A price that merely stays away does not fire.

    The value is signed, below the VWAP is negative. The side points back to the VWAP: -1 above it, +1 below it.
    """
    readings, least = inputs.readings, inputs.thresholds["vwap_z"]
    score, close, before = readings["vwap_z"], readings["close"], readings["prev_close"]
    away, gap = sign(score), close - readings["vwap"]
    share_before = np.divide(before - readings["vwap"], gap, out=np.zeros_like(gap), where=gap != 0.0)
    size = np.abs(score)
    begins = size * share_before < least
    reaches_on = (away > 0) & (close > readings["range_high_20"]) | (away < 0) & (close < readings["range_low_20"])
    return result(
        (size >= least) & (begins | reaches_on),
        ~np.isnan(score + gap + before),
        value=score,
        threshold=least,
        strength=excess_strength(size, least),
        side=-away,
        names=("vwap_z",),
    )


__all__ = ["evaluate"]
