"""Tell a Prefect server all it must know of this project; safe to repeat.

``python -m deployments.register [--own-server | --shared-server]``, run from the project's directory:

1. the work pool ``aione`` (process workers);
2. the blocks, from ``REDIS_URL``, ``AIONE_REST_URL``, ``AIONE_WS_URL`` or the settings, and ``AIONE_HOME``;
3. with ``--own-server`` (the embedded one, which nobody else uses): what a killed system left behind: runs that
   still count as running are marked as crashed, scheduled runs whose minute is over are removed;
4. ``prefect deploy --all --no-prompt``;
5. what the settings say of deployments: the prefilter's interval (``PREFILTER_INTERVAL_SEC``), and how many
   re-scans run at once (with the one screening run, ``MAX_PARALLEL_STAGE2`` analyses in all).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
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

from aione.run.home import home_directory
from blocks import BLOCK_NAME, ExchangeBlock, NotificationBlock, RedisBlock
from config.settings import Settings, load_settings

PROJECT = Path(__file__).resolve().parents[1]
WORK_POOL = "aione"
PREFILTER = "prefilter/prefilter"
RESCAN = "rescan/rescan"


async def register(settings: Settings, *, is_own_server: bool) -> None:
    """Do steps 1 to 3 of the module."""
    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        if is_own_server:
            await clear_leftovers(client)
    await save_blocks(settings)


async def save_blocks(settings: Settings) -> None:
    """Save the blocks under `blocks.BLOCK_NAME`, over those of an earlier start."""
    venue = settings.VENUE
    await ExchangeBlock(rest_url=venue.rest_url, ws_url=venue.ws_url, timeout_s=venue.timeout_s).save(
        BLOCK_NAME, overwrite=True
    )
    await RedisBlock(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")).save(BLOCK_NAME, overwrite=True)
    await NotificationBlock(
        path=str(home_directory() / "notifications.jsonl"), webhook_url=os.environ.get("NOTIFICATION_WEBHOOK_URL")
    ).save(BLOCK_NAME, overwrite=True)


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
    """Do step 5 of the module."""
    async with get_client() as client:
        prefilter = await client.read_deployment_by_name(PREFILTER)
        interval = IntervalSchedule(interval=timedelta(seconds=settings.PREFILTER_INTERVAL_SEC))
        for schedule in await client.read_deployment_schedules(prefilter.id):
            await client.update_deployment_schedule(prefilter.id, schedule.id, schedule=interval)
        deployment = await client.read_deployment_by_name(RESCAN)
        limit = max(1, settings.MAX_PARALLEL_STAGE2 - 1)
        await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=limit))


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
