"""`MemoryRings`: bar rings in RAM, for a scan in one process and for tests; behaves as the rings in Redis do."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from aione.panel.bar_panel import B1, BarPanel
from aione.panel.bars import BAR_RECORD, Finality
from aione.store.ring_layout import (
    CORRECTED,
    Correction,
    Records,
    RingLayout,
    RingView,
    Written,
    is_sure,
    raw_bytes,
)

CORRECTIONS_KEPT: Final = 10_000


class MemoryRings:
    """One array of ``capacity`` records a symbol.

    Parameters
    ----------
    timeframe : "1m" or "1d"
    capacity : int, optional
        Slots; 2048 minutes or 256 days.

    Examples
    --------
    >>> import asyncio
    >>> bar = np.zeros(1, BAR_RECORD)
    >>> bar["open_time_ms"], bar["close"] = 120_000, 42.0
    >>> rings = MemoryRings()
    >>> asyncio.run(rings.write({"BTCUSDT": bar})), asyncio.run(rings.write({"BTCUSDT": bar}))
    (Written(changed=1, corrected=0), Written(changed=0, corrected=0))
    >>> asyncio.run(rings.load(["BTCUSDT"], end_ms=120_000, bars=2)).close
    array([[nan, 42.]])
    """

    def __init__(self, timeframe: str = "1m", capacity: int | None = None) -> None:
        self.layout = RingLayout.of(timeframe, capacity)
        self.timeframe = timeframe
        self.corrections: deque[Correction] = deque(maxlen=CORRECTIONS_KEPT)
        self._rings: dict[str, Records] = {}

    async def write(self, records: Mapping[str, Records]) -> Written:
        """Store bars; see `Rings.write`."""
        plan = {symbol: list(self.layout.runs(symbol, rows)) for symbol, rows in records.items()}
        written = Written()
        for symbol, runs in plan.items():
            if symbol not in self._rings and runs:
                self._rings[symbol] = _empty_ring(self.layout.capacity)
            for slot, run in runs:
                written += self._put(symbol, slot, run)
        return written

    def _put(self, symbol: str, slot: int, run: Records) -> Written:
        held = self._rings[symbol][slot : slot + len(run)]
        wins, corrects = _outcome(run, held)
        for at in np.flatnonzero(corrects):
            before, after = held[at : at + 1].copy(), run[at : at + 1].copy()
            self.corrections.append(Correction(symbol, self.timeframe, before, after))
        is_same = run["open_time_ms"] == held["open_time_ms"]
        flags = np.where(corrects, CORRECTED, np.where(is_same, held["reserved"] & CORRECTED, 0))[wins]
        held[wins] = run[wins]
        held["reserved"][wins] |= flags.astype(np.uint16)
        return Written(int(wins.sum()), int(corrects.sum()))

    @property
    def symbols(self) -> list[str]:
        """Return the symbols of which any bar was written and not forgotten."""
        return list(self._rings)

    @property
    def newest_ms(self) -> int:
        """Return the open time of the newest bar of any symbol; 0 without one."""
        return max((int(ring["open_time_ms"].max()) for ring in self._rings.values()), default=0)

    def forget(self, symbols: Iterable[str]) -> None:
        """Drop everything about symbols; one that is not held is no error."""
        for symbol in symbols:
            self._rings.pop(symbol, None)

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel of ``bars`` bars that ends at ``end_ms``; see `Rings.load`."""
        return (await self.view(symbols, end_ms, bars)).panel

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what is missing; see `Rings.gaps`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        return {
            symbol: self.layout.missing(start_ms, self._window(symbol, start_ms, bars)["open_time_ms"])
            for symbol in symbols
        }

    async def view(self, symbols: Sequence[str], end_ms: int, bars: int) -> RingView:
        """Return the panel with finality and holes; see `Rings.view`."""
        start_ms = self.layout.window(end_ms, bars)
        windows = (self._window(symbol, start_ms, bars)[np.newaxis] for symbol in symbols)
        return self.layout.view(symbols, start_ms, bars, windows)

    async def records(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held; see `Rings.records`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        grid = self.layout.grid(start_ms, bars)
        rows = {symbol: self._window(symbol, start_ms, bars) for symbol in symbols}
        return {symbol: row[row["open_time_ms"] == grid] for symbol, row in rows.items()}

    async def unsure(self, symbols: Sequence[str], open_time_ms: int) -> list[str]:
        """Return the symbols without a final bar; see `Rings.unsure`."""
        return [s for s in symbols if not is_sure(self._window(s, open_time_ms, 1), open_time_ms)[0]]

    def _window(self, symbol: str, start_ms: int, bars: int) -> Records:
        ring = self._rings.get(symbol)
        if ring is None:
            return np.zeros(bars, BAR_RECORD)
        return np.concatenate([ring[first : first + count] for first, count in self.layout.segments(start_ms, bars)])


def _outcome(new: Records, held: Records) -> tuple[B1, B1]:
    """Return where ``new`` replaces ``held``, and where that corrects a final bar; both bool ``(n,)``."""
    is_same = new["open_time_ms"] == held["open_time_ms"]
    differs = (raw_bytes(new)[:, 8:68] != raw_bytes(held)[:, 8:68]).any(axis=1)
    tells = differs | (new["source"] != held["source"])
    surer = new["finality"] > held["finality"]
    equal = new["finality"] == held["finality"]
    wins: B1 = (new["open_time_ms"] > held["open_time_ms"]) | (is_same & (surer | (equal & tells)))
    corrects: B1 = wins & is_same & differs & (held["finality"] >= Finality.STREAM_CLOSED)
    return wins, corrects


def _empty_ring(capacity: int) -> Records:
    """Return a ring whose memory is taken at once, so that a process does not grow for as long as a ring fills."""
    ring = np.empty(capacity, BAR_RECORD)
    ring.view(np.uint8)[:] = 0
    return ring


__all__ = ["MemoryRings"]
