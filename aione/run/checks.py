"""The checks of ``aione doctor``, one part each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis.asyncio as aioredis

from aione.errors import ServiceUnavailable
from aione.panel.bars import MINUTE_MS
from aione.run.doctor import Check, Finding, Health
from aione.store.archive import BarArchive
from aione.store.connect import connect, redacted
from aione.store.cycles import CycleLog
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream.status import is_alive, read_status
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.settings import Settings

SKEW_MS: Final = 1_000
CYCLE_LATE_S: Final = 180.0
NAMES_SHOWN: Final = 5
DAY_S: Final = 86_400.0


class Checks:
    """Everything that the doctor looks at.

    Parameters
    ----------
    settings : Settings
        Of the running system: its exchange's addresses.
    redis_url, prefect_url : str
    data_dir : Path, optional
        Where the archive is.
    shows_streams : bool
        Name every stream with its state.
    """

    def __init__(
        self, settings: Settings, redis_url: str, prefect_url: str, data_dir: Path | None, *, shows_streams: bool
    ) -> None:
        self._settings = settings
        self._redis_url = redis_url
        self._prefect_url = prefect_url
        self._data_dir = data_dir
        self._shows_streams = shows_streams

    def table(self) -> dict[str, Check]:
        """Return part -> check, in the order in which a person reads them."""
        return {
            "redis": self._redis_check,
            "exchange": self._exchange,
            "budget": self._budget,
            "prefect": self._prefect,
            "stream": self._stream,
            "bars": self._bars,
            "universe": self._universe,
            "archive": self._archive,
            "cycle": self._cycle,
            "incidents": self._incidents,
        }

    # ── Services ──

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

    # ── Data ──

    async def _stream(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            states = StateStore(redis)
            workers = await states.load_stream_workers()
            names = {worker: await states.load_streams(worker) for worker in workers} if self._shows_streams else {}
        finally:
            await redis.aclose()
        now_ms = time.time_ns() // 1_000_000
        alive = {worker: read_status(said) for worker, said in workers.items() if is_alive(read_status(said), now_ms)}
        if not alive:
            return [Finding("stream", Health.FAIL, "no stream worker runs", "start one with 'aione stream'")]
        found = [_worker(worker, said, names.get(worker)) for worker, said in alive.items()]
        shares = sorted({str(said["shard"]) for said in alive.values()})
        of = {share.partition("/")[2] for share in shares}
        if len(of) > 1 or len(shares) != int(max(of)):
            text = f"the shares {', '.join(shares)} do not cover the symbols exactly once"
            found.append(Finding("stream", Health.FAIL, text, "start every share of one number of workers"))
        return found

    async def _bars(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            prefilter = await StateStore(redis).load_prefilter()
            symbols = () if prefilter is None else prefilter.symbols
            if not symbols:
                return [Finding("bars", Health.WARN, "no symbol is screened yet", "wait for preload and prefilter")]
            venue = self._settings.VENUE
            async with BinanceRest(venue.rest_url, RedisLedger(redis, venue), timeout_s=venue.timeout_s) as rest:
                now_ms = await rest.server_time()
            settled_ms = (now_ms - 15_000) // MINUTE_MS * MINUTE_MS - MINUTE_MS
            rings = BarRings(redis, self._settings.DEFAULT_TIMEFRAME)
            view = await rings.view(symbols, settled_ms, self._settings.DEFAULT_LOOKBACK)
            unsure = await rings.unsure(symbols, settled_ms)
        finally:
            await redis.aclose()
        holed = [symbol for symbol, holes in zip(symbols, view.holes, strict=True) if holes]
        text = f"{len(symbols) - len(unsure)} of {len(symbols)} symbols have a final bar of the last minute"
        text += f", {len(holed)} have holes" if holed else ", none has a hole"
        facts = {"symbols": len(symbols), "not_final": unsure, "holes": holed}
        if unsure or holed:
            names = ", ".join([*dict.fromkeys([*unsure, *holed])][:NAMES_SHOWN])
            health = Health.FAIL if len(unsure) > len(symbols) / 2 else Health.WARN
            return [Finding("bars", health, f"{text}: {names}", "healing fetches them; see stream and budget", facts)]
        return [Finding("bars", Health.OK, text, facts=facts)]

    async def _universe(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            universe = await StateStore(redis).load_universe()
        finally:
            await redis.aclose()
        if universe is None:
            return [Finding("universe", Health.FAIL, "there is none yet", "run the preload flow")]
        text = f"{len(universe.symbols)} tradable perpetuals, {len(universe.rejected)} contracts refused"
        facts = {"symbols": len(universe.symbols), "refreshed_ms": universe.refreshed_ms}
        if universe.is_stale:
            text += f", stale: {universe.stale_reason}"
            return [Finding("universe", Health.WARN, text, "the next prefilter refreshes it", facts)]
        return [Finding("universe", Health.OK, text, facts=facts)]

    async def _archive(self) -> Sequence[Finding]:
        if self._data_dir is None:
            return [Finding("archive", Health.WARN, "no directory is set", "set AIONE_DATA_DIR")]
        files = list(BarArchive(self._data_dir).files("1m"))
        if not files:
            advice = f"it is written every {self._settings.ARCHIVE_INTERVAL_SEC:g} s by the first stream worker"
            return [Finding("archive", Health.WARN, f"{self._data_dir} holds no day yet", advice)]
        age_s = time.time() - files[-1].stat().st_mtime
        size_mb = sum(path.stat().st_size for path in files) / 1e6
        text = f"{len(files)} days to {files[-1].parent.name.removeprefix('day=')}, {size_mb:.1f} MB"
        text += f", written {age_s / 60:.0f} min ago"
        facts = {"days": len(files), "size_mb": round(size_mb, 1), "age_s": round(age_s)}
        if age_s > 3 * self._settings.ARCHIVE_INTERVAL_SEC:
            return [Finding("archive", Health.WARN, text, "look at the log of the first stream worker", facts)]
        return [Finding("archive", Health.OK, text, facts=facts)]

    async def _cycle(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            summary = await CycleLog(redis).newest()
        finally:
            await redis.aclose()
        if summary is None:
            return [Finding("cycle", Health.WARN, "no cycle was completed yet", "wait a minute, then look at Prefect")]
        age_s = time.time() - (summary["scheduled_ms"] / 1000 + summary["seconds"])
        text = f"bar {summary['bar_time']} UTC, published {summary['seconds']:.1f} s after its schedule"
        text += f", {age_s:.0f} s ago"
        facts = {"age_s": round(age_s), "seconds": summary["seconds"], "warnings": summary["warnings"]}
        if age_s > CYCLE_LATE_S:
            return [Finding("cycle", Health.FAIL, text, "look at the screening flow in Prefect", facts)]
        if summary["warnings"]:
            return [Finding("cycle", Health.WARN, f"{text}; {summary['warnings'][0]}", "see bars and stream", facts)]
        return [Finding("cycle", Health.OK, text, facts=facts)]

    async def _incidents(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            states = StateStore(redis)
            recent = await states.load_incidents(1000)
            alive = await states.load_stream_workers(time.time_ns() // 1_000_000 - 60_000)
            opened = [one for one in await states.load_open_incidents() if one["worker"] in alive]
        finally:
            await redis.aclose()
        day_ms = 1000 * (time.time() - DAY_S)
        begun = Counter(one["kind"] for one in recent if one["ended_ms"] is None and one["began_ms"] > day_ms)
        past = ", ".join(f"{count} x {kind}" for kind, count in begun.most_common()) or "none"
        if not opened:
            return [Finding("incidents", Health.OK, f"none open; in the last day: {past}", facts={"last_day": begun})]
        advice = "they end by themselves; see stream and redis if they last"
        return [Finding("incidents", Health.WARN, one["text"], advice, {"began_ms": one["began_ms"]}) for one in opened]

    async def _connect(self) -> aioredis.Redis:
        return await connect(self._redis_url)


def _worker(worker: str, said: dict[str, Any], streams: dict[str, str] | None) -> Finding:
    """Return what one worker says of itself."""
    states = dict(said["streams"])
    parts = [f"{count} {state}" for state, count in sorted(states.items())]
    text = f"share {said['shard']}: {said['connections']} connections, streams {', '.join(parts) or 'none'}"
    text += f", {said['symbols']} symbols"
    if said["last_message_age_ms"] is not None:
        text += f", newest message {said['last_message_age_ms'] / 1000:.1f} s old"
    store = said["store"]
    text += f", {store['pending']} bars wait for Redis" if store["pending"] else ""
    facts: dict[str, Any] = {"worker": worker, **said}
    if streams is not None:
        facts["stream_states"] = streams
        text += "".join(f"\n        {name:<32} {state}" for name, state in streams.items())
    if said["failures"]:
        return Finding("stream", Health.FAIL, f"{text}; refused: {said['failures'][0]}", "check VENUE.routes", facts)
    if said["silent"] or said["behind"]:
        names = ", ".join([*said["silent"], *said["behind_symbols"]][:NAMES_SHOWN])
        advice = "silent streams are asked for again, and their bars come by REST"
        return Finding("stream", Health.WARN, f"{text}; {names}", advice, facts)
    return Finding("stream", Health.OK, text, facts=facts)


__all__ = ["Checks"]
