"""Small recordings as files, for the tests of recorded markets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather

from aione.sim.market import DAY_MS, MINUTE_MS

HOUR_MS = 3_600_000
MAY_MS = int(pd.Timestamp("2025-05-01", tz="UTC").timestamp() * 1000)
NOW_MS = int(pd.Timestamp("2026-11-22 21:45:13", tz="UTC").timestamp() * 1000)


def minutes(count, start_ms=MAY_MS, seed=1, level=100.0):
    rng = np.random.default_rng(seed)
    close = np.round(level * np.exp(np.cumsum(rng.normal(0, 1e-3, count))), 2)
    opened = np.concatenate(([level], close[:-1]))
    frame = pd.DataFrame({"open": opened, "close": close})
    frame["high"] = np.round(frame.max(axis=1) + rng.uniform(0, 0.2, count), 2)
    frame["low"] = np.round(frame[["open", "close"]].min(axis=1) - rng.uniform(0, 0.2, count), 2)
    frame["volume"] = np.round(rng.uniform(1, 20, count), 3)
    frame["open_time"] = start_ms + np.arange(count) * MINUTE_MS
    return frame[["open_time", "open", "high", "low", "close", "volume"]]


def full(frame):
    """The archive's twelve columns."""
    out = frame.copy()
    out["close_time"] = out["open_time"] + MINUTE_MS - 1
    out["quote_volume"] = out["volume"] * out["close"] * 1.01
    out["count"] = 77
    out["taker_buy_volume"] = out["volume"] * 0.25
    out["taker_buy_quote_volume"] = out["quote_volume"] * 0.25
    out["ignore"] = 0
    return out


def save_feather(frame, path):
    out = frame.copy()
    out.insert(0, "date", pd.to_datetime(out.pop("open_time"), unit="ms", utc=True))
    feather.write_feather(pa.Table.from_pandas(out, preserve_index=False), path)


@pytest.fixture
def folder(tmp_path):
    """Ten days of two symbols in feather, with an 8 h funding rate and older days."""
    save_feather(minutes(14_400), tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    save_feather(minutes(14_000, MAY_MS + 3 * HOUR_MS, 2), tmp_path / "BTC_USDT_USDT-1m-futures.feather")
    older = minutes(5, seed=3)
    older["open_time"] = MAY_MS - np.arange(5, 0, -1) * DAY_MS
    save_feather(older, tmp_path / "AAA_USDT_USDT-1d-futures.feather")
    rates = minutes(20, seed=4)
    rates["open_time"] = MAY_MS + np.arange(20) * 8 * HOUR_MS
    rates["open"] = np.arange(20) * 1e-5
    save_feather(rates, tmp_path / "AAA_USDT_USDT-8h-funding_rate.feather")
    save_feather(rates, tmp_path / "AAA_USDT_USDT-8h-mark.feather")
    (tmp_path / "LICENSE").write_text("MIT")
    return tmp_path
