"""What is odd about the last bar. Each is a warning of its own; none of them decides alone."""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.indicators.readings import Readings
from aione.panel import B1, F8, I8, BarPanel, MarketSnapshot
from aione.stage1.thresholds import EffectiveThresholds
from aione.stage2.cuts import Cuts
from aione.stage2.scenarios import MATERIAL_SPREAD_ATR
from config.models import RecoThresholds

ANOMALIES: Final = ("volume_spike", "wide_spread", "vwap_whipsaw", "wick_trap", "stale_data")

_WHIPSAW_BARS: Final = 30
_WHIPSAW_CROSSINGS: Final = 8
_TRAP_WICK: Final = 0.5
_TRAP_ATR: Final = 1.2


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
        Above ``high_spread_frac``, or above ``spread_median_mult`` times its own median and a tenth of an ATR.
    vwap_whipsaw
        At least 8 of the last 30 closes changed sides of where the VWAP now is.
    wick_trap
        The bar went beyond the previous 20-bar extreme, closed back inside, and half of it is that wick, which is
        1.2 ATR long at the least.
    stale_data
        The last bar is missing.
    """
    spread = market.spread_frac
    many = (spread > in_force["spread_median_mult"] * market.spread_median_frac) & (
        spread > MATERIAL_SPREAD_ATR * readings["atr_frac"]
    )
    least = _TRAP_ATR * readings["atr_prev"]
    high, low, close = readings["high"], readings["low"], readings["close"]
    return {
        "volume_spike": readings["volume_z"] >= in_force["volume_z"],
        "wide_spread": (spread > thresholds.high_spread_frac) | many,
        "vwap_whipsaw": _crossings(panel.close[:, -_WHIPSAW_BARS:], readings["vwap"]) >= _WHIPSAW_CROSSINGS,
        "wick_trap": _trap(high, readings["range_high_20"], close, readings["upper_wick_frac"], high - low, least)
        | _trap(-low, -readings["range_low_20"], -close, readings["lower_wick_frac"], high - low, least),
        "stale_data": ~(readings["bars_age"] == 0),
    }


def _crossings(close: F8, vwap: F8) -> I8:
    """Return how often ``close (S, N)`` changed sides of one price a symbol; one that closes on it changes none."""
    above, below = close > vwap[:, None], close < vwap[:, None]
    crossed: I8 = np.count_nonzero((above[:, 1:] & below[:, :-1]) | (below[:, 1:] & above[:, :-1]), axis=1)
    return crossed


def _trap(extreme: F8, edge: F8, close: F8, wick: F8, height: F8, least: F8) -> B1:
    held: B1 = (extreme > edge) & (close < edge) & (wick >= _TRAP_WICK) & (wick * height >= least)
    return held


__all__ = ["ANOMALIES", "anomalies"]
