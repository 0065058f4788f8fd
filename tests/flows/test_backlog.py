"""After an hour in which nobody executed runs: one that catches up, not sixty; on a real worker and warm process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.settings import get_current_settings
from prefect.states import Scheduled

PROJECT = Path(__file__).resolve().parents[2]
LATE_RUNS = 20

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def environ(system, flow_redis_url, exchange):
    """What a worker and the registration need to find the server, Redis and the exchange of the tests."""
    variables = {
        **os.environ,
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "AIONE_HOME": str(system),
        "REDIS_URL": flow_redis_url,
        "AIONE_REST_URL": exchange,
        "AIONE_WS_URL": exchange.replace("http", "ws"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return {name: value for name, value in variables.items() if value is not None}


@pytest.fixture
def running(environ, tmp_path):
    """Start a part of the system; all end with the test."""
    started = []

    def start(*arguments):
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            command = [sys.executable, "-m", *arguments]
            started.append(subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=log, stderr=log))

    yield start
    for process in reversed(started):
        process.terminate()
        process.wait(30)


async def test_of_many_late_runs_one_is_executed_and_the_others_are_cancelled(environ, running, system, tmp_path):
    """Two at the most: the first may be through before the worker has seen the last.

    What the one does (catch up with the minute that is now) is a test of the flow.
    """
    command = [sys.executable, "-m", "deployments.register", "--shared-server"]
    await asyncio.to_thread(subprocess.run, command, cwd=PROJECT, env=environ, check=True, capture_output=True)
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.update_deployment(deployment.id, DeploymentUpdate(paused=True))
            for run in await runs_of(client, deployment.id):
                await client.delete_flow_run(run.id)
        screening = await client.read_deployment_by_name("screening/screening")
        now = datetime.now(UTC)
        for minutes in range(LATE_RUNS, 0, -1):
            state = Scheduled(scheduled_time=now - timedelta(minutes=minutes))
            await client.create_flow_run_from_deployment(screening.id, state=state)
        running("deployments.warm.serve")
        await until((system / "flows.sock").exists)
        running("prefect", "worker", "start", "--pool", "aione")
        runs = await ended(client, screening.id)
    assert "starting cold" not in (tmp_path / "1.log").read_text()
    assert "starts cold" not in (tmp_path / "0.log").read_text()
    executed = [run.state for run in runs if run.state.name != "Cancelled"]
    assert len(executed) <= 2, Counter(run.state.name for run in runs)
    assert {state.type.value for state in executed} == {"COMPLETED"}, executed


async def runs_of(client, deployment_id):
    wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))
    return await client.read_flow_runs(flow_run_filter=wanted, limit=200)


async def until(probe, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)


async def ended(client, deployment_id):
    """Return the late runs, once each of them has come to an end."""
    deadline = time.monotonic() + 120
    while True:
        runs = await runs_of(client, deployment_id)
        if len(runs) == LATE_RUNS and all(run.state.is_final() for run in runs):
            return runs
        assert time.monotonic() < deadline, Counter(run.state.name for run in runs)
        await asyncio.sleep(0.5)
