"""One run over the archive: the days of every kind, what has grown too old, and whether yesterday's bars are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import redis.asyncio as aioredis

from aione.housekeeping.bars_check import BarsReport, check_bars
from aione.housekeeping.days import Archived, DayArchive
from aione.housekeeping.redis_care import redis_now_ms
from aione.housekeeping.tables import KINDS, TRADES, day_of
from aione.panel.bars import DAY_MS
from aione.store.archive import BarArchive
from aione.store.state import StateStore
from config.housekeeping_models import DAY_S, HousekeepingParams

SHOWN: Final = 20
"""Symbols of which a report says how many minutes are missing."""


@dataclass(slots=True)
class ArchiveReport:
    """What was archived by kind, bytes that left for their age, and what is known of yesterday's bars.

    ``until`` says of each stream up to which entry it lies in the archive.
    """

    kinds: dict[str, Archived] = field(default_factory=dict)
    pending: dict[str, int | None] = field(default_factory=dict)
    until: dict[str, str] = field(default_factory=dict)
    removed_bytes: int = 0
    bars: BarsReport | None = None

    def summary(self) -> dict[str, Any]:
        """Return plain values."""
        bars = self.bars
        return {
            "entries": {name: done.entries for name, done in self.kinds.items()},
            "closed": {name: list(done.closed) for name, done in self.kinds.items() if done.closed},
            "lost": {name: done.lost for name, done in self.kinds.items() if done.lost},
            "broken": {name: done.broken for name, done in self.kinds.items() if done.broken},
            "pending": self.pending,
            "removed_bytes": self.removed_bytes,
            "bars_day": None if bars is None else day_of(bars.day_ms),
            "bars_symbols": None if bars is None else bars.symbols,
            "bars_missing_symbols": 0 if bars is None else len(bars.missing),
            "bars_missing": {} if bars is None else dict(islice(bars.missing.items(), SHOWN)),
        }

    def warnings(self) -> list[str]:
        """Return what a person should know."""
        said = [f"{done.lost} entries of {name} were gone before they were archived" for name, done in self._lost()]
        said += [f"{done.broken} broken files of {name} were set aside" for name, done in self._broken()]
        if self.bars is not None and self.bars.missing:
            missing = self.bars.missing
            shown = ", ".join(f"{symbol} {count}" for symbol, count in islice(missing.items(), 5))
            day = day_of(self.bars.day_ms)
            said.append(f"the archive of {day} lacks minutes of {len(missing)} of {self.bars.symbols} symbols: {shown}")
        if self.bars is not None and self.bars.broken:
            said.append(f"the archive of {day_of(self.bars.day_ms)} cannot be read: {self.bars.broken}")
        return said

    def _lost(self) -> list[tuple[str, Archived]]:
        return [(name, done) for name, done in self.kinds.items() if done.lost]

    def _broken(self) -> list[tuple[str, Archived]]:
        return [(name, done) for name, done in self.kinds.items() if done.broken]


async def keep_archive(
    redis: aioredis.Redis, directory: Path, params: HousekeepingParams, *, is_dry: bool = False
) -> ArchiveReport:
    """Bring the archive up to now and look at yesterday's bars.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer, or the disk refuses; the next run goes on where this one has ended.
    """
    report = ArchiveReport()
    now_ms = await redis_now_ms(redis)
    for kind in KINDS:
        archive = DayArchive(directory, kind)
        if is_dry:
            report.pending[kind.name] = await archive.pending(redis)
            continue
        done = await archive.run(redis)
        report.kinds[kind.name], report.until[kind.stream] = done, done.until
        if kind is not TRADES:
            report.removed_bytes += archive.forget_before(
                day_of(now_ms - round(1000 * DAY_S * params.audit_archive_days))
            )
    screened = await _screened(redis)
    if screened:
        report.bars = await check_bars(redis, BarArchive(directory), screened, now_ms // DAY_MS * DAY_MS - DAY_MS)
    return report


async def _screened(redis: aioredis.Redis) -> Mapping[str, int]:
    """Return the screened symbols and when each was listed; none before the first prefilter."""
    states = StateStore(redis)
    result, universe = await states.load_prefilter(), await states.load_universe()
    if result is None or universe is None:
        return {}
    listed = {info.symbol: info.onboard_ms for info in universe.infos}
    return {symbol: listed[symbol] for symbol in result.symbols if symbol in listed}


__all__ = ["ArchiveReport", "keep_archive"]
