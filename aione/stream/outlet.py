"""Everything that a stream worker hands to Redis besides bars, and what it reads there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
import redis.asyncio as aioredis
from msgspec.structs import asdict

from aione.metrics import Metrics
from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.state import StateStore
from aione.store.trades import TradeStore
from aione.stream.book import BookEntry
from aione.stream.incidents import Incident
from aione.stream.symbols import Wanted, read_wanted

STATUS_TTL_S: Final = 60
INCIDENTS_KEPT: Final = 5_000


class Outlet(Protocol):
    """Where a worker's words go; every method raises `ServiceUnavailable` when nobody listens."""

    async def wanted(self) -> Wanted:
        """Return which symbols the flows want followed."""

    async def save_forming(self, records: Mapping[str, bytes]) -> None:
        """Store forming bars, each one `BAR_RECORD`."""

    async def save_book(self, entries: Mapping[str, BookEntry]) -> None:
        """Store what is known of the order books."""

    async def load_book(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is stored of the order books; a symbol without an entry is absent."""

    async def save_open_interest(self, rows: dict[str, dict[str, Any]]) -> None:
        """Store open interest as last polled."""

    async def load_open_interest(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return open interest as stored; a symbol without it is absent."""

    async def forget(self, symbols: Collection[str]) -> None:
        """Remove what is kept of symbols that are not followed any more, except their bars."""

    async def save_status(self, worker: str, fields: Mapping[str, str], streams: Mapping[str, str]) -> None:
        """Store what a worker says of itself, and the state of each of its streams."""

    async def tell(self, worker: str, incidents: Sequence[Incident]) -> None:
        """Record incidents that began or ended."""

    async def refresh_metrics(self, metrics: Metrics) -> None:
        """Copy the flows' metrics."""


class RedisOutlet:
    """The outlet of a running system."""

    def __init__(self, redis: aioredis.Redis, ttl_s: int | None = None) -> None:
        self._redis = redis
        self._state = StateStore(redis, ttl_s=ttl_s)
        self._trades = TradeStore(redis)

    async def wanted(self) -> Wanted:
        """Return which symbols the flows want followed; see `read_wanted`."""
        return await read_wanted(self._state, self._trades)

    async def save_forming(self, records: Mapping[str, bytes]) -> None:
        """Store forming bars; all of them are forgotten a minute after the last one of any worker."""
        if records:
            with redis_errors("writing forming bars"):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hset(keys.forming_bars(), mapping=dict(records.items()))
                    pipe.expire(keys.forming_bars(), STATUS_TTL_S)
                    await pipe.execute()

    async def save_book(self, entries: Mapping[str, BookEntry]) -> None:
        """Store what is known of the order books."""
        await self._state.save_book_tickers({symbol: asdict(entry) for symbol, entry in entries.items()})

    async def load_book(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is stored of the order books."""
        return await self._state.load_book_tickers(symbols)

    async def save_open_interest(self, rows: dict[str, dict[str, Any]]) -> None:
        """Store open interest as last polled."""
        await self._state.save_derivatives(rows)

    async def load_open_interest(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return open interest as stored."""
        return await self._state.load_derivatives(symbols)

    async def forget(self, symbols: Collection[str]) -> None:
        """Remove forming bars, order books and open interest of symbols."""
        if symbols:
            with redis_errors("removing symbols"):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hdel(keys.forming_bars(), *symbols)
                    pipe.hdel(keys.book_tickers(), *symbols)
                    pipe.hdel(keys.derivatives(), *symbols)
                    await pipe.execute()

    async def save_status(self, worker: str, fields: Mapping[str, str], streams: Mapping[str, str]) -> None:
        """Store what a worker says of itself; forgotten a minute after its last word."""
        now_ms = int(fields["updated_ms"])
        with redis_errors("writing the stream's status"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(keys.stream_status(worker), mapping=dict(fields.items()))
                pipe.expire(keys.stream_status(worker), STATUS_TTL_S)
                pipe.zadd(keys.stream_workers(), {worker: now_ms})
                pipe.zremrangebyscore(keys.stream_workers(), "-inf", now_ms - 1000 * STATUS_TTL_S)
                pipe.delete(keys.stream_streams(worker))
                if streams:
                    pipe.hset(keys.stream_streams(worker), mapping=dict(streams.items()))
                    pipe.expire(keys.stream_streams(worker), STATUS_TTL_S)
                await pipe.execute()

    async def tell(self, worker: str, incidents: Sequence[Incident]) -> None:
        """Record incidents in the order given; those that are open stand in a hash as well."""
        if not incidents:
            return
        with redis_errors("recording incidents"):
            async with self._redis.pipeline(transaction=True) as pipe:
                for incident in incidents:
                    value = orjson.dumps({**incident.to_dict(), "worker": worker})
                    pipe.xadd(keys.incidents(), {"incident": value}, maxlen=INCIDENTS_KEPT, approximate=True)
                    name = f"{worker}:{incident.kind}"
                    if incident.ended_ms is None:
                        pipe.hset(keys.open_incidents(), name, value)
                    else:
                        pipe.hdel(keys.open_incidents(), name)
                await pipe.execute()

    async def refresh_metrics(self, metrics: Metrics) -> None:
        """Copy the flows' metrics."""
        await metrics.refresh(self._redis)


__all__ = ["Outlet", "RedisOutlet"]
