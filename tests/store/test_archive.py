"""The archive on disk: what went in comes out, whatever happens while it is written."""

from __future__ import annotations

import errno
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, Finality, Source
from aione.store.archive import WRITING, BarArchive
from aione.store.ring_layout import CORRECTED, absent_bars
from aione.store.rings import BarRings
from aione.store.tiers import TieredRings

MIDNIGHT = 1_779_235_200_000


def bars(first, count, *, finality=Finality.REST_CONFIRMED, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = MIDNIGHT + MINUTE_MS * (first + np.arange(count))
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + offset + np.arange(count) % 7
    rows["low"], rows["high"] = rows["open"] - 1.0, rows["close"] + 1.0
    rows["finality"], rows["source"] = finality, Source.STREAM
    return rows


def test_bars_come_back_as_they_were_over_midnight_and_by_symbol(tmp_path):
    archive = BarArchive(tmp_path)
    over = bars(-30, 60)
    over["reserved"][5] = CORRECTED
    assert archive.write("1m", {"AUSDT": over, "币安USDT": bars(0, 3, price=7.0)}) == 63
    found = archive.read_now("1m", ["AUSDT", "NONE"], MIDNIGHT - 20 * MINUTE_MS, MIDNIGHT + 5 * MINUTE_MS)
    assert list(found) == ["AUSDT"]
    assert found["AUSDT"].tobytes() == over[10:36].tobytes()
    everything = archive.read_now("1m", ["AUSDT", "币安USDT"], 0, 1 << 50)
    assert everything["AUSDT"].tobytes() == over.tobytes()
    assert [path.parent.name for path in archive.files("1m")] == ["day=2026-05-19", "day=2026-05-20"]


def test_only_final_bars_are_written_and_the_surer_one_stays(tmp_path):
    archive = BarArchive(tmp_path)
    provisional = bars(0, 2, finality=Finality.SUCCESSOR_SEEN)
    assert archive.write("1m", {"AUSDT": provisional, "BUSDT": absent_bars(bars(0, 2)["open_time_ms"])}) == 0
    assert archive.write("1m", {"AUSDT": bars(0, 4, finality=Finality.STREAM_CLOSED)}) == 4
    assert archive.write("1m", {"AUSDT": bars(0, 4, finality=Finality.STREAM_CLOSED)}) == 0
    assert archive.write("1m", {"AUSDT": bars(2, 1, price=55.0)}) == 1
    assert archive.write("1m", {"AUSDT": bars(2, 1, finality=Finality.STREAM_CLOSED, price=66.0)}) == 0
    held = archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"]
    assert held["open"].tolist() == [100.0, 101.0, 55.0, 103.0]
    assert held["finality"].tolist() == [2, 2, 3, 2]


def test_days_stand_in_one_file_a_year(tmp_path):
    archive = BarArchive(tmp_path)
    days = bars(0, 400)
    days["open_time_ms"] = MIDNIGHT + DAY_MS * np.arange(400)
    assert archive.write("1d", {"AUSDT": days}) == 400
    assert [path.parent.name for path in archive.files("1d")] == ["year=2026", "year=2027"]
    assert archive.read_now("1d", ["AUSDT"], 0, 1 << 50)["AUSDT"].tobytes() == days.tobytes()


# ── What other programs read ──


@pytest.fixture
def directory(tmp_path):
    """Minutes over midnight, a broken file that was set aside, one that a crash has left, and the archiver's lock."""
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(-30, 60), "BUSDT": bars(0, 3, price=7.0)})
    archive.write("1d", {"AUSDT": bars(0, 1)})
    (path,) = archive.files("1d")
    path.write_bytes(b"PAR1 not a file")
    archive.write("1d", {"AUSDT": bars(0, 1)})
    (tmp_path / WRITING / "timeframe=1m,day=2026-05-20,bars.parquet").write_bytes(b"PAR1 half a fi")
    (tmp_path / ".lock").touch()
    return tmp_path


def test_pandas_reads_the_directory_as_it_is(directory):
    frame = pd.read_parquet(directory / "timeframe=1m")
    assert len(frame) == 63
    assert set(frame["day"].astype(str)) == {"2026-05-19", "2026-05-20"}
    assert str(frame["open_time"].dtype) == "datetime64[ms, UTC]"
    one = frame[(frame["symbol"] == "BUSDT")].sort_values("open_time")
    assert one["open"].tolist() == [7.0, 8.0, 9.0]
    assert one["open_time"].iloc[0] == pd.Timestamp(MIDNIGHT, unit="ms", tz="UTC")


def test_duckdb_reads_the_directory_as_it_is(directory):
    question = """
        select day, symbol, count(*), min(epoch_ms(open_time)), sum(close), bool_or(is_corrected)
        from read_parquet(?, hive_partitioning = true) group by all order by all
    """
    with duckdb.connect() as database:
        rows = database.execute(question, [f"{directory}/timeframe=1m/**/*.parquet"]).fetchall()
    expected = [
        (date(2026, 5, 19), "AUSDT", 30, MIDNIGHT - 30 * MINUTE_MS, bars(0, 60)["close"][:30].sum(), False),
        (date(2026, 5, 20), "AUSDT", 30, MIDNIGHT, bars(0, 60)["close"][30:].sum(), False),
        (date(2026, 5, 20), "BUSDT", 3, MIDNIGHT, 33.0, False),
    ]
    assert rows == expected


