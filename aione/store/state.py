"""`StateStore`: the small state that survives a restart, as JSON in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import redis.asyncio as aioredis

from aione.errors import InvalidInput
from aione.prefilter import PrefilterResult
from aione.quality.quarantine import Quarantined
from aione.stage1.states import MonitorState
from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.universe_ledger import UniverseLedger
from aione.venue.universe import Universe
from config import config


class StateStore:
    """Universe, prefilter result, monitor states, quarantine, fast symbols, book tickers and stream status.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    ttl_s : int, optional
        How long what only the present is good for outlives its last write; ``REDIS_CACHE_TTL`` by default.

    Attributes
    ----------
    universes : UniverseLedger
        Every universe that ever was.

    Notes
    -----
    Universe and prefilter result do not expire: the last good one is better than none, and both say how old they are.
    Every method raises `ServiceUnavailable` when Redis does not answer; a load raises `InvalidInput` for a value that
    it cannot read.
    """

    def __init__(self, redis: aioredis.Redis, *, ttl_s: int | None = None) -> None:
        self.universes = UniverseLedger(redis)
        self._redis = redis
        self._ttl_s = config.REDIS_CACHE_TTL if ttl_s is None else ttl_s

    # ── Universe ──

    async def save_universe(self, universe: Universe) -> Universe:
        """Store a refreshed universe, journal what changed, and return the one that is now in force.

        An empty one does not replace a good one: that stays, marked as stale.
        """

        def refreshed(before: Universe | None) -> Universe:
            if not universe.symbols and before is not None and before.symbols:
                return before.stale(f"empty refresh at {universe.refreshed_ms}")
            return universe

        return await self.universes.put(refreshed, universe.refreshed_ms) or universe

    async def mark_universe_stale(self, reason: str, at_ms: int) -> Universe | None:
        """Mark the universe in force as stale because a refresh failed at a moment; None when there is none yet."""
        return await self.universes.put(lambda before: None if before is None else before.stale(reason), at_ms)

    async def load_universe(self) -> Universe | None:
        """Return the universe in force, or None before the first refresh."""
        values = await self._get(keys.universe())
        return None if values is None else Universe.from_dict(values)

    # ── Prefilter ──

    async def save_prefilter(self, result: PrefilterResult) -> None:
        """Store the last prefilter result."""
        with redis_errors("saving the prefilter's result"):
            await self._redis.set(keys.prefilter_result(), orjson.dumps(result.to_dict()))

    async def load_prefilter(self) -> PrefilterResult | None:
        """Return the last prefilter result, or None before the first."""
        values = await self._get(keys.prefilter_result())
        return None if values is None else PrefilterResult.from_dict(values)

    # ── Stage1 monitor ──

    async def save_monitor_states(self, states: Mapping[str, MonitorState]) -> None:
        """Store these symbols' monitor states; those of other symbols stay."""
        await self._put_hash(keys.monitor_states(), {s: state.to_dict() for s, state in states.items()}, None)

    async def load_monitor_states(self, symbols: Sequence[str] | None = None) -> dict[str, MonitorState]:
        """Return the stored monitor states, of ``symbols`` or of all."""
        values = await self._get_hash(keys.monitor_states(), symbols)
        return {symbol: MonitorState.from_dict(state) for symbol, state in values.items()}

    # ── Quarantine ──

    async def change_quarantine(self, put: Iterable[Quarantined], release: Iterable[str]) -> None:
        """Put symbols in, or their reasons anew, and let others out; both or neither."""
        entries: dict[Any, Any] = {entry.symbol: orjson.dumps(entry.to_dict()) for entry in put}
        released = list(release)
        if not entries and not released:
            return
        with redis_errors("changing the quarantine"):
            async with self._redis.pipeline(transaction=True) as pipe:
                if entries:
                    pipe.hset(keys.quarantine(), mapping=entries)
                if released:
                    pipe.hdel(keys.quarantine(), *released)
                await pipe.execute()

    async def load_quarantine(self) -> dict[str, Quarantined]:
        """Return who is in quarantine, and why."""
        values = await self._get_hash(keys.quarantine(), None)
        return {symbol: Quarantined.from_dict(entry) for symbol, entry in values.items()}

    # ── Fast symbols ──

    async def add_fast_symbols(self, symbols: Iterable[str], until_ms: int) -> None:
        """Keep symbols fast until ``until_ms``; one that is fast for longer stays so."""
        scores = dict.fromkeys(symbols, until_ms)
        if scores:
            with redis_errors("adding fast symbols"):
                await self._redis.zadd(keys.fast_symbols(), scores, gt=True)

    async def fast_symbols(self, now_ms: int) -> list[str]:
        """Return the symbols that are fast now, the soonest to expire first; expired ones are dropped."""
        with redis_errors("reading fast symbols"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zremrangebyscore(keys.fast_symbols(), "-inf", now_ms)
                pipe.zrange(keys.fast_symbols(), 0, -1)
                _, members = await pipe.execute()
        return [member.decode() for member in members]

    async def remove_fast_symbols(self, symbols: Iterable[str]) -> None:
        """Make symbols no longer fast."""
        members = list(symbols)
        if members:
            with redis_errors("removing fast symbols"):
                await self._redis.zrem(keys.fast_symbols(), *members)

    # ── What goes from minute to minute ──

    async def save_memory(self, memories: Mapping[str, Any]) -> None:
        """Store plain values by key (of `aione.store.keys`), all of them or none."""
        with redis_errors("saving what goes from minute to minute"):
            await self._redis.mset({key: orjson.dumps(values) for key, values in memories.items()})

    async def load_memory(self, key: str) -> bytes | None:
        """Return the JSON that was stored under a key; None before the first time."""
        with redis_errors("reading what goes from minute to minute"):
            found: Any = await self._redis.get(key)
        return found if found is None else bytes(found)

    # ── What the stream saw last ──

    async def save_book_tickers(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Store the best bid and ask of symbols, as JSON objects."""
        await self._put_hash(keys.book_tickers(), rows, self._ttl_s)

    async def load_book_tickers(self, symbols: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the stored book tickers, of ``symbols`` or of all; a symbol without one is absent."""
        return await self._get_hash(keys.book_tickers(), symbols)

    async def save_derivatives(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Store the open interest of symbols as last polled, as JSON objects."""
        await self._put_hash(keys.derivatives(), rows, self._ttl_s)

    async def load_derivatives(self, symbols: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the stored open interest, of ``symbols`` or of all; a symbol without it is absent."""
        return await self._get_hash(keys.derivatives(), symbols)

    async def load_stream_workers(self, since_ms: int = 0) -> dict[str, dict[str, str]]:
        """Return the fields of each stream worker that has spoken since a moment (this machine's time), by its name.

        Empty when none ever ran; what is said of a worker is forgotten a minute after its last word.
        """
        with redis_errors("reading the stream's status"):
            names: Any = await self._redis.zrangebyscore(keys.stream_workers(), since_ms, "+inf")
            workers = [name.decode() for name in names]
            async with self._redis.pipeline(transaction=False) as pipe:
                for worker in workers:
                    pipe.hgetall(keys.stream_status(worker))
                replies = await pipe.execute() if workers else []
        return {
            worker: {name.decode(): value.decode() for name, value in fields.items()}
            for worker, fields in zip(workers, replies, strict=True)
            if fields
        }

    async def load_streams(self, worker: str) -> dict[str, str]:
        """Return the state of each stream of a worker, by the stream's name."""
        with redis_errors("reading the streams' states"):
            fields: Any = await self._redis.hgetall(keys.stream_streams(worker))
        return {name.decode(): value.decode() for name, value in fields.items()}

    # ── JSON in Redis ──

    async def _get(self, key: str) -> Any:
        with redis_errors(f"reading {key}"):
            raw: Any = await self._redis.get(key)
        return None if raw is None else _decode(raw, key)

    async def _put_hash(self, key: str, values: Mapping[str, Any], ttl_s: int | None) -> None:
        if not values:
            return
        with redis_errors(f"writing {key}"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping={name: orjson.dumps(value) for name, value in values.items()})
                if ttl_s is not None:
                    pipe.expire(key, ttl_s)
                await pipe.execute()

    async def _get_hash(self, key: str, names: Sequence[str] | None) -> dict[str, Any]:
        if names is not None and not names:
            return {}
        with redis_errors(f"reading {key}"):
            if names is None:
                everything: Any = await self._redis.hgetall(key)
                found = {name.decode(): raw for name, raw in everything.items()}
            else:
                some: Any = await self._redis.hmget(key, list(names))
                found = dict(zip(names, some, strict=True))
        return {name: _decode(raw, key) for name, raw in found.items() if raw is not None}


def _decode(raw: bytes, key: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Redis key {key} must hold JSON, was {raw[:40]!r}") from error


__all__ = ["StateStore"]
