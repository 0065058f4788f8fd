"""`UniverseLedger`: every refresh of the universe, so that it can be rebuilt as it was at any past minute.

1. An entry holds what its refresh changed (`aione.venue.universe.journal_entry`), failed and empty refreshes too.
2. Every `CHECKPOINT_EVERY` entries one holds everything, as if nothing had been before it.
3. A past universe is the last checkpoint at or before the moment, and every entry after it up to the moment.

At one refresh in ten minutes `ENTRIES_KEPT` are more than a year.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
import redis.asyncio as aioredis

from aione.errors import InsufficientData, InvalidInput
from aione.store import keys
from aione.store.connect import redis_errors
from aione.venue.universe import Universe, apply_entry, journal_entry

CHECKPOINT_EVERY: Final = 144
ENTRIES_KEPT: Final = 60_000
ENTRIES_A_READ: Final = 200


class UniverseLedger:
    """The journal of refreshes, a Redis stream; every method raises `ServiceUnavailable` when Redis does not answer."""

    def __init__(self, redis: aioredis.Redis) -> None:
        self._redis = redis

    async def put(self, before: Universe | None, after: Universe, at_ms: int) -> None:
        """Make ``after`` the universe in force and journal what it changed, both or neither.

        ``at_ms`` is the exchange's time of the refresh, or of the try that failed.
        """
        with redis_errors("saving the universe"):
            is_checkpoint = await self._redis.xlen(keys.universe_journal()) % CHECKPOINT_EVERY == 0
            entry = journal_entry(None if is_checkpoint else before, after, at_ms)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(keys.universe(), orjson.dumps(after.to_dict()))
                pipe.xadd(
                    keys.universe_journal(),
                    {"entry": orjson.dumps({**entry, "is_checkpoint": is_checkpoint})},
                    maxlen=ENTRIES_KEPT,
                    approximate=True,
                )
                await pipe.execute()

    async def journal(self, count: int = 100) -> list[dict[str, Any]]:
        """Return the last refreshes, newest first, as `journal_entry` describes them; a checkpoint holds everything."""
        return [entry for _, entry in await self._read("+", count)]

    async def at(self, at_ms: int) -> Universe:
        """Return the universe that was in force at a moment (UTC epoch ms, the exchange's time).

        Raises
        ------
        InsufficientData
            The moment is before the first refresh that is still journaled; the message says which that is.
        InvalidInput
            The journal holds something else than entries.
        """
        upto: list[dict[str, Any]] = []
        last, oldest_ms = "+", None
        while not (upto and upto[-1]["is_checkpoint"]):
            rows = await self._read(last, ENTRIES_A_READ)
            if not rows:
                since = "there is none" if oldest_ms is None else f"the first is of {oldest_ms}"
                raise InsufficientData(f"no refresh of the universe at or before {at_ms} is journaled; {since}")
            last, oldest_ms = f"({rows[-1][0]}", rows[-1][1]["at_ms"]
            for _, entry in rows:
                if entry["at_ms"] <= at_ms:
                    upto.append(entry)
                    if entry["is_checkpoint"]:
                        break
        universe: Universe | None = None
        for entry in reversed(upto):
            universe = apply_entry(universe, entry)
        assert universe is not None, "there is at least the checkpoint"
        return universe

    async def _read(self, last: str, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Return entries from ``last`` backwards with their places in the stream."""
        with redis_errors("reading the universe's journal"):
            rows: Any = await self._redis.xrevrange(keys.universe_journal(), max=last, count=count)
        try:
            return [(place.decode(), orjson.loads(fields[b"entry"])) for place, fields in rows]
        except (KeyError, orjson.JSONDecodeError) as error:
            raise InvalidInput(f"Redis key {keys.universe_journal()} must hold entries of JSON: {error}") from error


__all__ = ["CHECKPOINT_EVERY", "ENTRIES_KEPT", "UniverseLedger"]
