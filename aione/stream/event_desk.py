"""From what a stream worker finds to the events that Prefect is told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aione.stream.events import (
    ALIVE,
    GAP,
    INCIDENT,
    RESCAN_WANTED,
    STALE,
    STOPPED,
    Event,
    EventBuffer,
    minute_text,
    wall_ms,
)
from aione.stream.healing import Gap
from aione.stream.incidents import Incident
from aione.stream.shard import Shard
from config.notify_models import NotifyParams

STREAM_KINDS: Final = frozenset({"stream_unproven", "stream_stale", "connection_down", "connection_failed"})
NEAR_MS: Final = 300_000
"""An event follows only what happened so recently: Prefect forgets what it has taken up and would wait in vain."""


class EventDesk:
    """Turns what a worker finds into events.

    Parameters
    ----------
    buffer : EventBuffer
    shard : Shard
        Names the worker; a process that takes its place goes by the same name.
    params : NotifyParams
    """

    def __init__(self, buffer: EventBuffer, shard: Shard, params: NotifyParams) -> None:
        self._buffer = buffer
        self._params = params
        self.resource = f"aione.stream-worker.{shard.index}of{shard.of}"
        self._labels = {"prefect.resource.name": f"stream worker {shard}"}
        self._is_stopped = False
        self._began: dict[str, Event] = {}

    def alive(self, symbols: int) -> None:
        """Say that the worker lives and how many symbols it follows."""
        if not self._is_stopped:
            self._add(ALIVE, {}, {"symbols": symbols})

    def stopped(self) -> None:
        """Say that the worker was told to end, so that nobody misses it; from here on it gives no sign of life."""
        self._is_stopped = True
        self._add(STOPPED, {}, {}, after=self._buffer.last_alive)

    def incident(self, incident: Incident) -> None:
        """Tell that an incident begins or is over."""
        is_over = incident.ended_ms is not None
        symbols = list(dict.fromkeys(name.partition("@")[0].upper() for name in incident.names if "@kline" in name))
        seconds = ((incident.ended_ms or incident.began_ms) - incident.began_ms) / 1000
        labels = {"aione.kind": incident.kind, "aione.state": "ended" if is_over else "began"}
        told = self._add(
            STALE if incident.kind in STREAM_KINDS else INCIDENT,
            labels | (RESCAN_WANTED if is_over and symbols else {}),
            {
                "kind": incident.kind,
                "text": incident.text,
                "names": list(incident.names),
                "symbols": symbols,
                "seconds": round(seconds),
            },
            after=self._began.pop(incident.kind, None) if is_over else None,
        )
        if not is_over:
            self._began[incident.kind] = told

    def healed(self, gaps: Mapping[str, Gap]) -> None:
        """Tell of healed gaps, those of one check in one event; what is shorter than ``gap_bars`` is no gap."""
        long = {symbol: gap for symbol, gap in gaps.items() if gap.bars >= self._params.gap_bars}
        if not long:
            return
        first_ms = min(gap.first_ms for gap in long.values())
        last_ms = max(gap.last_ms for gap in long.values())
        self._add(
            GAP,
            RESCAN_WANTED,
            {
                "symbols": list(long),
                "bars": sum(gap.bars for gap in long.values()),
                "first_ms": first_ms,
                "last_ms": last_ms,
                "span": f"{minute_text(first_ms)} to {minute_text(last_ms)} UTC",
            },
        )

    def _add(
        self, name: str, labels: Mapping[str, str], payload: Mapping[str, Any], after: Event | None = None
    ) -> Event:
        now_ms = wall_ms()
        is_near = after is not None and now_ms - after.occurred_ms < NEAR_MS
        follows = after.event_id if after is not None and is_near else None
        event = Event(name, self.resource, {**self._labels, **labels}, payload, now_ms, follows=follows)
        self._buffer.add(event)
        return event


__all__ = ["NEAR_MS", "STREAM_KINDS", "EventDesk"]
