"""Trade events in a real Redis: one truth, whatever happens between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest
import redis.asyncio as aioredis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aione.errors import InvalidInput, ServiceUnavailable
from aione.stage3.book import TradeBook
from aione.stage3.machine import Event, ExitReason
from aione.stage3.trade import TradeEvent
from aione.store import keys
from aione.store.trades import TradeStore

T0 = 1_747_742_400_000


def life(symbol: str = "XUSDT", at_ms: int = T0, length: int = 4, close: Event = Event.STOP_HIT) -> list[TradeEvent]:
    """The first ``length`` of four events: planned, filled, stop moved, closed."""
    plan = {
        "symbol": symbol,
        "side": 1,
        "planned_ms": at_ms,
        "entry": 100.0,
        "stop_initial": 98.0,
        "targets": [102.0, 104.0],
        "quantity": 3.0,
        "step_size": None,
        "spread_frac": 0.0,
        "slippage_frac": 0.0,
        "fee_frac": 0.0,
        "confidence": 0.123456789012345,
        "scenario": "BULLISH_CONTROL",
        "recommendation": "BUY_IN_DIPS",
        "corr_btc": None,
        "contributions": {"trend": 0.4, "flow": None},
        "thresholds": {"volume_z": 2.5},
    }
    fill = {"price": 100.0, "quantity": 3.0, "fee_quote": 0.0}
    facts = [
        (Event.PLANNED, plan),
        (Event.ENTRY_FILLED, fill),
        (Event.STOP_MOVED, {"stop": 99.0, "stop_kind": "trail"}),
        (close, {"price": 99.0, "quantity": 3.0, "fee_quote": 0.0}),
    ]
    trade_id = f"{symbol}-{at_ms}-long"
    return [
        TradeEvent(trade_id, number, at_ms + 60_000 * number, kind, payload)
        for number, (kind, payload) in enumerate(facts[:length], start=1)
    ]


def contents(book: TradeBook) -> list[dict]:
    opened = sorted(book.open.values(), key=lambda trade: trade.symbol)
    return [trade.to_dict() for trade in (*book.closed, *opened)]


async def test_what_was_appended_is_loaded(redis):
    store = TradeStore(redis)
    assert await store.append([*life("AUSDT"), *life("BUSDT", length=3)]) == 7
    book = await store.load()
    assert contents(book) == contents(TradeBook.from_events([*life("AUSDT"), *life("BUSDT", length=3)]))
    assert book.last_closed_ms("AUSDT") == T0 + 240_000
    assert await store.events() == [*life("AUSDT"), *life("BUSDT", length=3)]


async def test_an_empty_store_is_an_empty_book(redis):
    store = TradeStore(redis)
    assert contents(await store.load()) == contents(await store.rebuild()) == []
    assert await store.append([]) == 0


async def test_appending_again_changes_nothing(redis):
    store = TradeStore(redis)
    await store.append(life(length=3))
    before = contents(await store.load())
    assert await store.append(life(length=3)) == 0
    assert await store.append(life(length=2)) == 0
    assert (store.counts.appended, store.counts.duplicates, store.counts.refused) == (3, 5, 0)
    assert contents(await store.load()) == before
    assert await redis.xlen(keys.trade_events()) == 3


async def test_what_is_new_behind_a_repetition_is_taken(redis):
    store = TradeStore(redis)
    await store.append(life(length=2))
    assert await store.append(life()) == 2
    assert (store.counts.appended, store.counts.duplicates) == (4, 2)


async def test_a_missing_event_is_refused_with_all_that_follow(redis):
    store = TradeStore(redis)
    await store.append(life(length=2))
    assert await store.append(life()[3:]) == 0
    assert await store.append(life("YUSDT")[1:]) == 0
    assert store.counts.refused == 4
    assert len(await store.events()) == 2


async def test_an_event_against_the_table_is_refused(redis):
    store = TradeStore(redis)
    await store.append(life())
    trade_id = life()[0].trade_id
    assert await store.append([TradeEvent(trade_id, 5, T0, Event.MANAGED, {})]) == 0
    assert store.counts.refused == 1


async def test_of_two_writers_that_close_a_trade_one_is_refused(redis, redis_url):
    other_client = aioredis.Redis.from_url(redis_url)
    one, other = TradeStore(redis), TradeStore(other_client)
    for minute in range(30):
        at_ms = T0 + minute * 3_600_000
        await one.append(life(at_ms=at_ms, length=3))
        stopped, timed_out = life(at_ms=at_ms)[3:], life(at_ms=at_ms, close=Event.TIMED_OUT)[3:]
        taken = await asyncio.gather(one.append(stopped), other.append(timed_out))
        assert sorted(taken) == [0, 1]
    assert one.counts.refused + other.counts.refused == 30
    book = await one.load()
    assert len(book.closed) == 30
    assert contents(book) == contents(await other.rebuild())
    await other_client.aclose()


async def test_two_writers_with_the_same_minute_open_one_trade(redis, redis_url):
    other_client = aioredis.Redis.from_url(redis_url)
    one, other = TradeStore(redis), TradeStore(other_client)
    taken = await asyncio.gather(one.append(life(length=2)), other.append(life(length=2)))
    assert sorted(taken) == [0, 2]
    assert one.counts.duplicates + other.counts.duplicates == 2
    assert one.counts.refused + other.counts.refused == 0
    assert len(await one.events()) == 2
    await other_client.aclose()


async def test_a_second_open_trade_of_a_symbol_is_refused(redis):
    store = TradeStore(redis)
    await store.append(life(length=2))
    assert await store.append(life(at_ms=T0 + 60_000, length=2)) == 0
    assert store.counts.refused == 2
    assert list((await store.load()).open) == ["XUSDT"]


async def test_the_guard_of_the_symbol_holds_inside_the_script(redis):
    store = TradeStore(redis)
    await store.append(life(length=2))
    arguments = store._arguments("XUSDT-9-long", "", (await store.load()).open["XUSDT"], life(at_ms=9, length=1))
    assert await store._append(keys=store._keys, args=arguments) == 0
    assert await redis.xlen(keys.trade_events()) == 2


@pytest.mark.parametrize("lost", ["numbers", "open", "closed", "all"])
async def test_lost_views_are_rebuilt_from_the_stream(redis, lost):
    store = TradeStore(redis)
    await store.append([*life("AUSDT"), *life("BUSDT", length=3)])
    whole = contents(await store.load())
    views = {"numbers": keys.trade_numbers(), "open": keys.open_trades(), "closed": keys.closed_trades()}
    await redis.delete(*(views.values() if lost == "all" else [views[lost]]))
    assert contents(await store.load()) == whole
    assert await redis.exists(*views.values()) == 3
    assert await store.append(life("BUSDT")) == 1
    assert await store.append(life("AUSDT")) == 0


async def test_a_writer_that_dies_between_stream_and_views_loses_nothing(redis):
    """The script is atomic, so this can only come from another program; the next load makes it good."""
    store = TradeStore(redis)
    await store.append(life(length=2))
    await redis.xadd(keys.trade_events(), {"event": orjson.dumps(life()[2].to_dict())})
    assert (await store.load()).open["XUSDT"].stop == 99.0
    assert await store.append(life()) == 1


async def test_a_script_that_fails_half_way_writes_nothing(redis):
    store = TradeStore(redis)
    await redis.set(keys.trade_numbers(), "not a hash")
    with pytest.raises(aioredis.ResponseError):
        await store.append(life(length=2))
    assert await redis.xlen(keys.trade_events()) == 0
    assert await redis.exists(keys.open_trades()) == 0


async def test_only_the_newest_closed_trades_are_loaded_but_none_is_forgotten(redis):
    store = TradeStore(redis, keep_closed=3)
    for hour in range(7):
        await store.append(life(at_ms=T0 + hour * 3_600_000))
    loaded = await store.load()
    assert [trade.planned_ms for trade in loaded.closed] == [T0 + hour * 3_600_000 for hour in (4, 5, 6)]
    assert len((await store.rebuild()).closed) == 7
    assert contents(await store.load()) == contents(loaded)
    assert await store.append(life()) == 0  # older than what is loaded, and still known


async def test_a_long_stream_is_read_page_by_page(redis, monkeypatch):
    monkeypatch.setattr("aione.store.trades.PAGE", 3)
    store = TradeStore(redis)
    await store.append([event for hour in range(4) for event in life(at_ms=T0 + hour * 3_600_000)])
    assert len(await store.events()) == 16


async def test_a_rebuild_waits_for_a_writer_that_was_faster(redis, monkeypatch):
    store = TradeStore(redis)
    await store.append(life(length=2))
    read = store._read_stream

    async def read_then_lose_the_race():
        found = await read()
        monkeypatch.setattr(store, "_read_stream", read)
        await store.append(life())
        return found

    monkeypatch.setattr(store, "_read_stream", read_then_lose_the_race)
    assert [trade.exit_reason for trade in (await store.rebuild()).closed] == [ExitReason.SL]
    assert contents(await store.load()) == contents(await store.rebuild())


async def test_a_stream_that_no_writer_of_ours_wrote_is_refused(redis):
    store = TradeStore(redis)
    await redis.xadd(keys.trade_events(), {"event": orjson.dumps(replace(life()[1]).to_dict())})
    with pytest.raises(InvalidInput, match="must begin with planned"):
        await store.load()


async def test_a_redis_that_is_away_is_named():
    store = TradeStore(aioredis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    with pytest.raises(ServiceUnavailable, match="appending trade events"):
        await store.append(life())
    with pytest.raises(ServiceUnavailable, match="loading trades"):
        await store.load()


def test_at_least_one_closed_trade_is_kept():
    with pytest.raises(InvalidInput, match="at least 1, was 0"):
        TradeStore(aioredis.Redis(), keep_closed=0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_views_and_stream_agree_after_any_mixture(redis_url, data):
    async with aioredis.Redis.from_url(redis_url) as client:
        await client.flushdb()
        store = TradeStore(client)
        for _ in range(data.draw(st.integers(1, 12))):
            symbol, hour = data.draw(st.sampled_from("ABC")), data.draw(st.integers(0, 2))
            events = life(f"{symbol}USDT", T0 + hour * 3_600_000)
            start = data.draw(st.integers(0, 3))
            await store.append(events[start : data.draw(st.integers(start, 4))])
        assert contents(await store.load()) == contents(await store.rebuild())
        assert len(await store.events()) == store.counts.appended
