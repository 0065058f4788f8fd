"""`Canary`: learn whether Redis still holds everything that was written to it.

A client reconnects by itself, so a server that was emptied, or came back with an older state, between two writes looks
like one that was always there. The canary leaves a new word in Redis each time it is asked, and looks for the last one:

1. no word: Redis was emptied (or nothing was said for `WORD_TTL_S`);
2. an older word: Redis fell back to an earlier state, as a replica that was behind;
3. the right word, but of another run of the server: it was restarted, and may have lost what came after the word.

A try that failed on the way does not spoil this: its word, should it have arrived, is not the one expected, so the next
look tells of a loss. It may tell of one that was none; it never misses one.
"""

from __future__ import annotations

from secrets import token_hex
from typing import Any, Final, Protocol, runtime_checkable

import redis.asyncio as aioredis

from aione.store import keys
from aione.store.connect import redis_errors

WORD_TTL_S: Final = 3_600


class Lookout(Protocol):
    """Tells of a store whether it has lost anything; `Canary` is Redis's."""

    async def is_well(self) -> bool:
        """Return whether everything was kept since the last look."""


@runtime_checkable
class Watched(Protocol):
    """A store that can be watched for loss."""

    def canary(self) -> Lookout:
        """Return a new look-out."""


class Canary:
    """One process's own word in Redis.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    """

    def __init__(self, redis: aioredis.Redis) -> None:
        self._redis = redis
        self._key = keys.stream_canary(token_hex(8))
        self._word: bytes | None = None
        self._run_id = ""

    async def is_well(self) -> bool:
        """Return whether Redis has kept everything since the last look; the first look cannot know and is False.

        One round trip.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer, or refuses.
        """
        word = token_hex(8).encode()
        with redis_errors("looking whether it has lost anything"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(self._key, word, ex=WORD_TTL_S, get=True)
                pipe.info("server")
                found, server = await pipe.execute(raise_on_error=False)
            if isinstance(found, Exception):
                raise found
        run_id = _run_id(server)
        is_well = self._word is not None and found == self._word and run_id == self._run_id
        self._word, self._run_id = word, run_id
        return is_well


def _run_id(server: Any) -> str:
    """Return the run of a server; empty where it may not be asked."""
    return str(server.get("run_id", "")) if isinstance(server, dict) else ""


__all__ = ["WORD_TTL_S", "Canary", "Lookout", "Watched"]
