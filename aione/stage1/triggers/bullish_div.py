"""`bullish_div`: price made a lower low that the RSI did not."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import divergence


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where two confirmed pivot lows disagree with the RSI at them; side +1.

    The indicators decide and measure it; the value is their strength in [0, 1], the threshold 0.
    """
    return divergence(inputs.readings["bullish_div"], +1)


__all__ = ["evaluate"]
