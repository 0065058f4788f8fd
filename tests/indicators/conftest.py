"""Panels of the indicator tests: seeded random walks with every kind of trouble, and recorded bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather

from aione.panel import BarPanel

FIRST_MS = 1_747_699_200_000 - 7 * 60_000  # seven minutes before a UTC midnight
ROWS = ("BTCUSDT", "AAAUSDT", "GAPUSDT", "NANUSDT", "FLATUSDT", "TAKERLESSUSDT", "QUIETUSDT")


def panel_of(open_, high, low, close, volume, taker, symbols, first_ms=FIRST_MS):
    valid = ~np.isnan(close)
    return BarPanel(
        symbols=tuple(symbols),
        open_time_ms=first_ms + 60_000 * np.arange(close.shape[1]),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=taker,
        trade_count=np.ceil(volume),
        valid=valid,
    )


def random_panel(bars, seed=1, symbols=ROWS, first_ms=FIRST_MS):
    rng = np.random.default_rng(seed)
    shape = (len(symbols), bars)
    close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_normal(shape), axis=1))
    open_ = np.concatenate([np.full((shape[0], 1), 100.0), close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * (1.0 + 5e-4 * np.abs(rng.standard_normal(shape)))
    low = np.minimum(open_, close) * (1.0 - 5e-4 * np.abs(rng.standard_normal(shape)))
    volume = rng.lognormal(3.0, 1.0, shape)
    taker = volume * rng.random(shape)
    arrays = {"open": open_, "high": high, "low": low, "close": close, "volume": volume, "taker": taker}
    for row, symbol in enumerate(symbols):
        trouble(symbol, row, arrays, rng)
    return panel_of(
        arrays["open"],
        arrays["high"],
        arrays["low"],
        arrays["close"],
        arrays["volume"],
        arrays["taker"],
        symbols,
        first_ms,
    )


def trouble(symbol, row, arrays, rng):
    bars = arrays["close"].shape[1]
    if symbol == "GAPUSDT":
        for start, length in ((3, 1), (bars // 3, 7), (bars // 2, 1)):
            for array in arrays.values():
                array[row, start : start + length] = np.nan
    if symbol == "NANUSDT":
        for array in arrays.values():
            array[row] = np.nan
    if symbol == "FLATUSDT":
        for name in ("open", "high", "low", "close"):
            arrays[name][row] = 3.7
        arrays["volume"][row] = 12.5
        arrays["taker"][row] = 6.25
    if symbol == "TAKERLESSUSDT":
        arrays["taker"][row] = np.nan
    if symbol == "QUIETUSDT":  # a lively past, then hardly a tick
        later = bars // 2
        step = np.where(rng.random(bars - later) < 0.02, 1e-6, 0.0)
        level = arrays["close"][row, later - 1] * np.cumprod(1.0 + step)
        for name in ("open", "high", "low", "close"):
            arrays[name][row, later:] = level


@pytest.fixture(scope="session")
def make_panel():
    return random_panel


@pytest.fixture(scope="session")
def recorded_panel(recordings):
    """Two days of six recorded symbols; the recording has no quote volume and no taker side."""
    symbols = ("BTC", "ETH", "SOL", "XRP", "LTC", "ADA")
    columns = {name: [] for name in ("open", "high", "low", "close", "volume")}
    first_ms = 1_747_612_800_000
    for symbol in symbols:
        table = feather.read_table(recordings / "usdm-2025-05" / f"{symbol}_USDT_USDT-1m-futures.feather")
        times = table["date"].cast("int64").to_numpy() // 1_000_000
        start = int(np.searchsorted(times, first_ms))
        for name, rows in columns.items():
            rows.append(table[name].to_numpy()[start : start + 2880])
    arrays = {name: np.array(rows, dtype=np.float64) for name, rows in columns.items()}
    unknown = np.full_like(arrays["close"], np.nan)
    names = [f"{symbol}USDT" for symbol in symbols]
    return panel_of(*arrays.values(), unknown, names, first_ms)


def pytest_collection_modifyitems(items):
    """Leave time to compile: the first test of a fresh clone, on a busy machine, compiles every kernel."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))
