"""The real recordings as a market."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from aione.sim.archive import read_directory
from aione.sim.market import DAY_MS, MINUTE_MS, SIM_BAR
from aione.sim.recorded import RecordedMarket

from .recorded_parts import HOUR_MS, NOW_MS
from .recorded_parts import folder as folder  # noqa: PLC0414  # a fixture


@pytest.mark.recorded
def test_sixteen_recorded_symbols_load_fast_and_equal_their_files(recordings):
    start = time.process_time()
    market = RecordedMarket(recordings / "usdm-2025-05", at_ms=None, now_ms=NOW_MS)
    assert time.process_time() - start < 5.0, "2 s on a quiet machine"
    assert len(market.listings(NOW_MS)) == 16
    assert {row.symbol: row.tick_size for row in market.listings(NOW_MS)}["BTCUSDT"] == "0.1"
    assert str(np.datetime64(market.window.start_ms, "ms")) == "2025-05-09T18:18:00.000"
    assert str(np.datetime64(market.window.end_ms - MINUTE_MS, "ms")) == "2025-06-03T15:31:00.000"
    shift = market.clock.shift_ms
    for row in market.listings(NOW_MS):
        path = recordings / "usdm-2025-05" / f"{row.base_asset}_USDT_USDT-1m-futures.feather"
        frame = pd.read_feather(path)
        frame["open_time"] = frame["date"].astype("datetime64[ms, UTC]").astype(np.int64) + shift
        frame = frame[(frame.open_time > NOW_MS - 1500 * MINUTE_MS) & (frame.open_time <= NOW_MS)]
        bars = market.bars(row.symbol, MINUTE_MS, NOW_MS - 1500 * MINUTE_MS, NOW_MS)
        assert len(bars) == 1500
        np.testing.assert_array_equal(bars["open_time_ms"], frame["open_time"])
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(bars[name], frame[name])


@pytest.mark.recorded
def test_recorded_days_reach_back_before_the_minutes(recordings):
    at = int(pd.Timestamp("2025-05-20 12:00", tz="UTC").timestamp() * 1000)
    market = RecordedMarket(recordings / "usdm-2025-05", at_ms=at, now_ms=at)
    days = market.bars("BTCUSDT", DAY_MS, at - 65 * DAY_MS, at)
    assert str(np.datetime64(int(days["open_time_ms"][0]), "ms")).startswith("2025-03-17")
    minute_bars = market.bars("BTCUSDT", MINUTE_MS, at - 3 * DAY_MS, at + DAY_MS)
    for day in days[-3:-1]:
        inside = minute_bars["open_time_ms"] // DAY_MS == day["open_time_ms"] // DAY_MS
        assert day["high"] == minute_bars["high"][inside].max()


@pytest.mark.recorded
def test_the_halt_of_march_2023_stays_a_gap(recordings, tmp_path):
    (tmp_path / "BTCUSDT-1m-2023-03-24.csv").symlink_to(recordings / "btc-spot-1m" / "BTCUSDT-1m-2023-03-24.csv")
    at = int(pd.Timestamp("2023-03-24 18:00", tz="UTC").timestamp() * 1000)
    market = RecordedMarket(tmp_path, at_ms=at, now_ms=at)
    bars = market.bars("BTCUSDT", MINUTE_MS, at - 10 * HOUR_MS, at)
    holes = np.flatnonzero(np.diff(bars["open_time_ms"]) != MINUTE_MS)
    assert len(holes) == 1
    hole = [str(np.datetime64(int(bars["open_time_ms"][row]), "ms"))[11:16] for row in (holes[0], holes[0] + 1)]
    assert hole == ["12:39", "14:00"]
    silent = int(pd.Timestamp("2023-03-24 13:10", tz="UTC").timestamp() * 1000)
    assert len(market.forming("BTCUSDT", silent)) == 0
    assert len(market.trades("BTCUSDT", silent, silent + HOUR_MS // 2)) == 0
    assert market.quote("BTCUSDT", silent).bid > 0


@pytest.mark.recorded
def test_the_real_microsecond_file_follows_the_millisecond_one(recordings, tmp_path):
    for day in ("2024-12-31", "2025-01-01"):
        name = f"BTCUSDT-1m-{day}.csv"
        (tmp_path / name).symlink_to(recordings / "btc-spot-1m" / name)
    bars = read_directory(tmp_path)["BTCUSDT"].minutes
    np.testing.assert_array_equal(np.diff(bars["open_time_ms"]), MINUTE_MS)
    assert len(bars) == 2880
    assert bars.dtype == SIM_BAR
    assert bars["trade_count"].min() >= 1
