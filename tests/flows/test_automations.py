"""Every automation of the file fires on a real Prefect server, and what it says arrives at the local file."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Completed, Failed, Running

from aione.metrics import Metrics
from aione.publish.parts import ConfidenceMetrics, RiskParameters
from aione.publish.payload import Asset, Counters
from aione.publish.publisher import Publisher
from aione.stream.alerts import AlertWatch
from aione.stream.event_desk import EventDesk
from aione.stream.event_sender import EventSender
from aione.stream.events import EventBuffer
from aione.stream.healing import Gap
from aione.stream.incidents import Incident
from aione.stream.shard import Shard
from config.settings import load_settings
from deployments.automations import upsert

from .automations_parts import SOON, found, took
from .automations_parts import server as server  # noqa: PLC0414  # a fixture

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

BAR_MS = 1_779_278_400_000
KILLED = """
import time
from prefect import flow, tags

@flow(name="prefilter", flow_run_name="prefilter")
def prefilter():
    time.sleep(60)

with tags("aione"):
    prefilter()
"""


@asynccontextmanager
async def worker(server, redis=None, shard=Shard()):  # noqa: B008  # immutable
    """A stream worker's desk and what sends and watches for it."""
    settings = load_settings(environ={})
    buffer = EventBuffer(Metrics(), 100)
    desk = EventDesk(buffer, shard, settings.NOTIFY)
    async with EventSender(buffer, desk, server.api_url, {}, 3600.0) as sender:
        yield desk, sender, AlertWatch(redis, settings, buffer)


async def run_of(client, flow_name, state, name=None):
    flow_id = await client.create_flow_from_name(flow_name)
    body = {"flow_id": str(flow_id), "name": name or flow_name, "tags": ["aione"], "state": {"type": "RUNNING"}}
    run_id = (await client._client.post("/flow_runs/", json=body)).json()["id"]
    await client.set_flow_run_state(run_id, Running(), force=True)
    await client.set_flow_run_state(run_id, state, force=True)
    return run_id


async def test_a_failed_flow_is_told_once_within_its_cooldown(server):
    async with get_client() as client:
        began_s = time.time()
        await run_of(client, "preload", Failed(message="the exchange has refused us"), name="first")
        line = await server.delivered("FLOW preload Failed", began_s)
        await run_of(client, "preload", Failed(message="the exchange has refused us"), name="second")
        await run_of(client, "quality", Failed(name="TimedOut", message="too slow"))
        await server.delivered("FLOW quality TimedOut", time.time())
    assert "first: the exchange has refused us" in line["body"]
    assert "/runs/flow-run/" in line["body"]
    assert server.count("FLOW preload") == 1


async def test_no_completed_screening_is_told_and_a_skipped_one_does_not_count(server):
    async with get_client() as client:
        began_s = time.time()
        await run_of(client, "screening", Completed(), name="screening 12:00")
        await asyncio.sleep(4)
        await run_of(client, "screening", Completed(name="Skipped", message="published already"))
        line = await server.delivered("NO SCREENING for 10 s", began_s)
    assert "screening 12:00" in line["body"]
    assert server.count("NO SCREENING") == 1


