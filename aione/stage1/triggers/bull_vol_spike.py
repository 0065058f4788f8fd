"""`bull_vol_spike`: far more traded than usual, by buyers."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import sided_volume_surge


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return the volume spikes of bars that closed above their open while takers bought more than they sold; side +1.

    Body and taker imbalance (of the last bars, not of this one alone) must agree; a source without taker volume
    never fires this.
    """
    return sided_volume_surge(inputs, +1)


__all__ = ["evaluate"]
