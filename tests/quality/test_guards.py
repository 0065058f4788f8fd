"""Guards on panels: shapes, unknown values, symbols apart, recorded markets without a false alarm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.panel import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, BarPanel
from aione.quality import UniverseRows, check_bars, check_history, count_unsound, look
from aione.quality.rules import rules_of
from aione.sim.archive import read_directory
from config.models import QualityParams

from .conftest import END_MS, SYMBOLS, sound_records
from .corpus import HOUR_DEFECTS, IMPROBABLE


def panel_of(bars=180, **defects):
    records = sound_records(3, bars=bars)
    for symbol, (name, at) in defects.items():
        records[symbol] = HOUR_DEFECTS[name](records[symbol], at)
    return BarPanel.from_records(records, end_ms=END_MS, bars=bars)


def rows_of(symbols):
    size = len(symbols)
    ones = np.ones(size)
    return UniverseRows(tuple(symbols), ("TRADING",) * size, ones, ones, ones, np.full(size, 1_600_000_000_000))


def test_a_look_names_symbol_rule_minute_value_and_bound(params):
    panel = panel_of(BUSDT=("a price is negative", -10), CUSDT=("volume is negative", 20))
    looked = look(panel, np.zeros(5, np.int64), rows_of(SYMBOLS), END_MS, params)
    assert [(one.symbol, one.rule, one.count, one.at_ms, one.value, one.bound) for one in looked.findings] == [
        ("BUSDT", "price_not_positive", 1, END_MS - 9 * MINUTE_MS, -1.0, 0.0),
        ("BUSDT", "unsound_bars", 1, END_MS - 9 * MINUTE_MS, 1.0, 0.0),
        ("CUSDT", "unsound_bars", 1, END_MS - 159 * MINUTE_MS, 1.0, 0.0),
    ]
    assert looked.symbols == dict.fromkeys(("hour", "history", "universe"), frozenset(SYMBOLS))


def test_a_symbol_without_bars_is_not_said_to_be_sound(params):
    records = sound_records(3)
    records["BUSDT"] = records["BUSDT"][:0]
    records["CUSDT"] = records["CUSDT"][:60]
    looked = look(
        BarPanel.from_records(records, end_ms=END_MS, bars=180), np.zeros(5, np.int64), rows_of(SYMBOLS), END_MS, params
    )
    assert looked.symbols["hour"] == {"AUSDT", "DUSDT", "EUSDT"}
    assert looked.symbols["history"] == {"AUSDT", "CUSDT", "DUSDT", "EUSDT"}
    assert looked.symbols["universe"] == set(SYMBOLS)


@pytest.mark.parametrize("bars", [0, 1, 2])
def test_very_short_panels_are_looked_at(params, bars):
    panel = panel_of().tail(bars) if bars else BarPanel.from_records({}, end_ms=END_MS, bars=0)
    rows = rows_of(panel.symbols)
    assert look(panel, np.zeros(len(panel.symbols), np.int64), rows, END_MS, params).findings == ()


def test_what_a_source_lacks_breaks_nothing(params):
    panel = panel_of()
    unknown = np.full(panel.shape, np.nan)
    bare = replace(panel, quote_volume=unknown, taker_buy_volume=unknown, trade_count=unknown)
    assert check_bars(bare, params) == []
    assert count_unsound(bare, params)[0].tolist() == [0] * 5


@pytest.mark.parametrize("name", [name for name in HOUR_DEFECTS if name not in IMPROBABLE and "minute" not in name])
def test_what_breaks_a_rule_of_arithmetic_is_unsound_also_by_the_quick_test_of_a_block(params, name):
    """The quick test of sixteen symbols must not pass what the rules refuse: the broken one is among sound ones."""
    records = sound_records(8, bars=90, symbols=[f"S{number}" for number in range(40)])
    records["S21"] = HOUR_DEFECTS[name](records["S21"], 50)
    counts, newest_ms = count_unsound(BarPanel.from_records(records, end_ms=END_MS, bars=90), params)
    assert counts.tolist() == [int(number == 21) for number in range(40)]
    assert newest_ms[21] == END_MS - 39 * MINUTE_MS


def test_symbols_do_not_leak(params):
    panel = panel_of(bars=60, BUSDT=("a decimal point has moved", 30), DUSDT=("open is above high", 5))
    turned = panel.take(panel.symbols[::-1])
    assert sorted(check_bars(panel, params), key=repr) == sorted(check_bars(turned, params), key=repr)
    alone = panel.take(["BUSDT"])
    assert check_bars(alone, params) == [one for one in check_bars(panel, params) if one.symbol == "BUSDT"]


def test_bars_that_the_exchange_does_not_have_are_no_holes(params):
    records = sound_records(3)
    records["AUSDT"] = np.delete(records["AUSDT"], range(40, 60))
    panel = BarPanel.from_records(records, end_ms=END_MS, bars=180)
    holes = np.array([20, 0, 0, 0, 0])
    assert [one.rule for one in check_history(panel, holes, params)] == ["holes"]
    assert [one.rule for one in check_history(panel, holes * 0, params)] == ["absent_share"]


def test_a_rule_that_nobody_knows_cannot_be_off():
    with pytest.raises(InvalidInput, match="named 'moon'"):
        rules_of("hour", QualityParams(off=("moon",)))


def test_columns_of_a_universe_have_one_length():
    with pytest.raises(InvalidInput, match="tick_size must have 1 rows, had 2"):
        UniverseRows(("A",), ("TRADING",), np.ones(2), np.ones(1), np.ones(1), np.ones(1, np.int64))


def test_the_minute_loads_neither_pandas_nor_great_expectations():
    code = (
        "import sys; import aione.screening.cycle, aione.screening.load, aione.run.scan, tasks.screening, "
        "flows.quality; print([name for name in ('great_expectations', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ── Recorded markets ──


def recorded(minutes):
    """Return recorded minutes as records."""
    rows = np.zeros(len(minutes), BAR_RECORD)
    for name in ("open_time_ms", *VALUE_FIELDS):
        rows[name] = minutes[name]
    return rows


def days(recordings, folder):
    """Yield a recording as panels of a day, with the time of each."""
    found = {symbol: recorded(one.minutes) for symbol, one in read_directory(recordings / folder).items()}
    first = min(int(rows["open_time_ms"][0]) for rows in found.values()) // 86_400_000
    last = max(int(rows["open_time_ms"][-1]) for rows in found.values()) // 86_400_000
    for day in range(first, last + 1):
        yield BarPanel.from_records(found, end_ms=(day + 1) * 86_400_000 - MINUTE_MS, bars=1440)


@pytest.mark.recorded
def test_a_month_of_sixteen_perpetuals_raises_no_alarm(recordings, params):
    panels = list(days(recordings, "usdm-2025-05"))
    assert sum(int(panel.valid.sum()) for panel in panels) > 700_000
    assert [one for panel in panels for one in check_bars(panel, params)] == []


@pytest.mark.recorded
def test_the_halt_of_march_2023_is_the_only_alarm_of_a_year_of_spot(recordings, params):
    found = [one for panel in days(recordings, "btc-spot-1m") for one in check_bars(panel, params)]
    assert {one.rule for one in found} == {"price_frozen"}
    assert [str(np.datetime64(one.at_ms, "ms"))[:10] for one in found] == ["2023-03-24"]
    assert sum(one.count for one in found) == 13, "72 minutes in a row without a trade: 13 of them end an hour"
