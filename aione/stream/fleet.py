"""The connections that carry all wanted streams: which stream goes where, and replacing a connection before its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from aione.errors import InvalidInput
from aione.venue.session import Session
from aione.venue.session_parts import Phase
from aione.venue.socket import Deliver, SessionSocket
from aione.venue.stream_track import StreamState
from aione.venue.stream_wire import stream_kind
from config.models import VenueParams

OVERLAP_AT_MOST_S: Final = 60.0
TRY_ANEW_S: Final = 300.0
"""A connection that was given up is tried anew after this: the exchange, or its route table, may have been mended."""


class Driver(Protocol):
    """What drives a session over a connection: `aione.venue.socket.SessionSocket`."""

    async def run(self) -> None:
        """Run until the session is over."""

    def wake(self) -> None:
        """Look at the session's commands now."""


class OpenSocket(Protocol):
    """Makes the driver of a session."""

    def __call__(
        self, session: Session, deliver: Deliver, *, on_open: Callable[[], None], on_rotate: Callable[[], None]
    ) -> Driver:
        """Return it, not yet running; arguments as those of `SessionSocket`."""


def place(shards: Sequence[Collection[str]], wanted: Collection[str], limit: int) -> list[list[str]]:
    """Spread streams over shards of at most ``limit``; a stream that is still wanted stays where it is.

    Returns one list for each shard given, empty where nothing is left of it, and then the new ones.

    Examples
    --------
    >>> place([["a", "b"], ["c"]], ["a", "c", "d", "e", "f"], limit=2)
    [['a', 'd'], ['c', 'e'], ['f']]
    """
    kept = [[name for name in shard if name in wanted] for shard in shards]
    held = {name for shard in kept for name in shard}
    new = iter([name for name in dict.fromkeys(wanted) if name not in held])
    for shard in kept:
        while len(shard) < limit and shard and (name := next(new, None)) is not None:
            shard.append(name)
    rest = list(new)
    kept.extend(rest[at : at + limit] for at in range(0, len(rest), limit))
    return kept


@dataclass(slots=True, eq=False)
class _Link:
    """One session, its socket and the task that runs it."""

    kind: str
    session: Session
    socket: Driver
    task: asyncio.Task[None] | None = None
    failed_s: float | None = None


@dataclass(slots=True)
class Totals:
    """What sessions that are gone had counted."""

    messages: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    resubscribed: int = 0
    rotations: int = 0


OnOpen: TypeAlias = Callable[[Collection[str]], None]


