"""The simulated exchange as a server: one port for REST, WebSocket and the control endpoints.

REST is answered by `aione.sim.answering`, streams by `aione.sim.hub`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import Counter
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Final, Self

import orjson
from aiohttp import web

from aione.errors import AlreadyRunning, InvalidInput
from aione.sim.answering import WEIGHT_HEADER, RestDesk
from aione.sim.clock import Clock, RealClock, SkewedClock, wall_ms
from aione.sim.desk import Desk
from aione.sim.faults import DropConnections, Faults, parse_faults
from aione.sim.feeds import Source
from aione.sim.hub import Hub
from aione.sim.limits import Limits
from aione.sim.market import Market
from aione.sim.options import SimOptions
from aione.sim.rest import day_bar
from aione.sim.sockets import is_websocket, serve_socket

_log = logging.getLogger(__name__)
_MAX_CONTROL_BYTES: Final = 1_000_000
_MAX_LINE_BYTES: Final = 200_000  # an address may name 1024 streams


class SimServer:
    """A running simulated exchange; an asynchronous context manager, or awaited and closed by hand.

    Parameters
    ----------
    market : Market
        Where the data comes from.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    clock : Clock or None
        The exchange's time; None is the machine's.
    options : SimOptions or None
        Limits and delays.

    Attributes
    ----------
    port : int
        The port it listens on, once started.
    faults : Faults
        What is broken now; the control endpoint changes the same book.
    """

    def __init__(
        self,
        market: Market,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        options: SimOptions | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.options = options or SimOptions()
        self.faults = Faults()
        self.clock = SkewedClock(clock or RealClock(), self.faults.skew_ms)
        self.limits = Limits(self.options, self.clock.now_ms if self.options.budget_by_market_clock else wall_ms)
        self._desk = Desk(market)
        self.hub = Hub(Source(self._desk, self.options, self.faults), self.clock)
        self.rest = RestDesk(self._desk, self.faults, self.limits, self.clock, self.options)
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._started_s = time.monotonic()
        self._is_warm = False

    @property
    def rest_url(self) -> str:
        """Base address of the REST endpoints."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Base address of the WebSocket endpoints, without a route."""
        return f"ws://{self.host}:{self.port}"

    # ── Life ──

    async def start(self) -> Self:
        """Listen and serve.

        Raises
        ------
        AlreadyRunning
            The port is taken.
        InvalidInput
            The address is not one of this machine, or the port is not for everyone.
        """
        if self._runner is not None:
            return self
        app = web.Application(client_max_size=_MAX_CONTROL_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=1.0, max_line_size=_MAX_LINE_BYTES
        )
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            self._desk.close()
            if error.errno == errno.EADDRINUSE:
                raise AlreadyRunning(f"port {self.port} of {self.host} is taken by another program") from error
            raise InvalidInput(f"cannot listen on port {self.port} of {self.host}: {error.strerror}") from error
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        self._tasks = [asyncio.create_task(self.hub.run()), asyncio.create_task(self._warm())]
        return self

    async def close(self) -> None:
        """End all connections, the timer and the market's thread."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hub.shut()
        await runner.cleanup()
        await asyncio.to_thread(self._desk.close)

    async def wait(self) -> None:
        """Serve until cancelled; raise what ended the timer, should anything end it."""
        await self._tasks[0]

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _warm(self) -> None:
        """Make the last day of every symbol ready in small slices, so that the first question is quick."""
        now_ms = self.clock.now_ms()

        def work() -> Iterator[None]:
            for instrument in list(self._desk.instruments(now_ms).values()):
                if instrument.is_trading:
                    day_bar(self._desk, instrument.symbol, now_ms)
                yield

        try:
            async for _ in self._desk.slices(work()):
                pass
            self._is_warm = True
        except Exception as error:  # noqa: BLE001 - see below
            # Any market may be plugged in; warming up is a courtesy, whoever asks for the symbol gets the error.
            _log.warning("the market could not be warmed up: %r", error)

    # ── Dispatch ──

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path.startswith("/sim/"):
            return await self._control(request)
        if is_websocket(request):
            return await serve_socket(request, self.hub, self.faults, self.options)
        answer = await self.rest.answer(request.method, path, dict(request.query), request.remote or "")
        return web.Response(
            body=answer.body, status=answer.status, content_type=answer.content_type, headers=answer.headers
        )

    # ── Control ──

    async def _control(self, request: web.Request) -> web.Response:
        parts = request.path.removeprefix("/sim/").split("/")
        match request.method, parts:
            case "GET", ["status"]:
                return _json(self.status())
            case "GET", ["faults"]:
                return _json(self.faults.describe())
            case "POST", ["faults"]:
                return await self._add_faults(request)
            case "DELETE", ["faults"]:
                return _json({"ended": self.faults.clear()})
            case "DELETE", ["faults", number] if number.isdecimal():
                ended = self.faults.clear(int(number))
                return _json({"ended": ended}, 200 if ended else 404)
        known = "GET /sim/status, GET POST DELETE /sim/faults, DELETE /sim/faults/<id>"
        return _json({"error": f"no {request.method} {request.path}; there are: {known}"}, 404)

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            wanted = parse_faults(await request.read())
        except InvalidInput as error:
            return _json({"error": str(error)}, 400)
        shown = []
        for fault in wanted:
            active = self.faults.add(fault)
            if isinstance(fault, DropConnections) and not fault.after_messages:
                self.hub.cut(active)
                self.faults.clear(active.number)
            shown.append(active.describe(time.monotonic()))
        return _json(shown)

    def status(self) -> dict[str, Any]:
        """Return what the server has done since it started, as ``GET /sim/status`` shows it."""
        requests: dict[str, dict[str, int]] = {}
        for (path, status), count in sorted(self.rest.requests.items()):
            requests.setdefault(path, {})[str(status)] = count
        by_status: Counter[int] = Counter()
        for (_, status), count in self.rest.requests.items():
            by_status[status] += count
        routes = Counter(connection.route.value or "unrouted" for connection in self.hub.connections)
        return {
            "now_ms": self.clock.now_ms(),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "is_warm": self._is_warm,
            "requests": requests,
            "responses_429": by_status[429],
            "responses_418": by_status[418],
            "weight_used": self.limits.addresses(),
            "connections": len(self.hub.connections),
            "connections_by_route": dict(routes),
            "streams": self.hub.stream_count,
            "messages_sent": self.hub.counts["messages_sent"],
            "events": dict(sorted(self.hub.counts.items())),
            "faults": self.faults.describe(),
        }


def serve(
    market: Market,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    options: SimOptions | None = None,
) -> SimServer:
    """Return the simulated exchange; ``async with serve(market) as sim`` or ``sim = await serve(market)`` starts it.

    The second form must be closed with ``await sim.close()``. See `SimServer` for the arguments and the errors.
    """
    return SimServer(market, host=host, port=port, clock=clock, options=options)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


__all__ = ["WEIGHT_HEADER", "SimServer", "serve"]
