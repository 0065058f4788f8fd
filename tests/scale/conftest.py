"""The scaled-out system once for all tests of this folder; what is missing is an error, never a skip."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from aione.run.leftovers import end_leftovers

from .measured import LINES
from .parts import Cluster


def pytest_terminal_summary(terminalreporter) -> None:
    """Show what was measured."""
    if LINES:
        terminalreporter.section("measured")
    for line in LINES:
        terminalreporter.write_line(line)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(tmp_path_factory) -> AsyncIterator[Cluster]:
    """PostgreSQL, Redis, two API servers behind HAProxy, the services, the exchange, two stream workers, the worker."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    (home / "logs").mkdir(parents=True)
    # PostgreSQL's user must be able to walk there, which pytest's own directories forbid.
    database_directory = Path(tempfile.mkdtemp(prefix="aione-postgres-"))
    cluster = Cluster(home, database_directory)
    began = time.monotonic()
    try:
        await asyncio.gather(cluster.start_stores(), cluster.start_exchange())
        cluster.ready_s["database"] = round(await cluster.run("database"), 1)
        await asyncio.gather(cluster.start_api("api-1"), cluster.start_api("api-2"))
        await cluster.start_balancer()
        await cluster.start("prefect-services")
        await cluster.start("stream-1")
        await cluster.start("stream-2")
        cluster.ready_s["register"] = round(await cluster.run("register"), 1)
        await cluster.start_warm()
        await cluster.start("worker")
        cluster.ready_s["everything"] = round(time.monotonic() - began, 1)
        yield cluster
    finally:
        await cluster.stop()
        end_leftovers(home)
        shutil.rmtree(database_directory)
