"""A market of forty symbols in every state that a table can show."""

from __future__ import annotations

from random import Random

import pytest

from aione.publish.payload import SCHEMA_VERSION, Asset, Counters, Meta, Snapshot, asset_of

MINUTE = 60_000
BAR_MS = 29_000_000 * MINUTE
SIGNALS = {
    2: ("SOLUSDT", "long", "STRONG_BUY", "BULLISH_BREAKOUT", 0.78),
    5: ("1000PEPEUSDT", "short", "SELL_ON_RALLIES", "BEARISH_REVERSAL", 0.44),
    9: ("WIFUSDT", "short", "STRONG_SELL", "BEARISH_BREAKDOWN", 0.66),
}
TRIGGERS = ["breakout_up", "bull_vol_spike", "volatility_burst", "order_imbalance", "near_daily_resistance"]
STORY = (
    "closed beyond its 20-bar range on 4.1 times its usual volume. The plan risks 0.6 % for 1.3 % to the next hourly "
    "level, and is void if the bar closes back inside the range. Risk is medium: the spread is tight."
)


def _asset(number: int, random: Random) -> Asset:
    symbol = {0: "BTCUSDT", 39: "1000000MOGUSDT"}.get(number, f"COIN{number}USDT")
    price = random.uniform(0.001, 70_000)
    parts = {
        "symbol": symbol,
        "state": {30: "no_data", 33: "syncing", 35: "error", 37: "no_trade"}.get(number, "normal"),
        "rank": number + 1,
        "price": price,
        "price_str": f"{price:.4f}",
        "quote_volume": 1e10 / (number + 1),
        "stats": {
            "rsi": random.uniform(5, 95),
            "volume_z": random.gauss(0, 2),
            "change_24h_frac": random.gauss(0, 0.05),
        },
        "market_context": {"scenario": "HIGH_VOLATILITY"},
        "recommendation": "WAIT_FOR_CONFIRMATION",
        "reco_original": "STRONG_BUY" if number % 7 == 0 else None,
        "confidence_metrics": {"raw": random.uniform(0, 0.4)},
        "data_age_ms": 1500,
    }
    if number in SIGNALS:
        name, side, recommendation, scenario, confidence = SIGNALS[number]
        sign = 1 if side == "long" else -1
        parts |= {
            "symbol": name,
            "state": "alert",
            "signal": "ALERT_BUY" if side == "long" else "ALERT_SELL",
            "trigger_reasons": TRIGGERS[: number // 2],
            "recommendation": recommendation,
            "reco_original": None,
            "market_context": {"scenario": scenario},
            "confidence_metrics": {"raw": 0.1, "calibrated": confidence, "calibration": "v1"},
            "risk_parameters": {
                "side": side,
                "entry": price,
                "sl": price * (1 - 0.01 * sign),
                "tp": [price * (1 + 0.01 * k * sign) for k in (1, 2, 3)],
                "rr": 1.7,
            },
            "narrative": {"en": f"{name} {STORY}", "uk": f"{name} закрився за межами діапазону. Ризик помірний."},
        }
    if number == 20:
        parts |= {
            "trade": {
                "trade_id": "t",
                "side": "long",
                "state": "open",
                "entry": 1.0,
                "sl": 0.9,
                "tp": [1.1],
                "opened_ms": 1,
                "unrealised_r": -0.35,
            }
        }
    return asset_of(parts)


@pytest.fixture
def market() -> Snapshot:
    """Forty symbols: three signals, one trade, three without data, one that is not traded."""
    random = Random(4)
    assets = sorted((_asset(number, random) for number in range(40)), key=lambda asset: asset.symbol)
    meta = Meta(
        schema_version=SCHEMA_VERSION,
        epoch="e",
        seq=1284,
        ts=BAR_MS + MINUTE + 1800,
        source="screening",
        stale=False,
        bar_time_ms=BAR_MS,
    )
    counters = Counters(universe=512, screened=40, alerts=3, recommendations=3, open_trades=1, cycle=29_000_000)
    return Snapshot(meta=meta, counters=counters, assets=assets)
