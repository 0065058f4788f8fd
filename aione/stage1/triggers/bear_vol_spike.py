"""`bear_vol_spike`: far more traded than usual, by sellers."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import sided_volume_surge


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return the volume spikes of bars that closed below their open while takers sold more than they bought; side -1.

    The mirror image of `bull_vol_spike`.
    """
    return sided_volume_surge(inputs, -1)


__all__ = ["evaluate"]
