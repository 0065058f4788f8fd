"""`TieredRings`: the bars of one timeframe behind one door: RAM, Redis, disk.

1. A read asks the uppermost tier first, and each tier below only for the symbols that the tier above lacks bars of.
2. What a lower tier has fills the gaps of the tiers above, and replaces nothing there.
3. A write goes to RAM at once and to Redis at once. The archive on disk is written behind (`aione.store.archive`).
4. While Redis is away, a store that buffers keeps on: what Redis lacks is remembered by open time, the bars themselves
   stand in RAM. `TieredRings.replay` writes them when Redis is back. Nothing is lost before the outage is longer than
   a ring, 34 hours of minutes; what is lost then is counted, and is a gap that healing fills.

A process that is killed loses its RAM: bars of an outage of Redis that it had not replayed are fetched again by REST.
Redis itself flushes its file once a second; the archive is at most ``ARCHIVE_INTERVAL_SEC`` behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from aione.errors import ServiceUnavailable
from aione.panel.bar_panel import BarPanel
from aione.store.ring_layout import Records, RingView, Written
from aione.store.ring_memory import MemoryRings
from aione.store.rings import Rings


class Archive(Protocol):
    """Closed history on disk: `aione.store.archive.BarArchive`."""

    async def read(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held of an inclusive range of open times; symbols without any are absent."""


