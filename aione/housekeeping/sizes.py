"""Bytes of each part, how they have grown, and whether they are within their bounds.

A part that this machine cannot see (Prefect or Redis of another machine) has no bytes: it is not 0, it is not seen.
Growth a day is what happened since the oldest report of the last 24 hours, scaled to a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import redis.asyncio as aioredis

from aione.housekeeping.redis_care import RedisFacts
from aione.housekeeping.sqlite_file import SqliteFacts
from aione.store import keys
from aione.store.connect import redis_errors
from config.housekeeping_models import DAY_S, DiskBudget

MEGABYTE: Final = 1_000_000
REPORTS_KEPT: Final = 200
LEAST_S: Final = 600.0
"""Growth is not scaled to a day from less than this."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its bytes, its growth since the last report and a day, and its bound.

    ``size`` is None where the part is not seen, a growth where there is nothing to compare with. ``bound`` is of the
    size, for the archive of the growth a day.
    """

    name: str
    size: int | None
    since_last: int | None
    a_day: int | None
    bound: int
    is_daily: bool = False

    @property
    def is_within(self) -> bool:
        """Return whether the bound holds, as far as it is known."""
        value = self.a_day if self.is_daily else self.size
        return value is None or value <= self.bound

    def row(self) -> dict[str, Any]:
        """Return the part as plain values."""
        return {**asdict(self), "is_within": self.is_within}


def measure(
    home: Path | None,
    data: Path | None,
    redis: RedisFacts,
    redis_directory: Path | None,
    prefect: SqliteFacts | None,
    logs: Iterable[Path],
) -> dict[str, int | None]:
    """Return part -> bytes; None for what this machine does not see.

    Parameters
    ----------
    home : Path or None
        Of the installation on this machine.
    data : Path or None
        Of the archive.
    redis : RedisFacts
    redis_directory : Path or None
        Where the embedded Redis keeps its files; of any other the append-only file's size is what it says itself.
    prefect : SqliteFacts or None
        Of Prefect's database where it is a file of this machine.
    logs : iterable of Path
        The logs with their copies.
    """
    return {
        "prefect": None if prefect is None else prefect.total,
        "redis_memory": redis.memory,
        "redis_disk": redis.aof if redis_directory is None else tree_bytes(redis_directory),
        "logs": None if home is None else sum(_bytes(path) for path in logs),
        "audit": None if home is None else tree_bytes(home / "audit"),
        "archive": None if data is None else tree_bytes(data),
    }


def compare(
    sizes: Mapping[str, int | None], past: Sequence[Mapping[str, Any]], budget: DiskBudget, now_ms: int
) -> list[Part]:
    """Return every part with its growth and its bound; ``past`` are earlier reports, newest first."""
    day_ms = 1000 * DAY_S
    within = [one for one in past if 1000 * LEAST_S <= now_ms - int(one["at_ms"]) <= day_ms]
    parts = []
    for name, size in sizes.items():
        last = next((one["sizes"].get(name) for one in past), None)
        first = next((one for one in reversed(within) if one["sizes"].get(name) is not None), None)
        a_day = None
        if size is not None and first is not None:
            a_day = round((size - first["sizes"][name]) * day_ms / (now_ms - int(first["at_ms"])))
        is_daily = name == "archive"
        bound_mb = getattr(budget, f"{name}_mb_a_day" if is_daily else f"{name}_mb")
        since = None if size is None or last is None else size - last
        parts.append(Part(name, size, since, a_day, round(bound_mb * MEGABYTE), is_daily))
    return parts


async def past_reports(redis: aioredis.Redis) -> list[dict[str, Any]]:
    """Return earlier reports (``at_ms``, ``sizes``), newest first; `ServiceUnavailable` where Redis does not answer."""
    with redis_errors("reading earlier reports"):
        rows: Any = await redis.lrange(keys.housekeeping(), 0, -1)
    return [orjson.loads(row) for row in rows]


async def remember(redis: aioredis.Redis, sizes: Mapping[str, int | None], now_ms: int) -> None:
    """Keep a report for the next ones; `ServiceUnavailable` where Redis does not answer."""
    with redis_errors("keeping a report"):
        async with redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.housekeeping(), orjson.dumps({"at_ms": now_ms, "sizes": dict(sizes)}))
            pipe.ltrim(keys.housekeeping(), 0, REPORTS_KEPT - 1)
            await pipe.execute()


def tree_bytes(directory: Path) -> int:
    """Return the bytes of all files below a directory; 0 where there is none."""
    return sum(_bytes(path) for path in directory.rglob("*"))


def _bytes(path: Path) -> int:
    """Return a file's bytes; one that is gone meanwhile has none."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


__all__ = ["Part", "compare", "measure", "past_reports", "remember", "tree_bytes"]
