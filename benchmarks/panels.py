"""Seeded markets that the benchmarks of the indicators share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aione.panel import DAY_MS, BarPanel, MarketSnapshot

FIRST_OPEN_MS = 1_747_742_400_000


def random_walk(symbols: int, bars: int, seed: int = 7) -> BarPanel:
    """A market of random walks with one common factor, the benchmark first."""
    rng = np.random.default_rng(seed)
    steps = 1e-3 * (rng.standard_normal((symbols, bars)) + 0.5 * rng.standard_normal(bars))
    close = 100.0 * np.exp(np.cumsum(steps, axis=1))
    open_ = np.concatenate([np.full((symbols, 1), 100.0), close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * (1.0 + 5e-4 * np.abs(rng.standard_normal((symbols, bars))))
    low = np.minimum(open_, close) * (1.0 - 5e-4 * np.abs(rng.standard_normal((symbols, bars))))
    volume = rng.lognormal(3.0, 1.0, (symbols, bars))
    return BarPanel(
        symbols=("BTCUSDT", *(f"S{i:04d}USDT" for i in range(1, symbols))),
        open_time_ms=FIRST_OPEN_MS + 60_000 * np.arange(bars),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=volume * rng.random((symbols, bars)),
        trade_count=np.ceil(volume),
        valid=np.ones((symbols, bars), dtype=np.bool_),
    )


def days_before(panel: BarPanel, days: int = 60) -> BarPanel:
    """Daily bars that end where the panel's last day begins, at about its prices."""
    walk = random_walk(len(panel.symbols), days, seed=11)
    level = panel.close[:, -1:] / walk.close[:, -1:]
    midnight = int(panel.open_time_ms[-1]) // DAY_MS * DAY_MS
    return replace(
        walk,
        open_time_ms=midnight - DAY_MS * np.arange(days, 0, -1),
        interval_ms=DAY_MS,
        **{name: getattr(walk, name) * level for name in ("open", "high", "low", "close")},
    )


def market_of(panel: BarPanel) -> MarketSnapshot:
    ones = np.ones(len(panel.symbols))
    close = panel.close[:, -1]
    return MarketSnapshot.of(
        panel.symbols,
        tick_size=0.001 * ones,
        step_size=0.1 * ones,
        bid=close * 0.9999,
        ask=close * 1.0001,
        spread_frac=2e-4 * ones,
        spread_median_frac=2e-4 * ones,
        depth_bid_quote=2e5 * ones,
        depth_ask_quote=2e5 * ones,
        depth_median_quote=2e5 * ones,
    )
