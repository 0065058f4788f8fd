"""One Prefect server, one simulated exchange and one Redis database for all flow tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import httpx
import pytest
import redis as sync_redis
from prefect.testing.utilities import prefect_test_harness

from aione.run.process import free_port
from config.settings import load_settings
from deployments.register import save_blocks

SYMBOLS = 12


@pytest.fixture(scope="session")
def exchange(tmp_path_factory):
    """Address of a simulated exchange that plays a small synthetic market."""
    port = free_port()
    log = (tmp_path_factory.mktemp("exchange") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "aione", "sim", "--symbols", str(SYMBOLS), "--port", str(port)], stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/fapi/v1/ping").raise_for_status()
            break
        except httpx.HTTPError:
            assert process.poll() is None, "the simulated exchange ended"
            assert time.monotonic() < deadline, "the simulated exchange does not answer"
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait()
    log.close()


@pytest.fixture(scope="session")
def flow_redis_url(redis_url):
    """Address of a database of its own: flow tests build on each other's state."""
    return redis_url.removesuffix("/0") + "/1"


@pytest.fixture(scope="session")
def flow_redis(flow_redis_url):
    with sync_redis.Redis.from_url(flow_redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def system(exchange, flow_redis_url, tmp_path_factory):
    """A Prefect server whose blocks lead to the exchange and to Redis; the home directory of the installation."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("DO_NOT_TRACK", "1")
        with prefect_test_harness(server_startup_timeout=90):
            patch.setenv("AIONE_HOME", str(home))
            patch.setenv("REDIS_URL", flow_redis_url)
            venue = {"rest_url": exchange, "ws_url": exchange.replace("http", "ws")}
            asyncio.run(save_blocks(load_settings(environ={}, overrides={"VENUE": venue})))
            patch.delenv("REDIS_URL")
            yield home
