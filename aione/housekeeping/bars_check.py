"""Whether the archive holds the minutes of a day that is over: all those that the rings hold, and how many are missing.

A minute that the exchange does not have is marked as absent in the ring and missed by nobody. Rings reach back 34
hours, so yesterday is judged in full until ten in the morning; later, what the ring no longer knows counts as missing
where the archive lacks it. On the first day of an archive nothing is missed from before its first minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import redis.asyncio as aioredis

from aione.panel.bars import DAY_MS, MINUTE_MS
from aione.store.archive import BarArchive
from aione.store.ring_layout import ABSENT, Records
from aione.store.rings import BarRings


@dataclass(frozen=True, slots=True)
class BarsReport:
    """One day: symbols looked at, bars that are there, and symbol -> minutes that are missing."""

    day_ms: int
    symbols: int
    bars: int
    missing: Mapping[str, int] = field(default_factory=dict)
    broken: str = ""

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is missing."""
        return not self.missing and not self.broken


async def check_bars(
    redis: aioredis.Redis, archive: BarArchive, onboard_ms: Mapping[str, int], day_ms: int
) -> BarsReport:
    """Compare a day's minutes on disk with the minutes that there must be.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        Holds the rings, which know what the exchange does not have.
    archive : BarArchive
    onboard_ms : mapping of symbol to int
        When each symbol that is to be there was listed, UTC epoch milliseconds; minutes before are not missed.
    day_ms : int
        First moment of the UTC day.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    """
    symbols, end_ms = sorted(onboard_ms), day_ms + DAY_MS - MINUTE_MS
    held = await archive.read("1m", symbols, day_ms, end_ms)
    rings = await BarRings(redis, "1m").records(symbols, day_ms, end_ms)
    is_first = next(archive.files("1m", 0, day_ms - 1), None) is None
    begin_ms = min((int(rows["open_time_ms"][0]) for rows in held.values()), default=day_ms) if is_first else day_ms
    missing = await asyncio.to_thread(
        _missing, symbols, onboard_ms, held, rings, range(begin_ms, end_ms + 1, MINUTE_MS)
    )
    files = list(archive.files("1m", day_ms, end_ms))
    broken = "; ".join(archive.broken[path] for path in files if path in archive.broken)
    return BarsReport(day_ms, len(symbols), sum(len(rows) for rows in held.values()), missing, broken)


def _missing(
    symbols: Sequence[str],
    onboard_ms: Mapping[str, int],
    held: Mapping[str, Records],
    rings: Mapping[str, Records],
    times_ms: range,
) -> dict[str, int]:
    minutes = np.array(times_ms)
    found = {}
    for symbol in symbols:
        due = minutes[minutes >= onboard_ms[symbol]]
        has = held[symbol]["open_time_ms"] if symbol in held else np.zeros(0, np.int64)
        ring = rings.get(symbol)
        absent = np.zeros(0, np.int64) if ring is None else ring["open_time_ms"][ring["reserved"] & ABSENT != 0]
        count = int((~np.isin(due, np.concatenate([has, absent]))).sum())
        if count:
            found[symbol] = count
    return found


__all__ = ["BarsReport", "check_bars"]
