"""Streams of the exchange in memory: what they bring, and what breaks."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import pairwise

import pytest

from aione.sim import faults
from aione.sim.clock import ManualClock
from aione.sim.memory import URL, LoopClock, MemoryExchange, MemorySocket
from aione.sim.options import SimOptions
from aione.sim.streams import text_frame
from aione.venue.session import Session
from aione.venue.session_parts import Phase
from aione.venue.socket import SessionSocket
from aione.venue.stream_wire import BookTicker, DepthUpdate, KlineEvent
from config.models import VenueParams

from .memory_parts import virtually

MINUTE_MS = 60_000


PARAMS = VenueParams(backoff_base_s=0.1, backoff_cap_s=0.2, stale_after_s=600.0, proof_within_s=600.0)


# ── Streams ──


MARKET_STREAMS = ["btcusdt@kline_1m", "ethusdt@kline_1m"]


PUBLIC_STREAMS = ["btcusdt@bookTicker", "btcusdt@depth20@500ms"]


class Line:
    """A product's session with its driver, and what came over it."""

    def __init__(self, make, url, streams, params=PARAMS):
        self._now_s = asyncio.get_running_loop().time
        self.session = Session(url, params)
        self.session.want(streams, self._now_s())
        self.events, self.opened = [], 0
        self.came, self.stood = asyncio.Event(), asyncio.Event()
        self.socket = make(self.session, self._take, on_open=self._open, on_rotate=lambda: None)
        self.task = asyncio.create_task(self.socket.run())

    def _take(self, data):
        self.events.append((self._now_s(), data))
        self.came.set()

    def _open(self):
        self.opened += 1
        self.stood.set()

    async def first_events(self, count):
        """Wait until so many streams have brought something; return what each brought first."""
        while len({key(data) for data in self.data}) < count:
            self.came.clear()
            await self.came.wait()
        return {key(data): data for data in reversed(self.data)}

    @property
    def data(self):
        return [data for _, data in self.events]

    async def end(self):
        self.task.cancel()
        await asyncio.wait([self.task])


class Scene:
    """An exchange in memory that serves, on virtual time from noon on."""

    def __init__(self, market, noon_ms, **options):
        loop = asyncio.get_running_loop()
        self.exchange = MemoryExchange(market, LoopClock(loop, noon_ms), SimOptions(**options), loop.time)
        self.hub, self._lines = self.exchange.hub, []

    async def __aenter__(self):
        self._serving = asyncio.create_task(self.exchange.run())
        return self

    async def __aexit__(self, *_):
        for line in self._lines:
            await line.end()
        self._serving.cancel()
        await asyncio.wait([self._serving])
        await self.hub.shut()

    def line(self, path="/market/stream", streams=("btcusdt@kline_1m",), params=PARAMS):
        self._lines.append(Line(self.exchange.open_socket, URL + path, list(streams), params))
        return self._lines[-1]


@pytest.fixture
def scene(market, noon_ms):
    """``scene(**options)`` gives a `Scene`."""
    return lambda **options: Scene(market, noon_ms, **options)


def key(data):
    return type(data), data.bar.symbol if isinstance(data, KlineEvent) else data.symbol


@pytest.mark.parametrize(("path", "streams"), [("/market/stream", MARKET_STREAMS), ("/public/stream", PUBLIC_STREAMS)])
async def test_a_stream_brings_the_same_first_event_as_over_a_socket(market, clock, start, path, streams):
    """The clock stands, so every stream says one thing."""
    server = await start()
    exchange = MemoryExchange(market, ManualClock(clock.now_ms()), server.options, time.monotonic)
    serving = asyncio.create_task(exchange.run())
    lines = [Line(exchange.open_socket, URL + path, streams), Line(SessionSocket, server.ws_url + path, streams)]
    async with asyncio.timeout(10.0):
        near, far = [await line.first_events(len(streams)) for line in lines]
    assert near == far
    for line in lines:
        await line.end()
    serving.cancel()
    await asyncio.wait([serving])
    await exchange.hub.shut()


def test_a_driver_is_the_products_own_with_the_network_taken_out():
    assert issubclass(MemorySocket, SessionSocket)
    own = {name for name, value in vars(MemorySocket).items() if callable(value)}
    assert own == {"__init__", "_dial"}


