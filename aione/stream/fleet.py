"""The connections that carry all wanted streams: which stream goes where, and replacing a connection before its end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace
from typing import Final, Protocol, TypeAlias

from aione.errors import InvalidInput
from aione.venue.session import Session
from aione.venue.session_parts import Phase
from aione.venue.socket import Deliver, SessionSocket
from aione.venue.stream_track import StreamState
from aione.venue.stream_wire import stream_kind
from config.models import VenueParams

log = logging.getLogger(__name__)

OVERLAP_S: Final = 60.0
"""A successor that has not proven every stream replaces a connection after this, if what speaks has spoken on both."""
SUCCEED_WITHIN_S: Final = 300.0
"""A successor that cannot replace a connection is given up after this; the connection asks for another one later."""
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

    As few new shards are made as will do, and new streams go where the fewest are. Returns one list for each shard
    given, empty where nothing is left of it, and then the new ones.

    Examples
    --------
    >>> place([["a", "b"], ["c"]], ["a", "c", "d", "e", "f"], limit=2)
    [['a', 'e'], ['c', 'f'], ['d']]
    """
    kept = [[name for name in shard if name in wanted] for shard in shards]
    held = {name for shard in kept for name in shard}
    new = [name for name in dict.fromkeys(wanted) if name not in held]
    is_used = [bool(shard) for shard in kept]
    lacking = len(new) - sum(limit - len(shard) for shard in kept if shard)
    more = -(-lacking // limit) if lacking > 0 else 0
    kept.extend([] for _ in range(more))
    rooms = [(len(shard), at) for at, shard in enumerate(kept) if at >= len(is_used) or is_used[at]]
    heapify(rooms)
    for name in new:
        size, at = rooms[0]
        kept[at].append(name)
        heapreplace(rooms, (size + 1, at))
    return kept


@dataclass(slots=True, eq=False)
class _Link:
    """One session, its socket and the task that runs it; while it is being replaced, the successor as well."""

    kind: str
    session: Session
    socket: Driver
    opened_s: float
    task: asyncio.Task[None] | None = None
    failed_s: float | None = None
    successor: _Link | None = None

    def can_replace(self, old: _Link, now_s: float) -> bool:
        """Return whether nothing is lost when this one takes over.

        It stands, and every stream is proven on it. After `OVERLAP_S` a stream may lack that proof which has been
        silent on the old connection too. When the old one is gone, standing is enough.
        """
        if self.session.phase is not Phase.OPEN:
            return False
        if self.session.is_proven or old.session.phase is not Phase.OPEN:
            return True
        lacking = (name for name, track in self.session.tracks.items() if track.state is not StreamState.PROVEN)
        return now_s - self.opened_s > OVERLAP_S and not any(old.speaks(name, self.opened_s) for name in lacking)

    def speaks(self, stream: str, since_s: float) -> bool:
        """Return whether a stream has delivered since then."""
        track = self.session.tracks.get(stream)
        return track is not None and track.state is StreamState.PROVEN and track.since_s >= since_s


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
                for one in filter(None, (link, link.successor)):
                    one.session.want(shard, self._now_s())
                    one.socket.wake()
                if not shard:
                    self._links.remove(link)
                    self._dismiss(link)
            for shard in shards[len(links) :]:
                self._links.append(self._open(kind, shard))

    def review(self) -> None:
        """Do what time demands: judge streams that have no connection, replace connections, try anew.

        A connection is stopped when its successor can do without it, and never because the successor failed. To be
        called every second or so.
        """
        now_s = self._now_s()
        for link in list(self._links):
            link.session.judge(now_s)
            if link.successor is not None:
                self._hand_over(link, link.successor, now_s)
            elif link.session.phase is Phase.FAILED:
                link.failed_s = now_s if link.failed_s is None else link.failed_s
                if now_s - link.failed_s >= TRY_ANEW_S:
                    self._links[self._links.index(link)] = self._open(link.kind, list(link.session.streams))
                    self._dismiss(link)

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
        """Return the kind of each connection that should stand and does not, and how it ended if it ever stood."""
        down = [link for link in self._links if link.session.phase in {Phase.WAITING, Phase.CONNECTING}]
        ends = [(link.kind, link.session.last_end) for link in down]
        return [f"{kind}: {'not open yet' if end is None else end.message}" for kind, end in ends]

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
        yield from (link.successor for link in self._links if link.successor is not None)
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
        link = _Link(kind, session, socket, opened_s=self._now_s())
        link.task = self._group.create_task(self._run(link), name=f"connection {kind}")
        return link

    async def _run(self, link: _Link) -> None:
        await link.socket.run()
        if link in self._retiring:
            self._retiring.remove(link)
            _add(self._gone, link)

    def _dismiss(self, link: _Link) -> None:
        """Stop a connection that nobody needs any more, and its successor."""
        if link.successor is not None:
            self._dismiss(link.successor)
            link.successor = None
        link.session.stop()
        link.socket.wake()
        if link.session.is_over:
            _add(self._gone, link)
        else:
            self._retiring.append(link)

    def _rotate(self, old: _Link) -> None:
        """Open the successor of a connection; `review` lets it take over."""
        if old in self._links and old.successor is None:
            old.successor = self._open(old.kind, list(old.session.streams))
            self._gone.rotations += 1

    def _hand_over(self, old: _Link, new: _Link, now_s: float) -> None:
        if new.can_replace(old, now_s):
            old.successor = None
            self._links[self._links.index(old)] = new
            self._dismiss(old)
        elif new.session.is_over or now_s - new.opened_s > SUCCEED_WITHIN_S:
            why = new.session.last_end.message if new.session.last_end is not None else "it has not proven its streams"
            log.warning("the successor of a %s connection is given up, the old one stays: %s", old.kind, why)
            old.successor = None
            self._dismiss(new)


def _add(total: Totals, link: _Link) -> None:
    counts = link.session.counts
    total.messages[link.kind] += counts.messages
    total.errors.update(counts.errors)
    total.reconnects += counts.reconnects
    total.resubscribed += counts.resubscribed


__all__ = ["Driver", "Fleet", "OpenSocket", "Totals", "place"]
