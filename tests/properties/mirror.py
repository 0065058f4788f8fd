"""The market upside down: prices turned about a centre, takers, book and funding with their sides exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aione.panel import BarPanel, MarketSnapshot

TRIGGERS = {
    "breakout_up": "breakout_down",
    "bull_vol_spike": "bear_vol_spike",
    "near_high": "near_low",
    "near_daily_resistance": "near_daily_support",
    "rsi_overbought": "rsi_oversold",
    "bullish_div": "bearish_div",
}
TRIGGERS |= {there: here for here, there in TRIGGERS.items()}
"""A trigger and what it is in the mirror; any other stays itself."""

WORDS = {
    "BULLISH_BREAKOUT": "BEARISH_BREAKDOWN",
    "BULLISH_REVERSAL": "BEARISH_REVERSAL",
    "BULLISH_CONTROL": "BEARISH_CONTROL",
    "STRONG_BUY": "STRONG_SELL",
    "BUY_IN_DIPS": "SELL_ON_RALLIES",
}
WORDS |= {there: here for here, there in WORDS.items()}


def panel_in_mirror(panel: BarPanel, centre: float | np.ndarray) -> BarPanel:
    """The panel with prices turned about ``centre`` (one, or one a symbol) and takers on the other side."""
    centre = np.reshape(centre, (-1, 1))
    return replace(
        panel,
        open=2 * centre - panel.open,
        close=2 * centre - panel.close,
        high=2 * centre - panel.low,
        low=2 * centre - panel.high,
        taker_buy_volume=panel.volume - panel.taker_buy_volume,
    )


def market_in_mirror(at: Callable[[BarPanel], MarketSnapshot]) -> Callable[[BarPanel], MarketSnapshot]:
    """Depth on the other side, funding with the other sign; spread and open interest have no side."""

    def turned(window: BarPanel) -> MarketSnapshot:
        market = at(window)
        return replace(
            market,
            depth_bid_quote=market.depth_ask_quote,
            depth_ask_quote=market.depth_bid_quote,
            funding_rate=-market.funding_rate,
        )

    return turned
