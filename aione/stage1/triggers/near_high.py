"""`near_high`: the close rises towards the 20-bar high."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import approach


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the level is above the close by ``near_atr_mult`` ATR or less and the bar closed higher.

    The high is that of the previous 20 bars, this one excluded.
    Compared with the close of the bar before. No side, and never together with an approach from the other side;
    see `approach`.
    """
    return approach(inputs, inputs.readings["range_high_20"], +1)


__all__ = ["evaluate"]
