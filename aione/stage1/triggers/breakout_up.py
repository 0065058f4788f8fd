"""`breakout_up`: the close leaves the 20-bar range at the top."""

from __future__ import annotations

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import breakout


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the close is above the previous 20-bar high by ``breakout_atr_buffer`` ATR; side +1.

    The close before must lie inside, at or below the 20-bar high as seen from its own bar, so a breakout fires on
    the bar that breaks out and not again while the move runs on.

    The value is the distance beyond the high in ATR. The strength is 0.3, plus up to 0.35 for the 60-bar high (none
    one ATR or more below it, all of it at or above it), plus up to 0.35 for the volume (all of it at twice the
    ``volume_z`` threshold); what is unknown of the latter two adds nothing. So a 20-bar breakout alone, of which every
    symbol has dozens a day, is no alert.
    """
    return breakout(inputs, +1)


__all__ = ["evaluate"]
