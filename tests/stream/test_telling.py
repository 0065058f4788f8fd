"""Whether a worker tells Prefect anything, and the whole way from the worker's jobs to the server."""

from __future__ import annotations

import logging

import orjson
import pytest
from aiohttp import web

from aione.metrics import Metrics
from aione.stream.alerts import AlertWatch
from aione.stream.event_sender import EventSender
from aione.stream.outlet import RedisOutlet
from aione.stream.shard import Shard
from aione.stream.telling import telling
from aione.stream.worker import StreamWorker
from config.settings import load_settings

STREAMS = 3 * 4 + 1


async def test_without_prefect_nobody_is_told_and_that_is_said_once(redis, caplog):
    with caplog.at_level(logging.WARNING):
        async with telling(redis, load_settings(environ={}), Metrics(), Shard(), {}) as told:
            assert (told.desk, told.errands) == (None, ())
    assert caplog.text.count("PREFECT_API_URL is not set") == 1


@pytest.mark.parametrize(("shard", "kinds"), [(Shard(1, 2), [AlertWatch, EventSender]), (Shard(2, 2), [EventSender])])
async def test_the_first_worker_alone_watches_for_alerts_and_every_one_sends(redis, shard, kinds):
    environ = {"PREFECT_API_URL": "http://127.0.0.1:1/api"}
    async with telling(redis, load_settings(environ={}), Metrics(), shard, environ) as told:
        assert [type(errand) for errand in told.errands] == kinds


@pytest.fixture
async def prefect():
    """``(url, events)``: a server that takes events."""
    events = []

    async def take(request):
        events.extend(orjson.loads(await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/api/events", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/api", events
    await runner.cleanup()


async def test_an_outage_is_told_from_its_beginning_to_the_healed_gap_and_so_is_the_end_of_the_worker(
    start, redis, prefect, monkeypatch
):
    monkeypatch.setattr("aione.stream.event_sender.EventSender.every_s", 0.05)
    monkeypatch.setattr("aione.stream.incidents.GRACE_S", {"connection_down": 0.0, "redis_away": 0.0})
    monkeypatch.setattr("aione.stream.incidents.OVER_AFTER_S", 0.1)
    url, events = prefect
    exchange = await start()
    await exchange.screen()

    def told():
        return {event["event"] for event in events}

    async with telling(redis, exchange.settings, exchange.metrics, Shard(), {"PREFECT_API_URL": url}) as parts:
        exchange.worker = StreamWorker(
            RedisOutlet(redis), exchange.rings, exchange.rest, exchange.settings, metrics=exchange.metrics,
            errands=parts.errands, events=parts.desk,
        )  # fmt: skip
        async with exchange.running():
            await exchange.until(lambda: exchange.all_proven(STREAMS))
            await exchange.until(lambda: "aione.stream.alive" in told())
            await exchange.minutes(2)
            assert "aione.bar.gap" not in told(), "what a start finds missing is no gap"
            await exchange.fault(fault="refuse_connections")
            await exchange.fault(fault="drop_connections", count=10)
            await exchange.minutes(4)
            await exchange.heal()
            await exchange.until(lambda: exchange.all_proven(STREAMS))
            await exchange.until(lambda: "aione.bar.gap" in told() or "aione.stream.stale" in told())
            await exchange.until(exchange.is_complete)
        assert events[-1]["event"] == "aione.stream.stopped"
    states = [event["resource"]["aione.state"] for event in events if event["event"] == "aione.stream.stale"]
    assert states[:2] == ["began", "ended"]
    assert exchange.metrics.value("aione_events_total", event="aione.stream.stopped") == 1
