"""`near_daily_support`: the close falls towards the nearest daily level below."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import approach


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the level is below the close by ``near_atr_mult`` ATR or less and the bar closed lower.

    The level is the nearest below the close of the previous day's low, high and close and the confirmed daily pivots.
    Compared with the close of the bar before. No side, and never together with an approach from the other side;
    see `approach`.
    """
    return approach(inputs, inputs.readings["daily_support"], -1)


__all__ = ["evaluate"]
