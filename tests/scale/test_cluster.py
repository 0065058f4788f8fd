"""The compose file's services, run for real: two Prefect servers on one PostgreSQL and one Redis."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import httpx
import lz4.frame
import orjson
import pytest
from prefect.events import Event
from prefect.events.clients import PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter

from aione.run.leftovers import MARK
from aione.run.prefect_api import request_run, wait_for_run
from aione.run.process import Child, free_port
from aione.store import keys
from aione.store.connect import connect
from aione.store.state import StateStore

from .compose import PROJECT
from .load import COUNTED, Load
from .measured import tell
from .parts import METRICS_HOST, SYMBOLS, Cluster, is_up, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]


SETTLED_S = 6.0
"""After a run has published, until its last states, logs and events are in the database and counted."""


MOVED_ON = re.compile(
    r"^\S+ \| ERROR .*evaluate_proactive_triggers_periodic(?:.|\n)*?been garbage collected\n(?:(?!\d\d:).*\n)*",
    re.MULTILINE,
)
"""Prefect gives up one look at the automations when they are changed during it, and looks again seconds later."""


async def post(url: str, body) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20.0, trust_env=False) as client:
        return (await client.post(url, json=body)).raise_for_status()


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20.0, trust_env=False) as client:
        return (await client.get(url)).raise_for_status()


async def runs_of(api: str, flow: str, **more) -> list[dict]:
    body = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50, **more}
    return (await post(f"{api}/flow_runs/filter", body)).json()


async def next_updates(redis, count: int, timeout_s: float, cluster: Cluster) -> list[tuple[float, dict]]:
    """Return the meta of the next published updates and when each came."""
    found = []
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("asset_state_update")

        async def one():
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
            return message and orjson.loads(lz4.frame.decompress(message["data"]))

        deadline = time.monotonic() + timeout_s
        while len(found) < count:
            update = await until(one, deadline - time.monotonic(), f"update {len(found) + 1} of {count}", cluster)
            found.append((time.time(), update))
    return found


# ── In the order in which a system lives ──


async def test_every_part_starts_with_the_commands_of_the_compose_file(cluster):
    assert cluster.dead() == []
    health = f"http://127.0.0.1:{cluster.port('worker-health')}/health"
    await until(lambda: is_up(health), 60, "the worker's health", cluster)
    database = await cluster.database()
    version = await database.fetchval("SELECT version()")
    tables = await database.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_name = 'flow_run'")
    await database.close()
    assert tables == 1, "Prefect's data is in PostgreSQL"
    tell(seconds_to_ready=cluster.ready_s, database=version.split(" on ")[0])


async def test_preload_and_prefilter_run_as_deployments_asked_of_one_server_and_watched_on_the_other(cluster):
    for deployment in ("preload/preload", "prefilter/prefilter"):
        began = time.monotonic()
        run_id = await request_run(cluster.api("api-1"), deployment)
        state = await wait_for_run(cluster.api("api-2"), run_id, 120)
        assert state.kind == "COMPLETED", state.message
        tell(deployment=deployment, seconds=round(time.monotonic() - began, 1))
    redis = await connect(cluster.redis_url(0))
    result = orjson.loads(await redis.get(keys.prefilter_result()))
    await redis.aclose()
    assert len(result["symbols"]) >= 5


async def test_two_stream_workers_follow_one_share_each_and_serve_metrics_where_they_are_told(cluster):
    redis = await connect(cluster.redis_url(0))
    store = StateStore(redis)

    async def both():
        workers = await store.load_stream_workers()
        return workers if len(workers) == 2 else None

    workers = await until(both, 30, "two stream workers", cluster)
    await redis.aclose()
    assert [name.partition("@")[0] for name in sorted(workers)] == ["1of2", "2of2"]
    for name in ("stream-1", "stream-2"):
        assert await is_up(f"http://{METRICS_HOST}:{cluster.port(name)}/metrics")


async def test_two_scheduled_minutes_are_published_in_sequence_and_their_cost_is_known(cluster):
    redis = await connect(cluster.redis_url(0))
    database = await cluster.database()
    load = Load(database)
    watching = asyncio.create_task(load.watch())
    try:
        (before_s, first), (at_s, second) = await next_updates(redis, 2, 200, cluster)
        assert second["meta"]["seq"] == first["meta"]["seq"] + 1
        assert second["meta"]["epoch"] == first["meta"]["epoch"]
        assert second["counters"]["screened"] >= 5
        assert second["counters"]["missing_bars"] == 0
        await asyncio.sleep(SETTLED_S)
    finally:
        watching.cancel()
    span = (before_s + SETTLED_S - 1, at_s + SETTLED_S - 1)
    minute = load.between(*span)
    quiet = load.quietest(*span, 10.0)
    rows = await database.fetch(
        """SELECT (SELECT count(*) FROM task_run t WHERE t.flow_run_id = r.id) AS task_runs,
                  (SELECT count(*) FROM flow_run_state s WHERE s.flow_run_id = r.id) AS flow_states,
                  (SELECT count(*) FROM task_run_state s JOIN task_run t ON t.id = s.task_run_id
                   WHERE t.flow_run_id = r.id) AS task_states,
                  (SELECT count(*) FROM log l WHERE l.flow_run_id = r.id) AS logs,
                  (SELECT count(*) FROM artifact a WHERE a.flow_run_id = r.id) AS artifacts
           FROM flow_run r JOIN flow f ON f.id = r.flow_id
           WHERE f.name = 'screening' AND r.state_name = 'Completed' ORDER BY r.end_time DESC LIMIT 1"""
    )
    await database.close()
    await redis.aclose()
    assert rows[0]["task_runs"] <= 6
    tell(minute=minute, quietest_10_s=quiet, rows_of_one_run=dict(rows[0]), published_after_s=round(at_s % 60, 2))
    assert all(minute[name] > 0 for name in COUNTED[:3])
    assert minute["tup_inserted"] < 1_000, "a minute writes few rows"


async def test_both_servers_show_the_same_runs(cluster):
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}

    async def shown(name):
        return {run["id"]: run["state"]["type"] for run in await runs_of(cluster.api(name), "screening", **wanted)}

    first, second = await asyncio.gather(shown("api-1"), shown("api-2"))
    assert first == second
    assert len(first) >= 2


async def test_an_event_sent_to_one_server_is_seen_at_the_other_and_an_automation_answers_it(cluster, webhook):
    """No API server evaluates automations here: the event goes through Redis to the services, and back to both."""
    url, calls = webhook
    one, other = cluster.api("api-1"), cluster.api("api-2")
    assert "prefect_" in (await get(f"{one}/metrics")).text, "for Prometheus"
    types = (await post(f"{other}/block_types/filter", {"block_types": {"slug": {"any_": ["webhook"]}}})).json()
    schemas = {"block_schemas": {"block_type_id": {"any_": [types[0]["id"]]}}}
    schema = (await post(f"{other}/block_schemas/filter", schemas)).json()[0]
    block = {
        "name": "scale",
        "block_type_id": types[0]["id"],
        "block_schema_id": schema["id"],
        "data": {"method": "POST", "url": url},
    }
    block_id = (await post(f"{other}/block_documents/", block)).json()["id"]
    await post(
        f"{other}/automations/",
        {
            "name": "scale",
            "trigger": {"type": "event", "posture": "Reactive", "expect": ["aione.scale"], "threshold": 1, "within": 0},
            "actions": [{"type": "call-webhook", "block_document_id": block_id, "payload": "{{ event.id }}"}],
        },
    )
    wanted = EventFilter(event=EventNameFilter(name=["aione.scale"]))
    async with PrefectEventSubscriber(api_url=other, filter=wanted) as subscriber:
        event = Event(event="aione.scale", resource={"prefect.resource.id": "aione.scale"}, id=uuid4())
        began = time.monotonic()
        await post(f"{one}/events", [event.model_dump(mode="json")])
        seen = await asyncio.wait_for(anext(subscriber), 20)
        seen_s = time.monotonic() - began

        async def answered():
            return str(event.id) in calls

        await until(answered, 30, "the automation's call", cluster)
        called_s = time.monotonic() - began
    assert seen.id == event.id
    await asyncio.sleep(1.0)
    assert calls.count(str(event.id)) == 1, "once, though there are two servers and a services process"
    tell(event_seen_at_the_other_server_s=round(seen_s, 2), automation_called_s=round(called_s, 2))


async def test_the_loss_of_one_server_during_a_run_loses_no_minute(cluster):
    redis = await connect(cluster.redis_url(0))
    sequence = int(await redis.hget(keys.sequence(), "seq"))

    async def running():
        wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        return await runs_of(cluster.api("api-2"), "screening", **wanted)

    async with asyncio.TaskGroup() as together:
        coming = together.create_task(next_updates(redis, 2, 200, cluster))
        (during, *_) = await until(running, 90, "a run of the minute", cluster)
        lost = cluster.children.pop("api-1")
        lost._process.send_signal(signal.SIGKILL)
        assert await lost.finished() == -signal.SIGKILL
    await redis.aclose()
    assert not await is_up(f"{cluster.api('api-1')}/health")
    assert [update["meta"]["seq"] for _, update in coming.result()] == [sequence + 1, sequence + 2]
    state = await wait_for_run(cluster.api("api-2"), during["id"], 30)
    assert state.kind == "COMPLETED", "the run during which the server was lost ended as it should"
    minutes = [int(at_s // 60) for at_s, _ in coming.result()]
    assert minutes[1] == minutes[0] + 1
    filed = {"flow_runs": {"id": {"any_": [during["id"]]}}}
    tasks = (await post(f"{cluster.api('balancer')}/task_runs/filter", filed)).json()
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert len(tasks) >= 5
    tell(lost_during=during["expected_start_time"], next_published_after_s=round(coming.result()[1][0] % 60, 2))


async def test_a_lost_server_comes_back_and_shows_what_happened_meanwhile(cluster):
    await cluster.start_api("api-1")
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    newest = (await runs_of(cluster.api("api-2"), "screening", **wanted))[0]["id"]
    assert newest in [run["id"] for run in await runs_of(cluster.api("api-1"), "screening", **wanted)]
    tell(server_back_s=cluster.ready_s["api-1"])


async def test_aione_up_uses_the_services_that_are_there(cluster):
    """One command on a machine of its own brings exchange, stream worker and worker, and neither server nor Redis."""
    for name in ("worker", "stream-2", "stream-1"):
        await cluster.children.pop(name).stop()
    home = cluster.home.parent / "up"
    home.mkdir()
    environment = {
        **cluster._base(),
        MARK: str(cluster.home),
        "AIONE_HOME": str(home),
        "REDIS_URL": cluster.redis_url(3),
        "PREFECT_API_URL": cluster.api("balancer"),
        "AIONE_METRICS_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "aione", "up", "--sim", "--symbols", str(SYMBOLS), "--cycles", "1", "--json"]
    up = Child("up", command, environment, cluster.home / "logs" / "up.log", PROJECT)
    began = time.monotonic()
    await up.start()
    try:
        assert await asyncio.wait_for(up.finished(), 240) == 0, up.log.read_text()[-3000:]
    finally:
        await up.stop()
    facts = orjson.loads(up.log.read_text().splitlines()[-2])
    assert facts["missing_bars"] == 0
    assert facts["cycles"][0]["seq"] >= 1
    assert not (home / "redis").exists()
    assert not (home / "prefect").exists()
    tell(aione_up_s=round(time.monotonic() - began, 1))


async def test_no_part_reported_an_error(cluster):
    """What happened was expected: nothing crashed, no table was missing, no address was a default one."""
    wrong = re.compile(r"Traceback|CRITICAL|UndefinedTable|UniqueViolation|deadlock|localhost:6379", re.IGNORECASE)
    for name in ("database", "prefect-services", "api-2", "register", "worker"):
        said = MOVED_ON.sub("", (cluster.home / "logs" / f"{name}.log").read_text())
        found = wrong.search(said)
        assert found is None, f"{name}: {said[max(0, found.start() - 500) :][:3000]}"


async def test_scheduled_runs_were_forked_off_the_warm_process(cluster):
    assert "no warm process" not in (cluster.home / "logs" / "worker.log").read_text()


@pytest.fixture
def webhook():
    """Address of a server that remembers the bodies it was sent."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append(orjson.loads(body) if body.startswith(b'"') else body.decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", calls
    server.shutdown()
    server.server_close()
    thread.join()
