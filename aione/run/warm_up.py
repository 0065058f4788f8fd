"""Compile every kernel once, into the cache on disk that all processes share.

Numba compiles a kernel when it is first called with arguments of new types; the cycle, the rescan and the stream worker
must never be the ones that wait for it. So each kernel that any of them calls is called here, on a small market: with
gaps and without, with daily bars and without, as a batch and bar by bar.
"""

from __future__ import annotations

import numpy as np

from aione.indicators.incremental import IncrementalReadings
from aione.indicators.profile import volume_profile
from aione.indicators.readings import compute_readings
from aione.indicators.structure import pivot_levels
from aione.panel import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, BarPanel, MarketSnapshot
from aione.stage1.run import run_stage1
from aione.stage2.run import run_stage2
from config.models import IndicatorParams
from config.settings import Settings, load_settings


def compile_kernels() -> None:
    """Analyse a small market once, as the cycle does and as the stream worker does."""
    settings = load_settings()
    panel, daily = _small_market(), _small_market(bars=40, interval_ms=DAY_MS)
    for days in (None, daily):
        _analyse(panel, days, settings)
    volume_profile(panel)
    pivot_levels(panel.high, panel.low)
    _follow(panel, daily, settings.STAGE1_MONITOR_PARAMS.indicators)


def _analyse(panel: BarPanel, daily: BarPanel | None, settings: Settings) -> None:
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators, daily)
    market = MarketSnapshot.of(panel.symbols)
    run_stage2(panel, daily, readings, market, run_stage1(readings, market, settings, {}), settings)


def _follow(panel: BarPanel, daily: BarPanel, params: IndicatorParams) -> None:
    """Push one bar, look at a forming one, correct one."""
    following = IncrementalReadings(panel.until(panel.shape[1] - 2), params, daily)
    bars = np.zeros(len(panel.symbols), dtype=BAR_RECORD)
    for at in (-2, -1):
        bars["open_time_ms"] = panel.open_time_ms[at]
        for name in VALUE_FIELDS:
            bars[name] = getattr(panel, name)[:, at]
        following.live_peek(panel.symbols[0], bars[0])
        following.push(int(panel.open_time_ms[at]), bars)
    following.correct(panel.symbols[0], bars[:1])


def _small_market(bars: int = 1500, interval_ms: int = MINUTE_MS) -> BarPanel:
    """Three symbols, of which one has a gap."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, (3, bars)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    volume = rng.lognormal(5.0, 1.0, (3, bars))
    arrays = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.0005,
        "low": np.minimum(opened, close) * 0.9995,
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "taker_buy_volume": volume * 0.5,
        "trade_count": np.full((3, bars), 10.0),
    }
    for array in arrays.values():
        array[2, bars // 2] = np.nan
    return BarPanel(
        ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
        interval_ms * np.arange(bars, dtype=np.int64),
        valid=~np.isnan(close),
        interval_ms=interval_ms,
        **arrays,
    )


__all__ = ["compile_kernels"]
