"""What goes wrong with the data, told once when it begins and once when it is over.

1. Every second the worker says of each kind what is wrong now: names, or nothing.
2. A kind that was quiet and has names is an incident; it begins when that has lasted for the kind's `GRACE_S`.
3. An open incident is over when nothing of its kind was wrong for `OVER_AFTER_S`, so that what flaps is one incident.
4. Names may come and go while it is open; it keeps all that it ever had, so nobody is told of each one apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NAMES_KEPT: Final = 500
NAMES_TOLD: Final = 5
OVER_AFTER_S: Final = 10.0
GRACE_S: Final[Mapping[str, float]] = {
    "stream_unproven": 0.0,
    "stream_stale": 0.0,
    "connection_down": 5.0,
    "connection_failed": 0.0,
    "redis_away": 2.0,
    "bars_behind": 0.0,
    "bars_corrected": 0.0,
    "venue_hold": 0.0,
    "ledger_alone": 2.0,
    "clock_skew": 0.0,
    "archive_failed": 0.0,
}
"""Kinds, and for how long a thing may be wrong before it is an incident (seconds)."""
MEANING: Final[Mapping[str, str]] = {
    "stream_unproven": "streams are wanted and have not delivered; their bars come by REST",
    "stream_stale": "streams have fallen silent; their bars come by REST",
    "connection_down": "connections to the exchange do not stand and are being opened",
    "connection_failed": "connections were refused for good; check VENUE.ws_url and VENUE.routes",
    "redis_away": "Redis does not answer; bars wait in memory",
    "bars_behind": "symbols miss bars, or have had a bar without proof for minutes; they are not scored",
    "bars_corrected": "the exchange has told other numbers for bars that were final",
    "venue_hold": "the exchange has asked everyone to hold every request",
    "ledger_alone": "the shared request budget does not answer; this process keeps to a small one",
    "clock_skew": "this machine's clock is off the exchange's",
    "archive_failed": "bars could not be written to the archive on disk",
}


@dataclass(slots=True)
class Incident:
    """One thing that went wrong.

    Attributes
    ----------
    kind : str
        A key of `GRACE_S`.
    names : dict
        What it befell, in the order in which it was seen.
    began_ms, ended_ms : int, optional
        This machine's time; without an end it is still open.
    """

    kind: str
    began_ms: int
    names: dict[str, None] = field(default_factory=dict)
    ended_ms: int | None = None

    @property
    def text(self) -> str:
        """Return what it means and whom it befell, in one line."""
        names = [*self.names][:NAMES_TOLD]
        more = len(self.names) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        return f"{MEANING[self.kind]}: {listed}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind,
            "names": [*self.names],
            "began_ms": self.began_ms,
            "ended_ms": self.ended_ms,
            "text": self.text,
        }


@dataclass(slots=True)
class _Watch:
    since_s: float | None = None
    last_wrong_s: float = 0.0
    names: dict[str, None] = field(default_factory=dict)
    incident: Incident | None = None


class IncidentBook:
    """Turns what is wrong at each moment into incidents; pure.

    Examples
    --------
    >>> book = IncidentBook()
    >>> [incident.text for incident in book.observe({"stream_stale": ["btcusdt@kline_1m"]}, now_s=0.0, wall_ms=5)]
    ['streams have fallen silent; their bars come by REST: btcusdt@kline_1m']
    >>> book.observe({"stream_stale": ["btcusdt@kline_1m"]}, now_s=1.0, wall_ms=1005)
    []
    >>> [incident.ended_ms for incident in book.observe({}, now_s=20.0, wall_ms=20_005)]
    [20005]
    """

    def __init__(self) -> None:
        self._watches = {kind: _Watch() for kind in GRACE_S}

    def observe(self, wrong: Mapping[str, Collection[str]], *, now_s: float, wall_ms: int) -> list[Incident]:
        """Take what is wrong now, by kind; return the incidents that begin or end with it.

        ``now_s`` are seconds of a monotonic clock, ``wall_ms`` is this machine's time.
        """
        told = []
        for kind, watch in self._watches.items():
            changed = self._step(kind, watch, wrong.get(kind, ()), now_s, wall_ms)
            if changed is not None:
                told.append(changed)
        return told

    def open(self) -> list[Incident]:
        """Return the incidents that are not over."""
        return [watch.incident for watch in self._watches.values() if watch.incident is not None]

    def _step(self, kind: str, watch: _Watch, names: Collection[str], now_s: float, wall_ms: int) -> Incident | None:
        if names:
            watch.since_s = now_s if watch.since_s is None else watch.since_s
            watch.last_wrong_s = now_s
            watch.names.update(dict.fromkeys([*names][: max(0, NAMES_KEPT - len(watch.names))]))
            if watch.incident is None and now_s - watch.since_s >= GRACE_S[kind]:
                watch.incident = Incident(kind, wall_ms, watch.names)
                return watch.incident
        elif watch.incident is None:
            watch.since_s, watch.names = None, {}
        elif now_s - watch.last_wrong_s >= OVER_AFTER_S:
            ended, self._watches[kind] = watch.incident, _Watch()
            ended.ended_ms = wall_ms
            return ended
        return None


__all__ = ["GRACE_S", "MEANING", "OVER_AFTER_S", "Incident", "IncidentBook"]
