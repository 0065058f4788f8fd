"""What each factor, each quality and the manipulation score is made of, by the names of their sources.

``readings.<name>``
    `aione.indicators.readings.Readings`, one value a symbol.
``universe.<name>``
    ``Readings.market``, one value for all.
``market.<name>``
    `aione.panel.MarketSnapshot`: order book and derivatives.
``levels.<name>``
    `aione.stage2.levels.Levels`, made of the bars.

An input that is missing makes what it goes into unknown, or leaves that to the other inputs; it is never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MOVED_60: Final = ("readings.return_60", "readings.atr_frac")
_LEVELS: Final = ("levels.support", "levels.resistance")

FACTOR_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "trend": ("readings.htf_alignment", "readings.slope_t", "readings.efficiency_ratio", *_MOVED_60),
    "momentum": ("readings.rsi", "readings.plus_di", "readings.minus_di", "readings.adx"),
    "flow": ("readings.taker_imbalance_z", "readings.relative_volume"),
    "breakout": (
        "readings.close",
        "readings.atr",
        "readings.range_high_20",
        "readings.range_low_20",
        "readings.range_high_60",
        "readings.range_low_60",
    ),
    "location": ("readings.close", *_LEVELS),
    "vwap": ("readings.vwap_z",),
    "divergence": ("readings.bullish_div", "readings.bearish_div"),
    "open_interest": ("market.open_interest_change_frac", *_MOVED_60),
    "market": (
        "universe.btc_regime",
        "universe.market_breadth",
        "readings.beta_btc",
        "readings.relative_strength_rank",
    ),
}

QUALITY_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "liquidity": ("market.spread_frac", "market.depth_bid_quote", "market.depth_ask_quote"),
    "volatility": ("readings.atr_percentile",),
    "levels": ("levels.support_strength", "levels.resistance_strength"),
    "data": ("readings.ready_frac", "readings.bars_age"),
}
"""``data`` also counts the factors that are known."""

MANIPULATION_INPUTS: Final = (
    "readings.upper_wick_frac",
    "readings.lower_wick_frac",
    "readings.high",
    "readings.low",
    "readings.true_range",
    "readings.atr_prev",
    "readings.volume_z",
    "readings.atr_frac",
    "market.spread_frac",
    "market.spread_median_frac",
)

__all__ = ["FACTOR_INPUTS", "MANIPULATION_INPUTS", "QUALITY_INPUTS"]
