"""One timer for every connection: ask the feeds that are due, make each frame once, hand it to all who asked for it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from zlib import crc32

from aiohttp import WSCloseCode, web

from aione.sim.clock import Clock
from aione.sim.faults import Active
from aione.sim.feeds import Feed, Source, make_feed
from aione.sim.strange import strange
from aione.sim.streams import Route, Session, parse_stream, ping_frame, text_frame

_log = logging.getLogger(__name__)
_HOUSEKEEPING_S = 0.25


class Connection:
    """One WebSocket connection: its session, its transport and when it was last heard of.

    Parameters
    ----------
    socket : aiohttp.web.WebSocketResponse
        Prepared, without compression, so that ready-made frames may be written to its transport.
    transport : asyncio.Transport
        Under the socket.
    route : Route
        Of the address it came to.
    session : Session
        What it asked for.
    now_s : float
        Monotonic moment of its beginning.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        route: Route,
        session: Session,
        now_s: float,
    ) -> None:
        self.socket = socket
        self.transport = transport
        self.route = route
        self.session = session
        self.opened_s = now_s
        self.heard_s = now_s
        self.pinged_s = now_s
        self.sent = 0
        self._sent_before: dict[int, int] = {}

    def sent_since(self, fault: int) -> int:
        """Return how many data messages went out since the fault of this number was first looked at."""
        return self.sent - self._sent_before.setdefault(fault, self.sent)

    def write(self, frames: list[bytes]) -> None:
        """Write whole frames to the socket at once."""
        self.transport.write(b"".join(frames))
        self.sent += len(frames)

    def cut(self) -> None:
        """End the connection without a goodbye."""
        self.transport.abort()


class _Channel:
    """One stream name with its feed and those who listen."""

    def __init__(self, name: str, feed: Feed, due_s: float) -> None:
        self.name = name
        self.feed = feed
        self.due_s = due_s
        self.held_back: bytes | None = None
        self.listeners: dict[Connection, None] = {}
        self.prefix = b'{"stream":"' + name.encode() + b'","data":'

    def frames(self, payload: bytes) -> tuple[bytes, bytes]:
        """Return the frame of the raw form and of the combined form."""
        return text_frame(payload), text_frame(self.prefix + payload + b"}")


