"""The worker against the simulated exchange, whose time runs faster than ours: a minute is a second and a half."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import orjson
import pytest

from aione.metrics import Metrics
from aione.prefilter import PrefilterResult
from aione.sim.clock import RealClock
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store.rings import BarRings, MemoryRings
from aione.store.state import StateStore
from aione.store.tiers import TieredRings
from aione.stream.fleet import Fleet
from aione.stream.outlet import RedisOutlet
from aione.stream.status import read_status
from aione.stream.worker import StreamWorker
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from aione.venue.session_parts import End
from aione.venue.stream_wire import stream_kind
from config.models import VenueParams
from config.settings import load_settings

from .reporting_parts import _hasty, desk  # noqa: F401  # fixtures

SPEED = 40.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
HISTORY = 60
MINUTE = 60_000


class MarketTime:
    """A server clock that knows the fast exchange's time exactly."""

    monotonic_s = staticmethod(time.monotonic)

    def __init__(self, clock):
        self.now_ms = clock.now_ms

    def offset_ms(self):
        return self.now_ms() - 1000 * time.time()

    @property
    def known_ms(self):
        return self.now_ms()

    def measured(self, *_args, **_kwargs):
        """Nothing to learn."""

    def off_ms(self, *_args, **_kwargs):
        """It is never off."""
        return 0.0

    def wall_ms(self):
        return 1000 * time.time()


def screened(symbols, now_ms):
    return PrefilterResult(tuple(symbols), [], [], {}, 0, 0, 0.0, now_ms)


