"""Results of tasks that are kept: which are the same work, where they are, and that they are JSON.

What a stage makes of a minute is decided by the universe as it was loaded, the minute and the configuration. Run again
with the same three, whether by Prefect's retry, by a person or after a crash, a stage is not computed again: its first
result is read back. So the second run publishes the same bytes and opens no trade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, Literal, Self
from weakref import WeakKeyDictionary

import numpy as np
import redis.asyncio as aioredis
from lz4 import frame
from numpy.typing import NDArray
from prefect.context import FlowRunContext, TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.serializers import Serializer
from pydantic import PrivateAttr

from aione.panel import F8, VALUE_FIELDS
from aione.screening.load import Loaded
from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.objects import dump_object, load_object
from config.settings import Settings
from tasks.carried import Carried
from tasks.current import runtime

KEPT: Final = timedelta(minutes=15)
"""How long results are kept: longer than any retry of a minute makes sense."""

REFERENCE_KEPT: Final = timedelta(minutes=5)
"""How long the exchange's list of contracts is kept: shorter than the prefilter's interval, so each looks anew."""


_KEYS: WeakKeyDictionary[Carried[Loaded], str] = WeakKeyDictionary()
"""The key of a minute that several tasks of this run ask for."""


class ObjectSerializer(Serializer):  # type: ignore[type-arg]  # with an argument it would register a second type
    """What tasks carry, as JSON; see `aione.store.objects`."""

    type: Literal["aione-json"] = "aione-json"

    def dumps(self, obj: Any) -> bytes:
        """Return JSON; Prefect puts it into a record that is JSON as well."""
        return dump_object(obj.value)

    def loads(self, blob: bytes) -> Any:
        """Return what `dumps` was given."""
        return Carried(load_object(blob))


class RedisResults(WritableFileSystem):
    """Results in Redis, each forgotten after `KEPT`, through the connection that a flow run has open anyway.

    They serve runs that come again; nobody else is to read them, so this block is not saved anywhere.
    """

    _block_type_name = "AiOne Results"
    _block_type_slug = "aione-results"

    _redis: aioredis.Redis = PrivateAttr()

    @classmethod
    def over(cls, redis: aioredis.Redis) -> Self:
        """Return the results that are kept through this connection."""
        results = cls()
        results._redis = redis
        return results

    def _resolve_path(self, path: str) -> str:  # Prefect asks a storage that is not saved
        return f"/{path.lstrip('/')}"

    async def read_path(self, path: str) -> bytes:
        """Return a result's record; `ValueError` where there is none, as Prefect expects."""
        with redis_errors("reading a result"):
            record = await self._redis.get(keys.task_result(path.lstrip("/")))
        if record is None:
            raise ValueError(f"no result is kept as {path}")
        return bytes(frame.decompress(record))

    async def write_path(self, path: str, content: bytes) -> None:
        """Keep a result's record."""
        with redis_errors("keeping a result"):
            await self._redis.set(keys.task_result(path.lstrip("/")), frame.compress(content), ex=KEPT)


def minute_key(loaded: Loaded, settings: Settings) -> str:
    """Return what decides a minute's results: minute, universe as it was loaded, configuration.

    The universe is the symbols in their order, which of them lack bars or are in quarantine, their bars, and whether
    the minute's are final: a gap that was healed, a bar that was corrected or confirmed makes another key. What moves
    from second to second (order book, open interest) and what the minute itself changes (trades, states) is no part.
    """
    panel = loaded.panel
    digest = blake2b(",".join(panel.symbols).encode(), digest_size=12)
    digest.update(",".join(f"{one.symbol} {one.rule} {one.bar_ms}" for one in loaded.quarantine.values()).encode())
    for column in (
        loaded.holes > 0,
        loaded.is_last_final,
        *(_checksums(getattr(panel, name)) for name in VALUE_FIELDS),
    ):
        digest.update(column.tobytes())
    return f"{loaded.bar_time_ms}-{digest.hexdigest()}-{settings.fingerprint}-{loaded.rules.fingerprint}"


def _checksums(column: F8) -> NDArray[np.uint64]:
    """Return a number a symbol that differs when any of its bars, or their order, does, ``(S,)``."""
    bits = np.ascontiguousarray(column).view(np.uint64)
    weights = (2 * np.arange(bits.shape[1], dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(bits @ weights)


def _of_minute(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    loaded: Carried[Loaded] = parameters["loaded"]
    if loaded not in _KEYS:
        _KEYS[loaded] = minute_key(loaded.value, runtime().settings)
    return f"{context.task.name}-{_KEYS[loaded]}"


def _of_exchange(context: TaskRunContext, _parameters: dict[str, Any]) -> str:
    return f"{context.task.name}-{blake2b(runtime().settings.VENUE.rest_url.encode(), digest_size=8).hexdigest()}"


def _kept(key: Callable[[TaskRunContext, dict[str, Any]], str], expires: timedelta) -> dict[str, Any]:
    return {
        "persist_result": True,
        "cache_key_fn": key,
        "cache_expiration": expires,
        "result_serializer": ObjectSerializer(),
    }


@contextmanager
def results_in(results: RedisResults) -> Iterator[None]:
    """Keep the results of the flow run's tasks there while the block runs; outside of a flow run it does nothing."""
    context = FlowRunContext.get()
    if context is None:
        yield
        return
    store = context.result_store.model_copy(update={"result_storage": results})
    with context.model_copy(update={"result_store": store}):
        yield


OF_MINUTE: Final = _kept(_of_minute, KEPT)
"""Options of a task whose result belongs to a minute; it takes ``loaded`` and returns something carried."""

OF_EXCHANGE: Final = _kept(_of_exchange, REFERENCE_KEPT)
"""Options of a task that asks the exchange for what seldom changes; it returns something carried."""

__all__ = ["KEPT", "OF_EXCHANGE", "OF_MINUTE", "ObjectSerializer", "RedisResults", "minute_key", "results_in"]
