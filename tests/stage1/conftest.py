"""Readings made by hand: a calm market in which nothing fires, unknown values, random ones, and the mirror image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from aione.indicators.readings import Readings
from aione.panel import MarketSnapshot
from aione.stage1.inputs import TriggerInput
from aione.stage1.thresholds import effective_thresholds
from config.settings import Settings, load_settings

BAR_MS = 1_750_000_020_000
CALM: Mapping[str, float] = {
    "close": 100.0,
    "prev_close": 100.0,
    "atr": 1.0,
    "atr_prev": 1.0,
    "atr_frac": 0.01,
    "true_range": 1.0,
    "range_high_20": 105.0,
    "range_low_20": 95.0,
    "range_high_60": 106.0,
    "range_low_60": 94.0,
    "prev_range_high_20": 105.0,
    "prev_range_low_20": 95.0,
    "volume_z": 0.0,
    "relative_volume": 1.0,
    "body_frac": 0.0,
    "taker_imbalance": 0.0,
    "taker_imbalance_z": 0.0,
    "rsi": 50.0,
    "vwap_z": 0.0,
    "vol_ratio": 1.0,
    "vol_ratio_p95": 2.0,
    "vol_ratio_prev": 1.0,
    "atr_percentile": 0.5,
    "vwap": 100.0,
    "bullish_div": 0.0,
    "bearish_div": 0.0,
    "daily_support": 90.0,
    "daily_resistance": 110.0,
    "bars_age": 0.0,
    "ready_frac": 1.0,
}
CALM_BOOK: Mapping[str, float] = {
    "spread_frac": 0.0002,
    "spread_median_frac": 0.0002,
    "depth_bid_quote": 100e3,
    "depth_ask_quote": 100e3,
    "depth_median_quote": 100e3,
}
MIRRORED_PRICES = {
    "close": "close",
    "prev_close": "prev_close",
    "vwap": "vwap",
    "range_high_20": "range_low_20",
    "range_high_60": "range_low_60",
    "prev_range_high_20": "prev_range_low_20",
    "daily_resistance": "daily_support",
}
MIRRORED_SIGNS = ("body_frac", "taker_imbalance", "taker_imbalance_z", "vwap_z")


class Market:
    """Rows of readings and book values, one a symbol; ``set`` changes one symbol's."""

    def __init__(self, *symbols: str, base: Mapping[str, float] | None = None) -> None:
        self.symbols = symbols or ("AUSDT", "BUSDT", "CUSDT")  # `take` makes the empty one
        size = len(self.symbols)
        self.values = {name: np.full(size, value) for name, value in {**CALM, **(base or {})}.items()}
        self.book = {name: np.full(size, value) for name, value in CALM_BOOK.items()}

    def set(self, symbol: str, **values: float) -> Market:
        row = self.symbols.index(symbol)
        for name, value in values.items():
            (self.book if name in self.book else self.values)[name][row] = value
        return self

    def blank(self, symbol: str) -> Market:
        return self.set(symbol, **dict.fromkeys((*CALM, *CALM_BOOK), np.nan))

    def take(self, *symbols: str) -> Market:
        rows = [self.symbols.index(symbol) for symbol in symbols]
        other = Market()
        other.symbols = symbols
        other.values = {name: column[rows] for name, column in self.values.items()}
        other.book = {name: column[rows] for name, column in self.book.items()}
        return other

    def mirrored(self) -> Market:
        """The same market upside down: prices are reflected at 128, buying is selling."""
        other = self.take(*self.symbols)
        for name, twin in MIRRORED_PRICES.items():
            other.values[name], other.values[twin] = 256.0 - self.values[twin], 256.0 - self.values[name]
        for name in MIRRORED_SIGNS:
            other.values[name] = -self.values[name]
        other.values["rsi"] = 100.0 - self.values["rsi"]
        other.values["bullish_div"], other.values["bearish_div"] = (
            self.values["bearish_div"],
            self.values["bullish_div"],
        )
        other.book["depth_bid_quote"], other.book["depth_ask_quote"] = (
            self.book["depth_ask_quote"],
            self.book["depth_bid_quote"],
        )
        return other

    @classmethod
    def random(cls, seed: int, size: int = 40, unknown: float = 0.05) -> Market:
        """Any market: values on a grid of 1/64 (so that mirroring is exact), some of them unknown."""
        rng = np.random.default_rng(seed)
        market = cls(*(f"S{row}USDT" for row in range(size)))

        def grid(low: float, high: float) -> np.ndarray:
            column = rng.integers(round(low * 64), round(high * 64), size, endpoint=True) / 64.0
            return np.where(rng.random(size) < unknown, np.nan, column)

        for name in CALM:
            market.values[name] = grid(-5.0, 5.0)
        for name in (*MIRRORED_PRICES, *MIRRORED_PRICES.values()):
            market.values[name] = grid(126.0, 130.0)
        for name in (
            "atr",
            "atr_prev",
            "true_range",
            "relative_volume",
            "vol_ratio",
            "vol_ratio_p95",
            "vol_ratio_prev",
        ):
            market.values[name] = grid(0.0, 4.0)
        market.values["atr_percentile"] = grid(0.0, 1.0)
        for name in ("body_frac", "taker_imbalance"):
            market.values[name] = grid(-1.0, 1.0)
        for name in ("bullish_div", "bearish_div"):
            market.values[name] = np.maximum(grid(-1.0, 1.0), 0.0)
        market.values["rsi"] = grid(0.0, 100.0)
        for name in CALM_BOOK:
            market.book[name] = grid(0.0, 8.0)
        return market

    def readings(self, bar_ms: int = BAR_MS) -> Readings:
        return Readings(symbols=self.symbols, open_time_ms=bar_ms, values=self.values, market={})

    def snapshot(self) -> MarketSnapshot:
        return MarketSnapshot.of(self.symbols, **self.book)

    def inputs(self, settings: Settings, **layers: Any) -> TriggerInput:
        thresholds = effective_thresholds(self.symbols, settings, **layers)
        return TriggerInput(self.readings(), self.snapshot(), thresholds)


def change(settings: Settings, **parts: Mapping[str, Any]) -> Settings:
    """Settings with keys inside constants changed: ``change(s, STAGE1_MONITOR_PARAMS={"alert_on": 0.7})``."""
    values = settings.model_dump()
    for constant, wanted in parts.items():
        values[constant] = _merged(values[constant], wanted)
    return Settings.model_validate(values)


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, Mapping):
        return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
    return over


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(environ={})


@pytest.fixture
def changed(settings: Settings) -> Callable[..., Settings]:
    return lambda **parts: change(settings, **parts)


@pytest.fixture(scope="session")
def market() -> type[Market]:
    return Market


@pytest.fixture
def bar_ms() -> int:
    return BAR_MS
