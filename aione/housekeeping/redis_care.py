"""What Redis keeps of symbols that are gone, its memory, and its append-only file.

Nearly every key expires by itself. The exceptions are the Stage1 states of symbols, which stay: those of a symbol that
the universe does not have, that no trade follows and that has no minute ring any more (it outlives the last bar by
days) are removed. The append-only file is rewritten by Redis itself when it has doubled (``auto-aof-rewrite-*``); it
is asked to where the file is beyond its bound and a rewrite would win at least half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis.asyncio as aioredis
from redis import exceptions

from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.state import StateStore
from config.housekeeping_models import HousekeepingParams

MEGABYTE: Final = 1_000_000
WORTH: Final = 2.0


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """Memory, and the append-only file where Redis keeps one: its size now and when it was last rewritten."""

    memory: int
    aof: int | None
    aof_base: int | None
    is_rewriting: bool


async def redis_now_ms(redis: aioredis.Redis) -> int:
    """Return Redis' time, UTC epoch milliseconds; `ServiceUnavailable` where it does not answer."""
    with redis_errors("asking Redis for its time"):
        seconds, micros = await redis.time()
    return 1000 * int(seconds) + int(micros) // 1000


async def redis_facts(redis: aioredis.Redis) -> RedisFacts:
    """Return what Redis says of itself; `ServiceUnavailable` where it does not answer."""
    with redis_errors("asking Redis for its sizes"):
        memory: Any = await redis.info("memory")
        disk: Any = await redis.info("persistence")
    is_on = bool(disk.get("aof_enabled"))
    return RedisFacts(
        int(memory["used_memory"]),
        int(disk["aof_current_size"]) if is_on else None,
        int(disk["aof_base_size"]) if is_on else None,
        bool(disk.get("aof_rewrite_in_progress") or disk.get("aof_rewrite_scheduled")),
    )


async def rewrite_aof(redis: aioredis.Redis, params: HousekeepingParams, *, is_dry: bool = False) -> str:
    """Ask for a rewrite of the append-only file where that is worth it; return what was done, or why not.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    """
    facts = await redis_facts(redis)
    if facts.aof is None or facts.aof_base is None:
        return "Redis keeps no append-only file"
    text = f"{facts.aof / MEGABYTE:.1f} MB, {facts.aof_base / MEGABYTE:.1f} MB when last rewritten"
    if facts.is_rewriting:
        return f"a rewrite runs: {text}"
    if facts.aof <= params.aof_rewrite_mb * MEGABYTE or facts.aof < WORTH * max(1, facts.aof_base):
        return f"no rewrite is due: {text}"
    if is_dry:
        return f"a rewrite would be asked for: {text}"
    with redis_errors("asking for a rewrite of the append-only file"):
        try:
            await redis.bgrewriteaof()
        except exceptions.NoPermissionError:
            return f"this user may not ask for a rewrite: {text}"
    return f"a rewrite was asked for: {text}"


async def forget_gone_symbols(redis: aioredis.Redis, *, is_dry: bool = False) -> list[str]:
    """Remove the Stage1 states of symbols that are long gone; return these symbols.

    Nothing is removed while the universe is missing, empty or stale.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    """
    universe = await StateStore(redis).load_universe()
    if universe is None or universe.is_stale or not universe.symbols:
        return []
    with redis_errors("looking for symbols that are gone"):
        held: Any = await redis.hkeys(keys.monitor_states())
        followed: Any = await redis.hvals(keys.open_trades())
        kept = {*universe.symbols, *(orjson.loads(raw)["symbol"] for raw in followed)}
        doubtful = sorted({name.decode() for name in held} - kept)
        gone = [symbol for symbol in doubtful if not await redis.exists(keys.bar_ring(symbol, "1m"))]
        if gone and not is_dry:
            await redis.hdel(keys.monitor_states(), *gone)
    return gone


__all__ = ["RedisFacts", "forget_gone_symbols", "redis_facts", "redis_now_ms", "rewrite_aof"]
