"""`volatility_burst`: one bar, or the last quarter of an hour, far wilder than what came before."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import ratio, result


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the true range or the volatility ratio is out of its own ordinary; no side.

    True range above ``burst_atr_mult`` ATR of the bar before, or ``vol_ratio`` above the 95th percentile of its own
    past. Either is enough, so one of them may be unknown. The value and the threshold reported are those of the
    condition that is further beyond its threshold (relatively).
    """
    readings = inputs.readings
    bar, most = ratio(readings["true_range"], readings["atr_prev"]), inputs.thresholds["burst_atr_mult"]
    regime, usual = readings["vol_ratio"], readings["vol_ratio_p95"]
    of_bar, of_regime = bar / most, ratio(regime, usual)
    by_bar = np.isnan(of_regime) | (of_bar >= of_regime)
    degree = np.fmax(of_bar, of_regime)
    return result(
        degree > 1.0,
        ~np.isnan(degree),
        value=np.where(by_bar, bar, regime),
        threshold=np.where(by_bar, most, usual),
        strength=0.5 * degree,
    )


__all__ = ["evaluate"]
