"""What a rule's condition may ask for: names and where their values come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from aione.indicators.readings import Readings
from aione.panel import F8, MarketSnapshot

_READINGS: Final = (
    "adx atr atr_frac atr_percentile atr_prev band_frac_20 band_position_20 bars_age bearish_div beta_btc body_frac"
    " bullish_div close corr_btc daily_resistance daily_support efficiency_ratio ema_dist_15m ema_dist_1h ema_dist_4h"
    " ema_dist_5m high htf_alignment low lower_wick_frac minus_di open pivot_high pivot_low plus_di poc prev_close"
    " prev_day_close prev_day_high prev_day_low prev_range_high_20 prev_range_low_20 quote_volume range_high_20"
    " range_high_60 range_low_20 range_low_60 ready_frac realized_vol relative_strength relative_strength_rank"
    " relative_volume return_15 return_60 rsi slope_t taker_imbalance taker_imbalance_z trade_count true_range"
    " upper_wick_frac vah val vol_ratio vol_ratio_p95 vol_ratio_prev volatility.max_30bar_move"
    " volatility.max_30bar_return volatility.max_5bar_move volatility.max_5bar_return volatility.max_60bar_move"
    " volatility.max_60bar_return volume volume_z vwap vwap_dev_frac vwap_z"
)
_NAMED: Final = {
    "volatility.atr_frac": "atr_frac",
    "volatility.atr_percentile": "atr_percentile",
    "volatility.realized_vol": "realized_vol",
    "volatility.vol_ratio": "vol_ratio",
    "regime.trend_slope": "slope_t",
    "regime.efficiency_ratio": "efficiency_ratio",
    "regime.htf_alignment": "htf_alignment",
    "regime.adx": "adx",
    "volume.z": "volume_z",
    "volume.relative": "relative_volume",
    "volume.taker_imbalance": "taker_imbalance",
    "volume.taker_imbalance_z": "taker_imbalance_z",
}
_MARKET: Final = {
    "market.breadth": "market_breadth",
    "btc.regime": "btc_regime",
    "btc.return_60": "btc_return_60",
    "btc.atr_percentile": "btc_atr_percentile",
}
_BOOK: Final = (
    "book.spread_frac",
    "book.spread_ratio",
    "book.depth_quote",
    "book.depth_ratio",
    "derivatives.funding_rate",
    "derivatives.open_interest_quote",
    "derivatives.open_interest_change_frac",
)

METRICS: Final = tuple(sorted({*_READINGS.split(), *_NAMED, *_MARKET, *_BOOK}))
"""Every name that a condition may use: indicators by their own names, and the dotted ones."""


def rule_metrics(readings: Readings, market: MarketSnapshot) -> Mapping[str, F8]:
    """Return every metric as one value a symbol, float64 (S,), by the names of `METRICS`; NaN is unknown.

    ``book.spread_ratio`` and ``book.depth_ratio`` are spread and depth over their own recent median; the depth is the
    smaller side's, unknown where either is.
    """
    like = np.ones(len(readings.symbols))
    depth = np.minimum(market.depth_bid_quote, market.depth_ask_quote)
    with np.errstate(divide="ignore", invalid="ignore"):
        book = {
            "book.spread_frac": market.spread_frac,
            "book.spread_ratio": market.spread_frac / market.spread_median_frac,
            "book.depth_quote": depth,
            "book.depth_ratio": depth / market.depth_median_quote,
            "derivatives.funding_rate": market.funding_rate,
            "derivatives.open_interest_quote": market.open_interest_quote,
            "derivatives.open_interest_change_frac": market.open_interest_change_frac,
        }
    named = {name: readings[own] for name, own in _NAMED.items()}
    whole = {name: like * readings.market.get(own, np.nan) for name, own in _MARKET.items()}
    return {**readings.values, **named, **whole, **book}


__all__ = ["METRICS", "rule_metrics"]
