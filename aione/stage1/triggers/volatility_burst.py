"""`volatility_burst`: one bar far wilder than those before it, or the moment at which the volatility takes off."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import ratio, result


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where a bar is out of the ordinary, or the volatility ratio leaves its own ordinary; no side.

    A true range above ``burst_atr_mult`` ATR of the bar before, or a ``vol_ratio`` that rises above the 95th
    percentile of its own past: it is above it, and one bar earlier it was not. A volatility that stays high is a state
    of the market, not a burst. Either is enough, so one of them may be unknown.

    The value and the threshold reported are those of the bar's range, but those of the ratio where that is what fired
    and is further beyond its threshold (relatively), and where the range is unknown.
    """
    readings = inputs.readings
    bar, most = ratio(readings["true_range"], readings["atr_prev"]), inputs.thresholds["burst_atr_mult"]
    regime, usual = readings["vol_ratio"], readings["vol_ratio_p95"]
    of_bar, of_regime = bar / most, ratio(regime, usual)
    rises = (of_regime > 1.0) & (readings["vol_ratio_prev"] <= usual)
    known_regime = ~np.isnan(of_regime + readings["vol_ratio_prev"])
    by_regime = (rises & ~(of_bar >= of_regime)) | np.isnan(of_bar)
    return result(
        (of_bar > 1.0) | rises,
        known_regime | ~np.isnan(of_bar),
        value=np.where(by_regime, regime, bar),
        threshold=np.where(by_regime, usual, most),
        strength=0.5 * np.where(by_regime, of_regime, of_bar),
        names=("burst_atr_mult",),
        which=-by_regime.astype(np.int8),
    )


__all__ = ["evaluate"]
