"""Following the cycles while Redis comes and goes."""

from __future__ import annotations

import asyncio
import socket
import time

from aione.run.process import free_port
from aione.run.redis_server import redis_command
from aione.store.connect import connect
from aione.store.cycles import CycleLog


async def test_following_outlives_a_redis_that_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("aione.store.cycles.AWAY_S", 0.05)
    port = free_port()
    server = await started(tmp_path, port)
    client = await connect(f"redis://127.0.0.1:{port}/0")
    log, stop, seen = CycleLog(client), asyncio.Event(), []

    async def follow():
        async for cycle in log.follow(stop):
            seen.append(cycle["n"])  # noqa: PERF401  # it is looked at meanwhile

    following = asyncio.create_task(follow())
    try:
        await asyncio.sleep(0.2)
        await log.append(60_000, {"n": 1})
        await until(lambda: seen == [1])
        server.kill()
        await server.wait()
        await asyncio.sleep(0.3)
        assert not following.done()
        server = await started(tmp_path, port)
        await log.append(120_000, {"n": 2})
        await until(lambda: seen == [1, 2])
    finally:
        stop.set()
        await following
        await client.aclose()
        server.kill()
        await server.wait()


async def started(data, port):
    server = await asyncio.create_subprocess_exec(*redis_command(data, port), stdout=asyncio.subprocess.DEVNULL)
    await until(lambda: answers(port))
    return server


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(probe, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
