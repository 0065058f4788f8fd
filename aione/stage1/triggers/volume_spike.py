"""`volume_spike`: far more traded than usual, whichever way."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import result, volume_surge


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where ``volume_z`` and ``relative_volume`` both reach their thresholds; no side.

    The value is the z-score of the bar's quote volume; the strength is 0.5 at the threshold and 1 at twice it.
    """
    condition, known, score, least, strength = volume_surge(inputs)
    return result(condition, known, value=score, threshold=least, strength=strength)


__all__ = ["evaluate"]
