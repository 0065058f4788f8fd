"""The way to Redis: one place that opens it, proves that it answers and translates its errors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from aione.errors import ConfigError, ServiceUnavailable

ANSWER_WITHIN_S: Final = 2.0
READ_BYTES: Final = 1 << 20

REFUSALS: Final = {
    "OOM": "its memory is full (maxmemory)",
    "READONLY": "it is a replica, or was made one",
    "MISCONF": "it cannot persist to its disk",
    "LOADING": "it is still loading its data",
    "TRYAGAIN": "its keys are being moved",
    "CLUSTERDOWN": "its cluster is down",
    "MASTERDOWN": "it has lost its master",
    "NOREPLICAS": "it has too few replicas",
    "BUSY": "a script keeps it busy",
}
"""Code of an error reply that passes by itself or by an operator's hand -> why Redis refuses."""

KINDS: Final = (
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
)
"""The client's own classes: it takes the code from their text. The special one stands before the general one."""

CODE: Final = re.compile(rf"(?:^|: |-)({'|'.join(REFUSALS)}) ")
"""A code at the reply's beginning, in a pipeline's message before it, or in a script's (``... @user_script: -OOM``)."""


async def connect(url: str) -> aioredis.Redis:
    """Return a client of the Redis at ``url`` that has answered a ping.

    Parameters
    ----------
    url : str
        ``redis://host:port/db``, ``rediss://...`` or ``unix://path``.

    Raises
    ------
    ServiceUnavailable
        No answer within two seconds. The message names the address without its password.
    ConfigError
        ``url`` is not the address of a Redis.
    """
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=2)
    try:
        client = aioredis.Redis.from_url(
            url, retry=retry, socket_connect_timeout=ANSWER_WITHIN_S, socket_keepalive=True, socket_read_size=READ_BYTES
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URL must be redis://host:port/db, was {redacted(url)}: {error}") from error
    try:
        await asyncio.wait_for(client.ping(), ANSWER_WITHIN_S)
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        await client.aclose()
        why = str(error) or f"no reply within {ANSWER_WITHIN_S:g} s"
        raise ServiceUnavailable(f"Redis at {redacted(url)} does not answer: {why}") from error
    return client


def redacted(url: str) -> str:
    """Return an address that may be shown: without its password.

    Examples
    --------
    >>> redacted("redis://user:secret@db.example:6379/0")
    'redis://user:***@db.example:6379/0'
    """
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":***@") if password else url


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Turn Redis not answering, or refusing for a while, into `ServiceUnavailable` that says what could not be done.

    Raises
    ------
    ServiceUnavailable
        Connection refused, lost or timed out; and a reply that says "not now": see ``REFUSALS``.

    Notes
    -----
    An error reply that would come again whatever happens (another type of key, a mistake in a command, a missing
    right) is left as it is: it is to be mended, not waited for.
    """
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise ServiceUnavailable(f"Redis does not answer while {doing}: {error}") from error
    except exceptions.ResponseError as error:
        why = _refusal(error)
        if why is None:
            raise
        raise ServiceUnavailable(f"Redis refuses while {doing}, because {why}: {error}") from error


def _refusal(error: exceptions.ResponseError) -> str | None:
    """Return why Redis refuses for a while; None where the reply is about the command."""
    for kind, code in KINDS:
        if isinstance(error, kind):
            return REFUSALS[code]
    found = CODE.search(str(error))
    return REFUSALS[found[1]] if found else None


__all__ = ["ANSWER_WITHIN_S", "REFUSALS", "connect", "redacted", "redis_errors"]
