"""Following the published state: cold start from the key, then the channel, and back to the key whenever in doubt.

1. Subscribe, and wait until Redis has confirmed it. What is published from here on reaches us.
2. Read the snapshot key. Deltas up to its ``seq`` that arrive later are already in it.
3. Apply each delta that fits; read the key again on a gap, a new epoch or a message that cannot be read.
4. After ``check_s`` of silence compare with the sequence in Redis: pub/sub may have dropped the last message.
5. Redis is away: keep the state, wait with back-off, start again at 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from aione.errors import InvalidInput
from aione.publish.codec import decode_message
from aione.publish.payload import Delta, Snapshot
from aione.publish.sequence import Verdict, apply_delta, judge
from aione.store import keys
from config.settings import Settings


class Follower:
    """Yields the whole state after every change: ``async for snapshot in Follower(redis, settings)``.

    It never ends by itself and survives restarts of Redis and of the publisher. What it yields is always a state
    that was published; states that follow each other too fast for a resync in between may be skipped.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    settings : Settings
    check_s : float
        Silence after which the sequence in Redis is compared with what is held.
    backoff_s : (float, float)
        First and longest wait between attempts to reach Redis; each is twice the one before.

    Attributes
    ----------
    resyncs : int
        How often the key was read again after the cold start.
    is_connected : bool
        Whether the subscription stands.
    problem : str or None
        Why it does not, or which message could not be read; None when all is well.
    """

    def __init__(
        self, redis: Redis, settings: Settings, *, check_s: float = 5.0, backoff_s: tuple[float, float] = (0.2, 5.0)
    ) -> None:
        self._redis = redis
        self._key = settings.REDIS_SNAPSHOT_KEY
        self._channel = settings.REDIS_CHANNEL_ASSET_STATE
        self._check_s = check_s
        self._backoff_s = backoff_s
        self._held: Snapshot | None = None
        self.resyncs = 0
        self.is_connected = False
        self.problem: str | None = None

    async def __aiter__(self) -> AsyncIterator[Snapshot]:
        wait_s = self._backoff_s[0]
        while True:
            try:
                async for snapshot in self._session():
                    wait_s = self._backoff_s[0]
                    yield snapshot
            except (RedisError, OSError) as error:
                self.is_connected = False
                self.problem = f"Redis does not answer: {error}"
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, self._backoff_s[1])

    async def _session(self) -> AsyncIterator[Snapshot]:
        """Yield states over one subscription, until the connection fails."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            if await channel.get_message(timeout=5.0) is None:
                raise RedisConnectionError("the subscription was not confirmed within 5 s")
            self.is_connected, self.problem = True, None
            if await self._read_key():
                yield self._state()
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=self._check_s)
                changed = await (self._check() if message is None else self._take(message["data"]))
                if changed:
                    yield self._state()

    async def _take(self, data: bytes) -> bool:
        """Use one published message; return whether the state changed."""
        try:
            message = decode_message(data)
        except InvalidInput as error:
            self.problem = str(error)
            return await self._read_key()
        if not isinstance(message, Delta):
            return await self._read_key()
        verdict = judge(self._held, message)
        if verdict is Verdict.APPLY:
            self._held = apply_delta(self._state(), message)
            return True
        return verdict is Verdict.RESYNC and await self._read_key()

    async def _check(self) -> bool:
        """Compare what is held with the sequence in Redis, and read the key when they differ."""
        epoch, seq = await self._redis.hmget(keys.sequence(), ["epoch", "seq"])
        if epoch is None or seq is None:
            return False
        held = self._held.meta if self._held else None
        if held is not None and (held.epoch, held.seq) == (_text(epoch), int(seq)):
            return False
        return await self._read_key()

    async def _read_key(self) -> bool:
        """Take the state from the key; return whether it differs from what was held."""
        data = cast("bytes | None", await self._redis.get(self._key))
        if data is None:
            return False
        try:
            message = decode_message(data)
        except InvalidInput as error:
            self.problem = str(error)
            return False
        if not isinstance(message, Snapshot):
            self.problem = f"expected a snapshot in {self._key}, was a delta"
            return False
        before, self._held, self.problem = self._held, message, None
        if before is None:
            return True
        changed = (before.meta.epoch, before.meta.seq) != (message.meta.epoch, message.meta.seq)
        self.resyncs += changed
        return changed

    def _state(self) -> Snapshot:
        assert self._held is not None
        return self._held


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


__all__ = ["Follower"]