class TieredRings:
    """Bars of one timeframe over up to three tiers; behaves as every `Rings`.

    Parameters
    ----------
    redis : Rings
        The tier that processes share.
    memory : MemoryRings, optional
        This process's own; of the same timeframe and capacity.
    archive : Archive, optional
        Asked at most once for each symbol and window.
    is_buffering : bool
        Whether a write may wait in ``memory`` for Redis; needs it.

    Attributes
    ----------
    reads : Counter of (tier, "hit" or "miss")
        Symbols asked of each tier, and whether it had every bar.
    replayed, dropped : int
        Bars written to Redis after it was back; bars that had left the ring before.
    """

    def __init__(
        self,
        redis: Rings,
        *,
        memory: MemoryRings | None = None,
        archive: Archive | None = None,
        is_buffering: bool = False,
    ) -> None:
        self.timeframe = redis.timeframe
        self.layout = redis.layout
        self.reads: Counter[tuple[str, str]] = Counter()
        self.replayed = 0
        self.dropped = 0
        self.away_since_s: float | None = None
        self._redis = redis
        self._memory = memory
        self._archive = archive
        self._buffer = memory if is_buffering else None
        self._waiting: dict[str, set[int]] = {}
        self._archive_asked: dict[str, tuple[int, int]] = {}

    # ── Writing ──

    @property
    def pending(self) -> int:
        """Return how many bars wait for Redis."""
        return sum(map(len, self._waiting.values()))

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; see `Rings.write`. A store that buffers does not raise `ServiceUnavailable`."""
        held = Written() if self._memory is None else await self._memory.write(records)
        try:
            written = await self._redis.write(records)
        except ServiceUnavailable:
            if self._buffer is None:
                raise
            self._wait(records)
            return held
        except asyncio.CancelledError:
            if self._buffer is not None:
                self._wait(records)  # nobody knows whether Redis has them
            raise
        self.away_since_s = None
        return written

    async def replay(self) -> int:
        """Write what waits for Redis; return how many bars did.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; everything waits on.
        """
        done = 0
        while self._waiting and self._buffer is not None:
            symbol, times = next(iter(self._waiting.items()))
            some = np.array(sorted(times))
            oldest_ms = int(some[-1]) - (self.layout.capacity - 1) * self.layout.interval_ms
            held = await self._buffer.records([symbol], max(int(some[0]), oldest_ms), int(some[-1]))
            rows = held[symbol][np.isin(held[symbol]["open_time_ms"], some)]
            await self._redis.write({symbol: rows})
            self.dropped += len(some) - len(rows)
            self.replayed += len(rows)
            done += len(rows)
            times.difference_update(some.tolist())
            if not times:
                self._waiting.pop(symbol, None)
        self.away_since_s = None
        return done

    def _wait(self, records: Mapping[str, Records]) -> None:
        if self.away_since_s is None:
            self.away_since_s = asyncio.get_running_loop().time()
        for symbol, rows in records.items():
            if rows.size:
                self._waiting.setdefault(symbol, set()).update(rows["open_time_ms"].tolist())

    # ── Reading ──

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel; see `Rings.load`."""
        return (await self.view(symbols, end_ms, bars)).panel

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return the panel with finality and holes; see `Rings.view`."""
        start_ms = self.layout.window(end_ms, bars)
        return await (await self._filled(symbols, start_ms, end_ms)).view(symbols, end_ms, bars)

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held; see `Rings.records`."""
        return await (await self._filled(symbols, start_ms, end_ms)).records(symbols, start_ms, end_ms)

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what no tier has; see `Rings.gaps`."""
        return await (await self._filled(symbols, start_ms, end_ms)).gaps(symbols, start_ms, end_ms)

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar; see `Rings.unsure`."""
        unsure = list(symbols)
        if self._memory is not None:
            unsure = await self._memory.unsure(unsure, open_time_ms)
        try:
            return await self._redis.unsure(unsure, open_time_ms) if unsure else []
        except ServiceUnavailable:
            if self._buffer is None:
                raise
            return unsure

    async def _filled(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> Rings:
        """Fill the upper tiers for a window and return the uppermost one, which then has what any tier has."""
        if self._memory is None:
            await self._from_archive(symbols, start_ms, end_ms)
            return self._redis
        gaps = await self._gaps("memory", self._memory, symbols, start_ms, end_ms)
        if gaps:
            try:
                await self._from_archive(list(gaps), start_ms, end_ms)
                held = await self._redis.records(list(gaps), start_ms, end_ms)
            except ServiceUnavailable:
                if self._buffer is None:
                    raise
            else:
                await self._memory.write(within(held, gaps))
        return self._memory

    async def _from_archive(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> None:
        """Fill Redis from the archive where it lacks bars."""
        fresh = [symbol for symbol in symbols if not self._was_asked(symbol, start_ms, end_ms)]
        if self._archive is None or not fresh:
            return
        gaps = await self._gaps("redis", self._redis, fresh, start_ms, end_ms)
        if gaps:
            found = await self._archive.read(self.timeframe, list(gaps), start_ms, end_ms)
            self.reads["disk", "hit"] += len(found)
            self.reads["disk", "miss"] += len(gaps) - len(found)
            await self._redis.write(within(found, gaps))
        self._archive_asked.update(dict.fromkeys(fresh, (start_ms, end_ms)))

    def _was_asked(self, symbol: str, start_ms: int, end_ms: int) -> bool:
        """Return whether the archive was asked for a symbol so far back; what is newer comes from elsewhere."""
        first_ms, last_ms = self._archive_asked.get(symbol, (end_ms + 1, 0))
        return first_ms <= start_ms and last_ms > 0

    async def _gaps(
        self, tier: str, rings: Rings, symbols: Sequence[str], start_ms: int, end_ms: int
    ) -> dict[str, list[tuple[int, int]]]:
        """Return the gaps of the symbols that have any, and count who has none."""
        found = await rings.gaps(symbols, start_ms, end_ms)
        gaps = {symbol: ranges for symbol, ranges in found.items() if ranges}
        self.reads[tier, "miss"] += len(gaps)
        self.reads[tier, "hit"] += len(found) - len(gaps)
        return gaps


def within(records: Mapping[str, Records], gaps: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, Records]:
    """Return the bars that lie in a symbol's gaps: a lower tier fills, it never replaces.

    Of two bars that are equally sure the rings keep the later one written, so what fills must not bring others.
    """
    kept = {}
    for symbol, rows in records.items():
        times = rows["open_time_ms"]
        is_wanted = np.zeros(len(rows), dtype=np.bool_)
        for first, last in gaps.get(symbol, ()):
            is_wanted |= (times >= first) & (times <= last)
        kept[symbol] = rows[is_wanted]
    return kept


__all__ = ["Archive", "TieredRings", "within"]
