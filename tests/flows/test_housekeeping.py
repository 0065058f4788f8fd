"""The housekeeping on a real Prefect server: runs of every age and state, logs, archive, Redis, and what it says."""

from __future__ import annotations

import asyncio
import gc
import gzip
import sqlite3
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId, LogFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Completed, Failed, Pending, Running, Scheduled
from prefect.utilities.callables import parameter_schema

from aione.housekeeping.options import HousekeepingOptions
from aione.housekeeping.runs import Verdict
from aione.store import keys
from flows.housekeeping import housekeeping
from tasks.housekeeping import opened
from tasks.housekeeping_runs import _carry_out

pytestmark = [
    pytest.mark.usefixtures("system"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

RUNS_ONLY = {"archive": False, "trim_redis": False, "rotate_logs": False}


@task
async def step():
    get_run_logger().info("a line")
    await acreate_markdown_artifact("page", key="old-page")


@flow(name="screening-of-old")
async def old_flow():
    await step()


@pytest.fixture(scope="session", autouse=True)
def _forgotten_sockets():
    """Prefect's own threads leave connections to the server of the tests behind; they go here, without an error."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def home(system, monkeypatch):
    """The home of the installation as a flow run sees it."""
    monkeypatch.setenv("AIONE_HOME", str(system))
    monkeypatch.setenv("AIONE_DATA_DIR", str(system / "data"))
    return system


@pytest.fixture
async def deployments():
    """A minute deployment, an hourly one, and one of another project; by name."""
    async with get_client() as client:
        flow_id = await client.create_flow(old_flow)
        other_id = await client.create_flow_from_name("somebody-elses")
        hourly_id = await client.create_flow_from_name("hourly")
        return {
            "flow": flow_id,
            "minute": await client.create_deployment(flow_id, "minute", tags=["aione", "minute"]),
            "hourly": await client.create_deployment(hourly_id, "hourly", tags=["aione"]),
            "other": await client.create_deployment(other_id, "other", tags=["else"]),
            "same flow": await client.create_deployment(flow_id, "not-ours", tags=["else"]),
        }


async def database():
    async with opened() as place:
        assert place.database is not None, "the server of the tests keeps a file on this machine"
        return place.database


async def make(client, deployment, state, *, hours, is_auto=False):
    """Make a run whose state is of so many hours ago, and return its id."""
    run = await client.create_flow_run_from_deployment(
        deployment, state=Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=hours))
    )
    if state.is_cancelling():  # Prefect cancels a run that nobody has begun at once
        await client.set_flow_run_state(run.id, Running(), force=True)
    if not state.is_scheduled():
        await client.set_flow_run_state(run.id, state, force=True)
    moment = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(await database(), timeout=30)) as held, held:
        if state.is_final():
            held.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (moment, str(run.id)))
        of_run = "id = (SELECT state_id FROM flow_run WHERE id = ?)"
        held.execute(f"UPDATE flow_run_state SET timestamp = ? WHERE {of_run}", (moment, str(run.id)))
        held.execute("UPDATE flow_run SET auto_scheduled = ? WHERE id = ?", (is_auto, str(run.id)))
    return run.id


async def state_of(client, run_id):
    """Return (type, message) of a run, None where it is gone."""
    try:
        run = await client.read_flow_run(run_id)
    except ObjectNotFound:
        return None
    return run.state.type.value, run.state.message or ""


async def test_old_runs_leave_with_all_that_is_theirs_and_younger_ones_stay(deployments):
    done = await old_flow(return_state=True)
    async with get_client() as client:
        run_id = done.state_details.flow_run_id
        young = await make(client, deployments["minute"], Completed(), hours=47)
        failed = await make(client, deployments["minute"], Failed(), hours=49)
        ancient = await make(client, deployments["hourly"], Failed(), hours=15 * 24)
        kept = await make(client, deployments["hourly"], Completed(), hours=13 * 24)
        others = await make(client, deployments["other"], Completed(), hours=100 * 24)
        not_ours = await make(client, deployments["same flow"], Completed(), hours=100 * 24)
        moment = (datetime.now(UTC) - timedelta(hours=49)).strftime("%Y-%m-%d %H:%M:%S.%f")
        with closing(sqlite3.connect(await database(), timeout=30)) as held, held:
            held.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (moment, str(run_id)))
        said = (await housekeeping(HousekeepingOptions(dry_run=True, **RUNS_ONLY)))["done"]["runs"]
        assert said["deleted"] == 2
        assert await state_of(client, run_id) is not None, "a dry run changes nothing"
        done = (await housekeeping(HousekeepingOptions(**RUNS_ONLY)))["done"]["runs"]
        assert done["deleted"] == 2
        assert [await state_of(client, one) for one in (run_id, ancient)] == [None, None]
        assert None not in [await state_of(client, one) for one in (young, failed, kept, others, not_ours)]
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        assert await client.read_task_runs(flow_run_filter=of_run) == []
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["old-page"]))
        assert await client.read_artifacts(artifact_filter=wanted) == []
        for _ in range(100):
            logs = await client.read_logs(LogFilter(flow_run_id={"any_": [run_id]}))
            if not logs:
                break
            await asyncio.sleep(0.1)
        assert logs == [], "the server removes a deleted run's logs itself, a moment later"


async def test_stuck_runs_crash_and_say_why_and_others_go_on(deployments):
    async with get_client() as client:
        running = await make(client, deployments["hourly"], Running(), hours=30)
        fresh = await make(client, deployments["hourly"], Running(), hours=20)
        pending = await make(client, deployments["minute"], Pending(), hours=1)
        cancelling = await make(client, deployments["minute"], Cancelling(), hours=1)
        others = await make(client, deployments["other"], Running(), hours=1000)
        done = (await housekeeping(HousekeepingOptions(**RUNS_ONLY)))["done"]["runs"]
        assert done["crashed"] == 3
        kind, message = await state_of(client, running)
        assert kind == "CRASHED"
        assert message.startswith("Housekeeping: running for 108")
        assert (await state_of(client, pending))[1].endswith("it was never begun.")
        assert (await state_of(client, cancelling))[0] == "CRASHED"
        assert [(await state_of(client, one))[0] for one in (fresh, others)] == ["RUNNING", "RUNNING"]


async def test_late_runs_are_cancelled_and_never_one_that_a_person_asked_for_within_a_day(deployments):
    async with get_client() as client:
        late = await make(client, deployments["minute"], Scheduled(), hours=0.2, is_auto=True)
        soon = await make(client, deployments["hourly"], Scheduled(), hours=0.2, is_auto=True)
        manual = await make(client, deployments["minute"], Scheduled(), hours=23)
        forgotten = await make(client, deployments["minute"], Scheduled(), hours=25)
        done = (await housekeeping(HousekeepingOptions(**RUNS_ONLY)))["done"]["runs"]
        assert done["cancelled"] == 2
        kind, message = await state_of(client, late)
        assert (kind, message.split(";")[-1]) == ("CANCELLED", " it is pointless after 300 s.")
        assert (await state_of(client, forgotten))[0] == "CANCELLED"
        assert [(await state_of(client, one))[0] for one in (soon, manual)] == ["SCHEDULED", "SCHEDULED"]


async def test_a_run_that_ends_while_it_is_judged_keeps_its_end(deployments):
    async with get_client() as client:
        run_id = await make(client, deployments["hourly"], Running(), hours=30)
        as_it_was = await client.read_flow_run(run_id)
        await client.set_flow_run_state(run_id, Completed())
        assert await _carry_out(client, as_it_was, Verdict("crash", "running for long"), 0.0) is False
        assert (await state_of(client, run_id))[0] == "COMPLETED"


async def test_no_more_runs_than_asked_for_are_touched_at_once(deployments):
    async with get_client() as client:
        for _ in range(3):
            await make(client, deployments["minute"], Completed(), hours=72)
        done = (await housekeeping(HousekeepingOptions(most_runs=2, **RUNS_ONLY)))["done"]["runs"]
        assert (done["deleted"], done["limited"]) == (2, True)
        done = (await housekeeping(HousekeepingOptions(**RUNS_ONLY)))["done"]["runs"]
        assert (done["deleted"], done["limited"]) == (1, False)


async def test_a_whole_run_archives_trims_rotates_and_says_what_every_part_takes(home, flow_redis, monkeypatch):
    (home / "logs").mkdir(exist_ok=True)
    log = home / "logs" / "stream.log"
    log.write_bytes(b"a line of a log\n" * 200_000)
    monkeypatch.setenv("AIONE_HOUSEKEEPING__logs_rotate_mb", "1")
    flow_redis.delete(keys.cycles(), keys.housekeeping())
    yesterday = int((datetime.now(UTC) - timedelta(days=1)).timestamp() * 1000)
    flow_redis.xadd(keys.cycles(), {"bar_time_ms": yesterday, "cycle": b"{}"}, id=f"{yesterday}-0")
    state = await housekeeping(return_state=True)
    facts = await state.aresult()
    parts = {part["name"]: part for part in facts["parts"]}
    assert state.type.value == "COMPLETED"
    assert all(part["size"] is not None for part in parts.values())
    assert parts["prefect"]["size"] > 100_000
    put_aside = gzip.decompress((home / "logs" / "stream.log.1.gz").read_bytes())
    assert put_aside + log.read_bytes() == b"a line of a log\n" * 200_000
    assert log.stat().st_size < 100_000
    assert facts["done"]["archive"]["closed"]["cycles"] == [
        datetime.fromtimestamp(yesterday / 1000, UTC).strftime("%Y-%m-%d")
    ]
    assert len(list((home / "data" / "cycles").glob("*.parquet"))) == 1
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["housekeeping"]))
        page = (await client.read_artifacts(artifact_filter=wanted))[0].data
    assert "| part | size | since the last run | a day | bound | holds |" in page
    fields = {orjson.loads(name)[0]: 0 for name in flow_redis.hkeys(keys.flow_metrics())}
    assert {"aione_disk_bytes", "aione_disk_bound_bytes", "aione_housekeeping_total"} <= fields.keys()


async def test_a_breach_is_seen_in_the_state_and_is_no_failure(home, monkeypatch):
    (home / "logs" / "big.log").write_bytes(b"x" * 1_500_000)
    monkeypatch.setenv("AIONE_HOUSEKEEPING__budget__logs_mb", "1")
    state = await housekeeping(return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "OverBudget")
    assert "logs takes 1.5" in state.message
    assert "the bound is 1.00 MB" in state.message


async def test_what_another_machine_holds_is_named_as_not_seen(monkeypatch):
    monkeypatch.setattr("tasks.housekeeping.LOOPBACK", frozenset())
    facts = await housekeeping()
    sizes = {part["name"]: part["size"] for part in facts["parts"]}
    assert [name for name, size in sizes.items() if size is None] == ["prefect", "logs", "audit", "archive"]
    assert "archive" not in facts["done"]


def test_the_form_has_a_title_and_a_help_text_for_every_option():
    schema = parameter_schema(housekeeping).model_dump()
    options = schema["definitions"]["HousekeepingOptions"]["properties"]
    assert all(one["title"] and one["description"] for one in options.values())
    assert options["most_runs"]["maximum"] == 50_000
    assert options["dry_run"]["default"] is False
