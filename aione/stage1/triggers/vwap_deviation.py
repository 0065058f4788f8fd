"""`vwap_deviation`: the price is far from where the session's volume traded."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import excess_strength, result, sign


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the close is ``vwap_z`` volume-weighted standard deviations or more from the VWAP.

    The value is signed, below the VWAP is negative. The side points back to the VWAP: -1 above it, +1 below it.
    """
    score, least = inputs.readings["vwap_z"], inputs.thresholds["vwap_z"]
    size = np.abs(score)
    strength = excess_strength(size, least)
    return result(size >= least, ~np.isnan(score), value=score, threshold=least, strength=strength, side=-sign(score))


__all__ = ["evaluate"]
