"""Events in a Redis stream, the newest kept, for every process to read."""

from __future__ import annotations

from typing import Any, Final

import redis

from aione.audit.record import AuditEvent
from aione.errors import InvalidInput
from aione.store import keys

TIMEOUT_S: Final = 2.0


class RedisSink:
    """Keeps events in a Redis stream; one entry an event, its field ``e`` the JSON line.

    Parameters
    ----------
    url : str
    maxlen : int
        About how many are kept.
    """

    name = "redis"

    def __init__(self, url: str, maxlen: int, stream: str | None = None) -> None:
        self._maxlen, self._stream = maxlen, stream or keys.audit_events()
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)

    def write(self, events: list[AuditEvent]) -> None:
        """Append the events in one round trip; `redis.RedisError` where Redis does not take them."""
        with self._client.pipeline(transaction=True) as pipe:
            for event in events:
                pipe.xadd(self._stream, {"e": event.to_json()}, maxlen=self._maxlen, approximate=True)
            pipe.execute()

    def sync(self) -> None:
        """How durable Redis is, Redis decides."""

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()


def read_stream(client: redis.Redis, stream: str | None = None, *, page: int = 5000) -> tuple[list[AuditEvent], int]:
    """Return the events of the stream, oldest first, and how many entries are none."""
    found: list[AuditEvent] = []
    unreadable, start, stream = 0, "-", stream or keys.audit_events()
    while True:
        entries: Any = client.xrange(stream, min=start, count=page)
        for _, fields in entries:
            try:
                found.append(AuditEvent.from_json(fields[b"e"]))
            except (KeyError, InvalidInput):
                unreadable += 1
        if len(entries) < page:
            return found, unreadable
        start = f"({entries[-1][0].decode()}"


__all__ = ["RedisSink", "read_stream"]
