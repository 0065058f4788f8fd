"""The services of the compose file as processes of this machine: its commands and variables, other addresses."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aione.run.leftovers import MARK
from aione.run.probes import answers, redis_answers
from aione.run.process import Child, free_port

from . import stores
from .compose import PROJECT, services

SECRETS = {"POSTGRES_PASSWORD": "p%40ss word/of:tests", "REDIS_PASSWORD": "redisOfTests7"}
PROGRAMS = {"python": [], "prefect": ["-m", "prefect"], "aione": ["-m", "aione"]}
SYMBOLS = 12
METRICS_HOST = "127.0.0.2"
STRANGE = ("AIONE_", "PREFECT_", "REDIS_URL", "COVERAGE")


@dataclass
class Cluster:
    """Every process of the scaled-out system, and how long each took to be ready."""

    home: Path
    database_directory: Path
    ports: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    ready_s: dict[str, float] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=lambda: services(SECRETS))

    def port(self, name: str) -> int:
        return self.ports.setdefault(name, free_port())

    def api(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}/api"

    def redis_url(self, database: int) -> str:
        return f"redis://:{SECRETS['REDIS_PASSWORD']}@127.0.0.1:{self.port('redis')}/{database}"

    async def database(self):
        return await stores.connect(self.port("postgres"), SECRETS["POSTGRES_PASSWORD"])

    # ── Processes ──

    async def start_stores(self) -> None:
        """Start PostgreSQL and Redis with the compose file's options."""
        log = self.home / "logs"
        password = SECRETS["POSTGRES_PASSWORD"]
        await stores.make_cluster(self.database_directory, password)
        (self.home / "redis").mkdir()
        options = {name: self.services[name]["command"][1:] for name in ("postgres", "redis")}
        self.children["postgres"] = stores.postgres(
            self.database_directory, self.port("postgres"), options["postgres"], log / "postgres.log"
        )
        self.children["redis"] = stores.redis(
            self.home / "redis", self.port("redis"), options["redis"], log / "redis.log"
        )
        for name in ("postgres", "redis"):
            await self.children[name].start()
        await self._ready("postgres", lambda: stores.answers(self.port("postgres"), password), 30.0)
        await self._ready("redis", lambda: redis_answers(self.redis_url(0)), 30.0)
        connection = await stores.connect(self.port("postgres"), password, "postgres")
        await connection.execute("CREATE DATABASE prefect")
        await connection.close()

    async def start_exchange(self) -> None:
        command = [
            sys.executable,
            "-m",
            "aione",
            "sim",
            "--symbols",
            str(SYMBOLS),
            "--port",
            str(self.port("exchange")),
        ]
        child = Child("exchange", command, self._base(), self.home / "logs" / "exchange.log", PROJECT)
        self.children["exchange"] = child
        await child.start()
        await self._ready("exchange", lambda: is_up(f"http://127.0.0.1:{self.port('exchange')}/fapi/v1/ping"), 60.0)

    async def start(self, service: str, api: str = "balancer", name: str | None = None) -> Child:
        """Start a service of the compose file; what it asks of Prefect goes to ``api``."""
        name = name or service
        child = Child(
            name,
            self.command(service),
            self.environment(service, api, name),
            self.home / "logs" / f"{name}.log",
            PROJECT,
        )
        self.children[name] = child
        await child.start()
        return child

    async def run(self, service: str, api: str = "balancer") -> float:
        """Run a service that ends, and return how long it took."""
        began = time.monotonic()
        child = await self.start(service, api)
        status = await child.finished()
        assert status == 0, child.log.read_text()[-3000:]
        return time.monotonic() - began

    async def start_api(self, name: str) -> None:
        await self.start("prefect-server", name, name)
        await self._ready(name, lambda: is_up(f"{self.api(name)}/ready"), 120.0)

    async def start_warm(self) -> None:
        """Start the process that runs are forked off; as in the compose file, the worker waits for its socket."""
        await self.start("flows")

        async def listens() -> bool:
            return (self.home / "flows.sock").is_socket()

        await self._ready("flows", listens, 90.0)

    async def start_balancer(self) -> None:
        """Start HAProxy with the project's configuration; its servers are listed, not looked up in Docker's DNS."""
        text = (PROJECT / "deployments" / "haproxy.cfg").read_text(encoding="utf-8")
        listed = "\n".join(f"    server {name} 127.0.0.1:{self.port(name)}" for name in ("api-1", "api-2"))
        text, looked_up = re.subn(r"^    server-template .*$", listed, text, flags=re.MULTILINE)
        assert looked_up == 1
        path = self.home / "haproxy.cfg"
        path.write_text(text.replace("bind :4200", f"bind 127.0.0.1:{self.port('balancer')}"), encoding="utf-8")
        command = [stores.program("haproxy"), *self.services["prefect"]["command"][1:-1], str(path)]
        self.children["balancer"] = Child(
            "balancer", command, self._base(), self.home / "logs" / "balancer.log", PROJECT
        )
        await self.children["balancer"].start()
        await self._ready("balancer", lambda: is_up(f"{self.api('balancer')}/ready"), 30.0)

    async def stop(self) -> None:
        for child in reversed(self.children.values()):
            await child.stop()

    def dead(self) -> list[str]:
        """Return the services that ended though they should run."""
        return [
            f"{name} ({child.last_words()})"
            for name, child in self.children.items()
            if not child.is_alive and name not in {"database", "register"}
        ]

    # ── What the compose file says ──

    def command(self, service: str) -> list[str]:
        first, *rest = self.services[service]["command"]
        return [sys.executable, *PROGRAMS[first], *rest]

    def environment(self, service: str, api: str, name: str) -> dict[str, str]:
        """Return the service's variables: the addresses of this machine in place of the containers'."""
        values = {key: self._local(str(value), api) for key, value in self.services[service]["environment"].items()}
        own = {
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(self.port("postgres")),
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self.port(name)),
            "AIONE_METRICS_HOST": METRICS_HOST,
            "AIONE_METRICS_PORT": str(self.port(name)),
        }
        return {
            **self._base(),
            **values,
            **{key: value for key, value in own.items() if key in values},
            "AIONE_REST_URL": f"http://127.0.0.1:{self.port('exchange')}",
            "AIONE_WS_URL": f"ws://127.0.0.1:{self.port('exchange')}",
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(self.port("worker-health")),
        }

    def _local(self, value: str, api: str) -> str:
        for container, here in (
            ("@redis:6379", f"@127.0.0.1:{self.port('redis')}"),
            ("http://prefect:4200/api", self.api(api)),
            ("/var/lib/aione", str(self.home)),
        ):
            value = value.replace(container, here)
        return value

    def _base(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_CLI_WRAP_LINES": "false",
            MARK: str(self.home),
        }

    # ── Readiness ──

    async def _ready(self, name: str, probe: Any, timeout_s: float) -> None:
        began = time.monotonic()
        await self.children[name].ready(probe, timeout_s)
        self.ready_s[name] = round(time.monotonic() - began, 1)


async def is_up(url: str) -> bool:
    return await answers(url, timeout_s=5.0)


async def until(probe: Any, timeout_s: float, what: str, cluster: Cluster | None = None) -> Any:
    """Return the probe's first answer that is not empty."""
    deadline = time.monotonic() + timeout_s
    while not (found := await probe()):
        dead = cluster.dead() if cluster else []
        assert not dead, f"waiting for {what}: ended: {dead}"
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s: {what}"
        await asyncio.sleep(0.25)
    return found
