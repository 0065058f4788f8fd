"""`volume_spike`: far more traded than usual, whichever way."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import VolumeSurge, result


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where ``volume_z`` and ``relative_volume`` both reach their thresholds; no side.

    The value is the z-score of the bar's quote volume, or the relative volume where that alone is too low. The
    strength is 0.5 at the z-score's threshold and 1 at twice it.
    """
    surge = inputs.once(VolumeSurge.of)
    return result(
        surge.condition,
        surge.known,
        value=surge.value,
        threshold=surge.threshold,
        strength=surge.strength,
        names=surge.names,
        which=surge.which,
    )


__all__ = ["evaluate"]
