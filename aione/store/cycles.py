"""`CycleLog`: every completed screening cycle, and how far long work is; both for people who watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis.asyncio as aioredis

from aione.errors import ServiceUnavailable
from aione.store import keys
from aione.store.connect import redis_errors

CYCLES_KEPT: Final = 3000
BLOCK_MS: Final = 1000
AWAY_S: Final = 1.0
PROGRESS_TTL_S: Final = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """How far long work is; ``step`` is what it did last."""

    step: str
    done: int
    total: int


class CycleLog:
    """Completed cycles as a Redis stream, the newest `CYCLES_KEPT` of them.

    Every method raises `ServiceUnavailable` when Redis does not answer.
    """

    def __init__(self, redis: aioredis.Redis) -> None:
        self._redis = redis

    async def append(self, bar_time_ms: int, summary: Mapping[str, Any]) -> None:
        """Record a cycle; ``summary`` is JSON-able."""
        fields: dict[Any, Any] = {"bar_time_ms": bar_time_ms, "cycle": orjson.dumps(summary)}
        with redis_errors("recording a cycle"):
            await self._redis.xadd(keys.cycles(), fields, maxlen=CYCLES_KEPT, approximate=True)

    async def last_bar_ms(self) -> int | None:
        """Return the bar of the newest cycle; None before the first."""
        newest = await self._newest()
        return int(newest[1][b"bar_time_ms"]) if newest else None

    async def newest(self) -> dict[str, Any] | None:
        """Return the summary of the newest cycle; None before the first."""
        newest = await self._newest()
        return orjson.loads(newest[1][b"cycle"]) if newest else None

    async def follow(self, stop: asyncio.Event) -> AsyncIterator[dict[str, Any]]:
        """Yield the summary of each cycle that completes from now on, until ``stop`` is set.

        A Redis that goes away later is waited for: the cycles of that time come when it is back. A cancellation alone
        would not do for an end: the client library can swallow one that arrives while it sends.
        """
        newest = await self._newest()
        last: Any = newest[0] if newest else b"0-0"
        while not stop.is_set():
            try:
                with redis_errors("following the cycles"):
                    replies: Any = await self._redis.xread({keys.cycles(): last}, block=BLOCK_MS, count=10)
            except ServiceUnavailable:
                await asyncio.sleep(AWAY_S)
                continue
            for _, entries in replies or []:
                for entry_id, fields in entries:
                    last = entry_id
                    yield orjson.loads(fields[b"cycle"])

    async def tell_progress(self, progress: Progress | None) -> None:
        """Say how far long work is; None says that it is over."""
        with redis_errors("telling progress"):
            if progress is None:
                await self._redis.delete(keys.progress())
            else:
                fields: dict[Any, Any] = {"step": progress.step, "done": progress.done, "total": progress.total}
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hset(keys.progress(), mapping=fields)
                    pipe.expire(keys.progress(), PROGRESS_TTL_S)
                    await pipe.execute()

    async def progress(self) -> Progress | None:
        """Return how far long work is; None while there is none."""
        with redis_errors("reading progress"):
            raw: Any = await self._redis.hgetall(keys.progress())
        return Progress(raw[b"step"].decode(), int(raw[b"done"]), int(raw[b"total"])) if raw else None

    async def _newest(self) -> Any:
        with redis_errors("reading the newest cycle"):
            entries: Any = await self._redis.xrevrange(keys.cycles(), count=1)
        return entries[0] if entries else None


__all__ = ["CYCLES_KEPT", "CycleLog", "Progress"]
