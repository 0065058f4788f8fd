"""`UnifiedDataStore`: one door to RAM, Redis and disk.

| tier | holds | lost when |
|---|---|---|
| RAM | what this process has seen | it ends; what Redis lacked then is fetched again by REST |
| Redis | rings of 34 hours of minutes and 256 days, states, trades | a power cut takes its last second |
| disk | every final bar, for ever | the disk is; it is at most ``ARCHIVE_INTERVAL_SEC`` behind |

A read asks the tiers from above and fills them from below; a write goes down (`aione.store.tiers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import redis.asyncio as aioredis

from aione.store.archive import BarArchive
from aione.store.archiver import Archiver
from aione.store.rings import BarRings, MemoryRings
from aione.store.state import StateStore
from aione.store.tiers import TieredRings
from config.settings import Settings

DAILY = "1d"


class UnifiedDataStore:
    """The bars of both timeframes over their tiers, and the small state; made by `for_worker` or `for_flow`.

    Attributes
    ----------
    minutes, days : TieredRings
    states : StateStore
    archivers : tuple of Archiver
        What writes behind to the disk; empty without one. Whoever owns the store runs them.
    """

    def __init__(
        self, minutes: TieredRings, days: TieredRings, states: StateStore, archivers: tuple[Archiver, ...] = ()
    ) -> None:
        self.minutes = minutes
        self.days = days
        self.states = states
        self.archivers = archivers

    @classmethod
    def for_worker(cls, redis: aioredis.Redis, settings: Settings, data_dir: Path | None) -> Self:
        """Return the store of a long process: minutes in RAM too, and what Redis lacks is buffered and archived."""
        archive = None if data_dir is None else BarArchive(data_dir)
        every_s = settings.ARCHIVE_INTERVAL_SEC
        shared, daily = _rings(redis, settings, settings.DEFAULT_TIMEFRAME), _rings(redis, settings, DAILY)
        memory = MemoryRings(shared.timeframe)
        minutes = TieredRings(shared, memory=memory, archive=archive, is_buffering=True, archive_behind_s=every_s)
        days = TieredRings(daily, archive=archive, archive_behind_s=every_s)
        archivers = () if archive is None else (Archiver(shared, archive, every_s), Archiver(daily, archive, every_s))
        return cls(minutes, days, StateStore(redis, ttl_s=settings.REDIS_CACHE_TTL), archivers)

    @classmethod
    def for_flow(cls, redis: aioredis.Redis, settings: Settings, data_dir: Path | None) -> Self:
        """Return the store of a run that ends soon: Redis is what processes share, the disk fills what it lacks."""
        archive = None if data_dir is None else BarArchive(data_dir)
        behind_s = settings.ARCHIVE_INTERVAL_SEC
        shared, daily = _rings(redis, settings, settings.DEFAULT_TIMEFRAME), _rings(redis, settings, DAILY)
        minutes = TieredRings(shared, archive=archive, archive_behind_s=behind_s)
        days = TieredRings(daily, archive=archive, archive_behind_s=behind_s)
        return cls(minutes, days, StateStore(redis, ttl_s=settings.REDIS_CACHE_TTL))

    def report(self) -> dict[str, Any]:
        """Return what the tiers have done: reads by tier and outcome, bars that wait, the archive's newest bar."""
        reads = {f"{tier} {outcome}": n for (tier, outcome), n in (self.minutes.reads + self.days.reads).items()}
        return {
            "reads": reads,
            "pending": self.minutes.pending,
            "replayed": self.minutes.replayed,
            "archived": sum(archiver.written for archiver in self.archivers),
            "archive_ms": max((archiver.newest_ms or 0 for archiver in self.archivers), default=0) or None,
        }

    def ages_s(self, now_ms: int) -> dict[str, float]:
        """Return tier -> seconds since its newest minute was over, of ``memory``, ``redis`` and ``disk``.

        What this process has put there; a tier that it has put nothing into is absent. ``now_ms`` is the exchange's.
        """
        return tier_ages_s(self.minutes, self.archivers, now_ms)

    async def flush(self, symbols: tuple[str, ...], now_ms: int) -> None:
        """Write down everything that waits: bars to Redis, then the archive.

        Raises
        ------
        ServiceUnavailable
            Redis or the disk refuses.
        """
        await self.minutes.replay()
        for archiver in self.archivers:
            await archiver.run_once(symbols, now_ms)


def tier_ages_s(rings: TieredRings, archivers: Sequence[Archiver], now_ms: int) -> dict[str, float]:
    """Return what `UnifiedDataStore.ages_s` does, of these rings and their archiver."""
    ages_s = rings.ages_s(now_ms)
    for archiver in archivers:
        age_s = archiver.age_s(now_ms) if archiver.timeframe == rings.timeframe else None
        if age_s is not None:
            ages_s["disk"] = age_s
    return ages_s


def _rings(redis: aioredis.Redis, settings: Settings, timeframe: str) -> BarRings:
    return BarRings(redis, timeframe, ttl_s=settings.INTERVAL_TTL_MAP[timeframe])


__all__ = ["UnifiedDataStore", "tier_ages_s"]
