"""Sending events to a server that answers as told: nothing is lost while it is away, and nobody waits for it."""

from __future__ import annotations

import logging

import orjson
import pytest
from aiohttp import web

from aione.errors import ServiceUnavailable
from aione.metrics import Metrics
from aione.stream.event_desk import EventDesk
from aione.stream.event_sender import BATCH, EventSender, credentials
from aione.stream.events import Event, EventBuffer
from aione.stream.shard import Shard
from config.notify_models import NotifyParams


class Sink:
    """A server that takes events, or answers what it is told to."""

    def __init__(self):
        self.status, self.posts, self.headers = 204, [], {}

    async def answer(self, request):
        self.headers = dict(request.headers)
        body = orjson.loads(await request.read())
        if self.status == 204:
            self.posts.append([event["event"] for event in body])
            return web.Response(status=204)
        return web.json_response({"detail": "no such thing"}, status=self.status)


@pytest.fixture
async def sink():
    one = Sink()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/api/events", one.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    yield one
    await runner.cleanup()


@pytest.fixture
def buffer():
    return EventBuffer(Metrics(), 1000)


def sender_to(url, buffer, headers=(), alive_every_s=3600.0):
    return EventSender(buffer, EventDesk(buffer, Shard(), NotifyParams()), url, dict(headers), alive_every_s)


async def test_the_oldest_go_first_in_batches_after_a_sign_of_life(sink, buffer):
    for number in range(BATCH + 1):
        buffer.add(Event(f"e{number}", "r"))
    async with sender_to(sink.url + "/", buffer) as sender:
        await sender.run_once(["BTCUSDT"], 0)
        await sender.run_once(["BTCUSDT"], 0)
    assert [len(post) for post in sink.posts] == [BATCH, 2]
    assert sink.posts[0][0] == "e0"
    assert sink.posts[1] == ["e100", "aione.stream.alive"]
    assert len(buffer) == 0


async def test_a_sign_of_life_goes_out_as_often_as_asked(sink, buffer):
    async with sender_to(sink.url, buffer, alive_every_s=1e-9) as sender:
        await sender.run_once((), 0)
        await sender.run_once((), 0)
    assert sink.posts == [["aione.stream.alive"]] * 2


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_while_the_server_refuses_nothing_is_lost(sink, buffer, status):
    buffer.add(Event("kept", "r"))
    async with sender_to(sink.url, buffer) as sender:
        sink.status = status
        with pytest.raises(ServiceUnavailable, match=f"answered {status}"):
            await sender.run_once((), 0)
        assert len(buffer) == 2
        sink.status = 204
        await sender.run_once((), 0)
    assert sink.posts == [["kept", "aione.stream.alive"]]


async def test_while_the_server_is_away_nothing_is_lost_and_its_address_shows_no_password(buffer):
    buffer.add(Event("kept", "r"))
    async with sender_to("http://user:hidden@127.0.0.1:1/api", buffer) as sender:
        with pytest.raises(ServiceUnavailable, match=r"Prefect at http://127\.0\.0\.1:1/api") as caught:
            await sender.run_once((), 0)
    assert "hidden" not in str(caught.value)
    assert len(buffer) == 2


async def test_what_is_malformed_is_let_go_counted_and_logged(sink, buffer, caplog):
    buffer.add(Event("bad", "r"))
    sink.status = 422
    async with sender_to(sink.url, buffer) as sender:
        with caplog.at_level(logging.ERROR):
            await sender.run_once((), 0)
        sink.status = 204
        buffer.add(Event("good", "r"))
        await sender.run_once((), 0)
    assert sink.posts == [["good"]]
    assert "refused 2 events (aione.stream.alive, bad)" in caplog.text


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"PREFECT_API_AUTH_STRING": "admin:pass"}, "Basic YWRtaW46cGFzcw=="),
        ({"PREFECT_API_KEY": "pnu_x", "PREFECT_API_AUTH_STRING": "a:b"}, "Bearer pnu_x"),
    ],
)
async def test_the_server_is_told_who_we_are(sink, buffer, environ, header):
    async with sender_to(sink.url, buffer, credentials(environ)) as sender:
        await sender.run_once((), 0)
    assert sink.headers["Authorization"] == header
