"""Incidents as they stand in Redis: which are open, and which nobody has been told of."""

import orjson
import pytest

from aione.errors import InvalidInput
from aione.store import keys
from aione.store.incident_log import AT_ONCE, TOLD_BACK_MS, IncidentLog

NOW = 1_790_000_000_000


def incident(kind="redis_away", began_ms=NOW, ended_ms=None, worker="1of1@host:7"):
    return {"kind": kind, "names": [], "began_ms": began_ms, "ended_ms": ended_ms, "text": kind, "worker": worker}


async def journal(redis, *incidents, place="*"):
    return [await redis.xadd(keys.incidents(), {"incident": orjson.dumps(one)}, id=place) for one in incidents]


async def test_open_incidents_are_those_of_workers_that_speak_the_oldest_first(redis):
    held = {
        "a": incident("venue_hold", NOW - 1),
        "b": incident("clock_skew", NOW - 9),
        "c": incident("redis_away", NOW - 5, worker="2of2@host:8"),
    }
    await redis.hset(keys.open_incidents(), mapping={name: orjson.dumps(one) for name, one in held.items()})
    await redis.zadd(keys.stream_workers(), {"1of1@host:7": NOW, "2of2@host:8": NOW - 61_000})
    found = await IncidentLog(redis).open(NOW - 60_000)
    assert [one["kind"] for one in found] == ["clock_skew", "venue_hold"]


async def test_each_incident_is_told_once_in_order_and_again_after_a_crash_before_it_was_remembered(redis):
    log = IncidentLog(redis)
    assert await log.untold() == ("", [])
    await journal(redis, incident("a"), incident("b"))
    place, found = await log.untold()
    assert [one["kind"] for one in found] == ["a", "b"]
    assert (await log.untold())[1] == found, "nobody has said that it was told"
    await log.told(place)
    assert await log.untold() == ("", [])
    await journal(redis, incident("a", ended_ms=NOW + 5))
    assert [one["ended_ms"] for one in (await log.untold())[1]] == [NOW + 5]


async def test_a_first_start_does_not_tell_of_old_times(redis):
    now_s, _ = await redis.time()
    await journal(redis, incident("old"), place=f"{1000 * now_s - TOLD_BACK_MS - 1000}-0")
    await journal(redis, incident("new"))
    assert [one["kind"] for one in (await IncidentLog(redis).untold())[1]] == ["new"]


async def test_many_are_told_in_portions(redis):
    log = IncidentLog(redis)
    await journal(redis, *(incident(str(n)) for n in range(AT_ONCE + 3)))
    place, first = await log.untold()
    await log.told(place)
    assert [one["kind"] for one in first + (await log.untold())[1]] == [str(n) for n in range(AT_ONCE + 3)]


async def test_what_is_no_incident_is_named_with_its_key(redis):
    await redis.hset(keys.open_incidents(), "a", b"{broken")
    with pytest.raises(InvalidInput, match=keys.open_incidents()):
        await IncidentLog(redis).open(0)
