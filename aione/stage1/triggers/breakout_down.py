"""`breakout_down`: the close leaves the 20-bar range at the bottom."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import breakout


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the close is below the previous 20-bar low by ``breakout_atr_buffer`` ATR; side -1.

    The mirror image of `breakout_up`.
    """
    return breakout(inputs, -1)


__all__ = ["evaluate"]
