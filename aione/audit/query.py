"""Looking for events: in the Redis stream, in files of JSON lines, each event once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis

from aione.audit.jsonl import JsonlFile
from aione.audit.record import AuditEvent
from aione.audit.redis_stream import read_stream


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; None and an empty word ask for nothing.

    Attributes
    ----------
    symbol, stage, kind : str
    since_ms, until_ms : int, optional
        UTC epoch milliseconds, both included.
    limit : int
        The newest so many.
    """

    symbol: str = ""
    stage: str = ""
    kind: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 100

    def matches(self, event: AuditEvent) -> bool:
        """Return whether an event is one of those asked for."""
        return (
            (not self.symbol or event.symbol == self.symbol)
            and (not self.stage or event.stage == self.stage)
            and (not self.kind or event.kind == self.kind)
            and (self.since_ms is None or event.ts >= self.since_ms)
            and (self.until_ms is None or event.ts <= self.until_ms)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Events oldest first, how many matched in all, and how many entries could not be read."""

    events: tuple[AuditEvent, ...]
    matched: int
    unreadable: int


def look(query: Query, *, client: redis.Redis | None = None, path: Path | None = None) -> Answer:
    """Return the events that match, from Redis and from the files of ``path``; one that is in both counts once."""
    unreadable = 0
    sources: list[Iterable[AuditEvent]] = []
    file = None if path is None else JsonlFile(path)
    if file is not None:
        sources.append(file)
    if client is not None:
        events, unreadable = read_stream(client)
        sources.append(events)
    found: dict[str, AuditEvent] = {}
    for source in sources:
        for event in source:
            if query.matches(event):
                found[event.id] = event
    ordered = sorted(found.values(), key=lambda event: event.ts)
    lost = unreadable + (0 if file is None else file.unreadable)
    return Answer(tuple(ordered[max(0, len(ordered) - query.limit) :]), len(ordered), lost)


__all__ = ["Answer", "Query", "look"]
