"""`near_daily_resistance`: the close rises towards the nearest daily level above."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import approach


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the level is above the close by ``near_atr_mult`` ATR or less and the bar closed higher.

    The level is the nearest above the close of the previous day's low, high and close and the confirmed daily pivots.
    Compared with the close of the bar before. No side, and never together with an approach from the other side;
    see `approach`.
    """
    return approach(inputs, inputs.readings["daily_resistance"], +1)


__all__ = ["evaluate"]
