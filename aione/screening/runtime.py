"""What one run needs at hand: settings, Redis with what lives in it, and the exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio as aioredis

from aione.audit import AuditBus
from aione.audit.redis_stream import RedisSink
from aione.publish.publisher import Publisher
from aione.store.connect import connect
from aione.store.cycles import CycleLog
from aione.store.incident_log import IncidentLog
from aione.store.state import StateStore
from aione.store.tiers import TieredRings
from aione.store.trades import TradeStore
from aione.store.unified import UnifiedDataStore
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.settings import Settings

AUDIT_WITHIN_S = 3.0
"""So long may the audit's sinks take at the end of a run; what they have not taken then is lost, and counted."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a run reads and writes; made by `open_runtime`."""

    settings: Settings
    redis: aioredis.Redis
    rest: BinanceRest
    minute_rings: TieredRings
    daily_rings: TieredRings
    states: StateStore
    trades: TradeStore
    publisher: Publisher
    cycles: CycleLog
    incidents: IncidentLog
    frozen_ms: int | None = None
    audit: AuditBus = field(default_factory=AuditBus)

    def now_ms(self) -> int:
        """Return the exchange's time, UTC epoch milliseconds; ``frozen_ms`` where the market stands still."""
        return self.rest.clock.now_ms() if self.frozen_ms is None else self.frozen_ms


def _audit_bus(settings: Settings, redis_url: str) -> AuditBus:
    """Return a bus of this run's own, so that runs side by side in one process do not end each other's sinks."""
    params, bus = settings.AUDIT, AuditBus()
    bus.configure(max_size=params.max_size)
    if params.is_on:
        bus.configure(sinks=[RedisSink(redis_url, params.stream_maxlen)])
        if params.jsonl_path:
            bus.configure(
                jsonl_path=params.jsonl_path, jsonl_rotate_mb=params.jsonl_rotate_mb, jsonl_keep=params.jsonl_keep
            )
    return bus


def local_ms() -> int:
    """Return this machine's time, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_runtime(
    settings: Settings, redis_url: str, *, frozen_ms: int | None = None, data_dir: Path | None = None
) -> AsyncIterator[Runtime]:
    """Connect to Redis and to the exchange, measure the clock offset, and close both in the end.

    ``data_dir`` holds the archive on disk; without it what Redis lacks comes from the exchange alone.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    VenueError
        The exchange does not answer.
    """
    redis = await connect(redis_url)
    audit = _audit_bus(settings, redis_url)
    try:
        ledger = RedisLedger(redis, settings.VENUE)
        async with BinanceRest(settings.VENUE.rest_url, ledger, timeout_s=settings.VENUE.timeout_s) as rest:
            await rest.server_time()
            store = UnifiedDataStore.for_flow(redis, settings, data_dir)
            yield Runtime(
                settings,
                redis,
                rest,
                store.minutes,
                store.days,
                store.states,
                TradeStore(redis),
                Publisher(redis, settings),
                CycleLog(redis),
                IncidentLog(redis),
                frozen_ms,
                audit,
            )
    finally:
        await asyncio.to_thread(audit.close, AUDIT_WITHIN_S)
        await redis.aclose()


__all__ = ["Runtime", "local_ms", "open_runtime"]
