"""Incidents as they stand in Redis: which are open, and which nobody has been told of."""

import orjson
import pytest

from aione.errors import InvalidInput
from aione.store import keys
from aione.store.incident_log import IncidentLog

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


async def test_what_is_no_incident_is_named_with_its_key(redis):
    await redis.hset(keys.open_incidents(), "a", b"{broken")
    with pytest.raises(InvalidInput, match=keys.open_incidents()):
        await IncidentLog(redis).open(0)