@pytest.mark.parametrize("where", ["timeframe=1m", "timeframe=1m/**/*.parquet"])
def test_polars_reads_the_directory_as_it_is(directory, where):
    frame = pl.scan_parquet(directory / where, hive_partitioning=True).sort("symbol", "open_time").collect()
    assert frame.height == 63
    assert frame["day"].unique().sort().to_list() == [date(2026, 5, 19), date(2026, 5, 20)]
    assert frame.schema["open_time"] == pl.Datetime("ms", "UTC")
    one = frame.filter(pl.col("symbol") == "BUSDT")
    assert one["open"].to_list() == [7.0, 8.0, 9.0]
    assert one["open_time"].dt.epoch("ms").to_list() == bars(0, 3)["open_time_ms"].tolist()


# ── What breaks ──


def test_a_broken_file_is_named_and_passed_over_and_the_next_write_sets_it_aside(tmp_path, caplog):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(-30, 60)})
    broken = next(iter(archive.files("1m")))
    for number in (1, 2):
        broken.write_bytes(b"PAR1 not a file")
        assert len(archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"]) == 30
        assert archive.broken.keys() == {broken}
        assert str(broken) in caplog.text
        assert archive.write("1m", {"AUSDT": bars(-30, 30)}) == 30
        assert (archive.broken, archive.set_aside) == ({}, number)
        aside = tmp_path / "broken" / f"timeframe=1m,day=2026-05-19.broken-{number}"
        assert aside.read_bytes() == b"PAR1 not a file"
        assert len(archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"]) == 60
    assert len(list(archive.files("1m"))) == 2


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_a_file_that_cannot_be_read_just_now_is_not_replaced(tmp_path, monkeypatch, number):
    """What the system refuses says nothing about the file: the day is left alone, other days are written."""
    archive = BarArchive(tmp_path)
    archive.write("1m", {"GONEUSDT": bars(0, 600), "AUSDT": bars(0, 600)})
    (today,) = archive.files("1m")
    before, read_bytes = today.read_bytes(), Path.read_bytes

    def refused(path):
        if path == today:
            raise OSError(number, "not now")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        assert archive.read_now("1m", ["AUSDT"], 0, 1 << 50) == {}
        assert archive.broken.keys() == {today}
        with pytest.raises(ServiceUnavailable, match=f"cannot be read: .Errno {number}. not now"):
            archive.write("1m", {"AUSDT": bars(-5, 610)})
    assert today.read_bytes() == before
    assert archive.set_aside == 0
    held = archive.read_now("1m", ["GONEUSDT", "AUSDT"], 0, 1 << 50)
    assert {symbol: len(rows) for symbol, rows in held.items()} == {"GONEUSDT": 600, "AUSDT": 605}
    assert archive.broken == {}, "it is read again"
    assert archive.write("1m", {"AUSDT": bars(600, 10)}) == 10


def test_a_broken_file_that_cannot_be_moved_is_left(tmp_path, monkeypatch):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(0, 3)})
    (path,) = archive.files("1m")
    path.write_bytes(b"broken")

    def refused(*_):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(ServiceUnavailable, match=r"is broken and cannot be moved: .*read-only"):
        archive.write("1m", {"AUSDT": bars(0, 3)})
    assert path.read_bytes() == b"broken"


def test_bars_that_cannot_be_are_not_written(tmp_path, caplog):
    rows = bars(0, 4)
    rows["high"][1], rows["volume"][2] = np.nan, -1.0
    archive = BarArchive(tmp_path)
    assert archive.write("1m", {"AUSDT": rows}) == 2
    assert archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"].tobytes() == rows[[0, 3]].tobytes()
    assert "2 bars of AUSDT cannot be and are left out" in caplog.text


CRASH = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import pyarrow.parquet as pq
from test_archive import bars
from aione.store.archive import BarArchive

def crash(table, file, **_):
    file.write(b"PAR1 half a file")
    file.flush()
    import os
    os._exit(9)

pq.write_table = crash
BarArchive(Path({directory!r})).write("1m", {{"AUSDT": bars(0, 1440)}})
"""


def test_a_crash_in_the_middle_of_a_write_leaves_the_file_before(tmp_path, request):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(0, 10)})
    script = CRASH.format(here=str(request.path.parent), directory=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert ended.returncode == 9, ended.stderr
    assert archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"].tobytes() == bars(0, 10).tobytes()
    assert archive.broken == {}
    assert len(list(archive.files("1m"))) == 1
    assert len(pd.read_parquet(tmp_path / "timeframe=1m")) == 10, "what lies beside is no part of it"


def test_a_disk_that_refuses_is_said(tmp_path):
    (tmp_path / "timeframe=1m").write_text("a file where a directory should be")
    with pytest.raises(ServiceUnavailable, match="cannot be written"):
        BarArchive(tmp_path).write("1m", {"AUSDT": bars(0, 1)})
    assert not list((tmp_path / WRITING).iterdir())


async def test_all_of_redis_lost_is_filled_from_the_disk_and_only_what_it_lacks(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(0, 100), "BUSDT": bars(50, 50)})
    rings = TieredRings(BarRings(redis), archive=archive)
    await rings.write({"AUSDT": bars(95, 10, price=7.0)})
    end_ms = MIDNIGHT + 104 * MINUTE_MS
    view = await rings.view(["AUSDT", "BUSDT", "CUSDT"], end_ms, 105)
    assert view.panel.valid.sum(axis=1).tolist() == [105, 50, 0]
    assert view.panel.open[0, 95] == 7.0, "what the exchange said later wins"
    plain = await BarRings(redis).view(["AUSDT", "BUSDT", "CUSDT"], end_ms, 105)
    np.testing.assert_array_equal(plain.panel.open, view.panel.open)
    assert rings.reads["disk", "hit"] == 2
    await rings.view(["AUSDT", "BUSDT", "CUSDT"], end_ms, 105)
    assert rings.reads["disk", "hit"] + rings.reads["disk", "miss"] == 3, "the disk is asked once"
