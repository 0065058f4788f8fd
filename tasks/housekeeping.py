"""The housekeeping as Prefect tasks: runs, archive, Redis, files, report."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from aione.housekeeping.archive import ArchiveReport, keep_archive
from aione.housekeeping.logs import copies_of, rotate_logs
from aione.housekeeping.options import HousekeepingOptions
from aione.housekeeping.put_aside import forget_put_aside
from aione.housekeeping.redis_care import redis_facts, redis_now_ms
from aione.housekeeping.redis_run import RedisReport, keep_redis
from aione.housekeeping.report import Report
from aione.housekeeping.sizes import compare, measure, past_reports, remember
from aione.housekeeping.sqlite_file import empty_wal, sqlite_facts
from aione.metrics import push
from blocks import BLOCK_NAME, RedisBlock
from config.housekeeping_models import DAY_S
from config.settings import Settings, load_settings
from tasks.housekeeping_runs import RunsReport, keep_runs
from tasks.retrying import RETRIED
from tasks.runtime import archive_directory

SQLITE: Final = "sqlite+aiosqlite:///"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Place:
    """What the housekeeping looks after; None is what this machine does not see."""

    settings: Settings
    redis: aioredis.Redis
    home: Path | None
    data: Path | None
    database: Path | None
    redis_directory: Path | None

    def logs(self) -> list[Path]:
        """Return the logs of the home."""
        if self.home is None:
            return []
        return [*(self.home / "logs").glob("*.log"), self.home / "notifications.jsonl"]


@asynccontextmanager
async def opened() -> AsyncIterator[Place]:
    """Open Redis as its block says, and find out what lies on this machine; the exchange is not needed."""
    block = await RedisBlock.aload(BLOCK_NAME)
    redis = await block.connect()
    try:
        yield Place(
            load_settings(),
            redis,
            _home(),
            archive_directory(),
            _database(),
            _redis_directory(block.url.get_secret_value()),
        )
    finally:
        await redis.aclose()


def _home() -> Path | None:
    named = os.environ.get("AIONE_HOME")
    return Path(named) if named and Path(named).is_dir() else None


def _redis_directory(url: str) -> Path | None:
    """Return where the embedded Redis keeps its files; None where Redis is another one."""
    home = _home()
    if home is None or urlsplit(url).hostname not in LOOPBACK or not (home / "redis").is_dir():
        return None
    return home / "redis"


def _database() -> Path | None:
    """Return Prefect's database where the server is of this machine and keeps a file; None elsewhere."""
    settings = get_current_settings()
    url = settings.server.database.connection_url
    if urlsplit(settings.api.url or "").hostname not in LOOPBACK or url is None:
        return None
    text = url.get_secret_value()
    path = Path(text.removeprefix(SQLITE).partition("?")[0])
    return path if text.startswith(SQLITE) and path.is_file() else None


@task(**RETRIED, timeout_seconds=600, cache_policy=NO_CACHE)
async def runs(place: Place, options: HousekeepingOptions) -> RunsReport:
    """End stuck and late runs, delete old ones; see `tasks.housekeeping_runs.keep_runs`."""
    async with get_client() as client:
        return await keep_runs(client, place.settings.HOUSEKEEPING, options)


@task(**RETRIED, timeout_seconds=600, cache_policy=NO_CACHE)
async def archive(place: Place, options: HousekeepingOptions) -> ArchiveReport:
    """Archive trades, audit and cycles, and look at yesterday's bars; see `aione.housekeeping.archive.keep_archive`."""
    assert place.data is not None
    return await keep_archive(place.redis, place.data, place.settings.HOUSEKEEPING, is_dry=options.dry_run)


@task(**RETRIED, timeout_seconds=120, cache_policy=NO_CACHE)
async def redis(place: Place, options: HousekeepingOptions, until: Mapping[str, str]) -> RedisReport:
    """Trim streams and care for Redis; see `aione.housekeeping.redis_run.keep_redis`."""
    return await keep_redis(place.redis, place.settings, place.data, until, is_dry=options.dry_run)


@task(**RETRIED, timeout_seconds=300, cache_policy=NO_CACHE)
async def files(place: Place, options: HousekeepingOptions) -> dict[str, Any]:
    """Rotate logs, empty the write-ahead log of Prefect's database, forget what its server has put aside."""
    params, is_dry = place.settings.HOUSEKEEPING, options.dry_run
    rotated = await asyncio.to_thread(rotate_logs, place.logs(), params.logs_rotate_mb, params.logs_keep, is_dry=is_dry)
    done: dict[str, Any] = {"rotated": [f"{one.name}: {one.size} bytes, packed {one.packed}" for one in rotated]}
    if place.database is not None and not is_dry:
        done["write-ahead log emptied"] = await asyncio.to_thread(empty_wal, place.database)
    if place.database is not None:
        aside, days = place.database.parent / "dlq", params.other_runs_days
        done["events put aside, deleted"] = await asyncio.to_thread(
            forget_put_aside, aside, days * DAY_S, is_dry=is_dry
        )
    return done


@task(**RETRIED, timeout_seconds=120, cache_policy=NO_CACHE)
async def report(place: Place, done: Mapping[str, Mapping[str, Any]], warnings: list[str], *, is_dry: bool) -> Report:
    """Measure every part, compare it with earlier runs and its bound, and leave the page as an artifact."""
    facts = await redis_facts(place.redis)
    prefect = None if place.database is None else await asyncio.to_thread(sqlite_facts, place.database)
    logs = [one for log in place.logs() for one in (log, *copies_of(log))]
    sizes = await asyncio.to_thread(measure, place.home, place.data, facts, place.redis_directory, prefect, logs)
    now_ms, past = await redis_now_ms(place.redis), await past_reports(place.redis)
    found = Report(compare(sizes, past, place.settings.HOUSEKEEPING.budget, now_ms), done, warnings, is_dry)
    await acreate_markdown_artifact(key="housekeeping", markdown=found.markdown(), description=found.message[:500])
    if not is_dry:
        await remember(place.redis, sizes, now_ms)
        await push(place.redis, found.samples())
    return found


__all__ = ["Place", "archive", "files", "opened", "redis", "report", "runs"]