class Fleet:
    """Keeps the right connections open; each is one task of the group it was given.

    Each kind of stream has its own connections, so that a kind that falls silent is seen to be silent.

    Parameters
    ----------
    venue : VenueParams
        Address, routes and limits.
    group : asyncio.TaskGroup
        Runs the connections; cancelling it closes them.
    deliver : callable
        Takes each event.
    on_open : callable
        Told the streams of a connection each time it stands.
    open_socket : callable, optional
        Makes what drives a session; `SessionSocket` over the network.
    """

    def __init__(
        self,
        venue: VenueParams,
        group: asyncio.TaskGroup,
        deliver: Deliver,
        on_open: OnOpen,
        *,
        open_socket: OpenSocket = SessionSocket,
    ) -> None:
        self._venue = venue
        self._group = group
        self._deliver = deliver
        self._on_open = on_open
        self._open_socket = open_socket
        self._now_s = asyncio.get_running_loop().time
        self._links: list[_Link] = []
        self._retiring: list[_Link] = []
        self._overlaps: list[tuple[_Link, _Link, float]] = []
        self._gone = Totals()

    def want(self, streams: Collection[str]) -> None:
        """Want exactly these streams.

        Raises
        ------
        InvalidInput
            A stream of a kind that ``routes`` does not have.
        """
        by_kind: dict[str, dict[str, None]] = {link.kind: {} for link in self._links}
        for name in streams:
            by_kind.setdefault(stream_kind(name), {})[name] = None
        for kind in by_kind:
            self._url(kind)
        for kind, wanted in by_kind.items():
            links = [link for link in self._links if link.kind == kind]
            shards = place([link.session.streams for link in links], wanted.keys(), self._venue.streams_per_connection)
            for link, shard in zip(links, shards, strict=False):
                link.session.want(shard, self._now_s())
                if not shard:
                    self._retire(link)
                link.socket.wake()
            for shard in shards[len(links) :]:
                self._links.append(self._open(kind, shard))

    def review(self) -> None:
        """Stop each connection whose successor has proven its streams, or has had its time; try anew what was given up.

        To be called every second or so.
        """
        for link in list(self._links):
            if link.session.phase is Phase.FAILED:
                link.failed_s = self._now_s() if link.failed_s is None else link.failed_s
                if self._now_s() - link.failed_s >= TRY_ANEW_S:
                    self._links[self._links.index(link)] = self._open(link.kind, list(link.session.streams))
                    _add(self._gone, link)
        for overlap in list(self._overlaps):
            old, new, until_s = overlap
            if new.session.is_proven or new.session.is_over or self._now_s() > until_s:
                self._overlaps.remove(overlap)
                old.session.stop()
                old.socket.wake()

    # ── What others see ──

    def states(self) -> Counter[str]:
        """Return how many streams are in each state."""
        return sum((link.session.states() for link in self._links), Counter())

    def streams(self) -> dict[str, str]:
        """Return the state of each stream by its name."""
        return {name: track.state.value for link in self._links for name, track in sorted(link.session.tracks.items())}

    def in_state(self, state: StreamState) -> list[str]:
        """Return the names of the streams in a state."""
        return [name for link in self._links for name in link.session.in_state(state)]

    def open_connections(self) -> int:
        """Return how many connections stand."""
        return sum(link.session.phase is Phase.OPEN for link in self._all())

    def down(self) -> list[str]:
        """Return, for each connection that should stand and does not, its kind and how it ended."""
        return [
            f"{link.kind}: {link.session.last_end.message}"
            for link in self._links
            if link.session.phase in {Phase.WAITING, Phase.CONNECTING} and link.session.last_end is not None
        ]

    def failures(self) -> list[str]:
        """Return why connections were given up for good."""
        return [
            f"{link.kind}: {link.session.last_end.message}"
            for link in self._links
            if link.session.phase is Phase.FAILED and link.session.last_end is not None
        ]

    def totals(self) -> Totals:
        """Return what all connections have counted since the start."""
        total = replace(self._gone, messages=self._gone.messages.copy(), errors=self._gone.errors.copy())
        for link in self._all():
            _add(total, link)
        return total

    def data_age_s(self) -> Mapping[str, float]:
        """Return the age of the newest event of each kind, in seconds; a kind without events is absent."""
        now_s = self._now_s()
        ages: dict[str, float] = {}
        for link in self._links:
            if link.session.last_data_s is not None:
                age = now_s - link.session.last_data_s
                ages[link.kind] = min(age, ages.get(link.kind, age))
        return ages

    # ── Inside ──

    def _all(self) -> Iterator[_Link]:
        yield from self._links
        yield from self._retiring

    def _url(self, kind: str) -> str:
        route = self._venue.routes.get(kind)
        if route is None:
            raise InvalidInput(f"VENUE.routes has {sorted(self._venue.routes)}, but no route for {kind!r}")
        return self._venue.ws_url.rstrip("/") + route

    def _open(self, kind: str, streams: Collection[str]) -> _Link:
        session = Session(self._url(kind), self._venue)
        session.want(streams, self._now_s())
        link: _Link
        socket = self._open_socket(
            session,
            self._deliver,
            on_open=lambda: self._on_open(session.streams),
            on_rotate=lambda: self._rotate(link),
        )
        link = _Link(kind, session, socket)
        link.task = self._group.create_task(self._run(link), name=f"connection {kind}")
        return link

    async def _run(self, link: _Link) -> None:
        await link.socket.run()
        if link in self._retiring:
            self._retiring.remove(link)
            _add(self._gone, link)

    def _retire(self, link: _Link) -> None:
        if link in self._links:
            self._links.remove(link)
            if link.session.is_over:
                _add(self._gone, link)
            else:
                self._retiring.append(link)
                link.session.stop()
                link.socket.wake()

    def _rotate(self, old: _Link) -> None:
        """Open the successor of a connection; `review` stops the old one once the new one has proven its streams."""
        if old in self._links:
            new = self._open(old.kind, list(old.session.streams))
            self._links[self._links.index(old)] = new
            self._retiring.append(old)
            self._gone.rotations += 1
            self._overlaps.append((old, new, self._now_s() + OVERLAP_AT_MOST_S))


def _add(total: Totals, link: _Link) -> None:
    counts = link.session.counts
    total.messages[link.kind] += counts.messages
    total.errors.update(counts.errors)
    total.reconnects += counts.reconnects
    total.resubscribed += counts.resubscribed


__all__ = ["Driver", "Fleet", "OpenSocket", "Totals", "place"]
