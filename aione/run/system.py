"""The parts of the system on one machine, in the order in which they need each other.

1. Redis: the one that ``REDIS_URL`` names, else an embedded server whose data lives in the home.
2. The simulated exchange, unless the real one was asked for.
3. At the same time the Prefect server: the one that ``PREFECT_API_URL`` names, else an embedded one.
4. The stream worker; the deployments of ``prefect.yaml``, and the blocks that tell flows where everything is.
5. The warm process that flow runs are forked off, and the Prefect worker that has them executed.
6. The first preload and prefilter, as flow runs; the schedule does the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aione.errors import AlreadyRunning, ServiceUnavailable
from aione.housekeeping.prefect_settings import server_environment
from aione.housekeeping.sqlite_file import compact
from aione.run.home import audit_file, data_directory
from aione.run.leftovers import MARK, end_leftovers
from aione.run.probes import answers, redis_answers
from aione.run.process import Child, free_port
from aione.run.redis_server import redis_command
from aione.store.connect import connect
from config.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
WORK_POOL = "aione"
PREFECT_SERVER = "prefect-server"
WORKER_ENV: Final[Mapping[str, str]] = {"PREFECT_WORKER_QUERY_SECONDS": "5", "PREFECT_WORKER_PREFETCH_SECONDS": "15"}
"""A worker looks every 5 s for what is due within 15 s: a scheduled run's process stands 10 s ahead of its time."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MarketChoice:
    """Which exchange the system watches: the simulated one by default."""

    is_live: bool = False
    replay: Path | None = None
    at: str | None = None
    symbols: int = 60
    seed: int = 7

    def sim_arguments(self) -> list[str]:
        """Return the arguments of ``aione sim`` for this choice."""
        if self.replay is None:
            return ["--symbols", str(self.symbols), "--seed", str(self.seed)]
        return ["--replay", str(self.replay), *(["--at", self.at] if self.at else [])]


