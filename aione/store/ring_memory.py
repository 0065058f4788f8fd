"""`MemoryRings`: bar rings in RAM, for a scan in one process and for tests; behaves as the rings in Redis do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aione.panel.bar_panel import BarPanel
from aione.panel.bars import BAR_RECORD
from aione.store.ring_layout import RECORD_BYTES, Records, RingLayout


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
    (1, 0)
    >>> asyncio.run(rings.load(["BTCUSDT"], end_ms=120_000, bars=2)).close
    array([[nan, 42.]])
    """

    def __init__(self, timeframe: str = "1m", capacity: int | None = None) -> None:
        self.layout = RingLayout.of(timeframe, capacity)
        self.timeframe = timeframe
        self._rings: dict[str, Records] = {}

    async def write(self, records: Mapping[str, Records]) -> int:
        """Store bars; see `Rings.write`."""
        plan = {symbol: list(self.layout.runs(symbol, rows)) for symbol, rows in records.items()}
        changed = 0
        for symbol, runs in plan.items():
            if symbol not in self._rings and runs:
                self._rings[symbol] = np.zeros(self.layout.capacity, BAR_RECORD)
            for slot, run in runs:
                held = self._rings[symbol][slot : slot + len(run)]
                keep = _wins(run, held)
                held[keep] = run[keep]
                changed += int(keep.sum())
        return changed

    async def load(self, symbols: Sequence[str], end_ms: int, bars: int) -> BarPanel:
        """Return the panel of ``bars`` bars that ends at ``end_ms``; see `Rings.load`."""
        start_ms = self.layout.window(end_ms, bars)
        windows = [self._window(symbol, start_ms, bars)[np.newaxis] for symbol in symbols]
        if not windows:
            windows = [np.zeros((0, bars), BAR_RECORD)]
        return self.layout.panel(symbols, start_ms, windows)

    async def gaps(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Return what is missing; see `Rings.gaps`."""
        bars = self.layout.bars_between(start_ms, end_ms)
        return {
            symbol: self.layout.missing(start_ms, self._window(symbol, start_ms, bars)["open_time_ms"])
            for symbol in symbols
        }

    def _window(self, symbol: str, start_ms: int, bars: int) -> Records:
        ring = self._rings.get(symbol)
        if ring is None:
            return np.zeros(bars, BAR_RECORD)
        return np.concatenate([ring[first : first + count] for first, count in self.layout.segments(start_ms, bars)])


def _wins(new: Records, held: Records) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where ``new`` may replace ``held``: a later bar, or the same bar surer or corrected."""
    same_bytes = (_raw(new) == _raw(held)).all(axis=1)
    is_same_bar = new["open_time_ms"] == held["open_time_ms"]
    surer = new["finality"] > held["finality"]
    corrected = (new["finality"] == held["finality"]) & ~same_bytes
    wins: np.ndarray[tuple[int], np.dtype[np.bool_]] = (new["open_time_ms"] > held["open_time_ms"]) | (
        is_same_bar & (surer | corrected)
    )
    return wins


def _raw(records: Records) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD_BYTES)


__all__ = ["MemoryRings"]
