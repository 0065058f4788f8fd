"""`IncidentLog`: what went wrong with the data, as the stream workers have recorded it."""

from __future__ import annotations

from typing import Any

import orjson
import redis.asyncio as aioredis

from aione.errors import InvalidInput
from aione.store import keys
from aione.store.connect import redis_errors


class IncidentLog:
    """Reads incidents; every method raises `ServiceUnavailable` when Redis does not answer."""

    def __init__(self, redis: aioredis.Redis) -> None:
        self._redis = redis

    async def open(self, alive_since_ms: int | None = None) -> list[dict[str, Any]]:
        """Return the incidents that are not over, the oldest first; of workers that spoke since (this machine's time).

        A worker that was killed can end none of its incidents; they are nobody's any more. Without a time they count.
        """
        with redis_errors("reading the open incidents"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(keys.open_incidents())
                pipe.zrangebyscore(keys.stream_workers(), alive_since_ms or 0, "+inf")
                held, alive = await pipe.execute()
        workers = {name.decode() for name in alive}
        found = [_decoded(raw, keys.open_incidents()) for raw in held.values()]
        held_by = (one for one in found if alive_since_ms is None or one["worker"] in workers)
        return sorted(held_by, key=lambda one: int(one["began_ms"]))

    async def recent(self, count: int = 100) -> list[dict[str, Any]]:
        """Return the newest incidents as they began or ended, newest first."""
        with redis_errors("reading the incidents"):
            rows: Any = await self._redis.xrevrange(keys.incidents(), count=count)
        return [_decoded(fields[b"incident"], keys.incidents()) for _, fields in rows]


def _decoded(raw: bytes, key: str) -> dict[str, Any]:
    try:
        incident: dict[str, Any] = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Redis key {key} must hold incidents as JSON: {error}") from error
    return incident


__all__ = ["IncidentLog"]
