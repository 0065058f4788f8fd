"""Filling by REST what the stream did not bring: missing bars, and provisional ones that nobody confirmed.

1. For each symbol it is remembered up to which bar its ring is known to be complete.
2. A check reads the ring from there (and at least `RECENT_BARS` back) to the last bar that must be closed by now.
3. A symbol seen for the first time, and every symbol each `FULL_CHECK_EVERY_S`, is read over the whole history;
   what is missing before its first bar is the preload's business and left alone.
4. What is missing is fetched with the cheapest request that covers it; provisional bars are fetched one range a symbol.
5. Only a symbol whose check ran through and left no gap gets a new mark of step 1, so an outage is caught up whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from aione.errors import RequestRejected
from aione.panel.bars import MINUTE_MS
from aione.store.rings import Rings
from aione.stream.bars import BarFeed
from aione.venue.history import preload
from aione.venue.rest import BinanceRest
from config.settings import Settings

RECENT_BARS: Final = 5
FULL_CHECK_EVERY_S: Final = 600.0
SETTLE_MS: Final = 4_000
SUSPECT_FOR_BARS: Final = 30
REQUEST_SIZES: Final = (RECENT_BARS, 99, 499, 1000, 1500)
"""Bars a request: the exchange's steps of weight, and a small one."""


@dataclass(frozen=True, slots=True)
class HealReport:
    """What a check found and did, in bars."""

    missing: int = 0
    filled: int = 0
    suspected: int = 0
    confirmed: int = 0


class Healer:
    """Keeps the rings without gaps.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
        1m bars.
    feed : BarFeed
        Whose provisional bars are to be confirmed.
    settings : Settings
    """

    def __init__(self, rest: BinanceRest, rings: Rings, feed: BarFeed, settings: Settings) -> None:
        self._rest = rest
        self._rings = rings
        self._feed = feed
        self._bars = settings.PRELOAD_1M_LOOKBACK_INIT
        self._concurrency = settings.KLINES_SEMAPHORE
        self._complete_ms: dict[str, int] = {}
        self._full_check_ms = 0

    async def heal(self, symbols: Sequence[str], now_ms: int) -> HealReport:
        """Check and fill these symbols up to the last bar that is closed for certain at ``now_ms``.

        Raises
        ------
        VenueError, ServiceUnavailable
            Nothing is forgotten; the next check begins where this one did.
        """
        end_ms = (now_ms - SETTLE_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        if now_ms - self._full_check_ms >= FULL_CHECK_EVERY_S * 1000:
            self._complete_ms.clear()
            self._full_check_ms = now_ms
        missing = filled = 0
        for bars, group in self._windows(symbols, end_ms).items():
            found, done = await self._fill(group, bars, end_ms)
            missing, filled = missing + found, filled + done
        suspected, confirmed = await self._confirm(now_ms)
        return HealReport(missing, filled, suspected, confirmed)

    def drop(self, symbols: Collection[str]) -> None:
        """Forget symbols that are not followed any more."""
        for symbol in symbols:
            self._complete_ms.pop(symbol, None)

    def _windows(self, symbols: Sequence[str], end_ms: int) -> dict[int, list[str]]:
        """Group symbols by how many bars back they must be read."""
        windows: dict[int, list[str]] = {}
        for symbol in symbols:
            since = (end_ms - self._complete_ms.get(symbol, 0)) // MINUTE_MS
            bars = self._bars if since >= self._bars else min(request_size(since), self._bars)
            windows.setdefault(bars, []).append(symbol)
        return windows

    async def _fill(self, symbols: list[str], bars: int, end_ms: int) -> tuple[int, int]:
        """Fill one group's gaps; return how many bars were missing and how many of them were filled."""
        gaps = await self._rings.gaps(symbols, end_ms - (bars - 1) * MINUTE_MS, end_ms)
        depths: dict[int, list[str]] = {}
        unfinished: set[str] = set()
        missing = 0
        for symbol, ranges in gaps.items():
            ours = ranges if bars < self._bars else without_leading(ranges, end_ms, bars)
            if ours:
                depth = request_size((end_ms - ours[0][0]) // MINUTE_MS + 1)
                depths.setdefault(min(depth, self._bars), []).append(symbol)
                missing += count(ours)
        filled = 0
        for depth, group in depths.items():
            report = await preload(
                self._rest, self._rings, group, interval="1m", bars=depth, end_ms=end_ms, concurrency=self._concurrency
            )
            filled += report.bars_written
            unfinished |= report.failed.keys() | report.gaps_left.keys()
        self._complete_ms.update(dict.fromkeys((s for s in symbols if s not in unfinished), end_ms))
        return missing, filled

    async def _confirm(self, now_ms: int) -> tuple[int, int]:
        """Fetch provisional bars; return how many there were and how many the exchange confirmed."""
        suspects = self._feed.suspects(now_ms - SETTLE_MS)
        limit = asyncio.Semaphore(self._concurrency)
        tasks: list[asyncio.Task[int]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks += [
                    group.create_task(self._confirm_one(symbol, times, now_ms, limit))
                    for symbol, times in suspects.items()
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return sum(map(len, suspects.values())), sum(task.result() for task in tasks)

    async def _confirm_one(self, symbol: str, times: list[int], now_ms: int, limit: asyncio.Semaphore) -> int:
        oldest_ms = now_ms - SUSPECT_FOR_BARS * MINUTE_MS
        self._feed.confirmed(symbol, [at for at in times if at < oldest_ms])
        times = [at for at in times if at >= oldest_ms]
        if not times:
            return 0
        try:
            async with limit:
                bars = (times[-1] - times[0]) // MINUTE_MS + 1
                rows = await self._rest.klines(symbol, "1m", limit=bars, start_ms=times[0], end_ms=times[-1])
        except RequestRejected:
            self._feed.confirmed(symbol, times)  # the exchange will never have them
            return 0
        await self._rings.write({symbol: rows})
        sure = {int(at) for at in rows["open_time_ms"]} & set(times)
        self._feed.confirmed(symbol, sure)
        return len(sure)


def request_size(bars: int) -> int:
    """Return the size of the cheapest request that covers ``bars``.

    Examples
    --------
    >>> [request_size(bars) for bars in (1, 5, 6, 100, 1400)]
    [5, 5, 99, 499, 1500]
    """
    return next((size for size in REQUEST_SIZES if size >= bars), REQUEST_SIZES[-1])


def without_leading(ranges: list[tuple[int, int]], end_ms: int, bars: int) -> list[tuple[int, int]]:
    """Return the ranges without what lies before the first bar held; of an empty ring, the recent bars.

    Examples
    --------
    >>> without_leading([(60_000, 120_000), (300_000, 300_000)], end_ms=600_000, bars=10)
    [(300000, 300000)]
    >>> without_leading([(60_000, 600_000)], end_ms=600_000, bars=10)
    [(360000, 600000)]
    """
    start_ms = end_ms - (bars - 1) * MINUTE_MS
    if ranges == [(start_ms, end_ms)]:
        return [(max(start_ms, end_ms - (RECENT_BARS - 1) * MINUTE_MS), end_ms)]
    return [gap for gap in ranges if gap[0] > start_ms]


def count(ranges: Sequence[tuple[int, int]]) -> int:
    """Return how many bars inclusive ranges hold.

    Examples
    --------
    >>> count([(60_000, 120_000), (300_000, 300_000)])
    3
    """
    return sum((last - first) // MINUTE_MS + 1 for first, last in ranges)


__all__ = ["FULL_CHECK_EVERY_S", "RECENT_BARS", "HealReport", "Healer", "count", "request_size", "without_leading"]
