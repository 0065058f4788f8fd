"""Manipulation and anomalies on real bars: the worst of a year, the ordinary, a crash, and a book of a wild day."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import numpy as np
import orjson
import pytest

from aione.evaluate.walk import walk
from aione.indicators.readings import Readings
from aione.panel import MarketSnapshot
from aione.sim.panels import recorded_panels
from aione.stage2.scenarios import SCENARIOS, manipulation

pytestmark = pytest.mark.recorded

MADE = SCENARIOS.index("MANIPULATED")

WICKS = {
    "2023-12-15 03:16": 17.4,
    "2023-09-18 00:31": 11.5,
    "2023-10-12 16:26": 10.4,
    "2023-06-17 15:16": 9.7,
    "2023-11-26 12:25": 9.6,
}
"""BTCUSDT spot: minutes with the longest wicks of 2023 that closed far from them, in ATR of the minute before."""

ABSORBED = ["2023-12-10 16:43", "2023-12-27 09:51", "2023-04-25 04:51", "2023-04-23 18:29", "2023-12-04 01:08"]
"""BTCUSDT spot: minutes with the most volume against that before (z of 9 to 16) that moved less than half an ATR."""

MOVES = {
    "2023-11-20 14:11": "BEARISH_BREAKDOWN",
    "2023-06-18 23:00": "BEARISH_BREAKDOWN",
    "2023-10-15 20:41": "BULLISH_BREAKOUT",
    "2023-01-21 09:42": "BULLISH_BREAKOUT",
}
"""BTCUSDT spot: bars as long and as heavy as those, which closed where they went."""


PERPETUALS = [
    ("XMRUSDT", "2025-05-12 20:00"),
    ("BCHUSDT", "2025-05-15 00:38"),
    ("LTCUSDT", "2025-05-13 12:30"),
    ("AVAXUSDT", "2025-05-15 21:59"),
    ("LINKUSDT", "2025-05-10 21:04"),
    ("SOLUSDT", "2025-05-12 07:02"),
    ("ETCUSDT", "2025-05-16 20:00"),
]
"""The same of the perpetuals' first eight days; the last one with wicks on both sides, at 111 deviations of volume."""


@pytest.fixture(scope="module")
def perpetuals(recordings):
    return recorded_panels(recordings / "usdm-2025-05")[0]


@pytest.fixture(scope="module")
def spot(recordings):
    panel, _ = recorded_panels(recordings / "btc-spot-1m")
    return panel


def step_at(panel, minute, settings):
    at = int(datetime.strptime(minute, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000 - panel.open_time_ms[0])
    (step,) = walk(panel, None, settings, start=at // 60_000, stop=at // 60_000 + 1)
    return step


@pytest.mark.parametrize("minute", WICKS)
def test_the_longest_wicks_of_a_year_are_manipulation(spot, settings, minute):
    step = step_at(spot, minute, settings)
    values = step.readings
    wick = np.maximum(values["upper_wick_frac"], values["lower_wick_frac"]) * (values["high"] - values["low"])
    assert wick[0] / values["atr_prev"][0] == pytest.approx(WICKS[minute], abs=0.1)
    assert step.stage2.scenario_name(0) == "MANIPULATED"
    assert step.stage2.recommendation_name(0) == "AVOID"


@pytest.mark.parametrize(("symbol", "minute"), PERPETUALS)
def test_the_longest_wicks_of_the_perpetuals_are_manipulation(perpetuals, settings, symbol, minute):
    step = step_at(perpetuals, minute, settings)
    assert step.stage2.scenario_name(perpetuals.symbols.index(symbol)) == "MANIPULATED"


def test_few_bars_are_called_made(perpetuals, settings):
    """Half a day of sixteen symbols: about one bar in 2000."""
    made = traps = 0
    for step in walk(perpetuals, None, settings, start=3000, stop=3720):
        made += np.count_nonzero(step.stage2.scenario == MADE)
        traps += np.count_nonzero(step.stage2.anomalies["wick_trap"])
    assert 1 <= made <= 0.001 * 16 * 720
    assert made < traps <= 0.006 * 16 * 720


@pytest.mark.parametrize("minute", ABSORBED)
def test_the_heaviest_bars_of_a_year_that_moved_nothing_are_manipulation(spot, settings, minute):
    step = step_at(spot, minute, settings)
    assert step.readings["volume_z"][0] > 8.5
    assert step.readings["true_range"][0] < 0.5 * step.readings["atr_prev"][0]
    assert step.stage2.scenario_name(0) == "MANIPULATED"
    assert step.stage2.anomalies["volume_spike"][0]


@pytest.mark.parametrize("minute", MOVES)
def test_a_heavy_bar_that_closes_where_it_went_is_a_move(spot, settings, minute):
    step = step_at(spot, minute, settings)
    assert step.readings["true_range"][0] > 10 * step.readings["atr_prev"][0]
    assert step.stage2.scenario_name(0) == MOVES[minute]


def test_a_wick_that_went_beyond_the_range_and_came_back_is_a_trap(spot, settings):
    assert step_at(spot, "2023-09-18 00:31", settings).stage2.anomalies["wick_trap"][0]
    assert step_at(spot, "2023-11-26 12:25", settings).stage2.anomalies["wick_trap"][0]
    assert not step_at(spot, "2023-11-20 14:11", settings).stage2.anomalies["wick_trap"][0]  # closed beyond


def test_a_crash_is_violent_but_not_made(spot, settings):
    """2024-08-05: BTC fell by a sixth and came back; every fifth minute of its second half."""
    made = traps = asked = 0
    first = int(datetime(2024, 8, 5, 12, tzinfo=UTC).timestamp() * 1000 - spot.open_time_ms[0]) // 60_000
    for at in range(first, first + 720, 5):
        (step,) = walk(spot, None, settings, start=at, stop=at + 1)
        asked += 1
        made += int(step.stage2.scenario[0] == MADE)
        traps += int(step.stage2.anomalies["wick_trap"][0])
    assert asked == 144
    assert made <= 1
    assert traps <= 4


def test_a_spread_of_many_ticks_is_nothing_until_it_costs(recordings):
    """BTCUSDT, 6 minutes of 2024-08-08: 3 % of its quotes are wider than 8 medians, nearly all still below 1 bp.

    A minute moved about 8 bp then. The widest quotes, 2 to 4 bp, are a blow-out.
    """
    spreads = []
    with gzip.open(recordings / "ws-usdm-2024-08-08" / "usdm_btcusdt_20240808.gz", "rb") as lines:
        for line in lines:
            if b"bookTicker" in line:
                quote = orjson.loads(line[line.index(b"{") :])["data"]
                if quote.get("e") == "bookTicker":
                    bid, ask = float(quote["b"]), float(quote["a"])
                    spreads.append(2.0 * (ask - bid) / (ask + bid))
    spread = np.array(spreads)
    median = np.full_like(spread, np.median(spread))
    assert np.mean(spread > 8 * median) > 0.02
    symbols = tuple(map(str, range(len(spread))))
    unknown = dict.fromkeys(
        ("upper_wick_frac", "lower_wick_frac", "high", "low", "true_range", "atr_prev", "volume_z"),
        np.full_like(spread, np.nan),
    )
    readings = Readings(symbols, 0, unknown | {"atr_frac": np.full_like(spread, 8e-4)}, {})
    score = manipulation(readings, MarketSnapshot.of(symbols, spread_frac=spread, spread_median_frac=median))
    assert 0 < np.mean(score >= 0.3) < 0.003
    assert spread[score >= 0.3].min() > 1e-4
    assert score[spread.argmax()] == 1.0
