"""`rsi_overbought`: the RSI says that the rise is stretched."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import result


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the RSI is at or above ``rsi_overbought``; side -1, for what is stretched tends to come back.

    The strength is 0.5 at the threshold and 1 at an RSI of 100.
    """
    rsi, least = inputs.readings["rsi"], inputs.thresholds["rsi_overbought"]
    room = np.maximum(100.0 - least, 1e-9)
    strength = 0.5 + 0.5 * (rsi - least) / room
    return result(
        rsi >= least,
        ~np.isnan(rsi),
        value=rsi,
        threshold=least,
        strength=strength,
        side=-1,
        names=("rsi_overbought",),
    )


__all__ = ["evaluate"]
