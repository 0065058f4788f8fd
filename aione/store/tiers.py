"""`TieredRings`: the bars of one timeframe behind one door: RAM, Redis, disk.

1. A read asks the uppermost tier first, and each tier below only for the symbols that the tier above lacks bars of.
   The archive is asked once for a symbol, and never for bars so new that it cannot have them.
2. What a lower tier has fills the gaps of the tiers above, and replaces nothing there.
3. A write goes to RAM at once and to Redis at once. The archive on disk is written behind (`aione.store.archiver`).
4. While Redis is away or refuses, a store that buffers keeps on: what Redis lacks is remembered by open time, the bars
   themselves stand in RAM. `TieredRings.replay` writes them when Redis is back, and what Redis has lost of what it
   held, compared with RAM (`aione.store.write_behind`). Nothing is lost before the outage is longer than a ring, 34
   hours of minutes; what is lost then is counted, and is a gap that healing fills.

A process that is killed loses its RAM: bars of an outage of Redis that it had not replayed are fetched again by REST.
Redis flushes its file once a second (``appendfsync everysec``), so a machine that loses power loses the last second of
it, not a server that is killed. The archive is at most ``ARCHIVE_INTERVAL_SEC`` behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from aione.panel.bar_panel import I8, BarPanel
from aione.store.ring_layout import Records, RingView
from aione.store.ring_memory import MemoryRings
from aione.store.rings import Rings
from aione.store.write_behind import TROUBLE, WriteBehind
from config import config

T = TypeVar("T")


class Archive(Protocol):
    """Closed history on disk: `aione.store.archive.BarArchive`."""

    async def read(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held of an inclusive range of open times; symbols without any are absent."""


