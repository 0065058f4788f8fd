"""One part alone: the stream worker, a re-scan on request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from aione.errors import AioneError
from aione.metrics import Metrics
from aione.run.home import data_directory, home_directory, read_addresses
from aione.run.prefect_api import request_run, wait_for_run
from aione.store.connect import connect
from aione.store.memory import stay_small
from aione.store.unified import UnifiedDataStore
from aione.stream import StreamWorker
from aione.stream.open_interest import OpenInterestPoller
from aione.stream.outlet import RedisOutlet
from aione.stream.shard import Shard
from aione.stream.telling import telling
from aione.stream.worker import Errand
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.settings import Settings

RESCAN_TIMEOUT_S = 180.0


def run_stream(settings: Settings, redis_url: str, shard: Shard) -> None:
    """Run a stream worker until it is told to end."""
    stay_small()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_stream(settings, redis_url, shard))


async def _stream(settings: Settings, redis_url: str, shard: Shard) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    redis = await connect(redis_url)
    try:
        store = UnifiedDataStore.for_worker(redis, settings, data_directory())
        ledger = RedisLedger(redis, settings.VENUE)
        async with BinanceRest(settings.VENUE.rest_url, ledger, timeout_s=settings.VENUE.timeout_s) as rest:
            outlet = RedisOutlet(redis, settings.REDIS_CACHE_TTL)
            poller = OpenInterestPoller(rest, outlet, settings.VENUE.open_interest_weight // shard.of)
            errands: list[Errand] = [poller, *(store.archivers if shard.is_first else ())]
            metrics = Metrics()
            async with telling(redis, settings, metrics, shard) as told:
                worker = StreamWorker(
                    outlet,
                    store.minutes,
                    rest,
                    settings,
                    metrics=metrics,
                    shard=shard,
                    errands=[*errands, *told.errands],
                    events=told.desk,
                )
                await worker.run()
    finally:
        await redis.aclose()


def run_rescan(symbols: list[str], *, is_forced: bool) -> None:
    """Ask Prefect for a re-scan, wait for its end and print how it ended.

    Raises
    ------
    AioneError
        The run did not complete; the message is the run's own.
    """
    asyncio.run(_rescan(symbols, is_forced=is_forced))


async def _rescan(symbols: list[str], *, is_forced: bool) -> None:
    api_url = os.environ.get("PREFECT_API_URL") or read_addresses(home_directory())["PREFECT_API_URL"]
    run_id = await request_run(api_url, "rescan/rescan", {"request": {"symbols": symbols, "force": is_forced}})
    state = await wait_for_run(api_url, run_id, RESCAN_TIMEOUT_S)
    if state.kind != "COMPLETED":
        raise AioneError(f"the re-scan {run_id} ended as {state.name}: {state.message}")
    print(f"{state.name}: {state.message or 'the snapshot is published'}")  # noqa: T201  # the command's answer


__all__ = ["run_rescan", "run_stream"]
