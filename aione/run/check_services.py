"""The checks of ``aione doctor`` that look at services: Redis, the exchange, the budget, Prefect."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis.asyncio as aioredis

from aione.errors import ServiceUnavailable
from aione.run.doctor import Finding, Health
from aione.store.connect import connect, redacted
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.settings import Settings

SKEW_MS: Final = 1_000


class ServiceChecks:
    """Looks at what the system stands on; parameters as those of `aione.run.checks.Checks`."""

    def __init__(
        self, settings: Settings, redis_url: str, prefect_url: str, data_dir: Path | None, *, shows_streams: bool
    ) -> None:
        self._settings = settings
        self._redis_url = redis_url
        self._prefect_url = prefect_url
        self._data_dir = data_dir
        self._shows_streams = shows_streams

    async def _connect(self) -> aioredis.Redis:
        return await connect(self._redis_url)

    async def _redis_check(self) -> Sequence[Finding]:
        started_s = time.perf_counter()
        redis = await self._connect()
        try:
            took_ms = 1000 * (time.perf_counter() - started_s)
            info: dict[str, Any] = await redis.info("all")
        finally:
            await redis.aclose()
        is_kept = bool(int(info.get("aof_enabled", 0)))
        used_mb = int(info["used_memory"]) / 1e6
        text = f"{redacted(self._redis_url)} answers in {took_ms:.0f} ms, {used_mb:.0f} MB"
        facts = {"latency_ms": round(took_ms, 1), "memory_mb": round(used_mb, 1), "is_append_only": is_kept}
        if not is_kept:
            return [Finding("redis", Health.WARN, f"{text}, nothing is persisted", "set appendonly yes", facts)]
        return [Finding("redis", Health.OK, text, facts=facts)]

    async def _exchange(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            venue = self._settings.VENUE
            ledger = RedisLedger(redis, venue)
            async with BinanceRest(venue.rest_url, ledger, timeout_s=venue.timeout_s) as rest:
                await rest.server_time()
                skew_ms, market_ms = ledger.clock.offset_ms(), rest.clock.offset_ms()
        finally:
            await redis.aclose()
        host = urlsplit(venue.rest_url).netloc
        text = f"{host} answers, this machine's clock is off by {-skew_ms / 1000:+.2f} s"
        if abs(market_ms - skew_ms) > SKEW_MS:
            text += f", its market by {market_ms / 3_600_000:.1f} h (a replay)"
        facts = {"skew_ms": round(skew_ms), "market_offset_ms": round(market_ms)}
        if abs(skew_ms) > SKEW_MS:
            return [Finding("exchange", Health.WARN, text, "set this machine's clock (NTP)", facts)]
        return [Finding("exchange", Health.OK, text, facts=facts)]

    async def _budget(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            state = await RedisLedger(redis, self._settings.VENUE).state()
        finally:
            await redis.aclose()
        waiting = sum(state.waiting.values())
        text = f"{state.used} of {state.limit} weight used this minute"
        text += f", {waiting} waiting" if waiting else ""
        facts = {"used": state.used, "limit": state.limit, "waiting": waiting, "hold_s": state.hold_s}
        if state.hold_s > 0:
            text += f", every request on hold for {state.hold_s:.0f} s more"
            return [Finding("budget", Health.WARN, text, "wait: the exchange asked for it", facts)]
        return [Finding("budget", Health.OK, text, facts=facts)]

    async def _prefect(self) -> Sequence[Finding]:
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            try:
                replies = [
                    await client.get(f"{self._prefect_url}/health"),
                    await client.post(f"{self._prefect_url}/deployments/filter", json={}),
                    await client.post(f"{self._prefect_url}/work_pools/filter", json={}),
                ]
                health, deployments, pools = (reply.raise_for_status().json() for reply in replies)
            except (httpx.HTTPError, ValueError) as error:  # ValueError: no JSON
                why = (str(error) or repr(error)).splitlines()[0]
                raise ServiceUnavailable(f"Prefect at {self._prefect_url} does not answer: {why}") from error
        names = sorted(row["name"] for row in deployments)
        online = [pool["name"] for pool in pools if pool.get("status") == "READY"]
        text = f"{len(names)} deployments ({', '.join(names)}), work pools ready: {', '.join(online) or 'none'}"
        facts = {"deployments": names, "pools_ready": online, "is_healthy": bool(health)}
        if not names:
            return [Finding("prefect", Health.FAIL, text, "prefect deploy --all --no-prompt", facts)]
        if not online:
            return [Finding("prefect", Health.WARN, text, "prefect worker start --pool aione --type process", facts)]
        return [Finding("prefect", Health.OK, text, facts=facts)]


__all__ = ["ServiceChecks"]
