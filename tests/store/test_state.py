"""What survives a restart (universe, prefilter, monitor states, fast symbols), and what only the present needs."""

import orjson
import pytest
import redis.asyncio as aioredis

from aione.errors import InvalidInput, ServiceUnavailable
from aione.prefilter import Prefilter
from aione.stage1.states import MonitorState
from aione.store import keys
from aione.store.state import StateStore
from aione.venue.universe import select_universe
from config.models import SymbolInfo
from config.settings import load_settings

NOW = 1_779_278_400_000
SETTINGS = load_settings(environ={})


def info(symbol, **other):
    fields = {
        "symbol": symbol,
        "base_asset": symbol.removesuffix("USDT"),
        "quote_asset": "USDT",
        "contract_type": "PERPETUAL",
        "underlying_type": "COIN",
        "status": "TRADING",
        "onboard_ms": NOW - 100 * 86_400_000,
        "delivery_ms": 4_133_404_800_000,
        "tick_size": 0.1,
        "step_size": 0.001,
    }
    return SymbolInfo(**{**fields, **other})


def universe_of(*infos, at=NOW):
    return select_universe(infos, at, SETTINGS)


@pytest.fixture
def store(redis):
    return StateStore(redis)


# ── Universe ──


async def test_before_the_first_refresh_there_is_none(store):
    assert await store.load_universe() is None
    assert await store.mark_universe_stale("exchange down", NOW) is None
    assert await store.universes.journal() == []


async def test_a_universe_is_stored_whole_and_does_not_expire(store, redis):
    universe = universe_of(info("AUSDT"), info("币安USDT"), info("XUSDT", status="SETTLING"))
    assert await store.save_universe(universe) == universe
    assert await StateStore(redis).load_universe() == universe
    assert await redis.ttl(keys.universe()) == -1


async def test_each_refresh_is_journaled_newest_first(store):
    await store.save_universe(universe_of(info("AUSDT"), info("BUSDT")))
    await store.save_universe(universe_of(info("AUSDT"), info("BUSDT", status="CLOSE"), info("CUSDT"), at=NOW + 1))
    newest, oldest = await store.universes.journal()
    assert (newest["at_ms"], newest["removed"]) == (NOW + 1, {"BUSDT": ["status", "CLOSE"]})
    assert [contract["symbol"] for contract in newest["added"]] == ["CUSDT"]
    assert [contract["symbol"] for contract in oldest["added"]] == ["AUSDT", "BUSDT"]
    assert len(await store.universes.journal(count=1)) == 1


async def test_an_empty_refresh_keeps_the_last_good_one_and_says_so(store):
    good = universe_of(info("AUSDT"))
    await store.save_universe(good)
    kept = await store.save_universe(universe_of(info("AUSDT", status="BREAK"), at=NOW + 60_000))
    assert (kept.symbols, kept.is_stale, kept.refreshed_ms) == (("AUSDT",), True, NOW)
    assert await store.load_universe() == kept
    assert (await store.universes.journal())[0]["stale_reason"] == f"empty refresh at {NOW + 60_000}"
    await store.save_universe(universe_of(info("AUSDT"), at=NOW + 120_000))
    assert (await store.load_universe()).is_stale is False


async def test_a_failed_refresh_marks_the_last_good_one(store):
    await store.save_universe(universe_of(info("AUSDT")))
    await store.mark_universe_stale("GET /fapi/v1/exchangeInfo: status 502", NOW)
    found = await store.load_universe()
    assert (found.symbols, found.is_stale) == (("AUSDT",), True)
    assert "502" in found.stale_reason


async def test_an_empty_first_universe_is_stored_as_it_is(store):
    await store.save_universe(universe_of())
    assert (await store.load_universe()).symbols == ()


# ── Prefilter and monitor ──


async def test_the_prefilter_result_survives(store):
    assert await store.load_prefilter() is None
    chain = Prefilter([info("AUSDT"), info("BUSDT", status="CLOSE")], SETTINGS, NOW)
    chain.apply_bulk({"AUSDT": 9e6}, {"AUSDT": 0.02}, {"AUSDT": 0.0002})
    chain.apply_open_interest({"AUSDT": 9e6})
    chain.apply_depth({"AUSDT": 9e6})
    chain.apply_history({"AUSDT": 0.002}, {"AUSDT": 1.0})
    result = chain.result()
    await store.save_prefilter(result)
    assert (await store.load_prefilter()).to_dict() == result.to_dict()


