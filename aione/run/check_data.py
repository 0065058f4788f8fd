"""The checks of ``aione doctor`` that look at the data, from streams to incidents."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import redis.asyncio as aioredis

from aione.panel.bars import MINUTE_MS
from aione.run.check_services import ServiceChecks
from aione.run.doctor import CHECK_WITHIN_S, Finding, Health
from aione.store.archive import BarArchive
from aione.store.cycles import CycleLog
from aione.store.incident_log import IncidentLog
from aione.store.ring_layout import RingView
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.stream.status import is_alive, read_status
from aione.venue.ledger import Priority
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest

SETTLED_MS: Final = 15_000
SILENT_MS: Final = 60_000
CYCLE_LATE_S: Final = 180.0
OVERDUE: Final = 3.0
"""Intervals of the prefilter after which the universe is old."""
NAMES_SHOWN: Final = 5
DAY_S: Final = 86_400.0


class DataChecks(ServiceChecks):
    """Looks at what the system holds."""

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
            budget = await RedisLedger(redis, self._settings.VENUE).state()
            if budget.hold_s > CHECK_WITHIN_S / 2:
                text = f"cannot be looked at: every request is on hold for {budget.hold_s:.0f} s more"
                return [Finding("bars", Health.WARN, text, "wait, then ask again")]
            now_ms = await self._exchange_ms(redis)
            settled_ms = (now_ms - SETTLED_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
            rings = BarRings(redis, self._settings.DEFAULT_TIMEFRAME)
            view = await rings.view(symbols, settled_ms, self._settings.SCREENING_LOOKBACK)
            unsure = await rings.unsure(symbols, settled_ms)
        finally:
            await redis.aclose()
        return [_bars_finding(symbols, unsure, view, self._settings.MIN_READY_PCT)]

    async def _exchange_ms(self, redis: aioredis.Redis) -> int:
        venue = self._settings.VENUE
        async with BinanceRest(venue.rest_url, RedisLedger(redis, venue), timeout_s=venue.timeout_s) as rest:
            return await rest.at(Priority.HEAL).server_time()

    async def _universe(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            states = StateStore(redis)
            universe = await states.load_universe()
            said = [read_status(fields) for fields in (await states.load_stream_workers()).values()]
        finally:
            await redis.aclose()
        if universe is None:
            return [Finding("universe", Health.FAIL, "there is none yet", "run the preload flow")]
        offset_ms = next((int(one.get("clock_offset_ms", 0)) for one in said), 0)  # a replayed market has its own time
        age_s = (time.time_ns() // 1_000_000 + offset_ms - universe.refreshed_ms) / 1000
        text = f"{len(universe.symbols)} tradable perpetuals, {len(universe.rejected)} contracts refused"
        text += f", refreshed {age_s / 60:.0f} min ago"
        facts = {"symbols": len(universe.symbols), "refreshed_ms": universe.refreshed_ms, "age_s": round(age_s)}
        if universe.is_stale:
            text += f", stale: {universe.stale_reason}"
            return [Finding("universe", Health.WARN, text, "the next prefilter refreshes it", facts)]
        if age_s > OVERDUE * self._settings.PREFILTER_INTERVAL_SEC:
            return [Finding("universe", Health.WARN, text, "look at the prefilter flow in Prefect", facts)]
        return [Finding("universe", Health.OK, text, facts=facts)]

    async def _quarantine(self) -> Sequence[Finding]:
        redis = await self._connect()
        try:
            held = await StateStore(redis).load_quarantine()
        finally:
            await redis.aclose()
        facts = {"symbols": {one.symbol: one.to_dict() for one in held.values()}}
        if not held:
            return [Finding("quarantine", Health.OK, "no symbol is in it", facts=facts)]
        told = "; ".join(f"{one.symbol} {one.rule}, {one.detail}" for one in list(held.values())[:NAMES_SHOWN])
        advice = "they are let out when their bars have healed: run the quality flow, see bars"
        return [Finding("quarantine", Health.WARN, f"{len(held)} symbols are not scored: {told}", advice, facts)]

    async def _archive(self) -> Sequence[Finding]:
        if self._data_dir is None:
            return [Finding("archive", Health.WARN, "no directory is set", "set AIONE_DATA_DIR")]
        archive = BarArchive(self._data_dir)
        files = list(archive.files("1m"))
        if not files:
            advice = f"it is written every {self._settings.ARCHIVE_INTERVAL_SEC:g} s by the first stream worker"
            return [Finding("archive", Health.WARN, f"{self._data_dir} holds no day yet", advice)]
        age_s = time.time() - files[-1].stat().st_mtime
        size_mb = sum(path.stat().st_size for path in files) / 1e6
        text = f"{len(files)} days to {files[-1].parent.name.removeprefix('day=')}, {size_mb:.1f} MB"
        text += f", written {age_s / 60:.0f} min ago"
        facts = {"days": len(files), "size_mb": round(size_mb, 1), "age_s": round(age_s)}
        broken = await asyncio.to_thread(archive.newest_broken, "1m")
        if broken is not None:
            advice = "the archiver sets it aside and writes what Redis has"
            return [Finding("archive", Health.WARN, f"{text}; the newest cannot be read: {broken}", advice, facts)]
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
            log = IncidentLog(redis)
            recent = await log.recent(1000)
            opened = await log.open(time.time_ns() // 1_000_000 - 60_000)
        finally:
            await redis.aclose()
        day_ms = 1000 * (time.time() - DAY_S)
        begun = Counter(one["kind"] for one in recent if one["ended_ms"] is None and one["began_ms"] > day_ms)
        past = ", ".join(f"{count} x {kind}" for kind, count in begun.most_common()) or "none"
        if not opened:
            return [Finding("incidents", Health.OK, f"none open; in the last day: {past}", facts={"last_day": begun})]
        advice = "they end by themselves; see stream and redis if they last"
        return [Finding("incidents", Health.WARN, one["text"], advice, {"began_ms": one["began_ms"]}) for one in opened]


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
    age_ms = said["last_message_age_ms"]
    if said["symbols"] and not said["connections"]:
        return Finding("stream", Health.FAIL, f"{text}; every connection is down", "check the network", facts)
    if said["symbols"] and (age_ms is None or age_ms > SILENT_MS):
        return Finding("stream", Health.FAIL, f"{text}; nothing is delivered", "look at the worker's log", facts)
    if said["silent"] or said["behind"]:
        names = ", ".join([*said["silent"], *said["behind_symbols"]][:NAMES_SHOWN])
        advice = "silent streams are asked for again, and their bars come by REST"
        return Finding("stream", Health.WARN, f"{text}; {names}", advice, facts)
    return Finding("stream", Health.OK, text, facts=facts)


def _bars_finding(symbols: Sequence[str], unsure: Sequence[str], view: RingView, ready_frac: float) -> Finding:
    """Return what the rings of the screened symbols show over the lookback of a cycle."""
    holed = [symbol for symbol, holes in zip(symbols, view.holes, strict=True) if holes]
    ready = view.panel.valid.mean(axis=1) >= ready_frac
    short = [symbol for symbol, is_ready in zip(symbols, ready, strict=True) if not is_ready and symbol not in holed]
    text = f"{len(symbols) - len(unsure)} of {len(symbols)} symbols have a final bar of the last minute"
    text += f", {len(holed)} have holes" if holed else ", none has a hole"
    text += f", {len(short)} have a short history" if short else ""
    facts = {"symbols": len(symbols), "not_final": list(unsure), "holes": holed, "short": short}
    if not (unsure or holed or short):
        return Finding("bars", Health.OK, text, facts=facts)
    names = ", ".join([*dict.fromkeys([*unsure, *holed, *short])][:NAMES_SHOWN])
    health = Health.FAIL if len(unsure) > len(symbols) / 2 else Health.WARN
    return Finding("bars", health, f"{text}: {names}", "healing fetches them; see stream and budget", facts)


__all__ = ["DataChecks"]
