"""Panels, readings and their mirror images."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from aione.indicators.readings import Readings, compute_readings
from aione.panel import DAY_MS, MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1.run import Stage1Result, run_stage1
from config.settings import Settings, load_settings

END_MS = 1_747_742_400_000 + 37 * MINUTE_MS
SYMBOLS = ("BTCUSDT", "AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT")

ODD = [
    "slope_t",
    "htf_alignment",
    "taker_imbalance",
    "taker_imbalance_z",
    "vwap_dev_frac",
    "vwap_z",
    "body_frac",
    "ema_dist_5m",
    "ema_dist_15m",
    "ema_dist_1h",
    "ema_dist_4h",
    "relative_strength",
]
SWAPPED = [("plus_di", "minus_di"), ("upper_wick_frac", "lower_wick_frac"), ("bullish_div", "bearish_div")]
PRICES = ["open", "close", "prev_close", "vwap", "poc", "prev_day_close"]
PRICE_PAIRS = [
    ("high", "low"),
    ("vah", "val"),
    ("prev_day_high", "prev_day_low"),
    ("daily_resistance", "daily_support"),
    ("pivot_high", "pivot_low"),
    ("range_high_20", "range_low_20"),
    ("range_high_60", "range_low_60"),
    ("prev_range_high_20", "prev_range_low_20"),
]


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(environ={})


def random_panel(seed: int, symbols=SYMBOLS, bars: int = 1500, interval_ms: int = MINUTE_MS, end_ms: int = END_MS):
    """Closed bars of a random walk with a few regimes; prices near 100 (units: quote per base)."""
    rng = np.random.default_rng(seed)
    size = len(symbols)
    drift = np.repeat(rng.normal(0, 1.5e-4, (size, -(-bars // 100))), 100, axis=1)[:, :bars]
    close = 100.0 * np.exp(np.cumsum(drift + 1e-3 * rng.standard_t(4, (size, bars)), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 5e-4, (size, bars))))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 5e-4, (size, bars))))
    volume = rng.lognormal(3.0, 0.8, (size, bars))
    times = end_ms - interval_ms * np.arange(bars - 1, -1, -1)
    return BarPanel(
        *(tuple(symbols), times, open_, high, low, close, volume, volume * close),
        *(volume * rng.uniform(0.2, 0.8, (size, bars)), np.full((size, bars), 9.0), np.ones((size, bars), dtype=bool)),
        interval_ms,
    )


def daily_panel(seed: int, symbols=SYMBOLS, days: int = 30):
    """Days that end with the day before the last bar's."""
    end = END_MS // DAY_MS * DAY_MS - DAY_MS
    return random_panel(seed, symbols, days, DAY_MS, end)


def snapshot(symbols=SYMBOLS, **over) -> MarketSnapshot:
    size = len(symbols)
    known = {
        "tick_size": np.full(size, 0.001),
        "step_size": np.full(size, 0.01),
        "min_notional": np.full(size, 5.0),
        "spread_frac": np.full(size, 2e-4),
        "spread_median_frac": np.full(size, 2e-4),
        "depth_bid_quote": np.full(size, 2e5),
        "depth_ask_quote": np.full(size, 2e5),
        "open_interest_change_frac": np.linspace(-0.03, 0.03, size),
    }
    return MarketSnapshot.of(symbols, **(known | over))


def inputs(settings: Settings, panel: BarPanel, daily: BarPanel | None = None, **market):
    """Everything that `run_stage2` takes, but for the settings."""
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators, daily)
    shot = snapshot(panel.symbols, **market)
    return panel, daily, readings, shot, run_stage1(readings, shot, settings, {})


def alerted(stage1: Stage1Result) -> Stage1Result:
    return replace(stage1, alert=np.ones(len(stage1.symbols), dtype=np.bool_))


def mirrored_readings(readings: Readings, centre) -> Readings:
    """What the readings would be in the mirror: prices turned, signed ones negated, pairs swapped, the rest alike."""
    old = readings.values
    new = dict(old)
    new |= {name: -old[name] for name in ODD}
    new |= {name: -old[name] / (1 + 2 * old[name]) for name in ("return_15", "return_60")}
    new |= {name: 2 * centre - old[name] for name in PRICES}
    new |= {a: old[b] for pair in SWAPPED for a, b in (pair, pair[::-1])}
    new |= {a: 2 * centre - old[b] for pair in PRICE_PAIRS for a, b in (pair, pair[::-1])}
    new |= {"rsi": 100 - old["rsi"], "relative_strength_rank": 1 - old["relative_strength_rank"]}
    market = dict(readings.market)
    market |= {"btc_regime": -market["btc_regime"], "market_breadth": 1 - market["market_breadth"]}
    return Readings(readings.symbols, readings.open_time_ms, new, market)


def columns(result) -> dict[str, np.ndarray]:
    """Every array of a result by name, mappings and nested ones flattened."""
    found: dict[str, np.ndarray] = {}
    for field in fields(result):
        if field.name in {"grounds", "_told"}:
            continue
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            found[field.name] = value
        elif hasattr(value, "__dataclass_fields__"):
            found |= {f"{field.name}.{name}": column for name, column in columns(value).items()}
        elif isinstance(value, dict) and field.name != "tags":
            found |= {f"{field.name}.{name}": column for name, column in value.items()}
    return found


def numbers(value) -> list:
    """Every number inside of a view."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
