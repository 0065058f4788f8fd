"""Publishing: one sequence without gaps whoever publishes, readable with redis, lz4 and orjson alone."""

from __future__ import annotations

import asyncio
import math

import lz4.frame
import orjson
import pytest
import redis as plain_redis
import redis.asyncio as aioredis

from aione.errors import InvalidInput, ServiceUnavailable
from aione.publish import publisher as module
from aione.publish.payload import Asset, Counters
from aione.publish.publisher import Publisher
from aione.run.process import free_port
from aione.store import keys
from config.settings import load_settings

SETTINGS = load_settings(environ={})
CHANNEL, KEY = "asset_state_update", "asset_state_snapshot"


def assets(price: float, *symbols: str) -> list[Asset]:
    return [Asset(symbol=symbol, state="normal", price=price) for symbol in symbols or ("BUSDT", "AUSDT")]


async def publish(publisher: Publisher, price: float, *symbols: str, minute: int = 1, **change):
    facts = {"ts_ms": 60_000 * (minute + 1) + 2000, "bar_time_ms": 60_000 * minute, "source": "test"} | change
    return await publisher.publish(assets(price, *symbols), facts.pop("counters", Counters(cycle=minute)), **facts)


def read(data: bytes) -> dict:
    return orjson.loads(lz4.frame.decompress(data))


async def drain(channel) -> list[dict]:
    found = []
    while (message := await channel.get_message(ignore_subscribe_messages=True, timeout=0.2)) is not None:
        found.append(read(message["data"]))
    return found


async def test_an_independent_subscriber_reads_snapshot_and_updates(redis, redis_url) -> None:
    """A consumer in another program needs only the names of the key and the channel."""
    client = plain_redis.Redis.from_url(redis_url)
    channel = client.pubsub()
    channel.subscribe(CHANNEL)
    assert channel.get_message(timeout=2)["type"] == "subscribe"
    publisher = Publisher(redis, SETTINGS)
    await publish(publisher, 1.0, "BUSDT", "AUSDT", minute=1)
    await publish(publisher, 1.0, "AUSDT", "CUSDT", minute=2)

    first, second = (read(channel.get_message(timeout=2)["data"]) for _ in range(2))
    snapshot = read(client.get(KEY))
    channel.close()
    client.close()

    assert (first["type"], first["meta"]["seq"]) == ("delta", 1)
    assert [a["symbol"] for a in first["assets"]] == ["AUSDT", "BUSDT"]
    assert (second["meta"]["seq"], second["removed"]) == (2, ["BUSDT"])
    assert [a["symbol"] for a in second["assets"]] == ["CUSDT"]
    assert snapshot["type"] == "snapshot"
    assert snapshot["meta"] == second["meta"]
    assert snapshot["counters"]["cycle"] == 2
    assert [(a["symbol"], a["last_updated"]) for a in snapshot["assets"]] == [("AUSDT", 122_000), ("CUSDT", 182_000)]


async def test_three_publishers_at_once_leave_no_gap(redis) -> None:
    """Every sequence number comes once, in order, and the deltas lead to the snapshot in the key."""
    async with redis.pubsub() as channel:
        await channel.subscribe(CHANNEL)
        await channel.get_message(timeout=2)
        publishers = [Publisher(redis, SETTINGS) for _ in range(3)]

        async def run(number: int) -> list[int]:
            return [
                (await publish(publishers[number], 10.0 * number + n, f"P{number}USDT", minute=100 * number + n)).seq
                for n in range(8)
            ]

        mine = await asyncio.gather(*(run(number) for number in range(3)))
        messages = await drain(channel)
    assert [m["meta"]["seq"] for m in messages] == list(range(1, 25))
    assert sorted(seq for seqs in mine for seq in seqs) == list(range(1, 25))
    assert len({m["meta"]["epoch"] for m in messages}) == 1
    state: dict = {}
    for message in messages:
        state = {s: a for s, a in state.items() if s not in message["removed"]}
        state |= {a["symbol"]: a for a in message["assets"]}
    assert read(await redis.get(KEY))["assets"] == [state[s] for s in sorted(state)]