def test_each_bar_comes_closed_once_two_seconds_after_its_end_with_the_markets_numbers(scene, market, noon_ms):
    async def scenario():
        async with scene() as one:
            line = one.line(streams=MARKET_STREAMS)
            await asyncio.sleep(605)
            return line.events

    started_s = time.perf_counter()
    events = virtually(scenario)[0]
    assert time.perf_counter() - started_s < 20.0
    for symbol in ("BTCUSDT", "ETHUSDT"):
        closed = [(at_s, e.bar) for at_s, e in events if e.bar.symbol == symbol and e.bar.is_closed]
        bars = market.bars(symbol, MINUTE_MS, noon_ms, noon_ms + 9 * MINUTE_MS)
        assert [bar.open_time_ms for _, bar in closed[-10:]] == bars["open_time_ms"].tolist()
        for (at_s, bar), true in zip(closed[-10:], bars, strict=True):
            assert (bar.high, bar.trade_count) == (true["high"], true["trade_count"])
            assert bar.close == pytest.approx(true["close"])
            assert 2.0 <= at_s - (bar.open_time_ms + MINUTE_MS - noon_ms) / 1000 <= 2.7
        assert max(Counter(bar.open_time_ms for _, bar in closed).values()) == 1
    assert all(before <= after for (before, _), (after, _) in pairwise(events)), "in order"


def test_a_route_delivers_its_own_streams_alone(scene):
    async def scenario():
        async with scene() as one:
            names = ["btcusdt@kline_1m", "btcusdt@bookTicker", "btcusdt@depth20@500ms"]
            lines = [one.line(path, names) for path in ("/market/stream", "/public/stream", "/stream")]
            await asyncio.sleep(3)
            return [{type(data) for data in line.data} for line in lines]

    assert virtually(scenario)[0] == [{KlineEvent}, {BookTicker, DepthUpdate}, {BookTicker, DepthUpdate}]


def test_a_stream_that_is_not_wanted_any_more_stops(scene):
    async def scenario():
        async with scene() as one:
            line = one.line(streams=MARKET_STREAMS)
            await asyncio.sleep(5)
            line.session.want(["ethusdt@kline_1m"], asyncio.get_running_loop().time())
            line.socket.wake()
            await asyncio.sleep(2)
            line.events.clear()
            await asyncio.sleep(5)
            return {data.bar.symbol for data in line.data}, one.hub.stream_count

    assert virtually(scenario)[0] == ({"ETHUSDT"}, 1)


def test_pings_are_answered_so_a_quiet_connection_stands_for_hours(scene):
    async def scenario():
        async with scene(ping_interval_s=60.0, pong_timeout_s=150.0, tick_s=1.0) as one:
            line = one.line("/public/stream", ["nobody@bookTicker"], PARAMS.model_copy(update={"stale_after_s": 1e9}))
            await asyncio.sleep(2 * 3600)
            return line.opened, one.hub.counts["pings_sent"], line.session.phase

    opened, pings, phase = virtually(scenario)[0]
    assert (opened, phase) == (1, Phase.OPEN)
    assert 115 <= pings <= 120


def test_a_connection_that_is_too_old_is_closed_with_a_word_and_opened_again(scene):
    async def scenario():
        async with scene(lifetime_s=100.0) as one:
            line = one.line()
            await asyncio.sleep(350)
            return line.opened, one.hub.counts["closed_1001"], len(one.hub.connections), line.session.last_end

    opened, closed, standing, end = virtually(scenario)[0]
    assert (opened, closed, standing) == (4, 3, 1)
    assert end.code == 1001
    assert end.message.endswith("Connection lifetime is over")


def test_who_says_too_much_is_shown_out(scene):
    async def scenario():
        async with scene() as one:
            line = one.line()
            await asyncio.sleep(3)
            for number in range(11):
                line.socket._transport.send(1, b'{"method":"LIST_SUBSCRIPTIONS","id":%d}' % number)
            await asyncio.sleep(0.01)
            return line.session.last_end, one.hub.counts["closed_1008"]

    end, closed = virtually(scenario)[0]
    assert (end.code, closed) == (1008, 1)
    assert end.message.endswith("Too many requests")


def test_a_connection_stands_when_the_way_there_and_back_is_over(scene):
    async def scenario():
        async with scene(latency_s=1.5) as one:
            line = one.line()
            await line.stood.wait()
            return asyncio.get_running_loop().time()

    assert virtually(scenario)[0] == 1.5


# ── What breaks ──