class TieredRings(WriteBehind):
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
    archive_behind_s : float
        Younger bars are not looked for in the archive; ``ARCHIVE_INTERVAL_SEC`` by default.

    Attributes
    ----------
    reads : Counter of (tier, "hit" or "miss")
        Symbols asked of each tier, and whether it had every bar.
    newest_ms : dict of tier to int
        Open time of the newest bar that this process has put into RAM and written to Redis.
    replayed, dropped : int
        Bars written to Redis after it was back; bars that had left the ring before.
    away_since_s : float or None
        The loop's time since when Redis is away or refuses.
    """

    def __init__(
        self,
        redis: Rings,
        *,
        memory: MemoryRings | None = None,
        archive: Archive | None = None,
        is_buffering: bool = False,
        archive_behind_s: float = config.ARCHIVE_INTERVAL_SEC,
    ) -> None:
        super().__init__(redis, memory, is_buffering=is_buffering)
        self.reads: Counter[tuple[str, str]] = Counter()
        self._archive = archive
        self._archive_behind_ms = round(1000 * archive_behind_s)
        self._archive_asked: dict[str, int] = {}

    def keep(self, symbols: Collection[str]) -> None:
        """Let this hold these symbols alone; see `WriteBehind.keep`."""
        super().keep(symbols)
        kept = frozenset(symbols)
        self._archive_asked = {symbol: ms for symbol, ms in self._archive_asked.items() if symbol in kept}

    # ── Reading ──

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel; see `Rings.load`."""
        return (await self.view(symbols, end_ms, bars)).panel

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return the panel with finality and holes; see `Rings.view`."""

        def missing(view: RingView) -> dict[str, int]:
            return dict(zip(symbols, view.missing_ms.tolist(), strict=True))

        start_ms = self.layout.window(end_ms, bars)
        return await self._through(lambda rings: rings.view(symbols, end_ms, bars), missing, start_ms, end_ms)

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held; see `Rings.records`."""
        grid = self.layout.grid(start_ms, self.layout.bars_between(start_ms, end_ms))

        def missing(held: dict[str, Records]) -> dict[str, int]:
            return {symbol: _first_missing(grid, rows) for symbol, rows in held.items()}

        return await self._through(lambda rings: rings.records(symbols, start_ms, end_ms), missing, start_ms, end_ms)

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what no tier has; see `Rings.gaps`."""

        def missing(gaps: dict[str, list[tuple[int, int]]]) -> dict[str, int]:
            return {symbol: ranges[0][0] if ranges else 0 for symbol, ranges in gaps.items()}

        return await self._through(lambda rings: rings.gaps(symbols, start_ms, end_ms), missing, start_ms, end_ms)

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar; see `Rings.unsure`."""
        unsure = list(symbols)
        if self._memory is not None:
            unsure = await self._memory.unsure(unsure, open_time_ms)
        try:
            return await self._redis.unsure(unsure, open_time_ms) if unsure else []
        except TROUBLE:
            if self._buffer is None:
                raise
            return unsure

    async def _through(
        self,
        read: Callable[[Rings], Awaitable[T]],
        missing: Callable[[T], dict[str, int]],
        start_ms: int,
        end_ms: int,
    ) -> T:
        """Read from the uppermost tier, after the tiers below have filled what it lacks.

        ``missing`` tells of an answer the oldest open time that each symbol lacks, 0 for none.
        """
        top: Rings = self._redis if self._memory is None else self._memory
        answer = await read(top)
        lacking = self._counted("redis" if self._memory is None else "memory", missing(answer))
        if lacking and self._memory is not None:
            await self._fill_memory(self._memory, list(lacking), start_ms, end_ms)
            answer = await read(top)
            still = missing(answer)
            lacking = self._counted("redis", {symbol: still[symbol] for symbol in lacking})
        if lacking and await self._fill_from_archive(lacking, start_ms, end_ms):
            answer = await read(top)
        return answer

    async def _fill_memory(self, memory: MemoryRings, symbols: Sequence[str], start_ms: int, end_ms: int) -> None:
        try:
            found = await self._redis.records(symbols, start_ms, end_ms)
        except TROUBLE:
            if self._buffer is None:
                raise
            return
        await self._fill(memory, found, start_ms, end_ms)

    async def _fill(self, memory: MemoryRings, found: Mapping[str, Records], start_ms: int, end_ms: int) -> None:
        fresh = within(found, await memory.gaps(list(found), start_ms, end_ms))
        await memory.write(fresh)
        self._note("memory", fresh)

    async def _fill_from_archive(self, lacking: Mapping[str, int], start_ms: int, end_ms: int) -> bool:
        """Write what the archive has of these symbols to the tiers above; return whether it had any bar."""
        names = [
            symbol
            for symbol, missing_ms in lacking.items()
            if missing_ms <= end_ms - self._archive_behind_ms and start_ms < self._archive_asked.get(symbol, end_ms + 1)
        ]
        if self._archive is None or not names:
            return False
        found = await self._archive.read(self.timeframe, names, start_ms, end_ms)
        self.reads["disk", "hit"] += len(found)
        self.reads["disk", "miss"] += len(names) - len(found)
        if self._memory is not None:
            await self._fill(self._memory, found, start_ms, end_ms)
        try:
            await self._redis.write(within(found, await self._redis.gaps(list(found), start_ms, end_ms)))
        except TROUBLE:
            if self._buffer is None:
                raise
            self._must_compare = True  # RAM has them; Redis is compared with it when it is back
        self._archive_asked.update(dict.fromkeys(names, start_ms))
        return bool(found)

    def _counted(self, tier: str, missing: Mapping[str, int]) -> dict[str, int]:
        """Count hits and misses of a tier; return the misses."""
        lacking = {symbol: missing_ms for symbol, missing_ms in missing.items() if missing_ms}
        self.reads[tier, "miss"] += len(lacking)
        self.reads[tier, "hit"] += len(missing) - len(lacking)
        return lacking


def _first_missing(grid: I8, rows: Records) -> int:
    """Return the oldest open time of the grid that no row has; 0 when none lacks."""
    if len(rows) == len(grid):
        return 0
    lacks = ~np.isin(grid, rows["open_time_ms"])
    return int(grid[lacks.argmax()])


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
