"""A Prefect server as `aione up` starts it, with blocks and automations, and the file that notifications go to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from datetime import datetime

import httpx
import orjson
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema

from aione.run.process import free_port
from config.notify_models import NotifyParams
from config.settings import load_settings
from deployments.automations import upsert
from deployments.saved_blocks import save_blocks
from flows.rescan import rescan

SOON = NotifyParams().model_copy(update={"no_screening_s": 10.0, "silent_s": 10.0, "zombie_s": 10.0})
"""The automations as they are, but for how long they wait."""


def took(what, seconds):
    """Show how long it took from the event to the message; seen with ``pytest -s``."""
    sys.stdout.write(f"\n{what:<40} {seconds:6.2f} s\n")


class Server:
    """A Prefect server, the file that notifications go to, and a stream worker's desk."""

    def __init__(self, api_url, home):
        self.api_url, self.home = api_url, home
        self.taken = set()

    @property
    def lines(self):
        path = self.home / "notifications.jsonl"
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    async def delivered(self, subject, since_s, within_s=40.0):
        """Wait for a message that has not been taken yet, print how long it took, and return it."""
        async with asyncio.timeout(within_s):
            while True:
                for number, line in enumerate(self.lines):
                    if line["subject"].startswith(subject) and number not in self.taken:
                        self.taken.add(number)
                        took(subject, datetime.fromisoformat(line["ts"]).timestamp() - since_s)
                        return line
                await asyncio.sleep(0.05)

    def count(self, subject):
        return sum(line["subject"].startswith(subject) for line in self.lines)

    async def events(self, name):
        async with httpx.AsyncClient() as client:
            body = {"filter": {"event": {"name": [name]}}, "limit": 50}
            return (await client.post(f"{self.api_url}/events/filter", json=body)).json()["events"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server as `aione up` starts it, with the blocks and the automations of the repository."""
    home = tmp_path_factory.mktemp("automations")
    api_url = f"http://127.0.0.1:{(port := free_port())}/api"
    environ = os.environ | {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with (home / "server.log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIONE_HOME", str(home))
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            _until_healthy(api_url, process)
            with temporary_settings({PREFECT_API_URL: api_url}):
                asyncio.run(_register())
                yield Server(api_url, home)
        finally:
            process.terminate()
            process.wait()


def _until_healthy(api_url, process):
    deadline = time.monotonic() + 90
    while True:
        try:
            httpx.get(f"{api_url}/health").raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        else:
            return


async def _register():
    await save_blocks(load_settings(environ={}), {})
    async with get_client() as client:
        flow_id = await client.create_flow_from_name("rescan")
        await client.create_deployment(
            flow_id, "rescan", parameter_openapi_schema=parameter_schema(rescan).model_dump()
        )
        outcome = await upsert(SOON, client)
    assert len(outcome.created) == 10


async def found(look, within_s=60.0):
    """Look again and again until there is something, and return it."""
    async with asyncio.timeout(within_s):
        while True:
            if seen := await look():
                return seen
            await asyncio.sleep(0.05)
