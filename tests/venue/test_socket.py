"""The socket shell against a real server on loopback: from the first subscription to the goodbye."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from websockets.asyncio.server import serve

from aione.venue.session import Session
from aione.venue.session_parts import HOLD_S, End, Phase
from aione.venue.socket import SessionSocket
from aione.venue.stream_wire import KlineEvent
from config.models import VenueParams

STREAM = "btcusdt@kline_1m"
PARAMS = VenueParams(backoff_base_s=0.01, backoff_cap_s=0.05, stale_after_s=5.0, control_messages_per_s=10)


def push(close="1.5", is_closed=False):
    bar = {"t": 60_000, "s": "BTCUSDT", "i": "1m", "o": "1", "h": "2", "l": "1", "c": close, "v": "1", "q": "1",
           "V": "1", "n": 1, "x": is_closed}  # fmt: skip
    return json.dumps({"stream": STREAM, "data": {"e": "kline", "E": 60_001, "s": "BTCUSDT", "k": bar}})


class Exchange:
    """Acknowledges everything; what it then does is the test's ``script(connection, number)``."""

    def __init__(self, script):
        self.script = script
        self.paths, self.subscribed, self.connections, self.closes = [], [], 0, []

    async def handle(self, connection):
        self.connections += 1
        self.paths.append(connection.request.path)
        message = json.loads(await connection.recv())
        self.subscribed.append(message["params"])
        await connection.send(json.dumps({"result": None, "id": message["id"]}))
        await self.script(connection, self.connections)
        await connection.wait_closed()
        self.closes.append(connection.close_code)


