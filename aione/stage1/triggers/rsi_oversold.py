"""`rsi_oversold`: the RSI says that the fall is stretched."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import result


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the RSI is at or below ``rsi_oversold``; side +1.

    The mirror image of `rsi_overbought`: the strength is 0.5 at the threshold and 1 at an RSI of 0.
    """
    rsi, most = inputs.readings["rsi"], inputs.thresholds["rsi_oversold"]
    room = np.maximum(most, 1e-9)
    strength = 0.5 + 0.5 * (most - rsi) / room
    return result(
        rsi <= most,
        ~np.isnan(rsi),
        value=rsi,
        threshold=most,
        strength=strength,
        side=+1,
        names=("rsi_oversold",),
    )


__all__ = ["evaluate"]
