"""Compile every kernel once, into the cache on disk that all processes share."""

from __future__ import annotations

import numpy as np

from aione.indicators.readings import compute_readings
from aione.panel import MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1.run import run_stage1
from aione.stage2.run import run_stage2
from config.settings import load_settings


def compile_kernels() -> None:
    """Analyse a small market once; every kernel of the screening path is compiled by it."""
    settings = load_settings()
    panel = _small_market()
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators)
    market = MarketSnapshot.of(panel.symbols)
    run_stage2(panel, None, readings, market, run_stage1(readings, market, settings, {}), settings)


def _small_market(symbols: int = 3, bars: int = 1500) -> BarPanel:
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, (symbols, bars)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    volume = rng.lognormal(5.0, 1.0, (symbols, bars))
    return BarPanel(
        ("BTCUSDT", "ETHUSDT", "SOLUSDT")[:symbols],
        np.arange(bars, dtype=np.int64) * MINUTE_MS,
        open=opened,
        high=np.maximum(opened, close) * 1.0005,
        low=np.minimum(opened, close) * 0.9995,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=volume * 0.5,
        trade_count=np.full((symbols, bars), 10.0),
        valid=np.ones((symbols, bars), dtype=np.bool_),
    )


__all__ = ["compile_kernels"]
