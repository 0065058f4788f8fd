"""Recorded bars of 16 perpetuals and of BTC spot: the engine against TA-Lib and its definitions in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from aione.evaluate.agreement import readings_with_talib, with_oracles, with_profile, with_talib, wrong
from aione.evaluate.oracles import SymbolBars, divergence
from aione.evaluate.series import series
from aione.sim.panels import recorded_panels
from config.models import IndicatorParams

pytestmark = pytest.mark.recorded
PARAMS = IndicatorParams()
LOOKBACK = 1500
TAKER = {"taker_imbalance", "taker_imbalance_z"}


@pytest.fixture(scope="module")
def perpetuals(recordings):
    return recorded_panels(recordings / "usdm-2025-05")[0]


@pytest.fixture(scope="module")
def spot(recordings):
    """Ten weeks of BTC spot, which carries the taker's side, and no gap."""
    panel = recorded_panels(recordings / "btc-spot-1m")[0].window(110_000, 100_000)
    assert panel.valid.all()
    return panel


def test_talib_agrees_on_every_bar_of_sixteen_perpetuals(perpetuals):
    rows = with_talib(perpetuals, "perpetuals")
    assert list(wrong(rows)) == []
    assert sum(row.compared for row in rows) > 3_000_000


def test_talib_agrees_on_spot_up_to_four_hours(spot):
    rows = with_talib(spot, "spot")
    assert list(wrong(rows)) == []
    assert "ema 20 on 240 min" in {row.name for row in rows}


def test_a_screenings_short_memory_is_talibs_long_one(perpetuals):
    assert list(wrong(readings_with_talib(perpetuals, PARAMS, "perpetuals", LOOKBACK, 25))) == []


def test_the_definitions_agree_on_sixteen_perpetuals(perpetuals):
    rows = with_oracles(perpetuals, PARAMS, "perpetuals", LOOKBACK, 6)
    assert {row.name for row in rows if not row.agrees} == TAKER  # which the recording lacks
    assert all(row.only_one == 0 for row in rows)
    assert all(row.compared == 6 * 16 for row in rows if row.name not in TAKER)


def test_the_definitions_agree_on_spot_with_its_taker_side(spot):
    rows = with_oracles(spot, PARAMS, "spot", LOOKBACK, 40)
    assert list(wrong(rows)) == []


def test_the_volume_profile_agrees(perpetuals):
    for row in with_profile(perpetuals, PARAMS, "perpetuals", LOOKBACK, 5):
        assert row.agrees
        assert row.exact_frac > 0.9


@pytest.mark.parametrize(("name", "is_high"), [("bearish_div", True), ("bullish_div", False)])
def test_a_divergence_is_there_where_the_definition_has_one(perpetuals, name, is_high):
    """Every bar of half a day that has one, and as many that have none."""
    panel = perpetuals.window(4_000, 2_000)
    column = series(panel, PARAMS)[name]
    row = panel.symbols.index("ETHUSDT")
    late = np.arange(1_280, 2_000)
    fires = late[column[row, late] > 0.0]
    assert len(fires) >= 5
    for at in (*fires, *late[column[row, late] == 0.0][: len(fires)]):
        expected = divergence(SymbolBars.of(panel.until(int(at) + 1), row), is_high=is_high)
        assert (column[row, at] > 0.0) == (expected > 0.0), at
