"""`bearish_div`: price made a higher high that the RSI did not."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import divergence


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where two confirmed pivot highs disagree with the RSI at them; side -1.

    The mirror image of `bullish_div`.
    """
    return divergence(inputs.readings["bearish_div"], -1)


__all__ = ["evaluate"]
