"""`UniverseLedger`: every refresh of the universe, so that it can be rebuilt as it was at any past minute.

1. An entry holds what its refresh changed of the universe that was in force then, whoever had put it there
   (`aione.venue.universe.journal_entry`), failed and empty refreshes too.
2. A checkpoint holds everything, as if nothing had been before it. Every entry says how many came since the last one,
   and after `CHECKPOINT_EVERY` another is due; also after an entry of a later time, and where nothing is in force.
3. A past universe is the last checkpoint at or before the moment, and every entry after it up to the moment.

At one refresh in ten minutes `ENTRIES_KEPT` are more than a year.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import orjson
import redis.asyncio as aioredis
from redis.exceptions import WatchError

from aione.errors import InsufficientData, InvalidInput, ServiceUnavailable
from aione.store import keys
from aione.store.connect import redis_errors
from aione.venue.universe import Universe, apply_entry, journal_entry

CHECKPOINT_EVERY: Final = 144
ENTRIES_KEPT: Final = 60_000
ENTRIES_A_READ: Final = 200
TRIES: Final = 20

Change: TypeAlias = Callable[[Universe | None], Universe | None]


class UniverseLedger:
    """The journal of refreshes, a Redis stream; every method raises `ServiceUnavailable` when Redis does not answer."""

    def __init__(self, redis: aioredis.Redis) -> None:
        self._redis = redis

    async def put(self, change: Change, at_ms: int) -> Universe | None:
        """Put the universe that ``change`` makes of the one in force into force, and journal what is other, or neither.

        Parameters
        ----------
        change : callable
            Gets the universe in force, None before the first, and returns the next one, or None to leave it. It is
            called again when another process was faster.
        at_ms : int
            The exchange's time of the refresh, or of the try that failed.

        Raises
        ------
        InvalidInput
            Redis holds something else than a universe.
        """
        with redis_errors("saving the universe"):
            for _ in range(TRIES):
                async with self._redis.pipeline(transaction=True) as pipe:
                    with suppress(WatchError):
                        return await self._try_put(pipe, change, at_ms)
        raise ServiceUnavailable(f"the universe was changed by others {TRIES} times while it was to be saved")

    async def _try_put(self, pipe: Any, change: Change, at_ms: int) -> Universe | None:
        await pipe.watch(keys.universe(), keys.universe_journal())
        held = await pipe.get(keys.universe())
        before = None if held is None else _universe(held)
        after = change(before)
        if after is None:
            return None
        last = await pipe.xrevrange(keys.universe_journal(), count=1)
        since = _since_checkpoint(before, last, at_ms)
        entry = journal_entry(before if since else None, after, at_ms)
        pipe.multi()
        pipe.set(keys.universe(), orjson.dumps(after.to_dict()))
        pipe.xadd(
            keys.universe_journal(),
            {"entry": orjson.dumps({**entry, "is_checkpoint": since == 0, "since": since})},
            maxlen=ENTRIES_KEPT,
            approximate=True,
        )
        await pipe.execute()
        return after

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
        return _entries(rows)


def _universe(held: bytes) -> Universe:
    try:
        return Universe.from_dict(orjson.loads(held))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Redis key {keys.universe()} must hold JSON: {error}") from error


def _entries(rows: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return entries of the stream with their places in it."""
    try:
        return [(place.decode(), orjson.loads(fields[b"entry"])) for place, fields in rows]
    except (KeyError, orjson.JSONDecodeError) as error:
        raise InvalidInput(f"Redis key {keys.universe_journal()} must hold entries of JSON: {error}") from error


def _since_checkpoint(before: Universe | None, last: Any, at_ms: int) -> int:
    """Return the number of the next entry after its checkpoint; 0 where it must be one itself.

    ``last`` is the stream's last row, if there is one; an entry that cannot be read, or is without number, is as none.
    """
    try:
        entry = _entries(last)[0][1]
        since, last_ms = int(entry["since"]) + 1, int(entry["at_ms"])
    except (InvalidInput, IndexError, KeyError, TypeError, ValueError):
        return 0
    return 0 if before is None or since >= CHECKPOINT_EVERY or last_ms > at_ms else since


__all__ = ["CHECKPOINT_EVERY", "ENTRIES_KEPT", "UniverseLedger"]
