"""Publishing a cycle: the new snapshot, the delta that leads to it and its place in the sequence, in one step.

1. Read ``{epoch, seq}`` and the last snapshot together.
2. Without both, or when they disagree, begin a new epoch at seq 1 from nothing.
3. Compare: which assets changed, which symbols left. Nothing new for the same bar: publish nothing.
4. Build the two frames with ``seq + 1`` inside.
5. One script checks that ``{epoch, seq}`` is still what was read, then stores the snapshot and the sequence and
   publishes the delta. Another publisher was faster: start again at 1.

So several publishers may run, ``seq`` has no gap, and the key always holds the state that the channel led to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from aione.errors import InvalidInput, ServiceUnavailable
from aione.publish.codec import decode_message, encode
from aione.publish.payload import SCHEMA_VERSION, Asset, Counters, Delta, Meta, Snapshot
from aione.publish.sequence import merge
from aione.store import keys
from aione.store.connect import redis_errors
from config.settings import Settings

MAX_ATTEMPTS: Final = 64

_COMMIT: Final = """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[6])
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'seq', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[7])
return 1
"""


@dataclass(frozen=True, slots=True)
class Published:
    """What a call of `Publisher.publish` did; ``is_new`` is False when there was nothing to publish."""

    seq: int
    epoch: str
    delta_assets: int
    snapshot_bytes: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class _Held:
    """The sequence hash as it was read, and the snapshot that belongs to it."""

    epoch: str
    seq: str
    snapshot: Snapshot | None
    size: int


class Publisher:
    """Publishes the state of every asset to Redis; any number of them may do so at once.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    settings : Settings
        ``REDIS_SNAPSHOT_KEY`` and ``REDIS_CHANNEL_ASSET_STATE`` name the key and the channel.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._key = settings.REDIS_SNAPSHOT_KEY
        self._channel = settings.REDIS_CHANNEL_ASSET_STATE
        self._commit = redis.register_script(_COMMIT)

    async def publish(
        self,
        assets: Sequence[Asset],
        counters: Counters,
        *,
        ts_ms: int,
        bar_time_ms: int,
        source: str,
        stale: bool = False,
        warnings: Sequence[str] = (),
    ) -> Published:
        """Publish one cycle.

        Parameters
        ----------
        assets : sequence of Asset
            All of them, in any order; a symbol that is missing has left. ``last_updated`` is set here.
        counters : Counters
        ts_ms : int
            Now, by the clock of the exchange.
        bar_time_ms : int
            Open time of the last closed bar that the state is computed on.
        source : str
            Who computed it: ``screening``, ``rescan``, ...
        stale, warnings
            What a reader must be told about the data as a whole.

        Returns
        -------
        Published
            With the old ``seq`` and ``is_new`` False when the last snapshot is of the same bar and says the same.

        Raises
        ------
        InvalidInput
            A symbol twice, or a value that the schema does not allow.
        ServiceUnavailable
            Redis does not answer, or other publishers were faster `MAX_ATTEMPTS` times in a row.
        """
        wanted = _validated(
            Snapshot(
                meta=Meta(
                    schema_version=SCHEMA_VERSION,
                    epoch="",
                    seq=0,
                    ts=ts_ms,
                    source=source,
                    stale=stale,
                    bar_time_ms=bar_time_ms,
                    warnings=list(warnings),
                ),
                counters=counters,
                assets=list(assets),
            )
        )
        for attempt in range(MAX_ATTEMPTS):
            with redis_errors("publishing the snapshot"):
                published = await self._attempt(wanted)
            if published is not None:
                return published
            await asyncio.sleep(0.001 * attempt)
        raise ServiceUnavailable(f"other publishers were faster {MAX_ATTEMPTS} times; {keys.sequence()} moves too fast")

    async def _attempt(self, wanted: Snapshot) -> Published | None:
        """Build the frames on what Redis holds now and commit them; None when it changed meanwhile."""
        held = await self._read()
        before = held.snapshot
        assets, changed, removed = merge(before.assets if before else [], wanted.assets, wanted.meta.ts)
        if before is not None and not changed and not removed and _says_the_same(before, wanted):
            return Published(before.meta.seq, before.meta.epoch, 0, held.size, is_new=False)
        epoch = before.meta.epoch if before else f"{wanted.meta.ts:x}-{uuid4().hex[:8]}"
        seq = before.meta.seq + 1 if before else 1
        meta = msgspec.structs.replace(wanted.meta, epoch=epoch, seq=seq)
        snapshot = encode(Snapshot(meta=meta, counters=wanted.counters, assets=assets))
        delta = encode(Delta(meta=meta, counters=wanted.counters, assets=changed, removed=removed))
        committed = await self._commit(
            keys=[keys.sequence(), self._key],
            args=[held.epoch, held.seq, epoch, seq, self._channel, snapshot, delta],
        )
        return Published(seq, epoch, len(changed), len(snapshot)) if committed else None

    async def _read(self) -> _Held:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.sequence(), ["epoch", "seq"])
            pipe.get(self._key)
            (epoch, seq), data = await pipe.execute()
        held = _Held(_text(epoch), _text(seq), _snapshot(data), len(data or b""))
        meta = held.snapshot.meta if held.snapshot else None
        if meta is None or (meta.epoch, str(meta.seq)) != (held.epoch, held.seq):
            return _Held(held.epoch, held.seq, None, held.size)
        return held


def _validated(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as a reader will see it: NaN is null, whole floats are floats, every type is checked."""
    try:
        return msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidInput(f"expected content of payload schema {SCHEMA_VERSION}: {error}") from error


def _says_the_same(before: Snapshot, wanted: Snapshot) -> bool:
    old, new = before.meta, wanted.meta
    return (
        before.counters == wanted.counters
        and old.bar_time_ms == new.bar_time_ms
        and old.stale == new.stale
        and old.warnings == new.warnings
    )


def _snapshot(data: bytes | None) -> Snapshot | None:
    """Read the last snapshot; one that this version cannot read counts as none, and a new epoch begins."""
    if data is None:
        return None
    try:
        message = decode_message(data)
    except InvalidInput:
        return None
    return message if isinstance(message, Snapshot) else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


__all__ = ["MAX_ATTEMPTS", "Published", "Publisher"]
