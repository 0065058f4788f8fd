"""What the tests of triggers share."""

from __future__ import annotations

from importlib import import_module

MIRROR = {
    "bull_vol_spike": "bear_vol_spike",
    "breakout_up": "breakout_down",
    "near_high": "near_low",
    "near_daily_resistance": "near_daily_support",
    "rsi_overbought": "rsi_oversold",
    "bearish_div": "bullish_div",
}


MIRROR |= {twin: name for name, twin in MIRROR.items()}


SURGE = {"volume_z": 3.75, "relative_volume": 1.5}


UP = {"close": 105.5, "prev_close": 105.0}


AWAY = {"vwap_z": 3.0, "close": 103.0, "prev_close": 101.0}
"""Three deviations of 1 above a VWAP of 100; the close before was one above it."""


# name: (what is changed in a calm market, side, value, threshold, strength)
FIRES = {
    "volume_spike": (SURGE, 0, 3.75, 2.5, 0.75),
    "bull_vol_spike": (SURGE | {"body_frac": 0.5, "taker_imbalance": 0.1}, 1, 3.75, 2.5, 0.75),
    "bear_vol_spike": (SURGE | {"body_frac": -0.5, "taker_imbalance": -0.1}, -1, 3.75, 2.5, 0.75),
    "volatility_burst": ({"true_range": 3.75}, 0, 3.75, 2.5, 0.75),
    "breakout_up": (UP, 1, 0.5, 0.1, 0.3 + 0.35 * 0.5),
    "breakout_down": ({"close": 94.5, "prev_close": 95.0}, -1, 0.5, 0.1, 0.3 + 0.35 * 0.5),
    "near_high": ({"close": 104.875, "prev_close": 104.0}, 0, 0.125, 0.25, 0.75),
    "near_low": ({"close": 95.125, "prev_close": 96.0}, 0, 0.125, 0.25, 0.75),
    "near_daily_resistance": ({"daily_resistance": 100.25, "prev_close": 99.0}, 0, 0.25, 0.25, 0.5),
    "near_daily_support": ({"daily_support": 100.0, "prev_close": 101.0}, 0, 0.0, 0.25, 1.0),
    "rsi_overbought": ({"rsi": 85.0}, -1, 85.0, 70.0, 0.75),
    "rsi_oversold": ({"rsi": 15.0}, 1, 15.0, 30.0, 0.75),
    "bullish_div": ({"bullish_div": 0.6}, 1, 0.6, 0.0, 0.6),
    "bearish_div": ({"bearish_div": 0.6}, -1, 0.6, 0.0, 0.6),
    "vwap_deviation": (AWAY, -1, 3.0, 2.0, 0.75),
    "order_imbalance": ({"taker_imbalance_z": -3.75}, -1, -3.75, 2.5, 0.75),
    "liquidity_gap": ({"spread_frac": 0.0009, "atr_frac": 0.004}, 0, 4.5, 3.0, 0.75),
}


def run(name, inputs):
    return import_module(f"aione.stage1.triggers.{name}").evaluate(inputs)