async def test_a_run_whose_process_is_gone_is_marked_as_crashed_and_told_once(server):
    environ = os.environ | {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(server.home / "client")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, env=environ, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        events = await found(lambda: server.events("prefect.flow-run.heartbeat"))
    finally:
        process.kill()
        await process.wait()
    began_s = time.time()
    await heartbeat_after_the_end(server, events[0])
    line = await server.delivered("ZOMBIE prefilter", began_s)
    assert "is marked as crashed" in line["body"]
    async with get_client() as client:
        run = await client.read_flow_run(events[0]["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run."))
    assert (run.state.type.value, run.state.name) == ("CRASHED", "Zombie")
    assert "no sign of life for 10 s" in run.state.message
    assert server.count("FLOW prefilter") == 0
    await found(lambda: server.events("prefect.automation.action.failed"))
    await asyncio.sleep(2)
    assert server.count("ZOMBIE") == 1, "a run that has completed is none"


async def heartbeat_after_the_end(server, heartbeat):
    """Let a short run complete, and its heartbeat arrive after that."""
    async with get_client() as client:
        run_id = await run_of(client, "prefilter", Completed(), name="short")
    resource = {**heartbeat["resource"], "prefect.resource.id": f"prefect.flow-run.{run_id}"}
    late = {**heartbeat, "id": str(uuid4()), "occurred": datetime.now(UTC).isoformat(), "resource": resource}
    fields = ("id", "occurred", "event", "resource", "related", "payload")
    async with httpx.AsyncClient() as client:
        body = [{name: late[name] for name in fields}]
        (await client.post(f"{server.api_url}/events", json=body)).raise_for_status()


async def test_a_silent_worker_is_told_and_one_that_was_told_to_end_is_not(server):
    async with (
        worker(server, shard=Shard(1, 2)) as (_, sender, _),
        worker(server, shard=Shard(2, 2)) as (ending, other, _),
    ):
        began_s = time.time()
        await sender.run_once(["BTCUSDT"] * 60, 0)
        await other.run_once((), 0)
        ending.stopped()
        await other.run_once((), 0)
        line = await server.delivered("SILENT stream worker 1/2", began_s)
    assert "its 60 symbols" in line["body"]
    await asyncio.sleep(3)
    assert server.count("SILENT stream worker 2/2") == 0


async def test_streams_that_fall_silent_are_told_and_that_they_deliver_again(server):
    stale = Incident("stream_stale", BAR_MS, {"btcusdt@bookTicker": None})
    async with worker(server) as (desk, sender, _):
        began_s = time.time()
        desk.incident(stale)
        await sender.run_once((), 0)
        line = await server.delivered("DATA stream_stale", began_s)
        stale.ended_ms = BAR_MS + 61_000
        desk.incident(stale)
        await sender.run_once((), 0)
        over = await server.delivered("DATA stream_stale is over", time.time())
    assert "streams have fallen silent; their bars come by REST: btcusdt@bookTicker" in line["body"]
    assert over["body"].startswith("after 61 s: ")


async def test_any_other_incident_is_told(server):
    async with worker(server) as (desk, sender, _):
        began_s = time.time()
        desk.incident(Incident("redis_away", BAR_MS, {"12 bars wait": None}))
        await sender.run_once((), 0)
        line = await server.delivered("DATA redis_away", began_s)
    assert "12 bars wait" in line["body"]
    assert "stream worker 1/1" in line["body"]


def signal(symbol="BTCUSDT", confidence=0.8, **change):
    parts = {
        "symbol": symbol, "state": "alert", "signal": "ALERT_BUY", "recommendation": "BUY_IN_DIPS",
        "confidence_metrics": ConfidenceMetrics(raw=confidence),
        "risk_parameters": RiskParameters(side="long", entry=100.0, sl=99.0, tp=[101.0, 102.0], rr=2.0),
    }  # fmt: skip
    return Asset(**(parts | change))


async def publish(redis, watch, *assets):
    settings = load_settings(environ={})
    await Publisher(redis, settings).publish(
        list(assets), Counters(), ts_ms=BAR_MS, bar_time_ms=BAR_MS, source="test", stale=False, warnings=[]
    )
    await watch.run_once((), BAR_MS + 60_000)


async def test_a_signal_is_told_once_within_its_cooldown_however_often_it_comes(server, redis):
    quiet = signal(state="normal", signal="NONE")
    async with worker(server, redis) as (_, sender, watch):
        began_s = time.time()
        await publish(redis, watch, signal(), signal("ETHUSDT", confidence=0.1))
        await sender.run_once((), 0)
        line = await server.delivered("BTCUSDT ALERT_BUY BUY_IN_DIPS", began_s)
        await publish(redis, watch, quiet)
        await publish(redis, watch, signal())
        await sender.run_once((), 0)
    async with worker(server, redis) as (_, sender, watch):
        await publish(redis, watch, signal(), signal("SOLUSDT"))
        await sender.run_once((), 0)
    await server.delivered("SOLUSDT ALERT_BUY", time.time())
    assert "entry 100.0 SL 99.0 TP 101.0, 102.0" in line["body"]
    assert "/artifacts/key/alerts" in line["body"]
    assert server.count("BTCUSDT") == 1
    assert server.count("ETHUSDT") == 0, "its confidence is not high"


async def test_the_server_takes_the_same_alert_once_even_where_nobody_else_remembers(server, redis):
    for _ in range(2):
        await redis.flushdb()
        async with worker(server, redis) as (_, sender, watch):
            await publish(redis, watch, signal("XRPUSDT"))
            await sender.run_once((), 0)
    await server.delivered("XRPUSDT", time.time())
    async with asyncio.timeout(30):
        while sum("XRPUSDT" in str(one["resource"]) for one in await server.events("aione.alert")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert server.count("XRPUSDT") == 1


async def test_every_alert_is_told_once_that_is_switched_on_and_stays_on(server, redis):
    async with get_client() as client, worker(server, redis) as (_, sender, watch):
        (held,) = await client.read_automations_by_name("aione: every alert")
        assert not held.enabled
        await client.resume_automation(held.id)
        assert (await upsert(SOON, client)).changed == ()
        began_s = time.time()
        await publish(redis, watch, signal("DOGEUSDT", confidence=0.1))
        await sender.run_once((), 0)
        await server.delivered("DOGEUSDT", began_s)
        await client.pause_automation(held.id)


async def test_a_healed_gap_starts_one_rescan_of_its_symbols(server):
    async with worker(server) as (desk, sender, _), get_client() as client:
        began_s = time.time()
        desk.healed({"BTCUSDT": Gap(3, BAR_MS, BAR_MS + 120_000), "ETHUSDT": Gap(1, BAR_MS, BAR_MS)})
        await sender.run_once((), 0)
        deployment = await client.read_deployment_by_name("rescan/rescan")
        wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]))
        await found(lambda: client.read_flow_runs(flow_run_filter=wanted))
        took("re-scan", time.time() - began_s)
        desk.healed({"SOLUSDT": Gap(2, BAR_MS, BAR_MS + 60_000)})
        await sender.run_once((), 0)
        await asyncio.sleep(2)
        runs = await client.read_flow_runs(flow_run_filter=wanted)
    assert [run.parameters for run in runs] == [{"request": {"symbols": ["BTCUSDT"], "force": True}}]


@pytest.mark.usefixtures("server")
async def test_upserting_again_changes_nothing_and_what_left_the_file_is_removed():
    async with get_client() as client:
        before = {one.name: one.id for one in await client.read_automations()}
        outcome = await upsert(SOON, client)
        assert (outcome.created, outcome.changed, outcome.removed) == ((), (), ())
        changed = await upsert(SOON.model_copy(update={"silent_s": 20.0}), client)
        assert changed.changed == ("aione: stream worker silent",)
        (held,) = await client.read_automations_by_name("aione: stream worker silent")
        for name in ("aione: of before", "somebody's own"):
            await client.create_automation(AutomationCore(**held.model_dump(exclude={"id"}) | {"name": name}))
        assert (await upsert(SOON, client)).removed == ("aione: of before",)
        after: Mapping = {one.name: one.id for one in await client.read_automations()}
    assert after.pop("somebody's own")
    assert after == before