class Running:
    def __init__(self, url, params=PARAMS):
        self.events = []
        self.opened = 0
        self.rotations = 0
        self.session = Session(url, params)
        self.session.want([STREAM], 0.0)
        self.shell = SessionSocket(self.session, self.events.append, on_open=self._open, on_rotate=self._rotate)
        self.task = asyncio.create_task(self.shell.run())

    def _open(self):
        self.opened += 1

    def _rotate(self):
        self.rotations += 1

    async def until(self, condition, within_s=5.0):
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - the condition is a test's
                await asyncio.sleep(0.005)

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def start():
    """``await start(script)`` gives (exchange, running)."""
    servers, runs = [], []

    async def _start(script, path="/market/stream", **kwargs):
        exchange = Exchange(script)
        server = await serve(exchange.handle, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        running = Running(f"ws://127.0.0.1:{port}{path}", **kwargs)
        runs.append(running)
        return exchange, running

    yield _start
    for running in runs:
        await running.end()
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_it_subscribes_on_the_route_and_delivers_decoded_events(start):
    async def script(connection, _number):
        await connection.send(push("1.25"))
        await connection.send(push("1.75", is_closed=True))

    exchange, running = await start(script)
    await running.until(lambda: len(running.events) == 2)
    assert exchange.paths == ["/market/stream"]
    assert exchange.subscribed == [[STREAM]]
    assert [event.bar.close for event in running.events] == [1.25, 1.75]
    assert isinstance(running.events[0], KlineEvent)
    assert running.session.is_proven


async def test_the_exchanges_pings_are_answered(start):
    answered = []

    async def script(connection, _number):
        waiter = await connection.ping(b"1699999999999")
        answered.append(await asyncio.wait_for(waiter, 2.0))

    _, running = await start(script)
    await running.until(lambda: answered)


async def test_a_message_in_fragments_arrives_whole(start):
    async def script(connection, _number):
        text = push("1.25")

        async def pieces():
            for at in range(0, len(text), 20):
                yield text[at : at + 20]

        await connection.send(pieces())
        await connection.send(push("1.5"))

    _, running = await start(script)
    await running.until(lambda: len(running.events) == 2)
    assert [event.bar.close for event in running.events] == [1.25, 1.5]
    assert not running.session.counts.errors


async def test_after_a_close_and_after_a_cut_it_comes_back_and_subscribes_again(start):
    async def script(connection, number):
        await connection.send(push())
        if number == 1:
            await connection.close(1008, "Pong timeout")
        elif number == 2:
            connection.transport.abort()

    exchange, running = await start(script)
    await running.until(lambda: len(running.events) == 3)
    assert exchange.subscribed == [[STREAM]] * 3
    assert running.opened == 3
    assert running.session.counts.reconnects == 2
    assert "connection lost" in running.session.last_end.message


async def test_the_exchanges_close_code_and_reason_are_kept(start):
    async def script(connection, number):
        if number == 1:
            await connection.close(1008, "too many streams")

    _, running = await start(script)
    await running.until(lambda: running.session.last_end is not None)
    assert running.session.last_end.code == 1008
    assert "too many streams" in running.session.last_end.message


async def test_a_private_close_code_does_not_hurt(start):
    async def script(connection, number):
        if number == 1:
            await connection.close(4321, "odd")
        else:
            await connection.send(push())

    _, running = await start(script)
    await running.until(lambda: running.events)
    assert running.session.last_end.code == 4321


async def test_a_server_that_acknowledges_and_never_delivers_is_left(start):
    async def script(connection, number):
        if number == 2:
            await connection.send(push())

    params = PARAMS.model_copy(update={"stale_after_s": 0.3, "stream_stale_after_s": 0.3})
    exchange, running = await start(script, params=params)
    await running.until(lambda: running.events)
    assert exchange.connections == 2
    assert running.session.counts.errors["connection_stale"] == 1


async def test_garbage_does_not_end_the_connection(start):
    async def script(connection, _number):
        await connection.send("{broken")
        await connection.send(b"\x00\xff")
        await connection.send(push())

    exchange, running = await start(script)
    await running.until(lambda: running.events)
    assert exchange.connections == 1
    assert running.session.counts.errors["malformed_message"] == 2


async def test_cancelling_says_goodbye(start):
    async def script(connection, _number):
        await connection.send(push())

    exchange, running = await start(script)
    await running.until(lambda: running.events)
    await running.end()
    await running.until(lambda: exchange.closes)
    assert exchange.closes == [1000]


async def test_stopping_the_session_ends_the_run(start):
    async def script(connection, _number):
        await connection.send(push())

    exchange, running = await start(script)
    await running.until(lambda: running.events)
    running.session.stop()
    running.shell.wake()
    await asyncio.wait_for(running.task, 2.0)
    assert running.session.phase is Phase.STOPPED
    await running.until(lambda: exchange.closes)
    assert exchange.closes == [1000]


async def test_it_asks_to_be_replaced_before_its_life_ends(start):
    async def script(connection, _number):
        await connection.send(push())

    params = PARAMS.model_copy(update={"connection_life_s": 0.5})
    _, running = await start(script, params=params)
    await running.until(lambda: running.rotations == 1)
    assert running.session.phase is Phase.OPEN


async def test_a_port_where_nobody_listens_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    running = Running(f"ws://127.0.0.1:{port}/market/stream")
    await running.until(lambda: running.session.counts.reconnects >= 3)
    await running.end()


async def test_an_address_that_swallows_everything_is_left_in_time(monkeypatch):
    """The system alone tries for two minutes."""
    monkeypatch.setattr("aione.venue.socket.CONNECT_WITHIN_S", 0.05)

    async def never(_self, _url):
        await asyncio.sleep(60.0)

    monkeypatch.setattr(SessionSocket, "_dial", never)
    running = Running("ws://127.0.0.1:1/market/stream")
    await running.until(lambda: running.session.counts.reconnects >= 2)
    assert running.session.last_end.message == "no connection within 0.05 s"
    await running.end()


async def test_a_server_that_takes_the_connection_and_says_nothing_is_left_in_time(monkeypatch):
    monkeypatch.setattr("aione.venue.socket.CONNECT_WITHIN_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        running = Running(f"ws://127.0.0.1:{mute.getsockname()[1]}/market/stream")
        await running.until(lambda: running.session.counts.reconnects >= 2)
        await running.end()


async def test_a_connection_that_stands_after_it_was_given_up_is_closed_and_not_taken_for_the_next():
    class Transport:
        def __init__(self):
            self.closed = 0

        def disconnect(self, *, graceful=True):
            self.closed += not graceful

    session = Session("ws://exchange/market/stream", PARAMS)
    session.want([STREAM], 0.0)
    session.start(0.0)
    shell = SessionSocket(session, lambda _: None)
    session.closed(End("no connection within 10 s"), 1.0)
    late, good, second = Transport(), Transport(), Transport()
    shell.on_ws_connected(late)
    assert (late.closed, session.phase) == (1, Phase.WAITING)
    session.tick(session.wake_at_s)
    shell.on_ws_connected(good)
    shell.on_ws_connected(second)
    assert (good.closed, second.closed, session.phase) == (0, 1, Phase.OPEN)
    shell.on_ws_disconnected(second)
    assert session.phase is Phase.OPEN
    shell.on_ws_disconnected(good)
    assert session.phase is Phase.WAITING


@pytest.mark.parametrize(
    ("status", "headers", "asked_s"),
    [
        (429, {"Retry-After": "37"}, 37.0),
        (418, {"Retry-After": "7200"}, 7200.0),
        (503, {"Retry-After": "99999999"}, 3 * 86_400.0),
        (429, {"Retry-After": "soon"}, None),
        (418, {}, None),
    ],
)
async def test_how_long_a_refusal_asks_us_to_stay_away_is_kept(status, headers, asked_s):
    def refuse(connection, _request):
        response = connection.respond(status, "no\n")
        response.headers.update(headers)
        return response

    async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0, process_request=refuse) as server:
        running = Running(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/market/stream")
        await running.until(lambda: running.session.last_end is not None)
        end = running.session.last_end
        assert (end.status, end.retry_after_s) == (status, asked_s)
        waits_s = running.session.wake_at_s - asyncio.get_running_loop().time()
        assert waits_s > (asked_s or HOLD_S[status]) - 5.0
        await running.end()


async def test_an_address_that_can_never_work_ends_the_run():
    running = Running("mailto:someone")
    await asyncio.wait_for(running.task, 2.0)
    assert running.session.phase is Phase.FAILED


async def test_a_path_that_does_not_exist_ends_the_run():
    def refuse(connection, _request):
        return connection.respond(404, "no such path\n")

    async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        running = Running(f"ws://127.0.0.1:{port}/nowhere")
        await asyncio.wait_for(running.task, 2.0)
    assert running.session.last_end.status == 404
    assert running.session.phase is Phase.FAILED
