"""`BarPanel`: every screened symbol's bars on one common time grid, the input of everything computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
B1 = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BarPanel:
    """Closed bars of S symbols on one grid of T open times, oldest first.

    Attributes
    ----------
    symbols : tuple of str, length S
    open_time_ms : int64 (T,)
        UTC epoch milliseconds, ascending, exactly ``interval_ms`` apart.
    open, high, low, close : float64 (S, T)
        Quote per base.
    volume, taker_buy_volume : float64 (S, T)
        Base asset.
    quote_volume : float64 (S, T)
        Quote asset.
    trade_count : float64 (S, T)
    valid : bool (S, T)
        False where the symbol has no bar; every value is NaN there.
    interval_ms : int
    """

    symbols: tuple[str, ...]
    open_time_ms: I8
    open: F8
    high: F8
    low: F8
    close: F8
    volume: F8
    quote_volume: F8
    taker_buy_volume: F8
    trade_count: F8
    valid: B1
    interval_ms: int = MINUTE_MS

    def __post_init__(self) -> None:
        shape = (len(self.symbols), len(self.open_time_ms))
        for name in (*VALUE_FIELDS, "valid"):
            if getattr(self, name).shape != shape:
                raise InvalidInput(f"{name} must have shape {shape}, was {getattr(self, name).shape}")
        steps = np.diff(self.open_time_ms)
        if steps.size and not (steps == self.interval_ms).all():
            raise InvalidInput(f"open_time_ms must step by {self.interval_ms} ms, steps were {np.unique(steps)[:4]}")

    @classmethod
    def from_records(
        cls, records: Mapping[str, NDArray[Any]], *, end_ms: int, bars: int, interval_ms: int = MINUTE_MS
    ) -> BarPanel:
        """Lay records (`BAR_RECORD`, any order, gaps allowed) on the grid of ``bars`` bars that ends at ``end_ms``.

        ``end_ms`` is the open time of the last bar. Records outside the grid are ignored.
        """
        grid = end_ms - interval_ms * np.arange(bars - 1, -1, -1, dtype=np.int64)
        values = {name: np.full((len(records), bars), np.nan) for name in VALUE_FIELDS}
        valid = np.zeros((len(records), bars), dtype=np.bool_)
        for row, (symbol, rows) in enumerate(records.items()):
            if rows.dtype != BAR_RECORD:
                raise InvalidInput(f"records of {symbol} must be BAR_RECORD, were {rows.dtype}")
            slot, misaligned = np.divmod(rows["open_time_ms"] - grid[0], interval_ms)
            inside = (slot >= 0) & (slot < bars) & (misaligned == 0)
            slot, kept = slot[inside], rows[inside]
            for name in VALUE_FIELDS:
                values[name][row, slot] = kept[name]
            valid[row, slot] = True
        return cls(tuple(records), grid, valid=valid, interval_ms=interval_ms, **values)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(S, T)``."""
        return len(self.symbols), len(self.open_time_ms)

    def until(self, stop: int) -> BarPanel:
        """Return the panel as it was when its first ``stop`` bars were all there were (copies)."""
        return self._columns(slice(0, stop))

    def tail(self, bars: int) -> BarPanel:
        """Return the last ``bars`` bars (copies)."""
        return self._columns(slice(max(0, len(self.open_time_ms) - bars), None))

    def window(self, stop: int, bars: int) -> BarPanel:
        """Return the last ``bars`` of the first ``stop`` bars (copies), fewer where there are not so many."""
        return self._columns(slice(max(0, stop - bars), stop))

    def take(self, symbols: Sequence[str]) -> BarPanel:
        """Return these symbols in this order; `InvalidInput` names one that the panel lacks."""
        at = {symbol: row for row, symbol in enumerate(self.symbols)}
        missing = [symbol for symbol in symbols if symbol not in at]
        if missing:
            raise InvalidInput(f"panel holds {len(at)} symbols, but not {missing[0]}")
        rows = np.array([at[symbol] for symbol in symbols], dtype=np.intp)
        arrays: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[rows]) for name in (*VALUE_FIELDS, "valid")
        }
        return replace(self, symbols=tuple(symbols), **arrays)

    def _columns(self, window: slice) -> BarPanel:
        arrays: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[:, window]) for name in (*VALUE_FIELDS, "valid")
        }
        return replace(self, open_time_ms=self.open_time_ms[window].copy(), **arrays)


__all__ = ["B1", "F8", "I8", "BarPanel"]
