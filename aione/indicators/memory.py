"""`Memory`: the rings of the symbols that are followed, who has which row, and the kernels that run over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.columns import Periods
from aione.indicators.daily import fill_yesterday
from aione.indicators.follow import FOLLOWED, anew, step
from aione.indicators.rings import CLOSE, HIGH, LONG, LOW, grown, make_rings
from aione.indicators.threads import in_parts
from aione.panel import DAY_MS, F8, I8, MINUTE_MS, BarPanel

RING_FIELDS: Final = ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
"""Of a bar, in the order of the rings."""

KERNEL_FIELDS: Final = (*RING_FIELDS, "open")
"""What `step` takes."""

_SPARE: Final = 16
_DAY: Final = DAY_MS // MINUTE_MS


class Memory:
    """Rings of symbols up to one minute. Minutes are counted since 1970.

    Attributes
    ----------
    rows : int64 (S,)
        Each symbol's row in the rings; row 0 is for forming bars.
    columns : float64 (S, len(FOLLOWED))
        The readings of the last bar.
    minute, bars : int
        The last bar, and how many the window has.
    market : int
        Place of the benchmark among the symbols; -1 if it is not among them.
    """

    def __init__(self, minute: int, bars: int, lookback: int, p: Periods) -> None:
        self.minute, self.bars, self.lookback = minute, min(bars, lookback), lookback
        self.rows: I8 = np.empty(0, dtype=np.int64)
        self.columns: F8 = np.empty((0, len(FOLLOWED)))
        self.market = -1
        self._rings = make_rings(1, lookback, p)
        self._free: list[int] = []

    # ── Rows ──

    def add(self, panel: BarPanel) -> None:
        """Give each symbol of ``panel`` a row with its bars, behind those that have one."""
        size = len(panel.symbols)
        if size > len(self._free):
            old = len(self._rings.state)
            self._rings = grown(self._rings, old + size + _SPARE)
            self._free += range(old, old + size + _SPARE)
        rows = np.array([self._free.pop(0) for _ in range(size)], dtype=np.int64)
        self.rows = np.concatenate([self.rows, rows])
        self.columns = np.vstack([self.columns, np.full((size, len(FOLLOWED)), np.nan)])
        for ring in self._rings[:-2]:
            ring[:, rows] = np.nan
        count = min(panel.shape[1], self.bars)
        for k, name in enumerate(RING_FIELDS):
            bars = np.where(panel.valid, getattr(panel, name), np.nan)[:, panel.shape[1] - count :]
            ring = self._rings.long[k] if k < LONG else self._rings.short[k - LONG]
            _load(ring, rows, bars, self.minute)

    def keep(self, places: NDArray[np.bool_]) -> None:
        """Keep the rows where ``places`` is true, and free the others."""
        self._free += self.rows[~places].tolist()
        self.rows, self.columns = self.rows[places], self.columns[places]

    # ── Bars ──

    def take(self, minute: int, bars: Mapping[str, F8], p: Periods) -> None:
        """Take the bar after the last, and write its readings to ``columns``."""
        n = min(self.bars + 1, self.lookback)
        table = np.array([bars[name] for name in KERNEL_FIELDS])
        row, close = (self.rows[self.market], table[CLOSE, self.market]) if self.market >= 0 else (-1, np.nan)
        in_parts(
            *(step, len(self.rows), self.rows, self.rows, minute, self.bars, n, table),
            *(int(row), float(close), p, self._rings, self.columns),
        )
        self.minute, self.bars = minute, n

    def peek(self, place: int, bar: Sequence[float], market_close: float, p: Periods) -> F8:
        """Return the columns of one symbol as they would be after ``bar``, the next one; nothing is changed."""
        n, out = min(self.bars + 1, self.lookback), np.empty((1, len(FOLLOWED)))
        row = int(self.rows[self.market]) if self.market >= 0 else -1
        step(
            *(0, 1, self.rows[place : place + 1], np.zeros(1, dtype=np.int64), self.minute + 1, self.bars, n),
            *(np.array(bar).reshape(-1, 1), row, market_close, p, self._rings, out),
        )
        columns: F8 = out[0]
        return columns

    def write(self, place: int, minute: int, bar: Sequence[float]) -> None:
        """Replace a bar, if it is one of the window; the readings are not those any more until `make_anew`."""
        if minute <= self.minute - self.bars:
            return
        row = self.rows[place]
        for k, value in enumerate(bar):
            ring = self._rings.long[k, row] if k < LONG else self._rings.short[k - LONG, row]
            half = len(ring) // 2
            if minute > self.minute - half:
                ring[minute % half] = ring[minute % half + half] = value

    def make_anew(self, places: Iterable[int], open_: F8, p: Periods) -> None:
        """Compute the memory and the readings of these symbols from their bars; ``open_`` (S,) is the last bar's."""
        at = np.fromiter(places, dtype=np.int64)
        out = np.empty((len(at), len(FOLLOWED)))
        row = int(self.rows[self.market]) if self.market >= 0 else -1
        in_parts(anew, len(at), self.rows[at], open_[at], self.minute, self.bars, row, p, self._rings, out)
        self.columns[at] = out

    # ── What else the bars tell ──

    def close_before(self, bars: int) -> float:
        """Return the benchmark's close so many bars before the one after the last."""
        if self.market < 0 or bars > min(self.bars, self.lookback - 1):
            return float("nan")
        ring = self._rings.long[CLOSE, self.rows[self.market]]
        return float(ring[(self.minute + 1 - bars) % (len(ring) // 2)])

    def fill_yesterday(self, table: F8, at_rows: I8, places: I8, minute: int) -> None:
        """Write the levels of the day before ``minute``'s, of the symbols at ``places``, to these rows of ``table``."""
        stop = minute // _DAY * _DAY
        bars = min(self.bars + minute - self.minute, self.lookback)
        first = max(stop - _DAY, minute - bars + 1)
        high, low, close = (self._rings.long[k] for k in (HIGH, LOW, CLOSE))
        at = first % (close.shape[1] // 2)
        rows = self.rows[places]
        fill_yesterday(table, high, low, close, at_rows, rows, at, at + max(0, stop - first))


def _load(ring: F8, rows: I8, bars: F8, minute: int) -> None:
    """Write the last bars, ``(S, T)``, up to ``minute`` to a ring ``(R, 2 C)``."""
    half = ring.shape[1] // 2
    count = min(half, bars.shape[1])
    places = np.arange(minute - count + 1, minute + 1) % half
    for offset in (0, half):
        ring[rows[:, np.newaxis], places + offset] = bars[:, bars.shape[1] - count :]


__all__ = ["KERNEL_FIELDS", "RING_FIELDS", "Memory"]