@pytest.mark.parametrize("is_cut", [True, False])
def test_what_is_on_its_way_when_a_connection_is_cut_never_arrives(scene, is_cut):
    async def scenario():
        async with scene(kline_ms=60_000, closing_delay_s=50.0) as one:
            line = one.line()
            await asyncio.sleep(5)
            ((connection, _),) = one.hub.connections.items()
            bar = b'{"e":"kline","E":1,"k":{"t":60000,"s":"BTCUSDT","i":"1m","o":"1","c":"1","h":"1","l":"1","v":"1",'
            data = bar + b'"n":1,"x":false,"q":"1","V":"1"}}'
            before = len(line.events)
            connection.write([text_frame(b'{"stream":"btcusdt@kline_1m","data":' + data + b"}")])
            if is_cut:
                connection.cut()
            await asyncio.sleep(0.01)
            return len(line.events) - before

    assert virtually(scenario)[0] == (0 if is_cut else 1)


def test_a_cut_of_every_connection_is_seen_at_once_and_they_come_again(scene):
    async def scenario():
        async with scene() as one:
            lines = [one.line(), one.line("/public/stream", PUBLIC_STREAMS)]
            await asyncio.sleep(5)
            one.exchange.break_it(faults.DropConnections())
            await asyncio.sleep(0)
            standing = len(one.hub.connections)
            await asyncio.sleep(5)
            return standing, [line.opened for line in lines], lines[0].session.last_end, one.exchange.faults.describe()

    standing, opened, end, left = virtually(scenario)[0]
    assert (standing, opened, left) == (0, [2, 2], [])
    assert (end.message, end.code) == ("connection lost", None)


def test_a_connection_that_dies_after_some_messages_has_brought_every_one_of_them(scene):
    async def scenario():
        async with scene() as one:
            line = one.line("/public/stream", ["btcusdt@bookTicker"])
            await asyncio.sleep(5)
            before = len(line.events)
            one.exchange.break_it(faults.DropConnections(after_messages=3, count=1))
            line.stood.clear()
            await line.stood.wait()
            return len(line.events) - before, one.hub.counts["connections_cut"]

    assert virtually(scenario)[0] == (3, 1)


def test_while_connections_are_refused_none_stands_and_then_one_does(scene):
    async def scenario():
        async with scene() as one:
            one.exchange.break_it(faults.RefuseConnections(duration_s=30.0))
            line = one.line()
            await asyncio.sleep(29.9)
            before = line.opened, line.session.phase in {Phase.WAITING, Phase.CONNECTING}
            await asyncio.sleep(2)
            return before, line.opened, line.session.last_end.message, line.session.counts.reconnects

    before, opened, message, tries = virtually(scenario)[0]
    assert (before, opened) == ((0, True), 1)
    assert "503" in message
    assert tries > 10


def test_a_path_that_is_no_stream_is_refused(scene):
    async def scenario():
        async with scene() as one:
            line = one.line("/nowhere")
            await asyncio.sleep(5)
            return line.opened, len(one.hub.connections)

    assert virtually(scenario)[0] == (0, 0)


def test_a_silenced_stream_is_acknowledged_and_brings_nothing_until_it_is_over(scene):
    async def scenario():
        async with scene() as one:
            one.exchange.break_it(faults.Silence(stream="btcusdt@*", duration_s=30.0))
            line = one.line(streams=MARKET_STREAMS)
            await asyncio.sleep(29)
            during = {data.bar.symbol for data in line.data}
            state = line.session.tracks["btcusdt@kline_1m"].state.value
            await asyncio.sleep(5)
            return during, state, {data.bar.symbol for data in line.data}

    assert virtually(scenario)[0] == ({"ETHUSDT"}, "acknowledged", {"BTCUSDT", "ETHUSDT"})


# ── Ends ──


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_who_leaves_leaves_nothing_behind(scene, how):
    async def scenario():
        async with scene() as one:
            line = one.line(streams=MARKET_STREAMS)
            await asyncio.sleep(5)
            before = len(one.hub.connections), one.hub.stream_count
            if how == "cancelled":
                line.task.cancel()
            else:
                line.session.stop()
                line.socket.wake()
            await asyncio.wait([line.task])
            assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.01), (
                "nobody waits for a goodbye that has been heard"
            )
            line.events.clear()
            await asyncio.sleep(5)
            return before, len(one.hub.connections), one.hub.stream_count, line.events, line.session.last_end.message

    assert virtually(scenario)[0] == ((1, 2), 0, 0, [], "stopped")
