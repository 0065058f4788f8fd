"""The nine directional factors: each in [-1, 1], +1 speaks for up, NaN is unknown.

Every factor is odd: prices mirrored and the taker's sides swapped turn its sign and nothing else.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aione.indicators.readings import Readings
from aione.panel import F8, MarketSnapshot
from aione.stage2.context import Context
from aione.stage2.numbers import clip01, clip11, known_mean

FACTORS: Final = (
    "trend",
    "momentum",
    "flow",
    "breakout",
    "location",
    "vwap",
    "divergence",
    "open_interest",
    "market",
)


def directional_factors(readings: Readings, market: MarketSnapshot, context: Context) -> F8:
    """Return every factor of every symbol, float64 (9, S) in the order of `FACTORS`."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.stack(
            [
                trend(readings),
                momentum(readings),
                flow(readings),
                breakout(readings),
                context.location,
                vwap(readings),
                divergence(readings),
                open_interest(readings, market),
                market_mood(readings),
            ]
        )


def moved(readings: Readings, bars: int) -> F8:
    """Return how far the close went in ``bars`` (15 or 60), in ATR times the root of their number, signed.

    Measured in price, so that it is odd. A random walk goes about 0.6 either way.
    """
    back = readings[f"return_{bars}"]
    way: F8 = back / (1.0 + back) / (readings["atr_frac"] * np.sqrt(bars))
    return way


def steady(readings: Readings) -> F8:
    """Return the slope of the last hour, in [-1, 1], as far as it was straight or went far."""
    slope: F8 = np.tanh(readings["slope_t"] / 10.0)
    return slope * clip01(np.fmax(readings["efficiency_ratio"] / 0.3, np.abs(moved(readings, 60))))


def trend(readings: Readings) -> F8:
    """Slope of the last hour as far as it was straight or went far, and alignment of the EMAs on 5m to 4h."""
    return known_mean([steady(readings), readings["htf_alignment"]], [0.6, 0.4])


def momentum(readings: Readings) -> F8:
    """RSI about 50 (20 points are full), and the balance of the directional indicators as far as ADX backs it."""
    plus, minus = readings["plus_di"], readings["minus_di"]
    balance = (plus - minus) / (plus + minus) * clip01(readings["adx"] / 25.0)
    return known_mean([clip11((readings["rsi"] - 50.0) / 20.0), clip11(2.0 * balance)], [0.6, 0.4])


def flow(readings: Readings) -> F8:
    """Taker imbalance in units of its own spread, as far as there is volume behind it."""
    pressure: F8 = np.tanh(readings["taker_imbalance_z"] / 1.5)
    return pressure * clip01(readings["relative_volume"] / 1.5)


def breakout(readings: Readings) -> F8:
    """How far the close is beyond the previous 20 bars, in ATR; beyond the 60 as well counts in full. 0 inside."""
    close, atr = readings["close"], readings["atr"]
    near = _beyond(close, readings["range_high_20"], readings["range_low_20"])
    far = _beyond(close, readings["range_high_60"], readings["range_low_60"])
    reach: F8 = np.tanh(2.0 * near / atr)
    return reach * np.where(np.abs(far) > 0.0, 1.0, 0.75)


def vwap(readings: Readings) -> F8:
    """Stretch from the session's VWAP, which pulls back: 0 within one standard deviation, full at three."""
    z = readings["vwap_z"]
    pull: F8 = clip01((np.abs(z) - 1.0) / 2.0)
    return -np.copysign(pull, z)


def divergence(readings: Readings) -> F8:
    """RSI divergence, bullish minus bearish."""
    return readings["bullish_div"] - readings["bearish_div"]


def open_interest(readings: Readings, market: MarketSnapshot) -> F8:
    """New positions confirm the move of the last hour, closed ones doubt it (2 % of change is about full)."""
    move: F8 = np.tanh(moved(readings, 60))
    return move * np.tanh(market.open_interest_change_frac / 0.02)


def market_mood(readings: Readings) -> F8:
    """BTC's regime as far as the symbol follows it, breadth of the universe, and strength against BTC."""
    like = np.ones_like(readings["close"])
    regime = like * readings.market.get("btc_regime", np.nan) * clip11(readings["beta_btc"])
    breadth = like * (2.0 * readings.market.get("market_breadth", np.nan) - 1.0)
    rank = 2.0 * readings["relative_strength_rank"] - 1.0
    return known_mean([clip11(regime), clip11(breadth), clip11(rank)], [0.4, 0.3, 0.3])


def _beyond(close: F8, top: F8, bottom: F8) -> F8:
    """Signed distance outside of a range; 0 inside, NaN where the range is unknown."""
    outside: F8 = np.maximum(close - top, 0.0) - np.maximum(bottom - close, 0.0)
    return outside


__all__ = ["FACTORS", "directional_factors", "moved", "steady"]
