"""``aione up``: start everything, show the market, keep it alive, end it all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from aione.errors import AlreadyRunning, ServiceUnavailable
from aione.run.home import forget_addresses, home_directory, owned, write_addresses
from aione.run.prefect_api import request_run, run_state
from aione.run.process import free_port
from aione.run.system import MarketChoice, System, check_port
from aione.store import keys
from aione.store.connect import connect
from aione.store.cycles import CycleLog, Progress
from aione.store.state import StateStore
from aione.ui.terminal import run_terminal
from config import config
from config.settings import Settings

FIRST_RUN_TIMEOUT_S = 900.0
ENDING_S = 5.0
ADDRESS_NAMES = ("REDIS_URL", "PREFECT_API_URL", "AIONE_REST_URL", "AIONE_WS_URL", "AIONE_METRICS_PORT")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    market: MarketChoice
    cycles: int | None = None
    is_json: bool = False
    stream_workers: int = 1


def run_up(options: Options, settings: Settings) -> int:
    """Own the home, run the system until it is told to end, and return the exit status.

    Raises
    ------
    AlreadyRunning
        Another system runs in this home, or the metrics port that was asked for is taken.
    ServiceUnavailable
        A part did not start.
    """
    home = home_directory()
    with owned(home):
        return asyncio.run(_up(options, settings, home))


async def _up(options: Options, settings: Settings, home: Path) -> int:
    started = time.monotonic()
    is_table_up = False

    def report(line: str) -> None:
        """Tell the person who waits; while the table is on the screen, only the log."""
        text = f"{time.monotonic() - started:6.1f} s  {line}"
        with (home / "logs" / "up.log").open("a", encoding="utf-8") as log:
            print(text, file=log)
        if not is_table_up:
            print(text, file=sys.stderr, flush=True)  # noqa: T201  # start-up

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    forget_addresses(home)
    system = System(home, settings, options.market, report, options.stream_workers)
    _choose_metrics_port(system)
    cycles: list[dict[str, Any]] = []
    try:
        starting = asyncio.create_task(_start(system, report))
        if not await _unless(stop, starting):
            return 130
        write_addresses(home, {name: system.environ[name] for name in ADDRESS_NAMES if name in system.environ})
        jobs = [
            asyncio.create_task(_supervise(system)),
            asyncio.create_task(_count(system, options, cycles, stop)),
        ]
        if not options.is_json:
            is_table_up = sys.stdout.isatty()
            jobs.append(asyncio.create_task(run_terminal(system.redis_url, settings, stop=stop)))
        await _first_to_end(stop, jobs)
        status = 0 if options.cycles is None or len(cycles) >= options.cycles else 130
        if options.is_json:
            facts = await _facts(system, cycles)
            print(orjson.dumps(facts).decode(), flush=True)  # noqa: T201  # the command's answer
        return status
    finally:
        is_table_up = False
        forget_addresses(home)
        report("ending")
        await system.stop()


async def _start(system: System, report: Any) -> None:
    await system.start()
    for deployment in ("preload/preload", "prefilter/prefilter"):
        await _first_run(system, deployment, report)


async def _first_run(system: System, deployment: str, report: Any) -> None:
    """Run a deployment once and wait for it, telling how far it is."""
    name = deployment.partition("/")[0]
    run_id = await request_run(system.prefect_api_url, deployment)
    redis = await connect(system.redis_url)
    log = CycleLog(redis)
    deadline = time.monotonic() + FIRST_RUN_TIMEOUT_S
    told = ""
    try:
        while not (state := await run_state(system.prefect_api_url, run_id)).is_final:
            for child in system.dead_children():
                raise ServiceUnavailable(f"{child.name} ended with status {child.returncode}: {child.last_words()}")
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"{deployment} was still {state.name} after {FIRST_RUN_TIMEOUT_S:.0f} s")
            line = _progress_line(await log.progress())
            if line and line != told:
                report(f"{name:<11} {line}")
                told = line
            await asyncio.sleep(0.5)
    finally:
        await redis.aclose()
    if state.kind != "COMPLETED":
        raise ServiceUnavailable(f"the first {deployment} ended as {state.name}: {state.message}")
    report(f"{name:<11} done")


def _progress_line(progress: Progress | None) -> str:
    """Write progress as a bar of tenths, so that a log gets ten lines and not a thousand."""
    if progress is None or not progress.total:
        return ""
    tenths = progress.done * 10 // progress.total
    return f"[{'█' * tenths}{'░' * (10 - tenths)}] {tenths * 10} % of the history"


async def _supervise(system: System) -> None:
    """Start again any part that ends, with a pause that grows while it keeps ending."""
    pause_s = 1.0
    while True:
        await asyncio.sleep(pause_s)
        dead = system.dead_children()
        for child in dead:
            await system.restart(child)
        pause_s = min(30.0, pause_s * 2) if dead else 1.0


async def _count(system: System, options: Options, cycles: list[dict[str, Any]], stop: asyncio.Event) -> None:
    """Gather the completed cycles, and ask for the end when there are as many as were wanted."""
    redis = await connect(system.redis_url)
    try:
        async for cycle in CycleLog(redis).follow(stop):
            cycles.append(cycle)
            if options.cycles is not None and len(cycles) >= options.cycles:
                stop.set()
    finally:
        await redis.aclose()


async def _facts(system: System, cycles: list[dict[str, Any]]) -> dict[str, Any]:
    redis = await connect(system.redis_url)
    try:
        workers = await StateStore(redis).load_stream_workers()
        weight: Any = await redis.get(keys.weight_total())
    finally:
        await redis.aclose()
    return {
        "cycles": cycles,
        "missing_bars": sum(cycle["missing_bars"] for cycle in cycles),
        "rest_weight_used": int(weight or 0),
        "ws_messages": sum(int(fields["messages"]) for fields in workers.values()),
    }


async def _unless(stop: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for a task; return False when the end was asked for before."""
    ending = asyncio.create_task(stop.wait())
    await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False


async def _first_to_end(stop: asyncio.Event, jobs: list[asyncio.Task[None]]) -> None:
    """Wait until the end is asked for or a job ends; an error of a job is raised."""
    ending = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({ending, *jobs}, return_when=asyncio.FIRST_COMPLETED)
        for job in done:
            job.result()
    finally:
        stop.set()
        for task in (ending, *jobs):
            task.cancel()
        await asyncio.wait({ending, *jobs}, timeout=ENDING_S)


def _choose_metrics_port(system: System) -> None:
    """Take the configured port; only where nobody configured one, another instead of the default that is in use."""
    port = system.settings.METRICS_PORT
    try:
        check_port(port, "the metrics endpoint")
    except AlreadyRunning:
        if port != config.METRICS_PORT or "AIONE_METRICS_PORT" in os.environ:
            raise
        port = free_port()
    system.environ["AIONE_METRICS_PORT"] = str(port)
    system.report(f"Metrics     http://127.0.0.1:{port}/metrics")


__all__ = ["Options", "run_up"]
