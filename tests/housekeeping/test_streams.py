"""Streams become as short as they may be, and nothing leaves before it is archived where that is promised."""

from __future__ import annotations

import pytest

from aione.housekeeping.days import DayArchive
from aione.housekeeping.streams import lengths, trim_streams
from aione.housekeeping.tables import AUDIT, TRADES, day_of
from aione.housekeeping.trade_trim import trim_trades
from aione.store import keys
from aione.store.cycles import CYCLES_KEPT
from aione.store.trades import TradeStore
from aione.store.universe_ledger import ENTRIES_KEPT
from aione.stream.outlet import INCIDENTS_KEPT
from config.config import HOUSEKEEPING
from config.housekeeping_models import HousekeepingParams
from config.settings import load_settings
from tests.housekeeping.entries import DAY_MS, midnight_ms
from tests.store.test_trades import contents, life

SHORT = load_settings(environ={}, overrides={"HOUSEKEEPING": {"stream_lengths": {"incidents": 300, "cycles": 300}}})
PARAMS = HousekeepingParams()


def now_ms():
    return midnight_ms() + 1


def test_the_lengths_are_those_that_the_writers_keep():
    own = HOUSEKEEPING["stream_lengths"]
    assert own["cycles"] == CYCLES_KEPT
    assert own["incidents"] == INCIDENTS_KEPT
    assert own["universe_journal"] == ENTRIES_KEPT
    assert len(lengths(SHORT)) == 5


async def fill(redis, stream, count):
    async with redis.pipeline() as pipe:
        for number in range(count):
            pipe.xadd(stream, {"n": number})
        await pipe.execute()


async def test_a_stream_that_is_too_long_keeps_its_newest_entries(redis):
    await fill(redis, keys.incidents(), 1000)
    found = {trim.stream: trim for trim in await trim_streams(redis, SHORT, {}, now_ms())}
    trim = found[keys.incidents()]
    assert trim.is_bounded
    assert 300 <= await redis.xlen(keys.incidents()) == 1000 - trim.removed <= 400
    newest = (await redis.xrevrange(keys.incidents(), count=1))[0][1]
    assert newest == {b"n": b"999"}


async def test_a_dry_run_removes_nothing_and_says_what_it_would(redis):
    await fill(redis, keys.cycles(), 500)
    found = {trim.stream: trim for trim in await trim_streams(redis, SHORT, {}, now_ms(), is_dry=True)}
    assert found[keys.cycles()].removed == 200
    assert await redis.xlen(keys.cycles()) == 500


async def test_old_audit_events_leave_only_as_far_as_they_are_archived(redis, tmp_path):
    old = midnight_ms(10)
    async with redis.pipeline() as pipe:
        for number in range(400):
            pipe.xadd(keys.audit_events(), {"e": b"{}"}, id=f"{old + number}-1")
        await pipe.execute()
    await trim_streams(redis, SHORT, {}, now_ms())
    assert await redis.xlen(keys.audit_events()) == 400, "without an archive nothing leaves by its age"
    await trim_streams(redis, SHORT, {keys.audit_events(): f"{old + 200}-1"}, now_ms())
    assert 200 <= await redis.xlen(keys.audit_events()) <= 300
    done = await DayArchive(tmp_path, AUDIT).run(redis)
    await trim_streams(redis, SHORT, {keys.audit_events(): done.until}, now_ms())
    assert await redis.xlen(keys.audit_events()) <= 100


# ── Trade events ──


async def old_trades(add):
    """Two trades that ended 40 and 35 days ago, one that began then and is open, and one of yesterday."""
    await add.trade("first", 1, midnight_ms(40))
    await add.trade("first", 2, midnight_ms(39))
    await add.trade("second", 1, midnight_ms(35))
    await add.trade("open", 1, midnight_ms(34), is_open=True)
    await add.trade("late", 1, midnight_ms(33))
    return await add.trade("new", 1, midnight_ms(1))


async def test_trade_events_never_leave_without_an_archive(redis, add, tmp_path):
    await old_trades(add)
    assert (await trim_trades(redis, None, PARAMS, now_ms())).refused == "there is no archive directory"
    done = await trim_trades(redis, DayArchive(tmp_path, TRADES), PARAMS, now_ms())
    assert done.removed == 0
    assert done.refused == f"the archive of {day_of(midnight_ms(40))} lacks 1 of the events that would leave"
    assert await redis.xlen(keys.trade_events()) == 6


async def test_whole_trades_leave_up_to_the_first_one_that_is_followed(redis, add, tmp_path):
    await old_trades(add)
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    said = await trim_trades(redis, archive, PARAMS, now_ms(), is_dry=True)
    assert (said.removed, await redis.xlen(keys.trade_events())) == (3, 6)
    done = await trim_trades(redis, archive, PARAMS, now_ms())
    assert (done.removed, done.trades, done.refused) == (3, 2, "")
    left = [entry[b"event"] for _, entry in await redis.xrange(keys.trade_events())]
    assert [b"open" in left[0], b"late" in left[1], b"new" in left[2]] == [True] * 3
    assert sorted(await redis.hkeys(keys.trade_numbers())) == [b"late", b"new", b"open"]
    assert (await trim_trades(redis, archive, PARAMS, now_ms())).removed == 0


@pytest.mark.parametrize("harm", ["lost", "damaged"])
async def test_an_archive_that_was_harmed_since_holds_the_events_back(redis, add, tmp_path, harm):
    await old_trades(add)
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    path = archive.path(day_of(midnight_ms(39)))
    if harm == "lost":
        path.unlink()
    else:
        at = path.read_bytes().index(b"first")
        path.write_bytes(path.read_bytes()[:at] + b"F" + path.read_bytes()[at + 1 :])
    done = await trim_trades(redis, archive, PARAMS, now_ms())
    assert done.removed == 0
    assert done.refused == f"the archive of {day_of(midnight_ms(39))} lacks 1 of the events that would leave"
    assert await redis.xlen(keys.trade_events()) == 6


async def test_the_newest_trade_stays_however_old_it_is(redis, add, tmp_path):
    await add.trade("a", 1, midnight_ms(60))
    await add.trade("b", 1, midnight_ms(50))
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    assert (await trim_trades(redis, archive, PARAMS, now_ms())).removed == 1
    assert await redis.xlen(keys.trade_events()) == 1


async def test_the_store_reads_the_same_trades_after_it_and_a_replay_finds_no_trade_without_its_beginning(
    redis, tmp_path
):
    store = TradeStore(redis)
    await store.append([*life("AUSDT"), *life("BUSDT"), *life("CUSDT", length=3), *life("DUSDT")])
    before = contents(await store.load())
    archive = DayArchive(tmp_path, TRADES)
    await archive.run(redis)
    done = await trim_trades(redis, archive, PARAMS, now_ms() + 40 * DAY_MS)
    assert (done.removed, done.trades) == (8, 2)
    assert contents(await store.load()) == before
    rebuilt = contents(await store.rebuild())
    assert rebuilt == [trade for trade in before if trade["symbol"] in {"CUSDT", "DUSDT"}]
    assert await store.append(life("CUSDT")) == 1, "the open trade goes on"