async def test_monitor_states_are_kept_by_symbol(store):
    alert = MonitorState(is_alert=True, side=1, since_ms=NOW, bars_held=2, evidence=0.7, announced={"1": NOW})
    calm = MonitorState(is_alert=False, side=0, since_ms=NOW, bars_held=0, evidence=0.1)
    await store.save_monitor_states({"AUSDT": alert, "BUSDT": calm})
    await store.save_monitor_states({"BUSDT": alert})
    await store.save_monitor_states({})
    assert await store.load_monitor_states() == {"AUSDT": alert, "BUSDT": alert}
    assert await store.load_monitor_states(["BUSDT", "NEWUSDT"]) == {"BUSDT": alert}
    assert await store.load_monitor_states([]) == {}


# ── Fast symbols ──


async def test_fast_symbols_expire_by_the_clock_that_is_given(store, redis):
    await store.add_fast_symbols(["AUSDT"], NOW + 1000)
    await store.add_fast_symbols(["BUSDT"], NOW + 5000)
    await store.add_fast_symbols([], NOW)
    assert await store.fast_symbols(NOW) == ["AUSDT", "BUSDT"]
    assert await store.fast_symbols(NOW + 1000) == ["BUSDT"]
    assert await redis.zcard(keys.fast_symbols()) == 1


async def test_a_symbol_that_is_fast_for_longer_stays_so(store):
    await store.add_fast_symbols(["AUSDT"], NOW + 5000)
    await store.add_fast_symbols(["AUSDT"], NOW + 1000)
    assert await store.fast_symbols(NOW + 2000) == ["AUSDT"]
    await store.remove_fast_symbols(["AUSDT"])
    await store.remove_fast_symbols([])
    assert await store.fast_symbols(NOW) == []


# ── The stream's ──


async def test_book_tickers_expire_with_the_cache(redis):
    store = StateStore(redis, ttl_s=30)
    await store.save_book_tickers({"AUSDT": {"bid": 1.0, "ask": 1.1, "event_ms": NOW}})
    assert await store.load_book_tickers(["AUSDT", "BUSDT"]) == {"AUSDT": {"bid": 1.0, "ask": 1.1, "event_ms": NOW}}
    assert list(await store.load_book_tickers()) == ["AUSDT"]
    assert 0 < await redis.ttl(keys.book_tickers()) <= 30


async def test_what_workers_say_of_themselves_is_given_as_it_was_written(store, redis):
    assert await store.load_stream_workers() == {}
    for worker, at_ms in (("1of2@a:1", 1000), ("2of2@b:2", 9000)):
        await redis.hset(keys.stream_status(worker), mapping={"state": "running", "messages": "7"})
        await redis.zadd(keys.stream_workers(), {worker: at_ms})
    said = {"state": "running", "messages": "7"}
    assert await store.load_stream_workers() == {"1of2@a:1": said, "2of2@b:2": said}
    assert await store.load_stream_workers(since_ms=2000) == {"2of2@b:2": said}
    await redis.delete(keys.stream_status("2of2@b:2"))
    assert await store.load_stream_workers(since_ms=2000) == {}, "what has expired was not said lately"
    await redis.hset(keys.stream_streams("1of2@a:1"), mapping={"btcusdt@kline_1m": "proven"})
    assert await store.load_streams("1of2@a:1") == {"btcusdt@kline_1m": "proven"}


# ── What goes wrong ──


async def test_a_value_that_is_not_json_names_its_key(store, redis):
    await redis.set(keys.universe(), b"\x80pickle")
    with pytest.raises(InvalidInput, match=f"Redis key {keys.universe()} must hold JSON"):
        await store.load_universe()
    await redis.set(keys.universe(), orjson.dumps({"symbols": []}))
    with pytest.raises(InvalidInput, match="not a universe"):
        await store.load_universe()


async def test_a_redis_that_is_gone_is_said_so():
    client = aioredis.Redis.from_url("redis://127.0.0.1:1/0")
    store = StateStore(client)
    for call in (
        store.load_universe(),
        store.load_monitor_states(),
        store.fast_symbols(NOW),
        store.add_fast_symbols(["A"], NOW),
        store.universes.journal(),
        store.load_stream_workers(),
        store.save_book_tickers({"A": {}}),
    ):
        with pytest.raises(ServiceUnavailable):
            await call
    await client.aclose()