class Exchange:
    """A simulated exchange, a client of it, and a worker that follows it."""

    def __init__(self, server, rest, redis, **venue):
        self.server, self.rest, self.redis = server, rest, redis
        settings = load_settings(environ={})
        changes = {
            "rest_url": server.rest_url, "ws_url": server.ws_url, "stale_after_s": 2.0, "proof_within_s": 1.0,
            "stream_stale_after_s": 4.0, "backoff_base_s": 0.05, "backoff_cap_s": 0.2, **venue,
        }  # fmt: skip
        self.settings = settings.model_copy(
            update={
                "VENUE": settings.VENUE.model_copy(update=changes),
                "PRELOAD_1M_LOOKBACK_INIT": HISTORY,
                "METRICS_PORT": 0,
            }
        )
        self.rings = TieredRings(BarRings(redis), memory=MemoryRings(), is_buffering=True)
        self.state = StateStore(redis)
        self.metrics = Metrics()
        self.task = None
        self.worker = StreamWorker(RedisOutlet(redis), self.rings, rest, self.settings, metrics=self.metrics)
        self.first_ms = self.now_ms() // MINUTE * MINUTE

    def now_ms(self):
        return self.server.clock.now_ms()

    async def screen(self, symbols=SYMBOLS):
        await self.state.save_prefilter(screened(symbols, self.now_ms()))

    async def fault(self, **fault):
        async with httpx.AsyncClient(base_url=self.server.rest_url) as client:
            reply = await client.post("/sim/faults", json=fault)
            assert reply.status_code == 200, reply.text

    async def heal(self):
        async with httpx.AsyncClient(base_url=self.server.rest_url) as client:
            await client.delete("/sim/faults")

    async def until(self, condition, within_s=20.0):
        """Wait for a condition, sync or async, while the worker runs."""
        async with asyncio.timeout(within_s):
            while True:
                found = condition()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                assert self.task is None or not self.task.done(), self.task.exception()
                await asyncio.sleep(0.05)

    async def minutes(self, count):
        until_ms = (self.now_ms() // MINUTE + count) * MINUTE
        await self.until(lambda: self.now_ms() >= until_ms)

    def last_closed_ms(self, settle_ms=45_000):
        return (self.now_ms() - settle_ms) // MINUTE * MINUTE - MINUTE

    async def is_complete(self, symbols=SYMBOLS, start_ms=None):
        start_ms, end_ms = start_ms or self.first_ms, self.last_closed_ms()
        return end_ms >= start_ms and not any((await self.rings.gaps(symbols, start_ms, end_ms)).values())

    async def status(self):
        workers = list((await self.state.load_stream_workers()).values())
        return read_status(workers[0]) if workers else {}

    async def streams(self):
        return (await self.status()).get("streams", {})

    async def all_proven(self, count):
        return await self.streams() == {"proven": count}

    async def follows_nothing(self):
        status = await self.status()
        return (status["symbols"], status["streams"], status["connections"]) == (0, {}, 0)

    async def are_silent(self, streams):
        return (await self.status()).get("silent") == streams

    @asynccontextmanager
    async def running(self):
        self.task = task = asyncio.create_task(self.worker.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=10.0)
            if not task.done():
                for other in asyncio.all_tasks():
                    other.print_stack()
            assert task.done(), "the worker ends when it is cancelled"


@pytest.fixture
async def start(redis, monkeypatch):
    """``await start(**venue)`` gives an `Exchange` whose worker has not been started; the worker hurries too."""
    for name in (
        "FOLLOW_EVERY_S",
        "STATUS_EVERY_S",
        "BOOK_EVERY_S",
        "FORMING_EVERY_S",
        "CLOCK_LOOK_S",
        "BEHIND_EVERY_S",
    ):
        monkeypatch.setattr(f"aione.stream.worker.{name}", 0.1)
    monkeypatch.setattr("aione.stream.loops.BACKOFF_BASE_S", 0.05)
    servers, clients = [], []

    async def _start(client=None, **venue):
        clock = RealClock(speed=SPEED)
        server = await SimServer(SyntheticMarket(6), clock=clock).start()
        servers.append(server)
        settings = load_settings(environ={})
        ledger = LocalLedger(settings.VENUE)
        rest = BinanceRest(server.rest_url, ledger)
        rest.clock = ledger.clock = MarketTime(server.clock)
        await rest.__aenter__()
        clients.append(rest)
        return Exchange(server, rest, client or redis, **venue)

    yield _start
    for rest in clients:
        await rest.__aexit__(None, None, None)
    for server in servers:
        await server.close()


# ── Connections moved by hand ──


class Still:
    """What drives a session that the test drives itself."""

    async def run(self):
        """Nothing to run."""

    def wake(self):
        """Nothing to wake."""


class Stage:
    """A real fleet with real sessions; what a connection is told, and when, is the test's."""

    def __init__(self, streams):
        self.sessions, self._rotate = {}, {}
        self._loop = asyncio.get_running_loop()
        self.fleet = Fleet(VenueParams(), self._loop, lambda _: None, lambda _: None, open_socket=self._open)
        self.fleet.want(streams)

    def _open(self, session, _deliver, *, on_open, on_rotate):  # noqa: ARG002  # as those of `SessionSocket`
        kind = stream_kind(next(iter(session.streams)))
        self.sessions[kind], self._rotate[kind] = session, on_rotate
        return Still()

    def stand(self, *kinds):
        """Open the connections of these kinds; all without one named."""
        for kind in kinds or list(self.sessions):
            session = self.sessions[kind]
            session.start(self._loop.time())
            session.connected(self._loop.time())

    def push(self, stream, age_s=0.0):
        """Let a bar or a best bid and ask arrive; it was ``age_s`` ago."""
        symbol, _, kind = stream.partition("@")
        bar = dict.fromkeys("oclhvqV", "1") | {"t": MINUTE, "s": symbol.upper(), "i": "1m", "n": 1, "x": False}
        quote = {"e": "bookTicker", "E": 1, "s": symbol.upper(), "b": "1", "a": "2"}
        data = {"e": "kline", "E": 1, "k": bar} if kind.startswith("kline") else quote
        payload = orjson.dumps({"stream": stream, "data": data})
        assert self.sessions[stream_kind(stream)].received(payload, self._loop.time() - age_s) is not None

    def silence(self, kind, for_s):
        """Let nothing come for so long; the connection looks for silence."""
        self.sessions[kind].tick(self._loop.time() + for_s)

    def end(self, kind, **how):
        """Let a connection end."""
        self.sessions[kind].closed(End(**how), self._loop.time())

    def rotate(self, kind):
        """Let a connection ask for its successor."""
        self._rotate[kind]()


@pytest.fixture
async def stage():
    """``stage(streams)`` gives a `Stage` that wants them."""
    return Stage