async def test_the_same_cycle_again_changes_no_byte_and_says_nothing(redis) -> None:
    publisher = Publisher(redis, SETTINGS)
    first = await publish(publisher, 1.0)
    before = await redis.get(KEY)
    async with redis.pubsub() as channel:
        await channel.subscribe(CHANNEL)
        await channel.get_message(timeout=2)
        again = await publish(Publisher(redis, SETTINGS), 1.0, ts_ms=999_000)
        assert await drain(channel) == []
    assert (again.seq, again.epoch, again.is_new, again.delta_assets) == (first.seq, first.epoch, False, 0)
    assert await redis.get(KEY) == before


@pytest.mark.parametrize(
    "change",
    [
        {"minute": 2},
        {"counters": Counters(cycle=1, alerts=3)},
        {"stale": True},
        {"warnings": ["clock offset 2 s"]},
    ],
)
async def test_anything_else_that_differs_is_published(redis, change) -> None:
    publisher = Publisher(redis, SETTINGS)
    await publish(publisher, 1.0, counters=Counters(cycle=1))
    result = await publish(publisher, 1.0, **({"counters": Counters(cycle=1)} | change))
    assert (result.seq, result.delta_assets, result.is_new) == (2, 0, True)


@pytest.mark.parametrize("lost", [keys.sequence(), KEY])
async def test_a_new_epoch_begins_when_a_half_of_the_state_is_lost(redis, lost) -> None:
    """Followers must not apply deltas that were computed from nothing to what they hold."""
    publisher = Publisher(redis, SETTINGS)
    before = await publish(publisher, 1.0, minute=1)
    await redis.delete(lost)
    after = await publish(publisher, 1.0, minute=2)
    assert after.epoch != before.epoch
    assert (after.seq, after.delta_assets) == (1, 2)


async def test_a_snapshot_that_cannot_be_read_begins_a_new_epoch(redis) -> None:
    publisher = Publisher(redis, SETTINGS)
    before = await publish(publisher, 1.0)
    await redis.set(KEY, b"rubbish")
    after = await publish(publisher, 1.0)
    assert after.epoch != before.epoch
    assert read(await redis.get(KEY))["meta"]["epoch"] == after.epoch


async def test_the_names_come_from_the_settings(redis) -> None:
    settings = load_settings(environ={"AIONE_REDIS_SNAPSHOT_KEY": "mine", "AIONE_REDIS_CHANNEL_ASSET_STATE": "news"})
    async with redis.pubsub() as channel:
        await channel.subscribe("news")
        await channel.get_message(timeout=2)
        await publish(Publisher(redis, settings), 1.0)
        assert len(await drain(channel)) == 1
    assert await redis.exists("mine") == 1
    assert await redis.exists(KEY) == 0


async def test_unknown_numbers_are_published_as_null_and_compare_as_equal(redis) -> None:
    publisher = Publisher(redis, SETTINGS)
    await publish(publisher, math.nan, minute=1)
    assert read(await redis.get(KEY))["assets"][0]["price"] is None
    assert (await publish(publisher, math.nan, minute=2)).delta_assets == 0


async def test_what_the_schema_does_not_allow_is_not_published(redis) -> None:
    publisher = Publisher(redis, SETTINGS)
    with pytest.raises(InvalidInput, match="state"):
        await publisher.publish([Asset(symbol="X", state="asleep")], Counters(), ts_ms=1, bar_time_ms=0, source="test")
    with pytest.raises(InvalidInput, match="twice"):
        await publish(publisher, 1.0, "AUSDT", "AUSDT")
    assert await redis.exists(KEY) == 0


async def test_a_redis_that_is_away_is_an_error_that_is_worth_a_retry() -> None:
    client = aioredis.Redis(port=free_port())
    with pytest.raises(ServiceUnavailable, match="publishing the snapshot"):
        await publish(Publisher(client, SETTINGS), 1.0)
    await client.aclose()


async def test_it_gives_up_when_others_are_always_faster(redis, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_ATTEMPTS", 3)
    publisher = Publisher(redis, SETTINGS)

    async def lose(**_):
        return 0

    monkeypatch.setattr(publisher, "_commit", lose)
    with pytest.raises(ServiceUnavailable, match="faster 3 times"):
        await publish(publisher, 1.0)
