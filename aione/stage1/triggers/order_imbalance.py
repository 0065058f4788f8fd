"""`order_imbalance`: takers lean to one side far more than usual."""

from __future__ import annotations

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import excess_strength, result, sign


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the z-score of the taker imbalance is ``imbalance_z`` or more from zero; the side is its sign.

    The value is signed, more selling than usual is negative.
    """
    score, least = inputs.readings["taker_imbalance_z"], inputs.thresholds["imbalance_z"]
    size = np.abs(score)
    strength = excess_strength(size, least)
    return result(
        size >= least,
        ~np.isnan(score),
        value=score,
        threshold=least,
        strength=strength,
        side=sign(score),
        names=("imbalance_z",),
    )


__all__ = ["evaluate"]
