"""The simulated exchange inside a program: no socket, no thread, and time that may be the program's own.

`MemoryExchange` is the exchange that `aione.sim.server` serves, with the same limits, feeds and faults. A client
reaches it through an httpx transport and through `MemorySocket`, which is the product's own socket driver with the
network taken out. On a `VirtualLoop` hours pass in a second: whenever nobody has anything to do, the clock jumps to
the moment at which somebody wants to be woken.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from picows import WSCloseCode, WSMsgType

from aione.errors import InvalidInput
from aione.sim.answering import RestDesk
from aione.sim.clock import Clock, SkewedClock
from aione.sim.desk import Desk
from aione.sim.faults import AnyFault, DropConnections, Faults
from aione.sim.feeds import Source
from aione.sim.hub import Connection, Hub
from aione.sim.limits import Limits
from aione.sim.market import Market
from aione.sim.options import SimOptions
from aione.sim.sockets import address_of, obey
from aione.sim.streams import Session as ServerSession
from aione.venue.session import Session
from aione.venue.socket import Deliver, SessionSocket

ADDRESS: Final = "127.0.0.1"
URL: Final = "ws://exchange"
LEAST_STEP_S: Final = 1e-6
"""A timer may fire a nanosecond early. Who then looks at the clock and waits for that nanosecond, in turns with another
such, gets there only if time moves on by more."""
_TEXT, _PING = 0x1, 0x9

# ── Time ──


class _Impatient(selectors.SelectSelector):
    """A selector that never waits: it moves the clock instead."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; where nothing is, pass the time until the next timer at once."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise InvalidInput("nobody will ever do anything again: a task waits for something outside virtual time")
        if not ready and timeout:
            self._advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass only while everyone sleeps."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Impatient(self._advance))

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now_s

    def _advance(self, seconds: float) -> None:
        self._now_s += max(seconds, LEAST_STEP_S)


@dataclass(frozen=True, slots=True)
class LoopClock:
    """The exchange's clock on a loop's time: ``start_ms`` at second 0."""

    loop: asyncio.AbstractEventLoop
    start_ms: int

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""
        return self.start_ms + int(1000 * self.loop.time())


# ── The exchange ──


class MemoryExchange:
    """The exchange; `run` serves its streams.

    Parameters
    ----------
    market : Market
    clock : Clock
        The exchange's moment; the budgets follow it too.
    options : SimOptions, optional
    monotonic_s : callable
        Seconds by which faults end.
    """

    def __init__(
        self, market: Market, clock: Clock, options: SimOptions | None, monotonic_s: Callable[[], float]
    ) -> None:
        self.options = options or SimOptions()
        self.faults = Faults(monotonic_s)
        self.clock = SkewedClock(clock, self.faults.skew_ms)
        self.limits = Limits(self.options, clock.now_ms)
        desk = Desk(market, is_inline=True)
        self.hub = Hub(Source(desk, self.options, self.faults), self.clock)
        self.rest = RestDesk(desk, self.faults, self.limits, self.clock, self.options)

    async def run(self) -> None:
        """Serve every stream until cancelled."""
        await self.hub.run()

    def break_it(self, fault: AnyFault) -> None:
        """Let a fault begin, as the server's control endpoint does."""
        active = self.faults.add(fault)
        if isinstance(fault, DropConnections) and not fault.after_messages:
            self.hub.cut(active)
            self.faults.clear(active.number)

    def open_socket(
        self, session: Session, deliver: Deliver, *, on_open: Callable[[], None], on_rotate: Callable[[], None]
    ) -> SessionSocket:
        """Return a driver of a session that reaches this exchange, for `aione.stream.fleet.Fleet`."""
        return MemorySocket(self, session, deliver, on_open=on_open, on_rotate=on_rotate)


class MemoryTransport(httpx.AsyncBaseTransport):
    """Brings REST requests to a `MemoryExchange`."""

    def __init__(self, exchange: MemoryExchange) -> None:
        self._exchange = exchange

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        query = dict(request.url.params)
        answer = await self._exchange.rest.answer(request.method, request.url.path, query, ADDRESS)
        headers = {**answer.headers, "Content-Type": answer.content_type}
        return httpx.Response(answer.status, headers=headers, content=answer.body)