@dataclass(slots=True)
class System:
    """Every part that this process started; `stop` ends them in reverse order."""

    home: Path
    settings: Settings
    market: MarketChoice
    report: Report
    stream_workers: int = 1
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    children: list[Child] = field(default_factory=list)

    @property
    def redis_url(self) -> str:
        """Return the address of Redis once it runs."""
        return self.environ["REDIS_URL"]

    @property
    def prefect_api_url(self) -> str:
        """Return the address of the Prefect API once it runs."""
        return self.environ["PREFECT_API_URL"]

    async def start(self) -> None:
        """Start every part up to the Prefect worker; see the module's numbered steps."""
        await asyncio.to_thread(end_leftovers, self.home)
        self.environ |= {
            "AIONE_HOME": str(self.home),
            "AIONE_DATA_DIR": str(data_directory({**self.environ, "AIONE_HOME": str(self.home)})),
            "AIONE_AUDIT__jsonl_path": self.environ.get("AIONE_AUDIT__jsonl_path") or str(audit_file(self.home)),
            MARK: str(self.home),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), self.environ.get("PATH", os.defpath)]),
        }
        if self.market.is_live:  # said whole, so that no address of a simulated exchange of before stays in the blocks
            venue = self.settings.VENUE
            named = {"AIONE_EXCHANGE": "live", "AIONE_REST_URL": venue.rest_url, "AIONE_WS_URL": venue.ws_url}
            self.environ = {**named, **self.environ}
        await self._start_redis()
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self._start_prefect())
                if not self.market.is_live:
                    together.create_task(self._start_exchange())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        await self._start_stream()
        await self._register()
        await self._start_worker()

    async def stop(self) -> None:
        """End every part that this process started, the last one first."""
        for child in reversed(self.children):
            await child.stop()
        await asyncio.to_thread(end_leftovers, self.home)

    def dead_children(self) -> list[Child]:
        """Return the parts that have ended though nobody asked them to."""
        return [child for child in self.children if not child.is_alive]

    async def restart(self, child: Child) -> None:
        """Start a part again that has ended."""
        self.report(f"{child.name} ended with status {child.returncode}; starting it again ({child.last_words()})")
        await child.start()

    # ── Parts ──

    async def _start_redis(self) -> None:
        if self.environ.get("REDIS_URL"):
            client = await connect(self.environ["REDIS_URL"])
            await client.aclose()
            self.report(f"Redis       {_without_secret(self.environ['REDIS_URL'])}")
            return
        data = self.home / "redis"
        data.mkdir(exist_ok=True)
        port = free_port()
        self.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        child = await self._spawn("redis", redis_command(data, port))
        await child.ready(lambda: redis_answers(self.redis_url), 60.0)
        self.report(f"Redis       {self.environ['REDIS_URL']} (embedded, data in {data})")

    async def _start_exchange(self) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "aione", "sim", "--port", str(port), *self.market.sim_arguments()]
        child = await self._spawn("exchange", command)
        await child.ready(lambda: answers(f"{url}/fapi/v1/ping"), 60.0)
        self.environ |= {
            "AIONE_EXCHANGE": "simulated",
            "AIONE_REST_URL": url,
            "AIONE_WS_URL": f"ws://127.0.0.1:{port}",
        }
        self.report(f"Exchange    {url} (simulated)")

    async def _start_prefect(self) -> None:
        self.environ |= {
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_CLI_WRAP_LINES": "false",
        }
        self.environ = {**WORKER_ENV, **server_environment(self.settings.HOUSEKEEPING), **self.environ}
        if self.environ.get("PREFECT_API_URL"):
            if not await answers(f"{self.prefect_api_url}/health"):
                raise ServiceUnavailable(f"Prefect at {self.prefect_api_url} does not answer")
            self.report(f"Prefect     {self.prefect_api_url}")
            return
        port = free_port()
        home = self.home / "prefect"
        self.environ |= {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
        }
        try:
            await asyncio.to_thread(compact, home / "prefect.db", self.settings.HOUSEKEEPING)
        except ServiceUnavailable as error:
            self.report(f"Prefect     goes on with its database as it is: {error}")
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        child = await self._spawn(PREFECT_SERVER, command)
        await child.ready(lambda: answers(f"{self.prefect_api_url}/health"), 120.0)
        self.report(f"Prefect UI  http://127.0.0.1:{port}")

    async def _register(self) -> None:
        is_ours = any(child.name == PREFECT_SERVER for child in self.children)
        fresh = "--own-server" if is_ours else "--shared-server"
        child = await self._spawn("register", [sys.executable, "-m", "deployments.register", fresh])
        status = await child.finished()
        self.children.remove(child)
        if status != 0:
            raise ServiceUnavailable(f"registering the deployments ended with status {status}: {child.last_words()}")
        self.report("Deployments of prefect.yaml registered")

    async def _start_stream(self) -> None:
        for index in range(1, self.stream_workers + 1):
            name = "stream" if self.stream_workers == 1 else f"stream-{index}"
            shard = f"{index}/{self.stream_workers}"
            port = int(self.environ.get("AIONE_METRICS_PORT", self.settings.METRICS_PORT))
            ports = {"AIONE_METRICS_PORT": str(port if index == 1 else free_port())}
            await self._spawn(name, [sys.executable, "-m", "aione", "stream"], {"AIONE_STREAM_SHARD": shard, **ports})

    async def _start_worker(self) -> None:
        if self.settings.FLOW_RUNNER == "warm" and sys.platform == "linux":  # elsewhere runs start cold
            await self._spawn("flows", [sys.executable, "-m", "deployments.warm.serve"])
        await self._spawn(
            "prefect-worker",
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"],
        )

    async def _spawn(self, name: str, command: list[str], more: Mapping[str, str] = MappingProxyType({})) -> Child:
        child = Child(name, command, {**self.environ, **more}, self.home / "logs" / f"{name}.log", PROJECT)
        await child.start()
        self.children.append(child)
        return child


def _without_secret(url: str) -> str:
    """Return an address without its password."""
    return url.rsplit("@", 1)[-1] if "@" in url else url


def check_port(port: int, what: str) -> None:
    """Refuse a port that something listens on.

    Raises
    ------
    AlreadyRunning
        The message names the port and what wanted it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise AlreadyRunning(f"{what} needs port {port} of 127.0.0.1, which is in use") from error


__all__ = ["PROJECT", "WORK_POOL", "MarketChoice", "System", "check_port"]
