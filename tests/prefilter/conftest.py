"""A small exchange whose every metric is comfortable, so that a test spoils exactly what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aione.panel import DAY_MS
from aione.prefilter import Prefilter, PrefilterResult
from config.models import SymbolInfo
from config.settings import Settings, load_settings

NOW_MS = 1_750_000_000_000


def make_info(symbol: str, **other: Any) -> SymbolInfo:
    return SymbolInfo(
        **{
            "symbol": symbol,
            "base_asset": symbol.removesuffix("USDT"),
            "quote_asset": "USDT",
            "contract_type": "PERPETUAL",
            "underlying_type": "COIN",
            "status": "TRADING",
            "onboard_ms": NOW_MS - 400 * DAY_MS,
            "delivery_ms": 4_133_404_800_000,
            "tick_size": 0.01,
            "step_size": 0.001,
            **other,
        }
    )


def make_settings(**parts: Mapping[str, Any]) -> Settings:
    """Defaults with parts of the two prefilter constants changed; nothing relaxes unless a test asks for it."""
    base = load_settings(environ={}).model_dump()
    base["PREFILTER_BASE_PARAMS"].update({"min_symbols": 0, **parts.get("params", {})})
    base["STAGE1_PREFILTER_THRESHOLDS"].update(parts.get("floors", {}))
    base.update(parts.get("constants", {}))
    return Settings.model_validate(base)


class Exchange:
    """Symbols with good metrics; `spoil` changes one metric of one symbol."""

    GOOD: Mapping[str, float] = {
        "quote_volume_24h": 50e6,
        "range_frac_24h": 0.05,
        "spread_frac": 0.0002,
        "open_interest_quote": 20e6,
        "depth_quote": 200e3,
        "atr_frac": 0.001,
        "ready_frac": 1.0,
    }

    def __init__(self, *symbols: str) -> None:
        self.infos = [make_info(symbol) for symbol in symbols]
        self.metrics = {name: dict.fromkeys(symbols, value) for name, value in self.GOOD.items()}

    def spoil(self, symbol: str, **values: float | None) -> Exchange:
        for name, value in values.items():
            if value is None:
                del self.metrics[name][symbol]
            else:
                self.metrics[name][symbol] = value
        return self

    def run(self, settings: Settings | None = None, manual: tuple[str, ...] = ()) -> PrefilterResult:
        chain = Prefilter(self.infos, settings or make_settings(), NOW_MS, manual)
        chain.apply_bulk(self.metrics["quote_volume_24h"], self.metrics["range_frac_24h"], self.metrics["spread_frac"])
        chain.apply_open_interest(self.metrics["open_interest_quote"])
        chain.apply_depth(self.metrics["depth_quote"])
        chain.apply_history(self.metrics["atr_frac"], self.metrics["ready_frac"])
        return chain.result()


@pytest.fixture
def info() -> Callable[..., SymbolInfo]:
    return make_info


@pytest.fixture
def settings_with() -> Callable[..., Settings]:
    return make_settings


@pytest.fixture
def exchange() -> type[Exchange]:
    return Exchange


@pytest.fixture
def now_ms() -> int:
    return NOW_MS
