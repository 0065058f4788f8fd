"""Tell a Prefect server all it must know of this project; safe to repeat.

``python -m deployments.register [--own-server | --shared-server]``, run from the project's directory:

1. the work pool ``aione`` (process workers), and the command that they start for a flow run (``FLOW_RUNNER``);
2. the blocks: what the environment names, over what a person changed in the UI (`deployments.saved_blocks`);
3. with ``--own-server`` (the embedded one, which nobody else uses): what a killed system left behind: runs that
   still count as running are marked as crashed, scheduled runs whose minute is over are removed;
4. ``prefect deploy --all --no-prompt``;
5. what the settings say of deployments: the prefilter's interval (``PREFILTER_INTERVAL_SEC``), and how many
   re-scans run at once (with the one screening run, ``MAX_PARALLEL_STAGE2`` analyses in all);
6. the automations of `automations.yaml` (`deployments.automations`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

from config.settings import Settings, load_settings
from deployments.automations import upsert
from deployments.saved_blocks import save_blocks

PROJECT = Path(__file__).resolve().parents[1]
WORK_POOL = "aione"
PREFILTER = "prefilter/prefilter"
RESCAN = "rescan/rescan"
RUNNERS: Final[dict[str, dict[str, str]]] = {
    "warm": {"command": "aione-flow-run", "working_dir": str(PROJECT)},
    "process": {},
}
"""What `config.config.FLOW_RUNNER` makes of the pool's defaults.

Without a command a worker starts a fresh interpreter. The directory is one that worker and warm process both see.
"""


async def register(settings: Settings, *, is_own_server: bool) -> None:
    """Do steps 1 to 3 of the module."""
    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        await choose_runner(client, settings)
        if is_own_server:
            await clear_leftovers(client)
    await save_blocks(settings)


async def choose_runner(client: PrefectClient, settings: Settings) -> None:
    """Let the pool's job template say what a worker starts for a run; a deployment may say otherwise."""
    pool = await client.read_work_pool(WORK_POOL)
    template = pool.base_job_template or ProcessWorker.get_default_base_job_template()
    before = deepcopy(template) if pool.base_job_template else None
    variables, chosen = template["variables"]["properties"], RUNNERS[settings.FLOW_RUNNER]
    for name in RUNNERS["warm"]:
        variables[name].pop("default", None)
        if name in chosen:
            variables[name]["default"] = chosen[name]
    if template != before:
        await client.update_work_pool(WORK_POOL, WorkPoolUpdate(base_job_template=template))


async def clear_leftovers(client: PrefectClient) -> None:
    """End the runs of a system that was killed, and forget the scheduled ones whose minute is over."""
    alive = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
        )
    )
    for run in await client.read_flow_runs(flow_run_filter=alive):
        await client.set_flow_run_state(run.id, Crashed(message="The system was stopped during this run."), force=True)
    overdue = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) - timedelta(seconds=1)),
    )
    while runs := await client.read_flow_runs(flow_run_filter=overdue):
        for run in runs:
            await client.delete_flow_run(run.id)


async def adjust(settings: Settings) -> None:
    """Do steps 5 and 6 of the module."""
    async with get_client() as client:
        prefilter = await client.read_deployment_by_name(PREFILTER)
        interval = IntervalSchedule(interval=timedelta(seconds=settings.PREFILTER_INTERVAL_SEC))
        for schedule in await client.read_deployment_schedules(prefilter.id):
            await client.update_deployment_schedule(prefilter.id, schedule.id, schedule=interval)
        deployment = await client.read_deployment_by_name(RESCAN)
        limit = max(1, settings.MAX_PARALLEL_STAGE2 - 1)
        await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=limit))
        await upsert(settings.NOTIFY, client)


def deploy() -> int:
    """Do step 4 of the module and return the exit status."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode  # noqa: S603  # our own interpreter


def main() -> int:
    """Run every step; the exit status is that of ``prefect deploy``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own-server", action="store_true", help="nobody else uses this server: clear leftovers")
    parser.add_argument("--shared-server", action="store_true", help="leave the runs of the server alone (default)")
    arguments = parser.parse_args()
    settings = load_settings()
    asyncio.run(register(settings, is_own_server=arguments.own_server and not arguments.shared_server))
    status = deploy()
    if status == 0:
        asyncio.run(adjust(settings))
    return status


if __name__ == "__main__":
    sys.exit(main())
