"""Sound bars of a few symbols as raw records, and Great Expectations loaded once."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from aione.panel import BAR_RECORD, MINUTE_MS
from config.models import QualityParams

END_MS = 1_747_742_400_000
SYMBOLS = ("AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT")


def sound_records(seed=0, bars=180, end_ms=END_MS, symbols=SYMBOLS):
    """Bars as the exchange makes them: every relation between their fields holds; a few minutes without a trade."""
    rng = np.random.default_rng(seed)
    found = {}
    for symbol in symbols:
        rows = np.zeros(bars, BAR_RECORD)
        rows["open_time_ms"] = end_ms - MINUTE_MS * np.arange(bars - 1, -1, -1)
        close = 10.0 ** rng.uniform(-5, 5) * np.exp(np.cumsum(1e-3 * rng.standard_t(4, bars)))
        quiet = rng.random(bars) < 0.05
        quiet[0] = False
        for at in np.flatnonzero(quiet):
            close[at] = close[at - 1]
        opened = np.concatenate([close[:1], close[:-1]])
        wick = np.where(quiet, 0.0, rng.exponential(1e-3, bars))
        rows["open"], rows["close"] = opened, close
        rows["high"], rows["low"] = np.maximum(opened, close) * (1 + wick), np.minimum(opened, close) * (1 - wick)
        rows["volume"] = np.where(quiet, 0.0, rng.lognormal(3.0, 1.0, bars))
        share = rng.random(bars)
        rows["quote_volume"] = rows["volume"] * (rows["low"] + share * (rows["high"] - rows["low"]))
        rows["taker_buy_volume"] = rows["volume"] * rng.random(bars)
        rows["trade_count"] = np.where(quiet, 0, rng.integers(1, 500, bars))
        found[symbol] = rows
    return found


@pytest.fixture
def records():
    return sound_records()


@pytest.fixture
def params():
    return QualityParams()


@pytest.fixture(scope="session")
def suites():
    """The module with the suites, which takes seconds to load."""
    return importlib.import_module("aione.quality.suites")
