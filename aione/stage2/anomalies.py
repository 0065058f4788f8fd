"""What is odd about the last bar. Each is a warning of its own; none of them decides alone."""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.indicators.readings import Readings
from aione.panel import B1, BarPanel, MarketSnapshot
from aione.stage1.thresholds import EffectiveThresholds
from aione.stage2.cuts import Cuts
from config.models import RecoThresholds

ANOMALIES: Final = ("volume_spike", "wide_spread", "vwap_whipsaw", "wick_trap", "stale_data")

_WHIPSAW_BARS: Final = 30
_WHIPSAW_CROSSINGS: Final = 8
_TRAP_WICK: Final = 0.5


def anomalies(
    panel: BarPanel,
    readings: Readings,
    market: MarketSnapshot,
    in_force: EffectiveThresholds,
    thresholds: RecoThresholds | Cuts,
) -> dict[str, B1]:
    """Return each of `ANOMALIES` with where it holds, bool (S,); an unknown input is no anomaly.

    volume_spike
        ``volume_z`` at its Stage1 threshold.
    wide_spread
        Above ``high_spread_frac``, or above ``spread_median_mult`` times its own median.
    vwap_whipsaw
        At least 8 of the last 30 closes changed sides of where the VWAP now is.
    wick_trap
        The bar went beyond the previous 20-bar extreme, closed back inside, and half of it is that wick.
    stale_data
        The last bar is missing.
    """
    close, vwap = panel.close[:, -_WHIPSAW_BARS:], readings["vwap"]
    over = np.sign(close - vwap[:, None])
    crossings = (over[:, 1:] * over[:, :-1] < 0).sum(axis=1)
    spread = market.spread_frac
    return {
        "volume_spike": readings["volume_z"] >= in_force["volume_z"],
        "wide_spread": (spread > thresholds.high_spread_frac)
        | (spread > in_force["spread_median_mult"] * market.spread_median_frac),
        "vwap_whipsaw": crossings >= _WHIPSAW_CROSSINGS,
        "wick_trap": _trap(readings["high"], readings["range_high_20"], readings["close"], readings["upper_wick_frac"])
        | _trap(-readings["low"], -readings["range_low_20"], -readings["close"], readings["lower_wick_frac"]),
        "stale_data": ~(readings["bars_age"] == 0),
    }


def _trap(extreme: np.ndarray, edge: np.ndarray, close: np.ndarray, wick: np.ndarray) -> B1:
    held: B1 = (extreme > edge) & (close < edge) & (wick >= _TRAP_WICK)
    return held


__all__ = ["ANOMALIES", "anomalies"]