class MemorySocket(SessionSocket):
    """The product's driver of a session over a line that is two lists of callbacks."""

    def __init__(
        self, exchange: MemoryExchange, session: Session, deliver: Deliver, **told: Callable[[], None]
    ) -> None:
        super().__init__(session, deliver, **told)
        self._exchange = exchange

    async def _dial(self, url: str) -> None:
        parts = urlsplit(url)
        address = address_of(parts.path, "")
        await asyncio.sleep(self._exchange.options.latency_s)
        if address is None or self._exchange.faults.refuses_connection():
            raise ConnectionRefusedError("the exchange answers 503")
        route, is_combined, _ = address
        line = _Line(self, self._exchange)
        session = ServerSession(self._exchange.options, is_combined=is_combined)
        socket: Any = _ServerSocket(line)
        transport: Any = line
        line.connection = Connection(socket, transport, route, session, line.loop.time())
        self._exchange.hub.join(line.connection)
        self.on_ws_connected(transport)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the product's driver reads of a frame."""

    msg_type: WSMsgType
    payload: bytes
    fin: bool = True

    def get_payload_as_bytes(self) -> bytes:
        """Return the payload."""
        return self.payload


class _Line:
    """One connection: picows' transport for the client, asyncio's for the exchange's hub."""

    def __init__(self, client: SessionSocket, exchange: MemoryExchange) -> None:
        self.loop = asyncio.get_running_loop()
        self.connection: Connection
        self._client = client
        self._exchange = exchange
        self._is_up = True
        self._tasks: set[asyncio.Task[Any]] = set()
        self._down = asyncio.Event()

    # ── The client's side ──

    def send(self, kind: WSMsgType, payload: bytes) -> None:  # noqa: ARG002  # picows' signature
        """Bring a control message to the exchange."""
        self.loop.call_soon(self._receive, payload)

    def send_close(self, code: WSCloseCode) -> None:
        """Say goodbye."""

    def disconnect(self, *, graceful: bool = True) -> None:  # noqa: ARG002  # picows' signature
        """End the connection from the client's side."""
        if self._is_up:
            self._exchange.hub.leave(self.connection)
            self._cut()

    async def wait_disconnected(self) -> None:
        """Return when the client has been told of the end."""
        await self._down.wait()

    def _receive(self, payload: bytes) -> None:
        if self._is_up:
            step = self.connection.session.receive(payload.decode(), self.loop.time())
            task = self.loop.create_task(obey(self._exchange.hub, self.connection, step))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # ── The exchange's side ──

    def write(self, data: bytes) -> None:
        """Bring whole frames to the client, in order."""
        for opcode, payload in frames(data):
            if opcode == _PING:
                self.connection.heard_s = self.loop.time()
            elif opcode == _TEXT:
                self.bring(_Frame(WSMsgType.TEXT, payload))

    def bring(self, frame: _Frame) -> None:
        """Bring one frame to the client, after those before it."""
        self.loop.call_soon(self._arrive, frame)

    def close(self) -> None:
        """End the connection once everything sent has arrived."""
        self.loop.call_soon(self._cut)

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        self._cut()

    def get_write_buffer_size(self) -> int:
        """Return 0: the line is never slow."""
        return 0

    def _arrive(self, frame: _Frame) -> None:
        if self._is_up:
            told: Any = self._client
            told.on_ws_frame(self, frame)

    def _cut(self) -> None:
        self._is_up = False
        self.loop.call_soon(self._tell)

    def _tell(self) -> None:
        told: Any = self._client
        told.on_ws_disconnected(self)
        self._down.set()


@dataclass(frozen=True, slots=True, eq=False)
class _ServerSocket:
    """What the hub asks of aiohttp's WebSocket."""

    line: _Line

    async def send_str(self, text: str) -> None:
        self.line.bring(_Frame(WSMsgType.TEXT, text.encode()))

    async def close(self, *, code: int, message: bytes) -> None:
        self.line.bring(_Frame(WSMsgType.CLOSE, code.to_bytes(2, "big") + message))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return (opcode, payload) of whole, unmasked WebSocket frames.

    Examples
    --------
    >>> frames(bytes([0x81, 2]) + b"hi" + bytes([0x89, 0]))
    [(1, b'hi'), (9, b'')]
    """
    found, at = [], 0
    while at < len(data):
        opcode, size = data[at] & 0x0F, data[at + 1] & 0x7F
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        found.append((opcode, data[at : at + size]))
        at += size
    return found


__all__ = ["ADDRESS", "URL", "LoopClock", "MemoryExchange", "MemorySocket", "MemoryTransport", "VirtualLoop", "frames"]
