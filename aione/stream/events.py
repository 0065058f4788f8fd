"""What a stream worker tells Prefect: events that automations wait for, and where these wait until they are sent.

| event | when | resource |
|---|---|---|
| `aione.stream.alive` | every ``NOTIFY.alive_every_s`` seconds | the worker |
| `aione.stream.stopped` | the worker was told to end | the worker |
| `aione.stream.stale` | streams or connections fail to deliver, and when that is over | the worker |
| `aione.incident` | anything else goes wrong with the data, and when that is over | the worker |
| `aione.bar.gap` | a gap was healed that is longer than one late bar | the worker |
| `aione.alert` | a symbol newly carries an alert (`aione.stream.alerts`) | the symbol |

The engine does not import Prefect; `aione.stream.event_sender` posts these as any program may.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from aione.metrics import Metrics

ALIVE: Final = "aione.stream.alive"
STOPPED: Final = "aione.stream.stopped"
STALE: Final = "aione.stream.stale"
INCIDENT: Final = "aione.incident"
GAP: Final = "aione.bar.gap"
ALERT: Final = "aione.alert"
RESCAN_WANTED: Final = {"aione.rescan": "wanted"}
"""The label of events after which the published state is worth a new look."""


def wall_ms() -> int:
    """Return this machine's time, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource; ``labels`` are what triggers match and are all text.

    An event is sent again under the same ``event_id`` when nobody knows whether it has arrived; Prefect takes it once.
    ``follows`` is the event that has to be taken up before this one: Prefect takes up others in any order.
    """

    name: str
    resource: str
    labels: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)
    occurred_ms: int = field(default_factory=wall_ms)
    event_id: UUID = field(default_factory=uuid4)
    follows: UUID | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the body that ``POST /events`` takes one of in its list."""
        return {
            "id": str(self.event_id),
            "occurred": datetime.fromtimestamp(self.occurred_ms / 1000, UTC).isoformat(),
            "event": self.name,
            "resource": {"prefect.resource.id": self.resource, **self.labels},
            "related": [],
            "payload": dict(self.payload),
            "follows": None if self.follows is None else str(self.follows),
        }


class EventBuffer:
    """Events in the order in which they happened, at most ``bound`` of them; beyond that the oldest are dropped.

    A sign of life that still waits gives way to the next one, for of those only the last is of use, and to the word
    that the worker was told to end.

    Attributes
    ----------
    last_alive : Event, optional
        The last sign of life that Prefect has.

    Examples
    --------
    >>> buffer = EventBuffer(Metrics(), bound=2)
    >>> for name in ("a", "b", "c"):
    ...     buffer.add(Event(name, "aione.example"))
    >>> [event.name for event in buffer.first(10)]
    ['b', 'c']
    """

    def __init__(self, metrics: Metrics, bound: int) -> None:
        self._metrics = metrics
        self._bound = bound
        self._waiting: dict[UUID, Event] = {}
        self.last_alive: Event | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event) -> None:
        """Take an event; never waits."""
        if event.name in {ALIVE, STOPPED}:
            for old in [one for one in self._waiting.values() if one.name == ALIVE]:
                del self._waiting[old.event_id]
        self._waiting[event.event_id] = event
        if len(self._waiting) > self._bound:
            del self._waiting[next(iter(self._waiting))]
            self._metrics.add("aione_events_dropped_total", reason="full")
        self._metrics.add("aione_events_waiting", len(self._waiting))

    def first(self, count: int) -> list[Event]:
        """Return the oldest events; they stay until they are `sent` or `refused`."""
        return list(itertools.islice(self._waiting.values(), count))

    def sent(self, events: Collection[Event]) -> None:
        """Let go of events that Prefect has."""
        for event in events:
            self._metrics.add("aione_events_total", event=event.name)
            if event.name == ALIVE:
                self.last_alive = event
        self._let_go(events)

    def refused(self, events: Collection[Event]) -> None:
        """Let go of events that Prefect will never take."""
        self._metrics.add("aione_events_dropped_total", len(events), reason="refused")
        self._let_go(events)

    def _let_go(self, events: Collection[Event]) -> None:
        for event in events:
            self._waiting.pop(event.event_id, None)
        self._metrics.add("aione_events_waiting", len(self._waiting))


def minute_text(at_ms: int) -> str:
    """Return a time as text, to the minute.

    Examples
    --------
    >>> minute_text(1_779_278_400_000)
    '2026-05-20 12:00'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


__all__ = [
    "ALERT",
    "ALIVE",
    "GAP",
    "INCIDENT",
    "RESCAN_WANTED",
    "STALE",
    "STOPPED",
    "Event",
    "EventBuffer",
    "minute_text",
    "wall_ms",
]
