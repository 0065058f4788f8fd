"""`liquidity_gap`: the book is thin or the spread wide against their own recent past."""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.stage1.inputs import TriggerInput, TriggerResult
from aione.stage1.triggers._shape import ratio, result

LEAST_ATR: Final = 0.1


def evaluate(inputs: TriggerInput) -> TriggerResult:
    """Return where the spread or the depth is out of its own ordinary; no side.

    The spread above ``spread_median_mult`` times its median, or the depth of the thinner side below
    ``depth_median_frac`` of its median. A spread of no more than `LEAST_ATR` ATR is no gap, however many medians it
    is of a book whose median is a tick: its ratio stops at the threshold. Either is enough, so one of them may be
    unknown. The value is the ratio to the median of the condition that is further beyond its threshold, and the
    threshold is that condition's.
    """
    market, thresholds = inputs.market, inputs.thresholds
    wide, most = ratio(market.spread_frac, market.spread_median_frac), thresholds["spread_median_mult"]
    is_small = market.spread_frac <= LEAST_ATR * inputs.readings["atr_frac"]
    wide = np.where(is_small, np.minimum(wide, most), wide)
    thinner = np.minimum(market.depth_bid_quote, market.depth_ask_quote)
    thin, least = ratio(thinner, market.depth_median_quote), thresholds["depth_median_frac"]
    of_spread, of_depth = wide / most, 2.0 - ratio(thin, least)
    by_spread = np.isnan(of_depth) | (of_spread >= of_depth)
    degree = np.fmax(of_spread, of_depth)
    return result(
        degree > 1.0,
        ~np.isnan(degree),
        value=np.where(by_spread, wide, thin),
        threshold=np.where(by_spread, most, least),
        strength=0.5 * degree,
        names=("spread_median_mult", "depth_median_frac"),
        which=(~by_spread).astype(np.int8),
    )


__all__ = ["LEAST_ATR", "evaluate"]
