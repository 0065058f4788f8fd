"""What a worker hands to Redis, read back by the others' way to it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import redis.asyncio as aioredis
from msgspec.structs import asdict
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aione.errors import ServiceUnavailable
from aione.metrics import Metrics, Sample, push
from aione.panel.bars import BAR_RECORD
from aione.prefilter import PrefilterResult
from aione.store import keys
from aione.store.incident_log import IncidentLog
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream import outlet as module
from aione.stream.book import BookEntry
from aione.stream.incidents import Incident
from aione.stream.outlet import STATUS_TTL_S, Outlet, RedisOutlet
from aione.stream.symbols import Wanted
from config import config

NOW = 1_779_278_400_000
METHODS = [name for name in vars(Outlet) if not name.startswith("_")]


@pytest.fixture
def outlet(redis):
    return RedisOutlet(redis)


@pytest.fixture
def state(redis):
    return StateStore(redis)


def status(now_ms=NOW, **fields):
    return {"updated_ms": str(now_ms), **fields}


def bar(minute, price):
    rows = np.zeros(1, BAR_RECORD)
    rows["open_time_ms"], rows["close"] = NOW + 60_000 * minute, price
    return rows


@pytest.mark.parametrize("name", METHODS)
def test_it_has_every_method_of_an_outlet_with_the_same_arguments(name):
    assert inspect.signature(getattr(RedisOutlet, name)) == inspect.signature(getattr(Outlet, name))


# ── Status ──


async def test_a_status_is_read_back_by_the_workers_name(outlet, state):
    await outlet.save_status("1of2@a:7", status(state="running", symbols="3"), {"b@kline_1m": "proven", "c": "stale"})
    await outlet.save_status("2of2@b:8", status(NOW + 5, state="running"), {})
    assert await state.load_stream_workers() == {
        "1of2@a:7": {"updated_ms": str(NOW), "state": "running", "symbols": "3"},
        "2of2@b:8": {"updated_ms": str(NOW + 5), "state": "running"},
    }
    assert await state.load_streams("1of2@a:7") == {"b@kline_1m": "proven", "c": "stale"}
    assert await state.load_streams("2of2@b:8") == {}
    assert list(await state.load_stream_workers(NOW + 1)) == ["2of2@b:8"]


async def test_the_streams_are_those_of_the_last_word_alone(outlet, state, redis):
    await outlet.save_status("w", status(state="running"), {"a": "wanted", "b": "wanted"})
    await outlet.save_status("w", status(state="running"), {"b": "proven"})
    assert await state.load_streams("w") == {"b": "proven"}
    await outlet.save_status("w", status(state="stopped"), {})
    assert await redis.exists(keys.stream_streams("w")) == 0
    assert (await state.load_stream_workers())["w"]["state"] == "stopped"


async def test_what_a_worker_said_expires_a_minute_after_its_last_word(outlet, redis):
    await outlet.save_status("w", status(), {"a": "proven"})
    names = [keys.stream_status("w"), keys.stream_streams("w")]
    for name in names:
        await redis.expire(name, 5)
    await outlet.save_status("w", status(), {"a": "proven"})
    assert STATUS_TTL_S == 60
    for name in names:
        assert 58 <= await redis.ttl(name) <= 60


async def test_the_list_of_workers_loses_who_was_silent_for_a_minute(outlet, redis):
    for age_s, worker in ((61, "gone"), (60, "just gone"), (59, "slow")):
        await outlet.save_status(worker, status(NOW - 1000 * age_s), {})
    await outlet.save_status("quick", status(NOW), {})
    listed = await redis.zrange(keys.stream_workers(), 0, -1, withscores=True)
    assert listed == [(b"slow", NOW - 59_000), (b"quick", NOW)]


# ── Incidents ──


async def test_an_incident_stands_open_until_it_has_ended_and_both_are_on_record(outlet, redis):
    incident = Incident("stream_stale", NOW, {"btcusdt@kline_1m": None})
    await outlet.tell("w", [incident])
    begun = {**incident.to_dict(), "worker": "w"}
    assert begun["ended_ms"] is None
    assert await IncidentLog(redis).open() == [begun]
    incident.ended_ms = NOW + 9
    await outlet.tell("w", [incident])
    assert await IncidentLog(redis).open() == []
    assert await IncidentLog(redis).recent() == [{**begun, "ended_ms": NOW + 9}, begun]


async def test_incidents_of_different_workers_and_kinds_are_apart(outlet, redis):
    told = [("v", "stream_stale"), ("w", "stream_stale"), ("w", "redis_away")]
    for at, (worker, kind) in enumerate(told):
        await outlet.tell(worker, [Incident(kind, NOW - at)])
    opened = await IncidentLog(redis).open()
    assert [(one["worker"], one["kind"]) for one in opened] == told[::-1], "the oldest first"
    await outlet.tell("w", [Incident("stream_stale", NOW - 1, ended_ms=NOW)])
    assert [(one["worker"], one["kind"]) for one in await IncidentLog(redis).open()] == [told[2], told[0]]


async def test_incidents_are_recorded_in_the_order_given(outlet, redis):
    ended = Incident("bars_behind", NOW, {"AUSDT": None}, NOW + 1)
    await outlet.tell("w", [ended, Incident("bars_behind", NOW + 2, {"BUSDT": None})])
    assert [one["began_ms"] for one in await IncidentLog(redis).recent()] == [NOW + 2, NOW]
    assert [one["began_ms"] for one in await IncidentLog(redis).open()] == [NOW + 2], "it has begun again"


async def test_the_record_of_incidents_is_bounded(outlet, redis, monkeypatch):
    monkeypatch.setattr(module, "INCIDENTS_KEPT", 100)
    await outlet.tell("w", [Incident("clock_skew", NOW + at, ended_ms=NOW) for at in range(450)])
    kept = await IncidentLog(redis).recent(1000)
    assert 100 <= len(kept) <= 250, "Redis cuts whole nodes of its own"
    assert kept[0]["began_ms"] == NOW + 449, "the oldest go"


# ── Book, open interest, forming bars ──


async def test_the_book_comes_back_as_it_was_and_what_is_unknown_is_none(outlet):
    whole = BookEntry(1.0, 1.5, 0.1, 1.2, -0.0001, NOW, 10.0, 20.0, 15.0, NOW - 1, NOW - 2, NOW - 3)
    await outlet.save_book({"AUSDT": BookEntry(bid=9.0), "币安USDT": whole})
    await outlet.save_book({"AUSDT": BookEntry(bid=float("nan"), event_ms=4)})
    found = await outlet.load_book(["AUSDT", "NEWUSDT", "币安USDT"])
    assert found == {"AUSDT": {**asdict(BookEntry()), "event_ms": 4}, "币安USDT": asdict(whole)}
    assert await outlet.load_book([]) == {}


async def test_open_interest_comes_back_as_it_was(outlet):
    row = {"open_interest": 5.0, "at_ms": NOW, "samples": [[NOW, 5.0]]}
    await outlet.save_open_interest({"AUSDT": row, "BUSDT": {"open_interest": 1.0}})
    assert await outlet.load_open_interest(["AUSDT", "NEWUSDT"]) == {"AUSDT": row}


@pytest.mark.parametrize("ttl_s", [None, 77])
async def test_book_and_open_interest_live_as_long_as_the_cache(redis, ttl_s):
    outlet = RedisOutlet(redis, ttl_s)
    await outlet.save_book({"AUSDT": BookEntry(bid=1.0)})
    await outlet.save_open_interest({"AUSDT": {}})
    expected = config.REDIS_CACHE_TTL if ttl_s is None else ttl_s
    for name in (keys.book_tickers(), keys.derivatives()):
        assert expected - 2 <= await redis.ttl(name) <= expected


async def test_a_forming_bar_is_one_record_and_the_later_push_stands(outlet, redis):
    await outlet.save_forming({"AUSDT": bar(0, 1.0).tobytes(), "BUSDT": bar(0, 2.0).tobytes()})
    await outlet.save_forming({"AUSDT": bar(1, 3.0).tobytes()})
    held = await redis.hgetall(keys.forming_bars())
    assert {name: np.frombuffer(raw, BAR_RECORD)["close"].tolist() for name, raw in held.items()} == {
        b"AUSDT": [3.0], b"BUSDT": [2.0],
    }  # fmt: skip
    assert 0 < await redis.ttl(keys.forming_bars()) <= module.STATUS_TTL_S


async def test_a_symbol_that_is_forgotten_leaves_its_bars_and_nothing_else(outlet, redis):
    for symbol in ("AUSDT", "BUSDT", "CUSDT"):
        await outlet.save_forming({symbol: bar(0, 1.0).tobytes()})
        await outlet.save_book({symbol: BookEntry(bid=1.0)})
        await outlet.save_open_interest({symbol: {"at_ms": NOW}})
        await BarRings(redis).write({symbol: bar(-1, 1.0)})
    await outlet.forget({"AUSDT", "CUSDT", "NEVERUSDT"})
    for name in (keys.forming_bars(), keys.book_tickers(), keys.derivatives()):
        assert await redis.hkeys(name) == [b"BUSDT"]
    assert len((await BarRings(redis).records(["AUSDT"], NOW - 60_000, NOW))["AUSDT"]) == 1


async def test_nothing_to_say_writes_nothing_and_needs_nobody(redis, lonely):
    for client in (redis, lonely):
        outlet = RedisOutlet(client)
        await outlet.save_forming({})
        await outlet.save_book({})
        await outlet.save_open_interest({})
        await outlet.forget([])
        await outlet.tell("w", [])
    assert await redis.dbsize() == 0


# ── What it reads ──


async def test_the_symbols_wanted_are_the_screened_ones(outlet, state):
    assert (await outlet.wanted()).symbols == ()
    await state.save_prefilter(PrefilterResult(("BUSDT", "AUSDT"), [], [], {}, 0, 0, 0.0, NOW))
    assert await outlet.wanted() == Wanted(("BUSDT", "AUSDT"), ("BUSDT", "AUSDT"))


async def test_the_flows_metrics_are_copied_each_time_anew(outlet, redis):
    metrics = Metrics()
    metrics.add("aione_cycles_total", 2, outcome="ok")
    await push(redis, [Sample("aione_cycles_total", 3, {"outcome": "ok"}), Sample("aione_alerts", 4)])
    for _ in range(2):
        await outlet.refresh_metrics(metrics)
        assert metrics.value("aione_cycles_total", outcome="ok") == 5
    await push(redis, [Sample("aione_alerts", 1)])
    await outlet.refresh_metrics(metrics)
    assert metrics.value("aione_alerts") == 1


# ── Nobody listens ──

CALLS = {
    "wanted": (),
    "save_forming": ({"AUSDT": b"x"},),
    "save_book": ({"AUSDT": BookEntry()},),
    "load_book": (["AUSDT"],),
    "save_open_interest": ({"AUSDT": {}},),
    "load_open_interest": (["AUSDT"],),
    "forget": (["AUSDT"],),
    "save_status": ("w", {"updated_ms": str(NOW)}, {}),
    "tell": ("w", [Incident("clock_skew", NOW)]),
    "refresh_metrics": (Metrics(),),
}


@pytest.fixture
async def lonely():
    """A client of an address where nobody listens."""
    client = aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    yield client
    await client.aclose()


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_says_that_nobody_listens(lonely, name):
    with pytest.raises(ServiceUnavailable, match=r"Redis does not answer while \w+"):
        await getattr(RedisOutlet(lonely), name)(*CALLS[name])


async def test_a_transaction_that_fails_leaves_nothing_half_said(outlet, redis):
    """Redis takes no more data: the streams of the last word stay, though to delete them needs no memory."""
    await redis.hset(keys.stream_streams("w"), "a", "stale")
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises((aioredis.RedisError, ServiceUnavailable)):
            await outlet.save_status("w", status(), {"a": "proven"})
        with pytest.raises((aioredis.RedisError, ServiceUnavailable)):
            await outlet.tell("w", [Incident("clock_skew", NOW)])
    finally:
        await redis.config_set("maxmemory", 0)
    assert await redis.keys("*") == [keys.stream_streams("w").encode()]
    assert await redis.hgetall(keys.stream_streams("w")) == {b"a": b"stale"}
