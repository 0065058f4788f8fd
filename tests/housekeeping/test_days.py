"""The archive of days: complete, verified, the same twice, whole after a crash."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap

import duckdb
import orjson
import polars as pl
import pytest

from aione.errors import ServiceUnavailable
from aione.housekeeping import day_file
from aione.housekeeping.day_file import read_day
from aione.housekeeping.days import DayArchive
from aione.housekeeping.tables import AUDIT, CYCLES, TRADES, day_of, entry_ms
from aione.store import keys
from tests.housekeeping.entries import DAY_MS, midnight_ms


async def test_a_day_that_is_over_is_a_file_and_the_present_one_stays_hidden(redis, add, tmp_path):
    yesterday, today = midnight_ms(1), midnight_ms()
    for number in range(3):
        await add.audit(number, yesterday + 60_000 * number)
    await add.audit(9, today)
    archive = DayArchive(tmp_path, AUDIT)
    done = await archive.run(redis)
    assert (done.entries, done.closed, done.lost) == (4, (day_of(yesterday),), 0)
    assert archive.days() == [day_of(yesterday)]
    assert archive.open_path(day_of(today)).exists()
    frame = duckdb.sql(f"select id, symbol, payload from '{tmp_path}/audit/*.parquet' order by entry").fetchall()
    assert frame == [(f"a-{n}", "BTCUSDT", orjson.dumps({"rr": n}).decode()) for n in range(3)]
    assert pl.read_parquet(archive.path(day_of(yesterday)))["tags"].to_list() == [["new"]] * 3


async def test_running_twice_leaves_the_same_bytes(redis, add, tmp_path):
    await add.trade("t-1", 1, midnight_ms(1))
    await add.trade("t-1", 2, midnight_ms())
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.parquet")}
    again = await archive.run(redis)
    assert (again.entries, again.closed) == (0, ())
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.parquet")} == before


async def test_runs_through_the_day_add_up_to_what_one_run_after_it_writes(redis, add, tmp_path):
    parts, whole = DayArchive(tmp_path / "parts", CYCLES), DayArchive(tmp_path / "whole", CYCLES)
    day = midnight_ms(1)
    for hour in range(4):
        for minute in range(5):
            await add.cycle(day + 60_000 * minute, day + 3_600_000 * hour + 60_000 * minute)
        await parts.run(redis)
    await whole.run(redis)
    held, marks = read_day(parts.path(day_of(day)), CYCLES.schema)
    assert held.num_rows == 20
    assert (held, marks.lost) == (read_day(whole.path(day_of(day)), CYCLES.schema)[0], 0)


async def test_a_stream_that_was_trimmed_between_two_runs_is_not_complete_and_the_number_is_known(redis, add, tmp_path):
    archive = DayArchive(tmp_path, AUDIT)
    day = midnight_ms(1)
    await add.audit(0, day)
    await archive.run(redis)
    for number in range(1, 11):
        await add.audit(number, day + number)
    await redis.xtrim(keys.audit_events(), maxlen=4, approximate=False)
    done = await archive.run(redis)
    assert (done.entries, done.lost) == (4, 6)
    assert (await archive.run(redis)).lost == 0


async def test_an_entry_that_nobody_of_ours_wrote_is_kept_as_it_is(redis, tmp_path):
    await redis.xadd(keys.trade_events(), {"event": b"no json"}, id=f"{midnight_ms(1)}-0")
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    table, _ = read_day(archive.path(day_of(midnight_ms(1))), TRADES.schema)
    assert table["kind"].to_pylist() == ["unreadable"]
    assert "no json" in table["payload"][0].as_py()


async def test_a_damaged_newest_file_is_set_aside_and_written_anew_from_the_stream(redis, add, tmp_path):
    archive = DayArchive(tmp_path, TRADES)
    await add.trade("t-1", 1, midnight_ms(1))
    await archive.run(redis)
    path = archive.path(day_of(midnight_ms(1)))
    whole = path.read_bytes()
    at = whole.index(b"t-1")
    path.write_bytes(whole[:at] + b"T" + whole[at + 1 :])
    done = await archive.run(redis)
    assert (done.broken, done.entries) == (1, 1)
    assert path.read_bytes() == whole
    assert len(list(path.parent.glob("*.broken-1"))) == 1


async def test_a_process_that_is_killed_between_write_and_rename_leaves_the_old_file(redis, redis_url, add, tmp_path):
    archive, day = DayArchive(tmp_path, TRADES), day_of(midnight_ms())
    await add.trade("t-1", 1, midnight_ms())
    await archive.run(redis)
    before = archive.open_path(day).read_bytes()
    await add.trade("t-1", 2, midnight_ms() + 1)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, redis_url, str(tmp_path))
    assert await killed.wait() == -signal.SIGKILL
    assert archive.open_path(day).read_bytes() == before
    written = archive.open_path(day).parent / day_file.WRITING / archive.open_path(day).name
    assert written.stat().st_size > 0, "it had written the new one"
    assert (await archive.run(redis)).entries == 1
    assert len(read_day(archive.open_path(day), TRADES.schema)[0]) == 2


KILLED = textwrap.dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    import redis.asyncio as aioredis
    from aione.housekeeping.days import DayArchive
    from aione.housekeeping.tables import TRADES

    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        await DayArchive(Path(sys.argv[2]), TRADES).run(aioredis.Redis.from_url(sys.argv[1]))

    asyncio.run(main())
""")


write_table = day_file.pq.write_table


def damaging(table, file, **options):
    write_table(table, file, **options)
    file.seek(60)
    file.write(bytes(8))


def forgetting(table, file, **options):
    write_table(table.slice(1), file, **options)


@pytest.mark.parametrize("bad_disk", [damaging, forgetting])
async def test_a_file_that_is_read_back_otherwise_does_not_take_its_place(redis, add, tmp_path, monkeypatch, bad_disk):
    await add.trade("t-1", 1, midnight_ms(1))
    await add.trade("t-1", 2, midnight_ms(1))
    monkeypatch.setattr(day_file.pq, "write_table", bad_disk)
    archive = DayArchive(tmp_path, TRADES)
    with pytest.raises(ServiceUnavailable, match="read back"):
        await archive.run(redis)
    assert archive.days() == []
    monkeypatch.undo()
    assert (await archive.run(redis)).entries == 2


async def test_a_disk_that_refuses_is_said_by_its_path(redis, add, tmp_path):
    await add.trade("t-1", 1, midnight_ms(1))
    (tmp_path / "trades").write_text("a file where a folder should be")
    with pytest.raises(ServiceUnavailable, match="trades"):
        await DayArchive(tmp_path, TRADES).run(redis)


async def test_old_days_of_the_audit_are_forgotten_by_name(redis, add, tmp_path):
    for days in (5, 3, 1):
        await add.audit(days, midnight_ms(days))
    archive = DayArchive(tmp_path, AUDIT)
    await archive.run(redis)
    assert archive.forget_before(day_of(midnight_ms(3))) > 0
    assert archive.days() == [day_of(midnight_ms(3)), day_of(midnight_ms(1))]


async def test_an_empty_stream_makes_no_file_and_pending_is_counted_without_writing(redis, add, tmp_path):
    archive = DayArchive(tmp_path, AUDIT)
    assert (await archive.run(redis)).until == "0-0"
    await add.audit(1, midnight_ms(1))
    assert await archive.pending(redis) == 1
    assert list(tmp_path.rglob("*.parquet")) == []
    await archive.run(redis)
    assert await archive.pending(redis) == 0
    assert entry_ms((await archive.run(redis)).until) == midnight_ms(1)
    assert DAY_MS == 86_400_000
