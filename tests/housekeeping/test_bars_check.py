"""Whether yesterday's bars are on disk, against rings and archives of the real kind."""

from __future__ import annotations

import numpy as np

from aione.housekeeping.archive import keep_archive
from aione.housekeeping.bars_check import check_bars
from aione.panel.bars import BAR_RECORD, MINUTE_MS, Finality
from aione.prefilter import PrefilterResult
from aione.store.archive import BarArchive
from aione.store.ring_layout import absent_bars
from aione.store.rings import BarRings
from aione.store.state import StateStore
from config.housekeeping_models import HousekeepingParams
from config.models import MetricResults
from tests.housekeeping.entries import midnight_ms
from tests.housekeeping.test_redis_care import universe

DAY = 1440


def day_of_bars(minutes=range(DAY)):
    rows = np.zeros(len(minutes), BAR_RECORD)
    rows["open_time_ms"] = midnight_ms(1) + MINUTE_MS * np.array(minutes)
    for name in ("open", "high", "low", "close"):
        rows[name] = 100.0
    rows["finality"] = Finality.REST_CONFIRMED
    return rows


async def test_a_whole_day_is_complete(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": day_of_bars()})
    report = await check_bars(redis, archive, {"AUSDT": 0}, midnight_ms(1))
    assert (report.is_complete, report.symbols, report.bars) == (True, 1, DAY)


async def test_what_is_missing_is_counted_by_symbol_and_what_the_exchange_lacks_is_not_missed(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": day_of_bars([-1])})
    archive.write("1m", {"AUSDT": day_of_bars(range(10, DAY)), "NEWUSDT": day_of_bars(range(700, DAY))})
    await BarRings(redis, "1m").write({"AUSDT": absent_bars(day_of_bars(range(7))["open_time_ms"])})
    listed = {"AUSDT": 0, "NEWUSDT": midnight_ms(1) + 700 * MINUTE_MS - 1, "NONEUSDT": 0}
    report = await check_bars(redis, archive, listed, midnight_ms(1))
    assert report.missing == {"AUSDT": 3, "NONEUSDT": DAY}
    assert not report.is_complete


async def test_before_the_first_minute_of_an_archive_nothing_is_missed(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": day_of_bars(range(600, DAY)), "BUSDT": day_of_bars(range(605, DAY))})
    report = await check_bars(redis, archive, {"AUSDT": 0, "BUSDT": 0}, midnight_ms(1))
    assert report.missing == {"BUSDT": 5}


async def test_a_file_that_cannot_be_read_is_said(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": day_of_bars()})
    (path,) = archive.files("1m")
    path.write_bytes(b"no bars")
    report = await check_bars(redis, archive, {"AUSDT": 0}, midnight_ms(1))
    assert report.missing == {"AUSDT": DAY}
    assert "not a file of bars" in report.broken


async def test_the_screened_symbols_are_looked_at_and_what_is_missing_is_a_warning(redis, add, tmp_path):
    states = StateStore(redis)
    await states.save_universe(universe("AUSDT", "BUSDT"))
    rows = [MetricResults(symbol=symbol, passed=symbol == "AUSDT") for symbol in ("AUSDT", "BUSDT")]
    await states.save_prefilter(PrefilterResult(("AUSDT",), rows, [], {}, 0, 0, 0.0, midnight_ms()))
    BarArchive(tmp_path).write("1m", {"AUSDT": day_of_bars(range(DAY - 2))})
    await add.cycle(midnight_ms(1), midnight_ms(1))
    report = await keep_archive(redis, tmp_path, HousekeepingParams())
    assert report.summary()["entries"] == {"trades": 0, "audit": 0, "cycles": 1}
    (warning,) = report.warnings()
    assert warning.endswith("lacks minutes of 1 of 1 symbols: AUSDT 2")


async def test_a_dry_run_says_what_would_be_archived_and_writes_nothing(redis, add, tmp_path):
    await add.audit(1, midnight_ms(1))
    report = await keep_archive(redis, tmp_path, HousekeepingParams(), is_dry=True)
    assert report.pending == {"trades": 0, "audit": 1, "cycles": 0}
    assert list(tmp_path.rglob("*.parquet")) == []
