"""Stage1 over recorded bars of the exchange, minute by minute."""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
import pytest

from aione.indicators.readings import compute_readings
from aione.panel import BAR_RECORD, DAY_MS, MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1 import MonitorState, run_stage1

pytestmark = pytest.mark.recorded

END_MS = int(pd.Timestamp("2025-05-20T12:00:00Z").timestamp() * 1000)
MINUTES = 180


def _records(path, start_ms, end_ms):
    frame = pd.read_feather(path)
    opened = frame["date"].dt.as_unit("ms").astype("int64").to_numpy()
    frame, opened = frame[(opened >= start_ms) & (opened <= end_ms)], opened[(opened >= start_ms) & (opened <= end_ms)]
    records = np.zeros(len(frame), BAR_RECORD)
    records["open_time_ms"] = opened
    for name in ("open", "high", "low", "close", "volume"):
        records[name] = frame[name]
    records["quote_volume"] = frame["close"] * frame["volume"]
    records["taker_buy_volume"] = np.nan
    return records


@pytest.fixture(scope="module")
def bars(recordings):
    folder = recordings / "usdm-2025-05"
    start_ms = END_MS - (1500 + MINUTES) * MINUTE_MS
    minute, day = {}, {}
    for path in sorted(folder.glob("*-1m-futures.feather")):
        symbol = path.name.split("_", 1)[0] + "USDT"
        minute[symbol] = _records(path, start_ms, END_MS)
        daily = path.with_name(path.name.replace("-1m-", "-1d-"))
        day[symbol] = _records(daily, 0, END_MS) if daily.is_file() else np.zeros(0, BAR_RECORD)
    return (
        BarPanel.from_records(minute, end_ms=END_MS, bars=1500 + MINUTES),
        BarPanel.from_records(day, end_ms=END_MS // DAY_MS * DAY_MS - DAY_MS, bars=40, interval_ms=DAY_MS),
    )


@pytest.fixture(scope="module")
def replayed(bars, settings):
    """Every minute's result, once with states in memory and once through JSON between any two bars."""
    panel, daily = bars
    kept, stored, results = {}, b"{}", []
    market = MarketSnapshot.of(panel.symbols)
    for stop in range(1500 + 1, 1500 + MINUTES + 1):
        window = panel.until(stop).tail(1500)
        readings = compute_readings(window, settings.STAGE1_MONITOR_PARAMS.indicators, daily)
        found = run_stage1(readings, market, settings, kept)
        kept = found.states
        revived = {name: MonitorState.from_dict(state) for name, state in orjson.loads(stored).items()}
        again = run_stage1(readings, market, settings, revived)
        stored = orjson.dumps({name: state.to_dict() for name, state in again.states.items()})
        results.append((found, again))
    return results


def test_a_restart_between_any_two_bars_changes_nothing(replayed):
    for found, again in replayed:
        np.testing.assert_array_equal(found.alert, again.alert)
        np.testing.assert_array_equal(found.announced, again.announced)
        assert dict(found.states) == dict(again.states)


def test_every_trigger_that_bars_alone_can_fire_fires_in_a_real_market_and_seldom(replayed):
    needs_takers_or_book = {"bull_vol_spike", "bear_vol_spike", "order_imbalance", "liquidity_gap"}
    share = {
        name: np.mean([found.triggers[name].fired.mean() for found, _ in replayed]) for name in replayed[0][0].triggers
    }
    for name, often in share.items():
        if name in needs_takers_or_book:
            assert often == 0.0, name
        elif "daily" not in name:
            assert 0.0 < often < 0.05, (name, often)


def test_alerts_are_few_and_announced_when_they_begin(replayed):
    alert = np.array([found.alert for found, _ in replayed])
    announced = np.array([found.announced for found, _ in replayed])
    assert all(found.scored.all() for found, _ in replayed)
    assert 0.0 < alert.mean() < 0.25
    assert 0 < announced.sum() < alert.sum()
    assert (announced <= alert).all()
