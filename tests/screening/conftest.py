"""One cycle's surroundings: the synthetic market at a moment that stands still, and a Redis database."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aione.screening.history import preload_history
from aione.screening.refresh import find_candidates, screen_candidates
from aione.screening.runtime import open_runtime
from aione.sim import ManualClock, SimOptions, SyntheticMarket, serve
from config.settings import load_settings

NOON_MS = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""
_SCREENED: dict[bytes, bytes] = {}
"""What Redis held after the history and the prefilter, so that they are done once a session."""


@pytest.fixture(scope="session")
def exchange():
    """A simulated exchange whose clock stands at noon, in a thread of its own."""
    ready = threading.Event()
    addresses, end = {}, []

    async def run():
        options = SimOptions(weight_limit=1_000_000, data_limit=1_000_000)
        async with serve(SyntheticMarket(8, seed=7), clock=ManualClock(NOON_MS), options=options) as server:
            addresses.update(rest_url=server.rest_url, ws_url=server.ws_url)
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            end.append(lambda: loop.call_soon_threadsafe(ended.set))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(60)
    yield addresses
    end[0]()
    thread.join()


@pytest.fixture
async def runtime(exchange, redis, redis_url):
    """Services before anything was loaded."""
    del redis  # empties the database
    overrides = {"VENUE": {**exchange, "weight_per_minute": 1_000_000}, "SCREENING_GRACE_S": 0.0}
    async with open_runtime(load_settings(environ={}, overrides=overrides), redis_url) as services:
        yield services


async def silent(progress):
    del progress


@pytest.fixture
async def screened(runtime):
    """The same with universe, history and prefilter done."""
    if not _SCREENED:
        found = await find_candidates(runtime)
        await preload_history(runtime, found.symbols, silent)
        await screen_candidates(runtime, found)
        for key in await runtime.redis.keys():
            _SCREENED[key] = await runtime.redis.dump(key)
    else:
        for key, dump in _SCREENED.items():
            await runtime.redis.restore(key, 0, dump, replace=True)
    return runtime
