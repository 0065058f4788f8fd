"""What a worker starts for a flow run, as the pool's job template says."""

from __future__ import annotations

import contextlib

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from config.settings import load_settings
from deployments.register import PROJECT, WORK_POOL, choose_runner

pytestmark = [
    pytest.mark.usefixtures("system"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def defaults(client):
    variables = (await client.read_work_pool(WORK_POOL)).base_job_template["variables"]["properties"]
    return {name: variables[name].get("default") for name in ("command", "working_dir", "stream_output")}


async def test_the_runner_is_the_pools_default_and_can_be_changed_back_and_forth():
    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        warm = {"command": "aione-flow-run", "working_dir": str(PROJECT), "stream_output": True}
        plain = {"command": None, "working_dir": None, "stream_output": True}
        for runner, wanted in (("warm", warm), ("process", plain), ("warm", warm), ("warm", warm)):
            await choose_runner(client, load_settings(environ={}, overrides={"FLOW_RUNNER": runner}))
            assert await defaults(client) == wanted
