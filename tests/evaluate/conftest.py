"""A market of four symbols over three days, seeded: long enough for an audit that crosses a midnight."""

from __future__ import annotations

import numpy as np
import pytest

from aione.evaluate.futures import Stretch
from aione.evaluate.standins import market_of
from aione.panel import BAR_RECORD, MINUTE_MS, BarPanel
from aione.panel.resample import resample
from config.settings import load_settings

FIRST_MS = 1_747_612_800_000  # a UTC midnight
SYMBOLS = ("BTCUSDT", "AUSDT", "NANUSDT", "BUSDT")
LOOKBACK = 600


def walked_panel(bars: int, seed: int = 3) -> BarPanel:
    rng = np.random.default_rng(seed)
    records = {}
    for symbol in SYMBOLS:
        rows = np.zeros(bars, dtype=BAR_RECORD)
        rows["open_time_ms"] = FIRST_MS + MINUTE_MS * np.arange(bars)
        close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_normal(bars)))
        rows["open"] = np.concatenate([[100.0], close[:-1]])
        wick = 5e-4 * np.abs(rng.standard_normal((2, bars)))
        rows["high"] = np.maximum(rows["open"], close) * (1.0 + wick[0])
        rows["low"] = np.minimum(rows["open"], close) * (1.0 - wick[1])
        rows["close"], rows["volume"] = close, rng.lognormal(3.0, 1.0, bars)
        rows["quote_volume"], rows["taker_buy_volume"] = close * rows["volume"], rows["volume"] * rng.random(bars)
        rows["trade_count"] = 5
        records[symbol] = rows if symbol != "NANUSDT" else rows[:0]
    return BarPanel.from_records(records, end_ms=FIRST_MS + MINUTE_MS * (bars - 1), bars=bars)


@pytest.fixture(scope="session")
def short_settings():
    return load_settings(environ={}, overrides={"SCREENING_LOOKBACK": LOOKBACK})


@pytest.fixture(scope="session")
def long_panel() -> BarPanel:
    return walked_panel(4 * 1440 + 100)


@pytest.fixture(scope="session")
def stretch(long_panel, short_settings) -> Stretch:
    """A hundred bars about the third midnight."""
    start = 3 * 1440 - 60
    return Stretch(long_panel, resample(long_panel, 1440), short_settings, market_of, start, start + 100)


def pytest_collection_modifyitems(items):
    """Leave time to compile every kernel on a fresh clone."""
    for item in items:
        if "tests/evaluate" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(600))