class Hub:
    """All connections and all streams that anyone listens to.

    Parameters
    ----------
    source : Source
        Market, options and faults.
    clock : Clock
        The exchange's moment, put on every event.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self.connections: dict[Connection, None] = {}
        self.counts: Counter[str] = Counter()
        self._source = source
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._closing: set[asyncio.Task[Any]] = set()
        self._slow: dict[str, asyncio.Task[None]] = {}
        self._failed: set[str] = set()

    @property
    def stream_count(self) -> int:
        """Number of streams that anyone listens to."""
        return len(self._channels)

    # ── Connections ──

    def join(self, connection: Connection) -> None:
        """Take a connection in."""
        self.connections[connection] = None
        self.counts["connections_opened"] += 1

    def leave(self, connection: Connection) -> None:
        """Let a connection go with all its streams."""
        self.connections.pop(connection, None)
        self.unsubscribe(connection, list(connection.session.names))

    def subscribe(self, connection: Connection, names: Iterable[str]) -> None:
        """Deliver streams to a connection, where its route serves them; else nothing, silently."""
        now_s = _now_s()
        for name in names:
            spec = parse_stream(name)
            if spec is None or not connection.route.delivers(spec):
                continue
            channel = self._channels.get(name)
            if channel is None:
                feed = make_feed(self._source, spec)
                phase_s = crc32(name.encode()) % feed.period_ms / 1000
                channel = self._channels[name] = _Channel(name, feed, now_s + phase_s)
            channel.listeners[connection] = None

    def unsubscribe(self, connection: Connection, names: Iterable[str]) -> None:
        """Stop delivering streams to a connection; a stream without listeners is forgotten."""
        for name in names:
            channel = self._channels.get(name)
            if channel is not None:
                channel.listeners.pop(connection, None)
                if not channel.listeners:
                    del self._channels[name]

    def cut(self, active: Active) -> None:
        """Let a fault of kind `DropConnections` without ``after_messages`` act on the connections there are."""
        for connection in list(self.connections):
            if self._source.faults.strikes(active):
                self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        connection.cut()
        self.leave(connection)
        self.counts["connections_cut"] += 1

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Close a connection politely, in the background; nothing is delivered to it from now on."""
        self.leave(connection)
        self.counts[f"closed_{code}"] += 1
        task = asyncio.ensure_future(connection.socket.close(code=code, message=reason.encode()))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def shut(self) -> None:
        """Say goodbye to everyone."""
        for connection in list(self.connections):
            self.close(connection, WSCloseCode.GOING_AWAY, "Server shutdown")
        background = [*self._closing, *self._slow.values()]
        for task in self._slow.values():
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    # ── The timer ──

    async def run(self) -> None:
        """Serve every stream until cancelled; a step that took too long is not made up for."""
        tick_s = self._source.options.tick_s
        next_s = swept_s = _now_s()
        while True:
            now_s = _now_s()
            if now_s - swept_s >= min(_HOUSEKEEPING_S, tick_s * 5):
                swept_s = now_s
                self._sweep(now_s)
            await self._tick(now_s)
            next_s = max(next_s + tick_s, _now_s())
            await asyncio.sleep(next_s - _now_s())

    async def _tick(self, now_s: float) -> None:
        due = [channel for channel in self._channels.values() if channel.due_s <= now_s]
        quick: list[_Channel] = []
        for channel in due:
            period_s = channel.feed.period_ms / 1000
            channel.due_s = max(channel.due_s + period_s, now_s)
            if not channel.name.startswith("!"):
                quick.append(channel)
            elif channel.name not in self._slow:
                self._slow[channel.name] = asyncio.ensure_future(self._serve_slowly(channel))
        if quick:
            await self._serve(quick)

    async def _serve_slowly(self, channel: _Channel) -> None:
        try:
            await self._serve([channel])
        finally:
            del self._slow[channel.name]

    async def _serve(self, channels: list[_Channel]) -> None:
        """Ask feeds on the market's thread, a slice at a time, and deliver what each slice gave."""
        async for made in self._source.desk.slices(self._produce(channels, self._clock.now_ms())):
            self._deliver([item for item in made if item[1]])

    def _produce(self, channels: list[_Channel], now_ms: int) -> Iterator[tuple[_Channel, bytes]]:
        for channel in channels:
            try:
                for payload in channel.feed.produce(now_ms):
                    yield channel, payload
            except Exception as error:  # noqa: BLE001 - see below
                # Any market may be plugged in, and its failure in one stream must not silence all the others.
                self.counts["feed_errors"] += 1
                if channel.name not in self._failed:
                    self._failed.add(channel.name)
                    _log.exception("stream %s could not be made", channel.name, exc_info=error)

    def _deliver(self, made: list[tuple[_Channel, bytes]]) -> None:
        outgoing: dict[Connection, list[bytes]] = {}
        silent: dict[str, bool] = {}
        for channel, payload in made:
            if channel.name not in silent:
                silent[channel.name] = self._source.faults.is_silenced(channel.name)
            if silent[channel.name]:
                continue
            late, channel.held_back = channel.held_back, None
            if late is None and self._source.faults.holds_back(channel.name):
                channel.held_back = payload
                continue
            twice = [payload] if self._source.faults.duplicates(channel.name) else []
            kind = self._source.faults.strangeness(channel.name)
            before = [] if kind is None else [strange(payload, kind)]
            for sent in [*before, payload, *twice, *([] if late is None else [late])]:
                raw, combined = channel.frames(sent)
                for connection in channel.listeners:
                    frame = combined if connection.session.is_combined else raw
                    outgoing.setdefault(connection, []).append(frame)
        for connection, frames in outgoing.items():
            self._write(connection, frames)

    def _write(self, connection: Connection, frames: list[bytes]) -> None:
        allowed = self._source.faults.messages_left(connection.sent_since)
        if allowed is not None and allowed < len(frames):
            # What a dying connection has already been sent arrives, so it is closed after a flush, not aborted.
            frames = frames[:allowed]
        if frames:
            connection.write(frames)
            self.counts["messages_sent"] += len(frames)
        if self._source.faults.drops(connection.sent_since):
            self._flush_and_cut(connection)
        elif connection.transport.get_write_buffer_size() > self._source.options.max_buffer_bytes:
            self.counts["slow_clients_cut"] += 1
            self._cut(connection)

    def _flush_and_cut(self, connection: Connection) -> None:
        self.leave(connection)
        self.counts["connections_cut"] += 1
        connection.transport.close()

    def _sweep(self, now_s: float) -> None:
        """Ping, and close what is too old or has not answered."""
        options = self._source.options
        for connection in list(self.connections):
            if now_s - connection.opened_s >= options.lifetime_s:
                self.close(connection, WSCloseCode.GOING_AWAY, "Connection lifetime is over")
            elif now_s - connection.heard_s >= options.pong_timeout_s:
                self.close(connection, WSCloseCode.POLICY_VIOLATION, "Pong timeout")
            elif now_s - connection.pinged_s >= options.ping_interval_s:
                connection.pinged_s = now_s
                connection.transport.write(ping_frame(str(self._clock.now_ms()).encode()))
                self.counts["pings_sent"] += 1


def _now_s() -> float:
    return asyncio.get_running_loop().time()


__all__ = ["Connection", "Hub"]
